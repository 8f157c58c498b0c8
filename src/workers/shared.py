"""Imported last by the process that jobs are forked from: what all jobs share, their images above all.

A job that asks for others reads those for itself, and one whose images cannot be read says so itself.
"""

import contextlib
import json
import os

import torch

from src.config import stored_option
from src.data.splits import load_splits
from src.runs.environment import environment
from src.runs.identity import code_digest
from src.workers.processes import SHARED_DATA

environment()  # stays in memory, and what it asks git takes 10 ms
code_digest()  # the code that jobs run is what was imported here, whatever is edited while a sweep goes on
if SHARED_DATA in os.environ:
    torch.set_num_threads(1)  # a process that has computed on several threads cannot be forked
    with contextlib.suppress(Exception):
        load_splits(stored_option("data", json.loads(os.environ.pop(SHARED_DATA))))
