"""Real sweeps with seeds=auto: planned looks, their ledger, and commands that are killed, repeated and retyped."""

import hashlib
import json
import signal
import subprocess
import sys
import time

import pytest

from src.runs.looks import FILE
from tests.conftest import clean_environment, files_below

SMALL = (
    *("data=synthetic", "data.images=60", "data.test_images=60", "data.validation=20", "data.batch_size=8"),
    *("data.classes=4", "model.width=4", "epochs=1", "tracking=none"),
)
TWO = ("-m", "norm=bn,gn", "seeds=auto", "compare.looks=[2,3]", *SMALL)
# One group is the same as LayerNorm, so the two methods give the same bits.
EQUAL = (
    "-m",
    'sweep.cells=["norm=ln","norm=gn norm.groups=1"]',
    "seeds=auto",
    "compare.looks=[2,3,4]",
    *SMALL,
    "hydra/launcher=basic",
)


def looks(folder):
    """The ledger without times."""
    stored = json.loads((folder / "multirun" / FILE).read_bytes())["looks"]
    return [{name: value for name, value in look.items() if name != "time"} for look in stored]


def bits(folder):
    """The hashes of all finished jobs' weights and predictions."""
    files = [
        path for name in ("weights.safetensors", "predictions.npz") for path in folder.glob(f"multirun/jobs/*/{name}")
    ]
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def titles(done):
    return [line for line in done.stderr.splitlines() if line.startswith("look ")]


def test_equal_methods_are_compared_once(command, tmp_path):
    done = command("src.train", *EQUAL)
    assert done.returncode == 0, done.stderr
    assert not (tmp_path / "mlflow.db").exists()
    assert titles(done) == ["look 1 of at most 3: 2 seeds"]
    assert len(list(tmp_path.glob("multirun/jobs/*/result.json"))) == 4
    (look,) = looks(tmp_path)
    assert (look["seeds"], look["planned"]) == (2, [2, 3, 4])


@pytest.mark.slow  # seven real commands
def test_an_open_question_gets_more_seeds_and_a_look_is_counted_once(command, tmp_path):
    done = command("src.train", *TWO)
    assert done.returncode == 0, done.stderr
    first, second = titles(done)
    assert first == "look 1 of at most 2: 2 seeds"
    assert second == "look 2 of at most 2: 3 seeds"
    for jobs, finished, left in ((4, 0, "unknown"), (6, 4, "about ")):
        assert f": {jobs} jobs (varied keys: norm, seed), {finished} already finished" in done.stderr
        assert f"\ntime: {left}" in done.stderr
    manifests = [json.loads(path.read_bytes()) for path in tmp_path.glob("multirun/sweeps/*/manifest.json")]
    assert sorted(len(manifest["jobs"]) for manifest in manifests) == [4, 6]
    assert all("seeds=auto" in manifest["command"] for manifest in manifests)
    taken, trained = looks(tmp_path), bits(tmp_path)
    assert [look["level"] for look in taken] == pytest.approx([0.0475 * 4 / 9, 0.0475 * 5 / 9])
    assert len(trained) == 12

    again = command("src.train", *TWO)
    assert again.returncode == 0
    assert titles(again) == [f"look {k} of at most 2: {k + 1} seeds" for k in (1, 2)]
    retyped = command("src.train", *SMALL, "compare.looks=[2,3]", "norm=gn,bn", "seeds=auto")
    assert retyped.returncode == 0
    for words in ((), ("--equal", "0.5"), ("--sweep", min(manifests, key=lambda item: len(item["jobs"]))["id"][:8])):
        assert command("src.compare", *words).returncode == 0
    assert (looks(tmp_path), bits(tmp_path)) == (taken, trained)

    assert command("src.train", "-m", "norm=bn,gn", "seeds=4", *SMALL).returncode == 0
    assert looks(tmp_path)[:2] == taken
    assert looks(tmp_path)[2]["level"] == pytest.approx(0.0475 * 0.05)
    (tmp_path / "multirun" / FILE).write_text("{")
    refused = command("src.compare")
    assert refused.returncode == 2
    assert refused.stderr.splitlines()[0] == f"normlab: multirun/{FILE} is not JSON"


@pytest.mark.slow
@pytest.mark.parametrize("moment", ["between the looks", "in the second look"])
def test_a_killed_command_ends_like_an_uninterrupted_one(command, tmp_path, moment):
    assert command("src.train", *TWO).returncode == 0
    killed = tmp_path / "killed"
    killed.mkdir()
    line = [sys.executable, "-m", "src.train", *TWO]
    process = subprocess.Popen(
        line, cwd=killed, env=clean_environment(), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    assert process.stderr is not None
    if moment == "between the looks":
        assert any(text.startswith("look 2 of") for text in process.stderr)
    else:
        deadline = time.monotonic() + 60
        while not any(killed.glob("multirun/jobs/*_s2-*/journal.jsonl")):
            assert time.monotonic() < deadline
            time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert len(looks(killed)) == 1
    resumed = subprocess.run(line, cwd=killed, env=clean_environment(), capture_output=True, text=True, timeout=240)
    assert resumed.returncode == 0, resumed.stderr
    assert titles(resumed)[0] == "look 1 of at most 2: 2 seeds"
    assert (looks(killed), bits(killed)) == (looks(tmp_path), bits(tmp_path))


@pytest.mark.slow
def test_a_restart_retrains_each_job_once(command, tmp_path):
    assert command("src.train", *TWO).returncode == 0
    before = bits(tmp_path)
    done = command("src.train", *TWO, "resume=restart")
    assert done.returncode == 0, done.stderr
    assert len(list((tmp_path / "multirun/superseded").iterdir())) == 6
    assert bits(tmp_path) == before


@pytest.mark.slow
@pytest.mark.parametrize(("on_failure", "last"), [("continue", 2), ("stop", 1)])
def test_a_method_that_diverges_does_not_end_the_looks(command, tmp_path, on_failure, last):
    methods = 'sweep.cells=["norm=bn","norm=gn","norm=none optimizer.lr=1e30"]'
    words = ("-m", methods, "seeds=auto", "compare.looks=[2,3]", *SMALL, f"sweep.on_failure={on_failure}")
    done = command("src.train", *words)
    assert done.returncode == 1
    assert "Diverged" in done.stderr
    assert len(titles(done)) == last


def test_the_plan_shows_the_first_look_and_counts_the_jobs_of_the_others(run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    status, said, _ = run("-m", "norm=bn,gn,ln", "seeds=auto", *SMALL, "plan=true")
    assert status == 0
    assert ": 15 jobs (" in said
    assert "looks at 10 and 20 seeds add at most 45 jobs, " in said
    assert files_below(tmp_path) == []
