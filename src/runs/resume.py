"""Decides whether an interrupted job can be resumed."""

from src.config import Config
from src.runs.checkpoint import UnreadableCheckpoint, load_checkpoint
from src.runs.folder import JobFolder
from src.runs.identity import code_digest, is_same_config
from src.runs.journal import last_epoch
from src.runs.shapes import record_fault


def is_same_job(job: JobFolder, config: Config) -> bool:
    """Whether this folder holds the job that `config` describes, according to the first record of its journal."""
    records = job.records()
    return bool(records) and records[0]["kind"] == "start" and is_same_config(records[0].get("config", {}), config)


def can_resume(job: JobFolder, config: Config) -> bool:
    """Whether a folder holds the job that `config` describes, its code is unchanged, and its journal lacks no epoch."""
    records = job.records()
    if not is_same_job(job, config):
        return False
    try:
        state = load_checkpoint(job.path)
    except UnreadableCheckpoint:
        return True  # restoring the checkpoint reports the reason, and the folder is kept
    if record_fault(records[0], complete=True) or records[0]["code"] != code_digest():
        return False
    return state is None or int(state["epoch"]) <= last_epoch(records) + 1
