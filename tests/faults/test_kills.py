"""Random SIGKILLs of the README's six runs, and of four residual networks trained with other methods.

    pytest -m slow tests/faults/test_kills.py -s                              eight kills of each
    pytest -m slow tests/faults/test_kills.py -s --kills 200 --fault-seed 7   200 kills, at other moments
    pytest -m slow tests/faults/test_kills.py -s -k residual                  only the residual networks

Prints a table of what the killed processes were doing, and the seed.
"""

import random
import shutil
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext

import pytest

from tests.conftest import clean_environment, made_once
from tests.faults.kills import PATIENCE, Killer, Tally, any_of_them, itself, measured, until
from tests.faults.promises import check_store
from tests.tracking.servers import serving

SMALL = ("norm=bn,gn", "data=synthetic", "data.images=800", "data.validation=100", "epochs=2")
SIX_RUNS = ("norm=bn,gn,ln", "reg.l1=0,1e-5", "data.limit=2560", "epochs=4")
RESIDUAL = (  # averaged weights, recomputed and frozen statistics, augmentations, muon: all keep a state between steps
    'sweep.cells=["norm=ghost norm.chunk=4 reg.ema=0.9 optimizer=sgd optimizer.lr=0.05 augmentation=crop_flip",'
    '"norm=ghost norm.chunk=4 norm.stats=frozen reg.sam=0.05 optimizer=sgd optimizer.lr=0.05 augmentation=cutmix",'
    '"norm=bn norm.stats=precise optimizer=muon augmentation=mixup",'
    '"norm=bn reg.ema=0.9 reg.dropout=0.2 optimizer=muon augmentation=trivial"]',
    *("model=resnet", "data=synthetic", "data.channels=3", "data.size=16", "data.batch_size=16", "epochs=4"),
    *("data.images=160", "data.validation=64", "data.test_images=64"),
)
SWEEPS = {"six_runs": SIX_RUNS, "residual": RESIDUAL}
LANES = 2  # commands at once; the smallest machine has two cores


@pytest.fixture
def uninterrupted(forked, migrated, tmp_path_factory, sweep):
    """The folder of an uninterrupted run of a sweep; tests must not change it."""

    def make(folder):
        shutil.copy(migrated, folder)
        done = forked.start(folder, *SWEEPS[sweep]).wait(PATIENCE)
        assert done.status == 0, done.said
        check_store(folder, folder)

    return made_once(tmp_path_factory, sweep, make)


@pytest.mark.slow
# MLflow 3.17 uses an option that SQLAlchemy 2.1 deprecates.
@pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy is deprecated")
@pytest.mark.parametrize(
    ("sweep", "victims"),
    [
        *(("six_runs", victims) for victims in ("its one process", "any of its processes", "two people, one server")),
        *(("residual", victims) for victims in ("its one process", "any of its processes")),
    ],
)
def test_a_sweep_killed_again_and_again_ends_like_an_uninterrupted_one(
    uninterrupted, forked, migrated, tmp_path, request, sweep, victims
):
    kills = request.config.getoption("--kills")
    seed = request.config.getoption("--fault-seed")
    start_seconds, job_seconds = measured(uninterrupted)
    tally = Tally(kills)

    def lane(number):
        chance, finished = random.Random(f"{seed} {number}"), 0
        launcher, victim = "hydra.launcher.workers=2", any_of_them(chance)
        if victims == "its one process":
            launcher, victim = "hydra/launcher=basic", itself
        killer = Killer(forked, migrated, (*SWEEPS[sweep], launcher), job_seconds, start_seconds, victim, server)
        while len(tally.deaths) < tally.wanted and len(tally.violations) < 10:
            killer.sweep(tmp_path / f"{number}-{finished}", uninterrupted, chance, tally)
            finished += 1

    (tmp_path / "server").mkdir()
    store = serving(migrated, tmp_path / "server") if "server" in victims else nullcontext()
    with store as server, ThreadPoolExecutor(LANES) as pool:
        list(pool.map(lane, range(LANES)))
    print(f"\n{sweep}: {victims}", tally.table(seed))
    assert not tally.violations, "\n".join(tally.violations)
    assert len(tally.deaths) >= kills
    assert tally.sweeps >= 1


@pytest.mark.slow
@pytest.mark.parametrize("delay", [0.2, 0.7, 1.2, 1.7])  # seconds; MLflow's migrations take 2.5
def test_a_store_killed_while_it_is_created_opens_the_next_time(tmp_path, delay):
    process = start(SMALL, tmp_path)
    try:
        assert until(process.pid, lambda: any(tmp_path.rglob("*mlflow.db")))
        time.sleep(delay)
    finally:
        process.kill()
        process.communicate()
    again = start(SMALL, tmp_path)
    _, output = again.communicate(timeout=120)
    assert again.returncode == 0, output
    check_store(tmp_path)
    assert not list(tmp_path.glob(".*"))


def start(words, folder):
    line = [sys.executable, "-m", "src.train", *words]
    return subprocess.Popen(
        line, cwd=folder, env=clean_environment(), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
