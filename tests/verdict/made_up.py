"""Made-up accuracies, without folders."""

import numpy as np
import pandas as pd

from src.results.results import Results
from src.verdict.accuracies import Accuracies

IMAGES = 10_000


def accuracies_of(test, seeds=None, validation=None, measurements=None, images=IMAGES):
    """A table of `test`, which maps the levels of a cell to its accuracies, NaN for a seed without a run."""
    values = np.array([*test.values()], dtype=float)
    numbers = np.arange(values.size).reshape(values.shape) if measurements is None else np.array(measurements)
    return Accuracies(
        dataset="made up",
        images=images,
        cells=tuple(" ".join(map(str, levels)) for levels in test),
        levels=tuple(test),
        seeds=tuple(seeds or range(values.shape[1])),
        runs=np.where(np.isnan(values), None, "run"),
        test=values,
        validation=np.where(np.isnan(values), np.nan, 0.5) if validation is None else np.array(validation),
        measurements=np.where(np.isnan(values), -1, numbers),
    )


def results_of(test, factors=("norm.name", "reg.l1"), dataset="a", failed=()):
    """The frames of a grid, in the form that normlab reads from job folders; `test` maps levels to accuracies."""
    rows = [
        {
            **dict(zip(factors, levels, strict=True)),
            **{"run": f"{dataset} {levels} s{seed}", "cell": f"{dataset} {levels}", "seed": seed},
            **{"test/accuracy": accuracy, "val/accuracy": accuracy, "environment": ""},
            **{"dataset": dataset * 64, "dataset_name": f"data {dataset}"},
        }
        for levels, accuracies in test.items()
        for seed, accuracy in enumerate(accuracies)
        if not np.isnan(accuracy)
    ]
    lost = tuple(dict(zip(factors, levels, strict=True)) | {"seed": seed} for levels, seed in failed)
    sources = {dataset * 64: {"test": IMAGES, "classes": list(range(10))}}
    return Results(pd.DataFrame(rows), pd.DataFrame({"run": []}), tuple(factors), sources, {}, (), (), lost)


def several_datasets(*results):
    """Join results of several datasets."""
    runs = pd.concat([of_one.runs for of_one in results], ignore_index=True)
    sources = {digest: source for of_one in results for digest, source in of_one.sources.items()}
    return Results(runs, results[0].epochs, results[0].varies, sources, {}, ())
