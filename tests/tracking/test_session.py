import shutil

import pytest

from src.options import Tracking
from src.runs.journal import Journal, stamp
from src.stopping import Terminated
from src.storage.lock import job_lock
from src.tracking.session import Tracker
from src.tracking.sweep_run import SweepRun, final_status


@pytest.fixture
def tracker(store, sweep, tmp_path):
    """Creates a tracker of the sweep, as each command does."""
    settings = Tracking(uri=store.uri, experiment="normlab")
    return lambda: Tracker(settings, sweep, tmp_path / "multirun", print)


@pytest.mark.parametrize("signal", [KeyboardInterrupt, Terminated])
def test_a_signal_while_the_store_opens_leaves_no_run_running(store, tracker, monkeypatch, signal):
    def interrupted(self, verdict):
        raise signal

    monkeypatch.setattr(SweepRun, "_write_description", interrupted)  # the run is there by then
    with pytest.raises(signal):
        tracker().open()
    (run,) = store.find_runs(kind="sweep")
    assert run.info.status == "KILLED"


@pytest.fixture
def delivered(store, tracker):
    """Delivers the sweep as a command does; returns its run and all values of its metrics."""

    def deliver(**how):
        one = tracker()
        one.open()
        assert one.close(**how)
        (run,) = store.find_runs(kind="sweep")
        names = [name for name in run.data.metrics if name.startswith("sweep/")]
        assert len(names) == 3
        points = {name: store.client.get_metric_history(run.info.run_id, name) for name in names}
        return run, {name: [(point.value, point.timestamp) for point in of] for name, of in points.items()}

    return deliver


def test_a_second_delivery_gives_the_same_metrics_and_the_same_end(delivered, job):
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
        ([], "FAILED"),  # died silently
    ],
)
def test_a_later_delivery_of_a_broken_sweep_gives_the_same_status(delivered, job, ends, status):
    job.result_path.unlink()
    with Journal(job.journal, resume=True) as journal:
        for end in ends:
            journal.append(stamp("stop", status=end, error="why"))
    assert delivered(stopped=status == "KILLED")[0].info.status == status
    assert delivered()[0].info.status == status  # as by src.sync, which does not know about the signal


def test_a_sweep_stopped_before_its_first_job_is_killed(delivered, job):
    shutil.rmtree(job.path)
    assert delivered(stopped=True)[0].info.status == "KILLED"


def test_a_job_that_died_before_its_first_record_is_failed(delivered, job):
    job.result_path.unlink()
    job.journal.unlink()
    (job.path / "train.log").write_text("sbatch: error: no such partition\n")
    run, points = delivered()
    assert run.info.status == "FAILED"
    assert [value for value, _ in points["sweep/failed"]] == [1]


def test_a_stop_by_an_earlier_command_does_not_count(job):
    job.result_path.unlink()
    with Journal(job.journal, resume=True) as journal:
        journal.append(stamp("stop", status="KILLED", error="last week"))
    later = job.records()[-1]["time"] + 1
    assert final_status([job], later) == "FAILED"
    assert final_status([job], later - 1) == "KILLED"


def test_a_sweep_that_another_command_trains_keeps_running(delivered, job):
    job.result_path.unlink()
    with job_lock(job.path):
        assert delivered()[0].info.status == "RUNNING"
    assert delivered()[0].info.status == "FAILED"
