"""Sends files to a run and checks that they arrive complete, because a proxy may swallow a file or cut it off.

Some refusals are final: nginx, for example, always refuses a file above its size limit. The delivery then sends the
other files, ends the run and lists the refused files in the run's tag `not_delivered`.
"""

import http.client
from collections.abc import Mapping
from pathlib import Path

from mlflow import MlflowClient
from mlflow.entities import Run
from mlflow.exceptions import MlflowException
from mlflow.utils.file_utils import local_file_uri_to_path

NOT_DELIVERED_TAG = "not_delivered"  # the tag of a run that lists its refused files with the reasons
TRANSIENT_STATUSES = (408, 409, 425, 429)  # a retry may succeed after timeout, conflict, too early, too many requests


class UndeliverableError(Exception):
    """Raised if a file can never be delivered: the server always refuses it, or the job's folder lost it."""


def final_refusal(error: BaseException | None) -> str:
    """Return a server's final refusal, such as `413 Request Entity Too Large`; empty if a retry may succeed."""
    while error is not None:
        if isinstance(error, UndeliverableError):
            return str(error)
        answer = getattr(error, "response", None)  # set by an HTTPError of the library requests
        status = getattr(answer, "status_code", None)
        if status is None and isinstance(error, MlflowException):
            status = error.get_http_status_code()
        if isinstance(status, int) and 400 <= status < 500 and status not in TRANSIENT_STATUSES:
            return f"{status} {getattr(answer, 'reason', '') or http.client.responses.get(status, '')}".strip()
        error = error.__cause__ or error.__context__
    return ""


def deliver_files(client: MlflowClient, run_id: str, files: Mapping[str, Path]) -> str:
    """Send files to a run and return a text with the refused files and the reasons, or an empty string.

    `files` maps paths in the run to local paths. The run's tag `not_delivered` gets the text too. Raises OSError if a
    file did not arrive complete, and any error of MLflow after which a retry may succeed.
    """
    refusals = {name: reason for name, path in files.items() if (reason := _send_file(client, run_id, name, path))}
    sizes = {name: path.stat().st_size for name, path in files.items() if name not in refusals}
    if missing := missing_files(client, run_id, sizes):
        raise OSError(f"MLflow did not store {', '.join(missing)}")
    refusal_text = "; ".join(f"{name}: {reason}" for name, reason in refusals.items())
    if refusal_text:
        client.set_tag(run_id, NOT_DELIVERED_TAG, refusal_text[:5000])
    elif NOT_DELIVERED_TAG in client.get_run(run_id).data.tags:
        client.delete_tag(run_id, NOT_DELIVERED_TAG)
    return refusal_text


def _send_file(client: MlflowClient, run_id: str, name: str, path: Path) -> str:
    """Send a file to a run; return the reason if it can never be delivered, or an empty string."""
    if not path.is_file():
        return f"there is no file {path}"
    try:
        client.log_artifact(run_id, str(path), name.rpartition("/")[0] or None)
    except PermissionError as error:
        if error.filename != str(path):
            raise
        return f"{path} cannot be read: {error.strerror}"
    except Exception as error:
        reason = final_refusal(error)
        if not reason:
            raise
        if reason.startswith("404"):
            client.get_run(run_id)  # raises if the run was deleted; a retry creates a new run
        return reason
    return ""


def missing_files(client: MlflowClient, run_id: str, sizes: Mapping[str, int | None]) -> list[str]:
    """Return the files that a run lacks or holds with a wrong size; `sizes` are in bytes, and None allows any size."""
    folders = {name.rpartition("/")[0] for name in sizes}
    stored_sizes = {file.path: file.file_size for folder in folders for file in client.list_artifacts(run_id, folder)}
    return [
        name
        for name, size in sizes.items()
        if name not in stored_sizes or (size is not None and stored_sizes[name] not in (size, None))
    ]


def remove_partial_files(run: Run) -> None:
    """Delete the partial files that a killed command left in a run's local folder."""
    if run.info.artifact_uri.startswith("file:"):
        for path in Path(local_file_uri_to_path(run.info.artifact_uri)).rglob(".artifact.uploading.*"):
            path.unlink(missing_ok=True)
