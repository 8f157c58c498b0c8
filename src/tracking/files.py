"""Sending files to a run, and looking whether they arrived whole: a proxy may answer for the store, or cut a file.

A server's answer can be final: nginx refuses every file above its limit, today and tomorrow.  Then the other files are
sent, and the run ends and names what it lacks.
"""

import http.client
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import unquote, urlsplit

from mlflow import MlflowClient
from mlflow.entities import Run
from mlflow.exceptions import MlflowException

LACKS = "not_delivered"  # tag of a run: its files that were refused, and why
PASSING = (408, 409, 425, 429)  # answers that another try may change: too slow, conflict, too early, too often
NOT_FOUND = "404"


class Undelivered(Exception):
    """A part of a run can never be delivered: the server refuses it, or the folder has lost it."""


def refusal(error: BaseException | None) -> str:
    """A server's final answer, such as `413 Request Entity Too Large`; empty where another try may go well."""
    while error is not None:
        if isinstance(error, Undelivered):
            return str(error)
        answer = getattr(error, "response", None)  # of requests' HTTPError
        status = getattr(answer, "status_code", None)
        if status is None and isinstance(error, MlflowException):
            status = error.get_http_status_code()
        if isinstance(status, int) and 400 <= status < 500 and status not in PASSING:
            return f"{status} {getattr(answer, 'reason', '') or http.client.responses.get(status, '')}".strip()
        error = error.__cause__ or error.__context__
    return ""


def send_files(client: MlflowClient, run_id: str, files: Mapping[str, Path]) -> dict[str, str]:
    """Send files, by their path below the run's folder; returns why, by path, for each that can never arrive.

    Raises:
        Exception: of MLflow, where a later try may go well.
    """
    lacks: dict[str, str] = {}
    for name, path in files.items():
        if not path.is_file():
            lacks[name] = f"there is no file {path}"
            continue
        try:
            client.log_artifact(run_id, str(path), name.rpartition("/")[0] or None)
        except PermissionError as error:
            if error.filename != str(path):
                raise
            lacks[name] = f"{path} cannot be read: {error.strerror}"
        except Exception as error:
            if not (reason := refusal(error)):
                raise
            if reason.startswith(NOT_FOUND):
                client.get_run(run_id)  # raises where the run is gone, which is made again
            lacks[name] = reason
    return lacks


def check_files(client: MlflowClient, run_id: str, sizes: Mapping[str, int]) -> None:
    """Look whether a run has these files, whole; sizes are in bytes.

    Raises:
        OSError: naming those that it does not have.
    """
    if lost := missing_files(client, run_id, sizes):
        raise OSError(f"{', '.join(lost)} did not arrive")


def missing_files(client: MlflowClient, run_id: str, sizes: Mapping[str, int | None]) -> list[str]:
    """The files that a run lacks, or has in another size, where both sizes are known."""
    folders = {name.rpartition("/")[0] for name in sizes}
    there = {item.path: item.file_size for folder in folders for item in client.list_artifacts(run_id, folder)}
    return [
        name
        for name, size in sizes.items()
        if name not in there or (size is not None and there[name] not in (size, None))
    ]


def remove_partial_files(run: Run) -> None:
    """Remove from a run's folder on this machine what MLflow had begun to copy there when it was killed."""
    place = urlsplit(run.info.artifact_uri)
    if place.scheme == "file":
        for path in Path(unquote(place.path)).rglob(".artifact.uploading.*"):
            path.unlink(missing_ok=True)
