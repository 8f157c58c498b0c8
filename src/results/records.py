"""The earlier names of the results, for the rooms that do not read frames yet."""

from src.results.cells import Cell, averaged, balanced, by_dataset
from src.results.results import Results, Unfinished, load_results

Records = Results
load_records = load_results

__all__ = ["Cell", "Records", "Unfinished", "averaged", "balanced", "by_dataset", "load_records"]
