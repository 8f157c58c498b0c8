"""Sends files to a run and checks that they arrive whole: a proxy may answer for the store or cut a file.

Some refusals are final: nginx, for example, always refuses a file above its size limit. The delivery then sends the
other files, ends the run and names the missing files in the run's tag `not_delivered`.
"""

import http.client
from collections.abc import Mapping
from pathlib import Path

from mlflow import MlflowClient
from mlflow.entities import Run
from mlflow.exceptions import MlflowException
from mlflow.utils.file_utils import local_file_uri_to_path

NOT_DELIVERED = "not_delivered"  # tag of a run: the files that it can never get, with the reasons
TRANSIENT = (408, 409, 425, 429)  # statuses that a retry may change: timeout, conflict, too early, too many requests


class Undelivered(Exception):
    """The server refuses a file for good, or the folder lost it."""


def refusal(error: BaseException | None) -> str:
    """Return a server's final answer, such as `413 Request Entity Too Large`; empty if a retry may succeed."""
    while error is not None:
        if isinstance(error, Undelivered):
            return str(error)
        answer = getattr(error, "response", None)  # of requests' HTTPError
        status = getattr(answer, "status_code", None)
        if status is None and isinstance(error, MlflowException):
            status = error.get_http_status_code()
        if isinstance(status, int) and 400 <= status < 500 and status not in TRANSIENT:
            return f"{status} {getattr(answer, 'reason', '') or http.client.responses.get(status, '')}".strip()
        error = error.__cause__ or error.__context__
    return ""


def deliver_files(client: MlflowClient, run_id: str, files: Mapping[str, Path]) -> str:
    """Send files, by their paths in the run, and return those that can never arrive, with the reasons.

    The run's tag `not_delivered` names these files too. Raises OSError if a file did not arrive whole, and any error
    of MLflow that a retry may cure.
    """
    refused = {name: reason for name, path in files.items() if (reason := _send(client, run_id, name, path))}
    sizes = {name: path.stat().st_size for name, path in files.items() if name not in refused}
    if lost := missing_files(client, run_id, sizes):
        raise OSError(f"{', '.join(lost)} did not arrive")
    text = "; ".join(f"{name}: {reason}" for name, reason in refused.items())
    if text:
        client.set_tag(run_id, NOT_DELIVERED, text[:5000])
    elif NOT_DELIVERED in client.get_run(run_id).data.tags:
        client.delete_tag(run_id, NOT_DELIVERED)
    return text


def _send(client: MlflowClient, run_id: str, name: str, path: Path) -> str:
    """Send a file. Return the reason if it can never arrive."""
    if not path.is_file():
        return f"there is no file {path}"
    try:
        client.log_artifact(run_id, str(path), name.rpartition("/")[0] or None)
    except PermissionError as error:
        if error.filename != str(path):
            raise
        return f"{path} cannot be read: {error.strerror}"
    except Exception as error:
        reason = refusal(error)
        if not reason:
            raise
        if reason.startswith("404"):
            client.get_run(run_id)  # raises if the run is gone; the next try creates a new one
        return reason
    return ""


def missing_files(client: MlflowClient, run_id: str, sizes: Mapping[str, int | None]) -> list[str]:
    """Return the files that a run lacks or has in another size. Sizes are in bytes; None accepts any size."""
    folders = {name.rpartition("/")[0] for name in sizes}
    stored = {item.path: item.file_size for folder in folders for item in client.list_artifacts(run_id, folder)}
    return [
        name
        for name, size in sizes.items()
        if name not in stored or (size is not None and stored[name] not in (size, None))
    ]


def remove_partial_files(run: Run) -> None:
    """Delete the partial copies that a killed command left in a run's local folder."""
    if run.info.artifact_uri.startswith("file:"):
        for path in Path(local_file_uri_to_path(run.info.artifact_uri)).rglob(".artifact.uploading.*"):
            path.unlink(missing_ok=True)
