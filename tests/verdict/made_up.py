"""Results of a grid with made-up numbers, without folders."""

import pandas as pd

from src.results.results import Results

IMAGES = 100


def results_of(*cells, varies=("norm.name", "reg.l1"), unfinished=()):
    """One run per seed of each cell: its norm, L1, groups, the images wrong by seed, and the validation accuracy."""
    rows = []
    for norm, l1, groups, wrong, val in cells:
        cell = f"{norm} l1={l1:g}" + (f" groups={groups}" if groups else "")
        rows += [
            {
                **{"run": f"{cell} s{seed}", "cell": cell, "seed": seed},
                **{"norm.name": norm, "reg.l1": l1, "norm.groups": groups},
                **{"test/accuracy": 1 - count / IMAGES, "val/accuracy": val},
                **{"dataset": "0" * 64, "dataset_name": "made up", "environment": ""},
            }
            for seed, count in enumerate(wrong)
        ]
    runs = pd.DataFrame(rows)
    runs["norm.groups"] = runs["norm.groups"].astype(object).where(runs["norm.groups"].notna(), None)
    return Results(runs, pd.DataFrame({"run": []}), varies, {"0" * 64: {"test": IMAGES}}, {}, unfinished)
