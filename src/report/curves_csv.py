"""All curves as CSV in long form, as pandas, R and spreadsheets read them best."""

import csv
import io
from collections.abc import Sequence

from src.results.records import Cell


def curves_csv(cells: Sequence[Cell]) -> bytes:
    """One number a line: `cell`, `seed`, `epoch`, `metric`, `value`; accuracies from 0 to 1, times in seconds."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["cell", "seed", "epoch", "metric", "value"])
    for cell in cells:
        for job in cell.jobs:
            seed = job.leaves["seed"]
            writer.writerows(
                (cell.label, seed, record["epoch"], metric, value)
                for record in job.epochs
                for metric, value in record["metrics"].items()
            )
    return text.getvalue().encode()
