import shutil

import pytest

from src.options import Tracking
from src.runs.journal import Journal, stamp
from src.runs.sweep import Sweep
from src.stopping import Terminated
from src.storage.lock import job_lock
from src.tracking.session import Tracker
from src.tracking.sweep_run import SweepRun, how_ended

# MLflow 3.17 asks SQLAlchemy 2.1 for something that a later one will not have.
pytestmark = pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy is deprecated")


@pytest.mark.parametrize("signal", [KeyboardInterrupt, Terminated])
def test_a_signal_while_the_store_is_opened_leaves_no_run_running(store, planned, tmp_path, monkeypatch, signal):
    def interrupted(self, verdict):
        raise signal

    monkeypatch.setattr(SweepRun, "_describe", interrupted)  # the run is there by then
    sweep = Sweep("5" * 64, "python -m src.train", 1, ["norm.name"], [planned])
    settings = Tracking("sqlite", f"sqlite:///{tmp_path / 'mlflow.db'}", "normlab")
    with pytest.raises(signal):
        Tracker(settings, sweep, tmp_path / "multirun", lambda line: None).open()
    (run,) = store.find(kind="sweep")
    assert run.info.status == "KILLED"


@pytest.fixture
def delivered(store, planned, tmp_path):
    """Delivers the sweep as a command does, and returns its own run with all points of its metrics."""
    sweep = Sweep("5" * 64, "python -m src.train", 1, ["norm.name"], [planned])
    settings = Tracking("sqlite", f"sqlite:///{tmp_path / 'mlflow.db'}", "normlab")

    def deliver(**how):
        tracker = Tracker(settings, sweep, tmp_path / "multirun", lambda line: None)
        tracker.open()
        assert tracker.close(**how)
        (run,) = store.find(kind="sweep")
        names = [name for name in run.data.metrics if name.startswith("sweep/")]
        assert len(names) == 3
        points = {name: store.client.get_metric_history(run.info.run_id, name) for name in names}
        return run, {name: [(point.value, point.timestamp) for point in of] for name, of in points.items()}

    return deliver


def test_a_sweep_delivered_again_has_the_same_points_and_the_same_end(delivered, job):
    run, points = delivered()
    finished = job.result()["finished"]
    assert points == {
        "sweep/jobs": [(1, finished)],
        "sweep/finished": [(1, finished)],
        "sweep/failed": [(0, finished)],
    }
    again, same = delivered()
    assert same == points
    assert run.info.end_time == again.info.end_time == finished
    assert run.info.status == again.info.status == "FINISHED"


@pytest.mark.parametrize(
    ("ends", "status"),
    [
        (["KILLED"], "KILLED"),
        (["FAILED"], "FAILED"),
        (["FAILED", "KILLED"], "KILLED"),
        ([], "FAILED"),  # died without a word
    ],
)
def test_who_delivers_a_broken_sweep_later_says_of_it_what_its_own_command_said(delivered, job, ends, status):
    job.result_path.unlink()
    with Journal(job.journal, resume=True) as journal:
        for end in ends:
            journal.append(stamp("stop", status=end, error="why"))
    assert delivered(stopped=status == "KILLED")[0].info.status == status
    assert delivered()[0].info.status == status  # src.sync knows nothing of a signal


def test_a_sweep_stopped_before_its_first_job_was_not_a_failure(delivered, job):
    shutil.rmtree(job.path)
    assert delivered(stopped=True)[0].info.status == "KILLED"


def test_a_job_that_died_before_its_first_line_was_not_stopped(delivered, job):
    job.result_path.unlink()
    job.journal.unlink()
    (job.path / "train.log").write_text("sbatch: error: no such partition\n")
    run, points = delivered()
    assert run.info.status == "FAILED"
    assert [value for value, _ in points["sweep/failed"]] == [1]


def test_a_job_stopped_by_an_earlier_command_does_not_make_this_one_stopped(job):
    job.result_path.unlink()
    with Journal(job.journal, resume=True) as journal:
        journal.append(stamp("stop", status="KILLED", error="last week"))
    later = job.records()[-1]["time"] + 1
    assert how_ended([job], later) == "FAILED"
    assert how_ended([job], later - 1) == "KILLED"


def test_a_sweep_that_another_command_still_trains_is_not_ended(delivered, job):
    job.result_path.unlink()
    with job_lock(job.path):
        assert delivered()[0].info.status == "RUNNING"
    assert delivered()[0].info.status == "FAILED"
