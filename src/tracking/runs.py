"""Converts journal records to MLflow's metrics and tags, and ends and hides runs."""

import json
from collections.abc import Iterable, Mapping
from typing import Any

from mlflow import MlflowClient
from mlflow.entities import Dataset, DatasetInput, InputTag, Metric, Run

from src.pictures.colours import choose_colour
from src.runs.identity import job_settings
from src.runs.journal import Record


def epoch_metrics(records: Iterable[Record]) -> list[Metric]:
    """Return the metrics of every epoch in the journal records, with the time of each record."""
    return [
        Metric(name, value, record["time"], record["epoch"])
        for record in records
        if record["kind"] == "epoch"
        for name, value in record["metrics"].items()
    ]


def check_metrics(client: MlflowClient, run_id: str, metrics: Iterable[Metric]) -> None:
    """Raise OSError if a run lacks one of these metrics at its step; a proxy may have swallowed a request."""
    expected = {(metric.key, metric.step, metric.timestamp) for metric in metrics}
    stored = [metric for name in {name for name, *_ in expected} for metric in client.get_metric_history(run_id, name)]
    if missing := expected - {(metric.key, metric.step, metric.timestamp) for metric in stored}:
        raise OSError(f"MLflow did not store {', '.join(sorted({name for name, *_ in missing}))}")


def job_tags(start: Record) -> dict[str, str]:
    """Return a run's tags from its job's start record: attempt, seed, code and environment."""
    environment = dict(start["environment"])
    commit = environment.pop("commit", "")
    tags = {
        "attempt": str(start["time"]),
        "seed": str(start["config"]["seed"]),
        "code": start["code"],
        "env.threads": str(start["config"]["threads"]),
        "mlflow.source.name": "src/train.py",
        "mlflow.source.type": "LOCAL",
        "mlflow.runColor": choose_colour(job_settings(start["config"])),
        **{f"env.{name}": value for name, value in environment.items()},
    }
    if commit:
        tags |= {"mlflow.source.git.commit": commit.rstrip("+"), "git.dirty": str(commit.endswith("+")).lower()}
    return tags


def dataset_input(name: str, source: Mapping[str, Any]) -> DatasetInput:
    """Return a job's dataset as MLflow's dataset input, with the digest of its images."""
    entity = Dataset(
        name=name,
        digest=source["digest"][:32],  # MLflow allows 36 characters
        source_type="local",
        source=json.dumps({"uri": source["place"]}),
        profile=json.dumps({name: source[name] for name in ("train", "test", "channels", "size")}),
    )
    return DatasetInput(entity, [InputTag("mlflow.data.context", "training")])


def end_run(client: MlflowClient, run_id: str, status: str, end_time: int | None) -> None:
    """Set a run's final status; raises OSError if the run does not have it afterwards."""
    client.set_terminated(run_id, status, end_time)
    if client.get_run(run_id).info.status != status:
        raise OSError(f"MLflow did not store the status {status}")


def supersede_other_runs(client: MlflowClient, runs: Iterable[Run], kept_id: str) -> None:
    """Hide runs of earlier attempts, and runs that a repeated request created, from all views; `kept_id` stays.

    The tag that hides a run is set last. If a command is killed before, the next command repeats all steps.
    """
    for run in runs:
        run_id = run.info.run_id
        if run_id == kept_id:
            continue
        if run.info.status == "RUNNING":
            client.set_terminated(run_id, "KILLED")
        for name in run.data.tags:
            if name.startswith("sweep."):
                client.delete_tag(run_id, name)
        client.set_tag(run_id, "superseded", "true")
