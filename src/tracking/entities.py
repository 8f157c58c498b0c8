"""What a job's journal says, as MLflow's entities."""

import json
from collections.abc import Iterable, Mapping
from typing import Any

from mlflow.entities import Dataset, DatasetInput, InputTag, Metric

from src.pictures.colours import colour
from src.runs.identity import stored_leaves
from src.runs.journal import Record


def epoch_metrics(records: Iterable[Record]) -> list[Metric]:
    """What the epochs among a journal's records measured, each at the time that stands there."""
    return [
        Metric(name, value, record["time"], record["epoch"])
        for record in records
        if record["kind"] == "epoch"
        for name, value in record["metrics"].items()
    ]


def job_tags(start: Record) -> dict[str, str]:
    """What does not change in a job: its identity, its code, where it ran."""
    environment = dict(start["environment"])
    commit = environment.pop("commit", "")
    found = {
        "attempt": str(start["time"]),
        "seed": str(start["config"]["seed"]),
        "code": start["code"],
        "env.threads": str(start["config"]["threads"]),
        "mlflow.source.name": "src/train.py",
        "mlflow.source.type": "LOCAL",
        "mlflow.runColor": colour(stored_leaves(start["config"])),
        **{f"env.{name}": value for name, value in environment.items()},
    }
    if commit:
        found |= {"mlflow.source.git.commit": commit.rstrip("+"), "git.dirty": str(commit.endswith("+")).lower()}
    return found


def dataset(name: str, source: Mapping[str, Any]) -> DatasetInput:
    """The images as MLflow's dataset input; the digest is the one that the job's key holds."""
    entity = Dataset(
        name=name,
        digest=source["digest"][:32],  # the store has room for 36
        source_type="local",
        source=json.dumps({"uri": source["place"]}),
        profile=json.dumps({name: source[name] for name in ("train", "test", "channels", "size")}),
    )
    return DatasetInput(entity, [InputTag("mlflow.data.context", "training")])
