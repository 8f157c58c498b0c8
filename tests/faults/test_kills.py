"""Random SIGKILLs of the README's six runs.

    pytest -m slow tests/faults/test_kills.py -s                              eight kills
    pytest -m slow tests/faults/test_kills.py -s --kills 200 --fault-seed 7   200 kills, at other moments

Prints a table of what the killed processes were doing, and the seed.
"""

import random
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext

import pytest

from tests.conftest import clean_environment
from tests.faults.kills import Killer, Tally, any_of_them, measured, until
from tests.faults.promises import check_store
from tests.tracking.servers import serving

SMALL = ("norm=bn,gn", "data=synthetic", "data.images=800", "data.validation=100", "epochs=2")
SIX_RUNS = ("src.train", "-m", "norm=bn,gn,ln", "reg.l1=0,1e-5", "data.limit=2560", "epochs=4")
LANES = 2  # commands at once; the smallest machine has two cores


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    """The folder of an uninterrupted sweep, and when it was launched."""
    folder, launched = tmp_path_factory.mktemp("uninterrupted"), time.time_ns()
    subprocess.run([sys.executable, "-m", *SIX_RUNS], cwd=folder, env=clean_environment(), check=True, timeout=300)
    check_store(folder, folder)
    return folder, launched


@pytest.mark.slow
# MLflow 3.17 uses an option that SQLAlchemy 2.1 deprecates.
@pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy is deprecated")
@pytest.mark.parametrize("victims", ["its one process", "any of its processes", "two people, one server"])
def test_a_sweep_killed_again_and_again_ends_like_an_uninterrupted_one(
    uninterrupted, migrated, tmp_path, request, victims
):
    kills = request.config.getoption("--kills")
    seed = request.config.getoption("--fault-seed")
    reference, launched = uninterrupted
    start_seconds, job_seconds = measured(reference, launched)
    tally = Tally(kills)

    def lane(number):
        chance, sweep = random.Random(f"{seed} {number}"), 0
        if victims == "its one process":
            killer = Killer((*SIX_RUNS, "hydra/launcher=basic"), job_seconds, start_seconds)
        else:
            words = (*SIX_RUNS, "hydra.launcher.workers=2")
            killer = Killer(words, job_seconds, start_seconds, any_of_them(chance), server)
        while len(tally.deaths) < tally.wanted and len(tally.violations) < 10:
            killer.sweep(tmp_path / f"{number}-{sweep}", reference, chance, tally)
            sweep += 1

    (tmp_path / "server").mkdir()
    store = serving(migrated, tmp_path / "server") if "server" in victims else nullcontext()
    with store as server, ThreadPoolExecutor(LANES) as pool:
        list(pool.map(lane, range(LANES)))
    print(f"\n{victims}", tally.table(seed))
    assert not tally.violations, "\n".join(tally.violations)
    assert len(tally.deaths) >= kills
    assert tally.sweeps >= 1


@pytest.mark.slow
@pytest.mark.parametrize("delay", [0.2, 0.7, 1.2, 1.7])  # seconds; MLflow's migrations take 2.5
def test_a_store_killed_while_it_is_created_opens_the_next_time(tmp_path, delay):
    process = start(SMALL, tmp_path)
    try:
        assert until(process, lambda: any(tmp_path.rglob("*mlflow.db")))
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
