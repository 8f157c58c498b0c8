"""Computes the quantities that a paper's claims bound: one number per seed, from the runs that a claim selects."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from src.results.results import Results
from src.results.weights import weight_frame
from src.runs.paper import Claim, Paper, Selection
from src.verdict.statistics import Floats, rounding_sd


@dataclass(frozen=True)
class PerSeed:
    """A quantity of each seed, and the standard deviation that rounding can hide (see `rounding_sd`)."""

    values: Mapping[int, float]
    least_sd: float


def measured_runs(results: Results, measure: str) -> pd.DataFrame:
    """Return a row per run with its settings, its seed, its cell and the column `measure`, a percentage.

    A failed job has a row without a measure, so a seed with a failed job is incomplete.  A run without the measure,
    such as one whose weights are missing, is one too.
    """
    runs: pd.DataFrame = results.runs.assign(measure=_measure(results, measure))
    failed = [dict(job) for job in results.failed if job.get("cell_key")]
    if not failed:
        return runs
    runs = pd.concat([runs.astype(object), pd.DataFrame(failed, dtype=object)], ignore_index=True)
    runs["measure"] = runs["measure"].astype(float)
    return runs


def _measure(results: Results, measure: str) -> "pd.Series[float]":
    runs = results.runs
    if measure == "near-zero weights":
        return 100 * runs["run"].map(weight_frame(runs).set_index("run")["sparsity"]).astype(float)
    if measure == "training error":
        accuracy = runs["run"].map(results.epochs.groupby("run")["train/accuracy"].last())
    else:
        accuracy = runs["val/accuracy" if measure == "validation error" else "test/accuracy"]
    return 100 * (1 - accuracy.astype(float))


def measure_least_sd(results: Results, measure: str) -> float:
    """Return the standard deviation that rounding can hide in one value of a measure, in percent.

    A test error is a multiple of one image, and the other measures count as exact.
    """
    images = min((int(source["test"]) for source in results.sources.values()), default=0)
    return 100 * rounding_sd(images, 1) if measure == "test error" and images else 0.0


def selected_runs(runs: pd.DataFrame, selection: Selection) -> pd.DataFrame:
    """Return the runs whose settings have the values of a selection."""
    chosen = pd.Series(True, index=runs.index)
    for path, values in selection.items():
        chosen &= runs[path].map(lambda value, values=values: value in values).astype(bool)
    selected: pd.DataFrame = runs[chosen]
    return selected


def per_seed(claim: Claim, selection: Selection, paper: Paper, runs: pd.DataFrame, least_sd: float) -> PerSeed:
    """Return the quantity of a claim for each seed that has all cells of the selection.

    `runs` is the frame of `measured_runs`, and `least_sd` is the deviation that rounding can hide in one measure.  A
    failed run makes its seed incomplete, but for `largest_trained` it counts as a run that did not train.  An x that is
    not above 0 is left out if the scale of x is a logarithm.
    """
    selected = selected_runs(runs, selection)
    if claim.kind != "mean":
        selected = selected.assign(x=_scaled(selected[paper.x or ""].astype(float), paper.x_scale))
        selected = selected[np.isfinite(selected["x"])]
    cells = selected["cell_key"].nunique()
    if claim.kind != "largest_trained":
        selected = selected[selected["measure"].notna()]
    values, sds = dict[int, float](), [0.0]
    for _, group in selected.groupby("seed"):
        if group["cell_key"].nunique() < cells:
            continue
        x = group["x"].to_numpy(float) if "x" in group else np.zeros(len(group))
        if (result := _QUANTITIES[claim.kind](x, group["measure"].to_numpy(float), claim)) is None:
            continue
        value, factor = result
        values[int(group["seed"].iloc[0])] = value
        sds.append(factor * (least_sd if claim.kind in ("mean", "slope") else 1))
    return PerSeed(values, max(sds))


def _scaled(x: "pd.Series[float]", scale: str) -> "pd.Series[float]":
    if scale == "linear":
        return x
    logarithms: pd.Series[float] = x.where(x > 0).map(np.log2 if scale == "log2" else np.log10)
    return logarithms


# Each function returns the quantity of one seed.  Beside it stands the standard deviation that rounding can hide: as a
# multiple of that of one measure for a mean and a slope, and as a number for the other kinds.  They return None if the
# runs do not determine the quantity.
def _mean(_: Floats, measures: Floats, __: Claim) -> tuple[float, float]:
    return float(measures.mean()), len(measures) ** -0.5


def _slope(x: Floats, measures: Floats, _: Claim) -> tuple[float, float] | None:
    """The least-squares slope; its rounding error is that of a weighted sum of the measures."""
    deviations = x - x.mean()
    squares = float((deviations**2).sum())
    return (float(deviations @ measures) / squares, squares**-0.5) if squares > 0 else None


def _rank_correlation(x: Floats, measures: Floats, _: Claim) -> tuple[float, float] | None:
    """Spearman's correlation, 0 for equal measures; its steps are 12 / (n (n^2 - 1)) for n values without ties."""
    n = len(x)
    if len(set(x)) < 2:
        return None
    ranks = pd.DataFrame({"x": x, "measure": measures}).rank()
    correlation = 0.0 if len(set(measures)) < 2 else float(np.corrcoef(ranks["x"], ranks["measure"])[0, 1])
    return correlation, 12 / (n * (n**2 - 1)) / 12**0.5


def _largest_trained(x: Floats, measures: Floats, claim: Claim) -> tuple[float, float] | None:
    """The largest x of a run that trained; one step below the smallest x if none did.  NaN did not train."""
    levels = np.unique(x)
    if len(levels) < 2:
        return None
    step = float(levels[-1] - levels[0]) / (len(levels) - 1)
    trained = x[measures < (claim.trains_below or 0.0)]
    return float(trained.max()) if len(trained) else float(levels[0]) - step, step / 12**0.5


_QUANTITIES: Mapping[str, Callable[[Floats, Floats, Claim], tuple[float, float] | None]] = {
    "mean": _mean,
    "slope": _slope,
    "rank_correlation": _rank_correlation,
    "largest_trained": _largest_trained,
}
