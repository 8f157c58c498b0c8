"""Reads finished runs into pandas frames: `from src.results import load_runs` in a notebook or a script."""

from src.results.notebook import Runs, load_runs
from src.results.variance import variance_by_source

__all__ = ["Runs", "load_runs", "variance_by_source"]
