"""Two people run overlapping sweeps at one MLflow server, in turns and at once; the server is killed once.

pytest -m slow tests/faults/test_two_people.py -s --sweeps 10 --fault-seed 3
"""

import random
import shlex
import subprocess
import sys
import time

import pytest

from tests.conftest import clean_environment
from tests.faults.promises import check_store
from tests.faults.stored import read_runs
from tests.tracking.servers import serving

pytestmark = [
    pytest.mark.slow,
    # MLflow 3.17 uses an option that SQLAlchemy 2.1 deprecates.
    pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy is deprecated"),
]

SMALL = ("data=synthetic", "data.images=600", "data.test_images=100", "data.validation=100", "epochs=2")
NOT_DELIVERED, REFUSED = 3, 2


def some(chance, values):
    """Return one to three of the values, separated by commas."""
    return ",".join(chance.sample(values, chance.randint(1, min(len(values), 3))))


def random_sweep(chance):
    """Return the overrides of a sweep of at most 18 of 30 jobs; many jobs are in several sweeps."""
    norm = some(chance, ["bn", "gn", "ln", "in", "none"])
    return [f"norm={norm}", f"reg.l1={some(chance, ['0', '1e-5'])}", f"seed={some(chance, ['0', '1', '2'])}", *SMALL]


def test_two_people_sharing_a_server_both_keep_all_their_runs(migrated, tmp_path, request):
    number, seed = request.config.getoption("--sweeps"), request.config.getoption("--fault-seed")
    chance, again = random.Random(seed), []
    for name in ("anna", "ben", "server"):
        (tmp_path / name).mkdir()

    def start(name, words):
        return subprocess.Popen(
            [sys.executable, "-m", "src.train", "-m", *words],
            cwd=tmp_path / name,
            env=clean_environment() | {"MLFLOW_TRACKING_URI": server.uri},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def end(process, name, words):
        said, _ = process.communicate(timeout=300)
        print(f"{name:<5}{process.returncode}  {shlex.join(words[:3])}")
        assert "Traceback" not in said, said
        assert process.returncode in (0, NOT_DELIVERED, REFUSED), said
        if process.returncode:
            again.append((name, words))

    with serving(migrated, tmp_path / "server") as server:
        for round_number in range(number):
            sweeps = {name: random_sweep(chance) for name in ("anna", "ben")}
            at_once, killed = chance.random() < 0.5, round_number == number // 2
            if at_once or killed:
                running = {name: start(name, words) for name, words in sweeps.items()}
                if killed:
                    time.sleep(chance.uniform(4, 12))
                    server.kill()
                    time.sleep(3)
                    server.start()
                for name, process in running.items():
                    end(process, name, sweeps[name])
            else:
                for name, words in sweeps.items():
                    end(start(name, words), name, words)
        repeated = list(again)
        for name, words in repeated:
            process = start(name, words)
            said, _ = process.communicate(timeout=300)
            assert process.returncode == 0, said
        runs = read_runs(server.database, server.artifacts)
        print(f"{len(runs)} runs, {sum('superseded' in run.tags for run in runs)} of them superseded")
        print(f"{len(repeated)} commands repeated after the server was killed")
        for name in ("anna", "ben"):
            server.copy(tmp_path / name / "mlflow.db")
            check_store(tmp_path / name, artifact_root=server.artifacts)
