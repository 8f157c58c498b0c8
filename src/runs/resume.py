"""Decides whether an interrupted job can be resumed."""

from src.config import Config
from src.runs.checkpoint import Unreadable, load_checkpoint
from src.runs.folder import JobFolder
from src.runs.identity import code_digest, is_same
from src.runs.shapes import record_fault


def is_same_job(job: JobFolder, config: Config) -> bool:
    """Whether a folder's journal starts with a configuration of the same job as `config`."""
    records = job.records()
    return bool(records) and records[0]["kind"] == "start" and is_same(records[0].get("config", {}), config)


def can_resume(job: JobFolder, config: Config) -> bool:
    """Whether a folder holds the same job, trained by the current code, and its journal lacks no epoch."""
    records = job.records()
    if not is_same_job(job, config):
        return False
    try:
        newest = load_checkpoint(job.path)
    except Unreadable:
        return True  # restoring the checkpoint reports the reason, and the folder is kept
    if record_fault(records[0], whole=True) or records[0]["code"] != code_digest():
        return False
    last_epoch = max((record["epoch"] for record in records if record["kind"] == "epoch"), default=0)
    return newest is None or int(newest["epoch"]) <= last_epoch + 1
