"""The queue: in which order jobs start, how their ends are recorded, and when a sweep does not continue."""

from pathlib import Path

import pytest

from src.runs.ending import exit_reason, failure_reason, read_last_record
from src.runs.folder import JobFolder
from src.runs.journal import Journal, stamp
from src.storage.lock import job_lock
from src.tracking.sweep_run import final_status
from src.workers.engines import RemoteEngine
from src.workers.queue import Display, FailurePolicy, Outcome, Task, run_tasks
from tests.world import configuration


def failed(error: str) -> Outcome:
    return Outcome(Task("bn s0", configuration(), Path("bn s0")), error)


def policy(on_failure: str = "continue", same_failures: int = 3) -> FailurePolicy:
    config = configuration()
    config.sweep.on_failure, config.sweep.same_failures = on_failure, same_failures
    return FailurePolicy(config.sweep)


def test_a_sweep_continues_after_failures_of_different_kinds():
    errors = ["Diverged: in epoch 1", "its process was killed by SIGSEGV", "OSError: no space", "", ""]
    mixed = policy()
    assert all(mixed.may_continue_after(failed(error)) for error in errors)
    assert mixed.stop_reason == ""


def test_a_sweep_ends_after_repeated_failures_of_one_kind_whatever_their_numbers():
    repeated = policy()
    assert repeated.may_continue_after(failed("OSError: no space for 7 MB"))
    assert repeated.may_continue_after(failed(""))
    assert repeated.may_continue_after(failed("OSError: no space for 12 MB"))
    assert not repeated.may_continue_after(failed("OSError: no space for 4 MB"))
    assert "3 jobs failed for the same reason" in repeated.stop_reason
    assert not repeated.may_continue_after(failed(""))


def test_a_sweep_continues_after_runs_that_diverged_because_they_are_results():
    diverging = policy()
    assert all(diverging.may_continue_after(failed("Diverged: in epoch 1, step 7")) for _ in range(20))
    assert diverging.stop_reason == ""


def test_a_sweep_ends_after_one_failure_on_request():
    strict = policy(on_failure="stop")
    assert strict.may_continue_after(failed(""))
    assert not strict.may_continue_after(failed("Diverged"))


@pytest.mark.parametrize(
    ("code", "words"),
    [(-11, "SIGSEGV"), (-9, "SIGKILL, which the system sends if memory"), (0, "0 and left no result"), (3, "3")],
)
def test_the_cause_names_the_signal_or_the_exit_status(code, words):
    assert words in exit_reason(code)


def test_a_process_that_dies_silently_does_not_get_the_reason_of_an_earlier_attempt(tmp_path):
    with Journal(tmp_path / "journal.jsonl") as journal:
        journal.append(stamp("start"))
        journal.append(stamp("stop", status="KILLED", error="KeyboardInterrupt"))
    assert failure_reason(tmp_path, "FAILED", "its process was killed by SIGKILL", None) == "KeyboardInterrupt"
    before = read_last_record(tmp_path)
    assert (
        failure_reason(tmp_path, "FAILED", "its process was killed by SIGKILL", before)
        == "its process was killed by SIGKILL"
    )
    assert read_last_record(tmp_path)["status"] == "FAILED"
    assert "SIGKILL" in (tmp_path / "train.log").read_text()


class Engine(RemoteEngine):
    """Starts each job and ends it at once with `end`; without one, Ctrl-C arrives."""

    slots = 1

    def __init__(self, end: str = "") -> None:
        self.end, self.cancelled = end, list[Path]()

    def start_training(self, jobs):
        ((_, folder),) = jobs
        folder.mkdir()
        with Journal(folder / "journal.jsonl") as journal:
            journal.append(stamp("start"))
        return folder

    def training_errors(self, handle):
        if not self.end:
            raise KeyboardInterrupt
        return self.end

    def cancel(self, handle):
        self.cancelled.append(handle)


class FullCluster(Engine):
    """Queues jobs and starts none."""

    def start_training(self, jobs):
        return jobs[0][1]


class Refusing(Engine):
    """Accepts no job."""

    def start_training(self, jobs):
        raise OSError("sbatch: no such partition")


def tasks(tmp_path, *names: str):
    return [Task(name, configuration(), tmp_path / name) for name in names]


def outcomes(engine, tasks, *, continues: bool = True):
    return [(outcome.task.name, outcome.error) for outcome in run_tasks(engine, tasks, lambda _: continues, Display())]


def test_the_journal_of_a_job_says_that_its_node_died(tmp_path):
    died = "Ray: NodeDiedError"
    assert outcomes(Engine(died), tasks(tmp_path, "a", "b")) == [("a", died), ("b", died)]
    last = read_last_record(tmp_path / "a")
    assert (last["kind"], last["status"], last["error"]) == ("stop", "FAILED", died)


def test_no_further_job_starts_once_the_sweep_must_not_continue(tmp_path):
    assert outcomes(Engine("it died"), tasks(tmp_path, "a", "b"), continues=False) == [("a", "it died")]
    assert not (tmp_path / "b").exists()


def test_a_job_that_another_command_trains_waits_until_the_others_have_ended(tmp_path):
    with job_lock(tmp_path / "a"):
        order = [name for name, _ in outcomes(FullCluster("it died"), tasks(tmp_path, "a", "b"))]
    assert order == ["b", "a"]


def test_ctrl_c_cancels_the_running_jobs_and_their_journals_say_so(tmp_path):
    engine = Engine()
    with pytest.raises(KeyboardInterrupt):
        outcomes(engine, tasks(tmp_path, "a", "b"))
    assert engine.cancelled == [tmp_path / "a"]
    assert read_last_record(tmp_path / "a")["status"] == "KILLED"


def test_a_job_cancelled_in_an_engines_queue_has_not_failed(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        outcomes(FullCluster(), tasks(tmp_path, "a"))
    job = JobFolder(tmp_path / "a")
    assert (job.never_started, job.failed, final_status([job], started=0)) == (False, False, "KILLED")


def test_a_job_that_an_engine_refuses_has_failed(tmp_path):
    ((_, error),) = outcomes(Refusing(), tasks(tmp_path, "a"))
    assert error == "the cluster refused the job: OSError: sbatch: no such partition"
    job = JobFolder(tmp_path / "a")
    assert (job.never_started, job.failed, final_status([job], started=0)) == (True, True, "FAILED")
