"""Checks a job's files for all commands that train, compare or deliver jobs.

A job cannot be compared without its journal and its result, which hold its numbers.  A job without one of the other
files (pictures, predictions, weights, log) can be compared, but the training command retrains it.
"""

import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import safetensors

from src.config import KEYS, affects_results
from src.runs.folder import ARTIFACTS, AUGMENTED, FinishedJob, JobFolder
from src.runs.identity import identity, job_key
from src.runs.predictions import Predictions, load_predictions
from src.runs.shapes import EPOCH_METRICS, SOURCE, configuration_fault, fault, record_fault
from src.runs.sweep import Sweep
from src.schema import flatten
from src.storage.png import picture_fault
from src.storage.stored import DamagedFile, NoAccess, exists, is_irregular, is_regular, read_stored

OTHER_FILES = ("journal.jsonl", "result.json", "lock", "checkpoint-0.pt", "checkpoint-1.pt")
COMPLETE_KINDS = ("start", "ready")  # kinds of journal records that must have all their fields
PREDICTIONS = "predictions.npz"
TOLERANCE = 1e-9  # allowed relative and absolute error; a different order of addition causes less


def job_fault(job: JobFolder, key: str) -> str:
    """Return why a job's folder cannot be used and must be set aside, or an empty string.

    `key` is the key that the job must have.  Raises NoAccess if this user may not read a file.
    """
    if not exists(job.path):
        return ""
    if not job.path.is_dir():
        return f"{job.path} is not a folder"
    for name in (*OTHER_FILES, *ARTIFACTS, AUGMENTED):
        if is_irregular(job.path / name):
            return f"{job.path / name} is not a regular file"
    if not job.finished:
        for record in job.records():  # `records` leaves out the partial last line of a killed job
            if reason := record_fault(record, complete=record["kind"] in COMPLETE_KINDS):
                return f"{job.journal} has a {record['kind']} record that {reason}"
        return ""
    finished_job = FinishedJob(job)
    if reason := numbers_fault(finished_job, key) or files_fault(finished_job):
        return reason
    try:
        load_checked_predictions(finished_job)
    except FileNotFoundError:
        return f"{job.path / PREDICTIONS} is missing"
    except DamagedFile as damaged:
        return str(damaged)
    return ""


def job_faults(sweep: Sweep, multirun: Path) -> dict[str, str]:
    """Return the faults in the job folders of a sweep by job key; jobs without a fault are left out."""
    return {job.key: reason for job in sweep.jobs if (reason := job_fault(job.folder_in(multirun), job.key))}


def unusable_reason(job: JobFolder, key: str) -> str:
    """Return why a job's folder cannot be used, or an empty string; a file that may not be read is a reason too."""
    try:
        return job_fault(job, key)
    except NoAccess as refusal:
        return refusal.reason


def is_readable(job: JobFolder) -> bool:
    """Whether this user may read a job's folder."""
    try:
        _ = job.finished, job.records()
        return not exists(job.path / "lock") or os.access(job.path / "lock", os.R_OK)
    except NoAccess:
        return False


def numbers_fault(job: FinishedJob, key: str | None) -> str:
    """Return why a finished job's numbers cannot be compared, or an empty string; `key` None allows any job key."""
    try:
        result = job.result
        if reason := _journal_fault(job, key):
            return f"{job.folder.journal} {reason}"
    except DamagedFile as damaged:
        return str(damaged)
    reason = _result_contradiction(result, job.epochs, job.start["source"]["test"])
    return f"{job.folder.result_path} {reason}" if reason else ""


def _journal_fault(job: FinishedJob, key: str | None) -> str:
    records, reason = job.journal
    if reason:
        return reason
    kinds = [record["kind"] for record in records]
    if missing_kinds := [kind for kind in COMPLETE_KINDS if kind not in kinds]:
        return f"lacks its {missing_kinds[0]} record"
    for record in records:
        if record["kind"] in COMPLETE_KINDS and (reason := record_fault(record, complete=True)):
            return f"has a {record['kind']} record that {reason}"
    start = job.start
    if reason := configuration_fault(start["config"]) or fault(start["source"], SOURCE):
        return reason
    epoch_numbers, epoch_count = [record["epoch"] for record in job.epochs], start["config"]["epochs"]
    if len(epoch_numbers) < epoch_count:
        return f"contains only {len(epoch_numbers)} of {epoch_count} epochs"
    if epoch_numbers != list(range(1, epoch_count + 1)):
        return f"does not contain exactly the epochs 1 to {epoch_count}"
    for record in job.epochs:
        if reason := fault(record["metrics"], EPOCH_METRICS):
            return f"has an epoch that {reason}"
    stored_keys = flatten(start["config"])
    has_removed_keys = any(affects_results(path) and path not in KEYS for path in stored_keys)  # of an older version
    has_right_key = has_removed_keys or job_key(identity(start["config"], start["source"]["digest"])) == start["job"]
    return "" if has_right_key and key in (None, start["job"]) else "belongs to another job"


def _result_contradiction(result: Mapping[str, Any], epochs: Any, total: int) -> str:
    """Return how a result contradicts itself or the job's journal, or an empty string."""
    metrics, last_metrics = result["metrics"], epochs[-1]["metrics"]
    journal_values = {name: last_metrics[name] for name in ("val/loss", "val/accuracy")}
    journal_values["best/val_accuracy"] = max(record["metrics"]["val/accuracy"] for record in epochs)
    if metrics["test/errors"] > total:
        return f"has test/errors={metrics['test/errors']}, but there are only {total} test images"
    if abs(metrics["test/accuracy"] - (1 - metrics["test/errors"] / total)) > TOLERANCE:
        return f"has test/accuracy={metrics['test/accuracy']:g}, but {metrics['test/errors']} errors in {total} images"
    for name, value in journal_values.items():
        if not math.isclose(metrics[name], value, rel_tol=TOLERANCE, abs_tol=TOLERANCE):
            return f"has {name}={metrics[name]:g}, but the journal has {value:g}"
    seconds = sum(record["metrics"]["time/train_seconds"] for record in epochs)
    if not math.isclose(result["seconds"]["train"], seconds, rel_tol=TOLERANCE, abs_tol=TOLERANCE):
        return f"has {result['seconds']['train']:g} seconds of training, but the journal has {seconds:g}"
    return ""


def files_fault(job: FinishedJob) -> str:
    """Return the fault in a finished job's pictures, weights and other files, with a path, or an empty string."""
    for path in (job.folder.path / name for name in job.artifacts if name != PREDICTIONS):
        if not is_regular(path):
            return f"{path} {'is not a regular file' if exists(path) else 'is missing'}"
        if path.stat().st_size == 0:
            return f"{path} is empty"
        if path.suffix == ".png" and (reason := picture_fault(path)):
            return f"{path} {reason}"
        if path.suffix == ".safetensors" and (reason := weights_fault(path, job.start["parameters"])):
            return f"{path} {reason}"
    return ""


def load_checked_predictions(job: FinishedJob) -> Predictions:
    """Return a finished job's predictions; raises DamagedFile if they contradict its test images or its result."""
    path, source = job.folder.path / PREDICTIONS, job.start["source"]
    predictions = load_predictions(path, (source["test"], len(source["classes"])))
    errors = int(predictions.wrong.sum())
    if errors != job.result["metrics"]["test/errors"]:
        raise DamagedFile(path, f"contains {errors} errors, but the result has {job.result['metrics']['test/errors']}")
    return predictions


def weights_fault(path: Path, parameters: int) -> str:
    """Return the fault in the header or size of a network's weights file, or an empty string."""
    try:
        safetensors.deserialize(read_stored(path, max_weights_size(parameters)))
    except DamagedFile as damaged:
        return damaged.reason
    except safetensors.SafetensorError:
        return "is not a complete safetensors file"
    return ""


def max_weights_size(parameters: int) -> int:
    """Return the largest size of a weights file: 8 bytes per parameter, 8 more for running means, and the header."""
    return 16 * parameters + 1_000_000
