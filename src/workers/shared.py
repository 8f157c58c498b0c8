"""Loads everything that jobs share in memory, above all their images; the fork server imports this module last.

A job with other images reads them itself.  If images cannot be read, the job reports the reason.
"""

import contextlib
import json
import os

import torch

from src.config import option_from_stored
from src.data.splits import load_splits
from src.runs.environment import environment
from src.runs.identity import code_digest
from src.workers.processes import SHARED_DATA_VARIABLE

environment()  # takes 10 ms; the jobs inherit the cached result
code_digest()  # hash the jobs' code now, because a user may edit the files during the sweep
if SHARED_DATA_VARIABLE in os.environ:
    torch.set_num_threads(1)  # a process that has computed on several threads cannot be forked
    with contextlib.suppress(Exception):
        load_splits(option_from_stored("data", json.loads(os.environ.pop(SHARED_DATA_VARIABLE))))
