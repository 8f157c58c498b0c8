"""Whether a job's files can be used: one check for training, comparing and delivering.

The journal and the result hold a job's numbers; without them the job cannot be compared.  Without one of the other
files (pictures, predictions, weights, log) it can be compared, and the training command still retrains it.
"""

import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import safetensors

from src.config import KEYS, part_of_a_job
from src.runs.folder import ARTIFACTS, FinishedJob, JobFolder
from src.runs.identity import distinguishing, job_key
from src.runs.predictions import Predictions, load_predictions
from src.runs.shapes import EPOCH_METRICS, SOURCE, configuration_fault, fault, record_fault
from src.runs.sweep import Sweep
from src.schema import flatten_mapping
from src.storage.png import picture_fault
from src.storage.stored import Damaged, NoAccess, exists, is_irregular, is_regular, read_stored

OTHER_FILES = ("journal.jsonl", "result.json", "lock", "checkpoint-0.pt", "checkpoint-1.pt")
WHOLE = ("start", "ready")  # the records that must have all fields
PREDICTIONS = "predictions.npz"
EQUAL = 1e-9  # tolerance, relative and absolute, for sums in another order


def job_fault(job: JobFolder, key: str) -> str:
    """Return why the folder of the job with this key must be set aside, or an empty string.

    Raises NoAccess if permissions hide a file, and so do `numbers_fault` and `files_fault`.
    """
    if not exists(job.path):
        return ""
    if not job.path.is_dir():
        return f"{job.path} is not a folder"
    for name in (*OTHER_FILES, *ARTIFACTS):
        if is_irregular(job.path / name):
            return f"{job.path / name} is not a regular file"
    if not job.finished:
        for record in job.records():  # a partial last line is normal
            if reason := record_fault(record, whole=record["kind"] in WHOLE):
                return f"{job.journal} has a {record['kind']} record that {reason}"
        return ""
    finished = FinishedJob(job)
    if reason := numbers_fault(finished, key) or files_fault(finished):
        return reason
    try:
        checked_predictions(finished)
    except FileNotFoundError:
        return f"{job.path / PREDICTIONS} is missing"
    except Damaged as damaged:
        return str(damaged)
    return ""


def job_faults(sweep: Sweep, multirun: Path) -> dict[str, str]:
    """Return `job_fault` by job key, for the jobs of a sweep that have one."""
    return {job.key: reason for job in sweep.jobs if (reason := job_fault(job.at(multirun), job.key))}


def unusable_reason(job: JobFolder, key: str) -> str:
    """Return `job_fault`, or the reason why permissions hide a file, for commands that only read."""
    try:
        return job_fault(job, key)
    except NoAccess as refusal:
        return refusal.reason


def is_readable(job: JobFolder) -> bool:
    """Whether permissions allow reading a job's folder."""
    try:
        _ = job.finished, job.records()
        return not exists(job.path / "lock") or os.access(job.path / "lock", os.R_OK)
    except NoAccess:
        return False


def numbers_fault(job: FinishedJob, key: str | None) -> str:
    """Return why a finished job's numbers cannot be compared, with a path, or an empty string; None allows any key."""
    try:
        result = job.result
        if reason := _journal_fault(job, key):
            return f"{job.folder.journal} {reason}"
    except Damaged as damaged:
        return str(damaged)
    reason = _contradiction(result, job.epochs, job.start["source"]["test"])
    return f"{job.folder.result_path} {reason}" if reason else ""


def _journal_fault(job: FinishedJob, key: str | None) -> str:
    records, reason = job.journal
    if reason:
        return reason
    kinds = [record["kind"] for record in records]
    if missing := [kind for kind in WHOLE if kind not in kinds]:
        return f"lacks its {missing[0]} record"
    for record in records:
        if record["kind"] in WHOLE and (reason := record_fault(record, whole=True)):
            return f"has a {record['kind']} record that {reason}"
    start = job.start
    if reason := configuration_fault(start["config"]) or fault(start["source"], SOURCE):
        return reason
    epochs, expected = [record["epoch"] for record in job.epochs], start["config"]["epochs"]
    if len(epochs) < expected:
        return f"holds {len(epochs)} of {expected} epochs"
    if epochs != list(range(1, expected + 1)):
        return f"holds other epochs than 1 to {expected}"
    for record in job.epochs:
        if reason := fault(record["metrics"], EPOCH_METRICS):
            return f"has an epoch that {reason}"
    stored = flatten_mapping(start["config"])
    computed = job_key(distinguishing(stored) | {"data.digest": start["source"]["digest"]})
    has_removed_keys = any(part_of_a_job(path) and path not in KEYS for path in stored)  # their jobs had other job keys
    own_key = has_removed_keys or computed == start["job"]
    return "" if own_key and key in (None, start["job"]) else "belongs to another job"


def _contradiction(result: Mapping[str, Any], epochs: Any, images: int) -> str:
    """Return how a result contradicts itself or the journal, as another job's result would."""
    metrics, last = result["metrics"], epochs[-1]["metrics"]
    journal = {name: last[name] for name in ("val/loss", "val/accuracy")}
    journal["best/val_accuracy"] = max(record["metrics"]["val/accuracy"] for record in epochs)
    if metrics["test/errors"] > images:
        return f"has test/errors={metrics['test/errors']} of {images} test images"
    if abs(metrics["test/accuracy"] - (1 - metrics["test/errors"] / images)) > EQUAL:
        return f"has test/accuracy={metrics['test/accuracy']:g} with {metrics['test/errors']} errors of {images} images"
    for name, value in journal.items():
        if not math.isclose(metrics[name], value, rel_tol=EQUAL, abs_tol=EQUAL):
            return f"has {name}={metrics[name]:g}, and the journal {value:g}"
    seconds = sum(record["metrics"]["time/train_seconds"] for record in epochs)
    if not math.isclose(result["seconds"]["train"], seconds, rel_tol=EQUAL, abs_tol=EQUAL):
        return f"has {result['seconds']['train']:g} seconds of training, and the journal {seconds:g}"
    return ""


def files_fault(job: FinishedJob) -> str:
    """Return the fault in a finished job's files, with a path; ignores its numbers and predictions."""
    for path in (job.folder.path / name for name in ARTIFACTS if name != PREDICTIONS):
        if not exists(path):
            return f"{path} is missing"
        if not is_regular(path):
            return f"{path} is not a regular file"
        if path.stat().st_size == 0:
            return f"{path} is empty"
        if path.suffix == ".png" and (reason := picture_fault(path)):
            return f"{path} {reason}"
        if path.suffix == ".safetensors" and (reason := weights_fault(path, job.start["parameters"])):
            return f"{path} {reason}"
    return ""


def checked_predictions(job: FinishedJob) -> Predictions:
    """Return a finished job's predictions; raises Damaged if they do not fit its test images and result."""
    path, source = job.folder.path / PREDICTIONS, job.start["source"]
    predictions = load_predictions(path, (source["test"], len(source["classes"])))
    errors = int(predictions.wrong.sum())
    if errors != job.result["metrics"]["test/errors"]:
        raise Damaged(path, f"holds {errors} errors, and the result {job.result['metrics']['test/errors']}")
    return predictions


def weights_fault(path: Path, parameters: int) -> str:
    """Return the fault in the header or size of a network's weights; the format has no checksum."""
    try:
        safetensors.deserialize(read_stored(path, most_weights(parameters)))
    except Damaged as damaged:
        return damaged.reason
    except safetensors.SafetensorError:
        return "is not a whole safetensors file"
    return ""


def most_weights(parameters: int) -> int:
    """Return the most bytes that a network's weights need: 8 per parameter, as many for running means, a header."""
    return 16 * parameters + 1_000_000
