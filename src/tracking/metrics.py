"""Whether a store holds the metrics that it was sent: a proxy may answer in its place."""

from collections.abc import Iterable

from mlflow import MlflowClient
from mlflow.entities import Metric


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
