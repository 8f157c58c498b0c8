"""A small sweep, and functions that observe it."""

import time

DATA = (
    "hydra/launcher=basic",  # jobs run in the command's process, which is forked from a warm one
    *("data=synthetic", "data.images=60", "data.test_images=60", "data.validation=20", "data.batch_size=8"),
    *("data.classes=4", "model.width=8", "optimizer.lr=0.02"),
)
SWEEP = ("norm=bn,gn", *DATA, "epochs=3")


def eventually(condition, seconds=240.0):
    """Wait until a condition is true."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "the condition was never true"
        time.sleep(0.002)


def epochs_below(folder):
    """Return how many epochs all journals hold together."""
    return sum(path.read_bytes().count(b'"kind":"epoch"') for path in folder.glob("multirun/jobs/*/journal.jsonl"))


def only_job(folder, norm):
    (path,) = folder.glob(f"multirun/jobs/{norm}_*")
    return path
