"""Whether a store holds what it was sent, and nothing in part: something between may answer for it, or cut a file."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from urllib.parse import unquote, urlsplit

from mlflow import MlflowClient
from mlflow.entities import Metric, Run


def check_files(client: MlflowClient, run_id: str, sizes: Mapping[str, int]) -> None:
    """Look whether a run has these artifacts, whole; sizes are in bytes, where the store tells them.

    Raises:
        OSError: naming those that it does not have.
    """
    folders = {name.rpartition("/")[0] for name in sizes}
    there = {item.path: item.file_size for folder in folders for item in client.list_artifacts(run_id, folder)}
    lost = [name for name, size in sizes.items() if there.get(name, -1) not in (size, None)]
    if lost:
        raise OSError(f"{', '.join(lost)} did not arrive")


def check_metrics(client: MlflowClient, run_id: str, metrics: Iterable[Metric]) -> None:
    """Look whether a run has these metrics, each of them at every step.

    Raises:
        OSError: naming those that it does not have.
    """
    wanted: dict[str, set[tuple[int, int]]] = {}
    for metric in metrics:
        wanted.setdefault(metric.key, set()).add((metric.step, metric.timestamp))
    lost = [name for name, points in wanted.items() if points - _points(client, run_id, name)]
    if lost:
        raise OSError(f"{', '.join(lost)} did not arrive")


def _points(client: MlflowClient, run_id: str, name: str) -> set[tuple[int, int]]:
    return {(metric.step, metric.timestamp) for metric in client.get_metric_history(run_id, name)}


def remove_partial_files(run: Run) -> None:
    """Remove from a run's folder on this machine what MLflow had begun to copy there when it was killed."""
    place = urlsplit(run.info.artifact_uri)
    if place.scheme == "file":
        for path in Path(unquote(place.path)).rglob(".artifact.uploading.*"):
            path.unlink(missing_ok=True)
