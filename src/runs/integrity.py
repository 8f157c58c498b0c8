"""Whether what a finished job has left can be used: one check for training, comparing and delivering.

A job's numbers are its journal and its result: without them it cannot be compared.  Its other files are pictures,
predictions, weights and logs: without one of them its numbers can still be compared, and the training command still
trains it anew.  Nothing here changes a file.
"""

import json
import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from src.config import KEYS, part_of_a_job
from src.runs.folder import ARTIFACTS, FinishedJob, JobFolder
from src.runs.identity import distinguishing, job_key
from src.runs.predictions import Predictions, load_predictions
from src.runs.shapes import EPOCH_METRICS, SOURCE, configuration_fault, fault, record_fault
from src.runs.sweep import Sweep
from src.schema import leaves
from src.storage.png import picture_fault
from src.storage.stored import Damaged, NoAccess, exists, is_irregular, is_regular, read_stored

OTHER_FILES = ("journal.jsonl", "result.json", "lock", "checkpoint-0.pt", "checkpoint-1.pt")
WHOLE = ("start", "ready")  # the records whose fields a job needs all
PREDICTIONS = "predictions.npz"
WEIGHT_TYPES = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2, "I64": 8, "I32": 4, "I16": 2, "I8": 1, "U8": 1, "BOOL": 1}
EQUAL = 1e-9  # relative difference below which two numbers that were added up differently are the same


def job_fault(job: JobFolder, key: str) -> str:
    """Why a job's folder must be set aside before the job can be trained or used; empty where it need not be.

    Args:
        job: its folder, which may not exist.
        key: the job that the folder was planned for.

    Raises:
        NoAccess: where permissions hide a file.
    """
    if not exists(job.path):
        return ""
    if not job.path.is_dir():
        return f"{job.path} is no folder"
    for name in (*OTHER_FILES, *ARTIFACTS):
        if is_irregular(job.path / name):
            return f"{job.path / name} is no regular file"
    if not job.finished:
        return _unfinished_fault(job)
    finished = FinishedJob(job)
    return numbers_fault(finished, key) or files_fault(finished) or predictions_fault(finished)


def _unfinished_fault(job: JobFolder) -> str:
    """What is wrong with the journal of a job that could be resumed; lines that a kill has torn are no fault."""
    for record in job.records():
        if what := record_fault(record, whole=record["kind"] in WHOLE):
            return f"{job.journal} has a {record['kind']} record that {what}"
    return ""


def job_faults(sweep: Sweep, multirun: Path) -> dict[str, str]:
    """The jobs of a sweep whose folders must be set aside, by key, and why.

    Raises:
        NoAccess: where permissions hide a file.
    """
    found = {job.key: job_fault(job.at(multirun), job.key) for job in sweep.jobs}
    return {key: what for key, what in found.items() if what}


def unusable_reason(job: JobFolder, key: str) -> str:
    """The same for who only reads: where another user has closed a file, that is the reason."""
    try:
        return job_fault(job, key)
    except NoAccess as refusal:
        return refusal.what


def is_readable(job: JobFolder) -> bool:
    """Whether another user has not closed a job's folder."""
    try:
        _ = job.finished, job.records()
        return not exists(job.path / "lock") or os.access(job.path / "lock", os.R_OK)
    except NoAccess:
        return False


def numbers_fault(job: FinishedJob, key: str | None) -> str:
    """Why a finished job's numbers cannot be compared, naming the file; empty where they can.

    Args:
        job: what has finished.
        key: the job that its folder was planned for; None takes any.

    Raises:
        NoAccess: where permissions hide a file.
    """
    journal = job.folder.journal
    try:
        result = job.result
        if what := _journal_fault(job, key):
            return f"{journal} {what}"
    except Damaged as damaged:
        return str(damaged)
    what = _contradiction(result, job.epochs, job.start["source"]["test"])
    return f"{job.folder.result_path} {what}" if what else ""


def _journal_fault(job: FinishedJob, key: str | None) -> str:
    """What a finished job's journal lacks, or what in it is of another job."""
    if job.journal_fault:
        return job.journal_fault
    kinds = [record["kind"] for record in job.records]
    for kind in WHOLE:
        if kind not in kinds:
            return f"lacks its {kind} record"
    for record in (record for record in job.records if record["kind"] in WHOLE):
        if what := record_fault(record, whole=True):
            return f"has a {record['kind']} record that {what}"
    start = job.start
    if what := configuration_fault(start["config"]) or fault(start["source"], SOURCE):
        return what
    epochs, wanted = [record["epoch"] for record in job.epochs], start["config"]["epochs"]
    if len(epochs) != wanted or epochs != list(range(1, wanted + 1)):
        return (
            f"holds {len(epochs)} of {wanted} epochs"
            if len(epochs) < wanted
            else f"holds other epochs than 1 to {wanted}"
        )
    if what := next((what for record in job.epochs if (what := fault(record["metrics"], EPOCH_METRICS))), ""):
        return f"has an epoch that {what}"
    return "" if key in (None, start["job"]) and _is_own_key(start) else "is that of another job"


def _is_own_key(start: Mapping[str, Any]) -> bool:
    """Whether configuration and data give the key that the journal names; not known where a key has gone since."""
    stored = leaves(start["config"])
    if any(part_of_a_job(path) and path not in KEYS for path in stored):
        return True
    return bool(job_key(distinguishing(stored) | {"data.digest": start["source"]["digest"]}) == start["job"])


def _contradiction(result: Mapping[str, Any], epochs: Any, images: int) -> str:
    """Where a result contradicts itself or the journal, as that of another job does."""
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
    """What is wrong with the files besides numbers and predictions, naming one of them; empty where nothing is.

    Raises:
        NoAccess: where permissions hide a file.
    """
    for name in ARTIFACTS:
        path = job.folder.path / name
        if name == PREDICTIONS:
            continue
        if not exists(path):
            return f"{path} is missing"
        if not is_regular(path):
            return f"{path} is no regular file"
        if path.stat().st_size == 0:
            return f"{path} is empty"
        what = picture_fault(path) if name.endswith(".png") else ""
        what = weights_fault(path, job.start["parameters"]) if name == "weights.safetensors" else what
        if what:
            return f"{path} {what}"
    return ""


def predictions_fault(job: FinishedJob) -> str:
    """What is wrong with a finished job's predictions, naming the file; empty where nothing is."""
    try:
        checked_predictions(job)
    except FileNotFoundError:
        return f"{job.folder.path / PREDICTIONS} is missing"
    except Damaged as damaged:
        return str(damaged)
    return ""


def checked_predictions(job: FinishedJob) -> Predictions:
    """A finished job's predictions, as many as there are test images and with as many errors as the result says.

    Raises:
        FileNotFoundError: where there are none.
        Damaged: where they are anything else.
    """
    path, source = job.folder.path / PREDICTIONS, job.start["source"]
    found = load_predictions(path, (source["test"], len(source["classes"])))
    errors = int(found.wrong.sum())
    if errors != job.result["metrics"]["test/errors"]:
        raise Damaged(path, f"holds {errors} errors, and the result {job.result['metrics']['test/errors']}")
    return found


def weights_fault(path: Path, parameters: int) -> str:
    """What is wrong with the header and the size of a safetensors file; the numbers themselves bear no checksum.

    Args:
        path: the file.
        parameters: of the network; a double each and as many again for running means is more than any file needs.
    """
    try:
        content = read_stored(path, most_weights(parameters))
        size = int.from_bytes(content[:8], "little")
        header = json.loads(content[8 : 8 + size])
        header.pop("__metadata__", None)
        ends = [0]
        for tensor in sorted(header.values(), key=lambda tensor: tensor["data_offsets"]):
            begin, end = tensor["data_offsets"]
            if begin != ends[-1] or end - begin != math.prod(tensor["shape"]) * WEIGHT_TYPES[tensor["dtype"]]:
                return "has tensors that do not fit their sizes"
            ends.append(end)
        return "" if len(content) == 8 + size + ends[-1] else "is not as long as its header says"
    except Damaged as damaged:
        return damaged.what
    except Exception:  # whatever a harmed header makes of these lines
        return "has no header that can be read"


def most_weights(parameters: int) -> int:
    """Bytes that a network's weights need at most."""
    return 16 * parameters + 1_000_000
