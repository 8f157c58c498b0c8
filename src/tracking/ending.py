"""How a run ends: with a true status, or superseded by another one."""

from collections.abc import Iterable

from mlflow import MlflowClient
from mlflow.entities import Run


def terminate(client: MlflowClient, run_id: str, status: str, time: int | None) -> None:
    """Give a run its last status, and look whether it has it.

    Raises:
        OSError: where it has not.
    """
    client.set_terminated(run_id, status, time)
    if client.get_run(run_id).info.status != status:
        raise OSError(f"the status {status} did not arrive")


def supersede(client: MlflowClient, run: Run) -> None:
    """Take a run that another one replaces out of every view, but keep what it logged.

    The tag that hides the run comes last: a command that is killed before it does this again.
    """
    run_id = run.info.run_id
    if run.info.status == "RUNNING":
        client.set_terminated(run_id, "KILLED")
    for name in run.data.tags:
        if name.startswith("sweep."):
            client.delete_tag(run_id, name)
    client.set_tag(run_id, "superseded", "true")


def fail_running(client: MlflowClient, runs: Iterable[Run], error: str) -> None:
    """End the runs that are still RUNNING, with a reason: nobody can bring them to another end."""
    for run in runs:
        if run.info.status == "RUNNING":
            client.set_tag(run.info.run_id, "error", error[:5000])
            terminate(client, run.info.run_id, "FAILED", None)
