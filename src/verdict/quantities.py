"""Computes the quantities that a paper's claims bound: one number per seed, from the runs that a claim selects."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from src.results.results import Results
from src.results.statistics import Floats, rounding_sd
from src.results.weights import weight_frame
from src.runs.paper import KINDS_WITHOUT_X, Claim, Paper, Selection


@dataclass(frozen=True)
class PerSeed:
    """A quantity of each seed, and the standard deviation that rounding can hide (see `rounding_sd`)."""

    values: Mapping[int, float]
    least_sd: float


def measured_runs(results: Results, measure: str) -> pd.DataFrame:
    """Return a row per run with its settings, its seed, its cell and the column `measure`, in percent or in nats.

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
    if measure in _WEIGHT_COLUMNS:
        return 100 * runs["run"].map(weight_frame(runs).set_index("run")[_WEIGHT_COLUMNS[measure]]).astype(float)
    if measure == "test loss":
        return runs["test/loss"].astype(float)
    if measure == "gain of recomputed statistics":
        averaged = runs.get("test/accuracy_ema", pd.Series(math.nan, index=runs.index))
        gains: pd.Series[float] = 100 * (runs["test/accuracy"].astype(float) - averaged.astype(float))
        return gains
    if measure == "training error":
        accuracy = runs["run"].map(results.epochs.groupby("run")["train/accuracy"].last())
    else:
        accuracy = runs["val/accuracy" if measure == "validation error" else "test/accuracy"]
    return 100 * (1 - accuracy.astype(float))


_WEIGHT_COLUMNS = {"near-zero weights": "sparsity", "zero weights": "zeros"}
_TEST_ACCURACIES = {"test error": 1, "gain of recomputed statistics": 2}
"""The measures that are sums of so many test accuracies, which are multiples of one image."""


def measure_least_sd(results: Results, measure: str) -> float:
    """Return the standard deviation that rounding can hide in one value of a measure, in percent.

    A test accuracy is a multiple of one image.  Measures without test accuracies count as exact.
    """
    images = min((int(source["test"]) for source in results.sources.values()), default=0)
    return 100 * rounding_sd(images, _TEST_ACCURACIES[measure]) if measure in _TEST_ACCURACIES and images else 0.0


def selected_runs(runs: pd.DataFrame, selection: Selection) -> pd.DataFrame:
    """Return the runs whose settings have the values of a selection."""
    chosen = pd.Series(True, index=runs.index)
    for path, values in selection.items():
        chosen &= runs[path].map(lambda value, values=values: value in values).astype(bool)
    selected: pd.DataFrame = runs[chosen]
    return selected


def product(runs: pd.DataFrame, keys: Sequence[str]) -> "pd.Series[float]":
    """Return the product of each run's numbers, to 9 digits, so that 0.1 * 0.3 and 0.3 * 0.1 are the same level."""
    exact = runs[list(keys)].astype(float).prod(axis=1, skipna=False)
    rounded: pd.Series[float] = exact.map(lambda value: float(f"{value:.9g}"))
    return rounded


def per_seed(claim: Claim, selection: Selection, paper: Paper, runs: pd.DataFrame, least_sd: float) -> PerSeed:
    """Return the quantity of a claim for each seed that has all cells of the selection.

    `runs` is the frame of `measured_runs`, and `least_sd` is the deviation that rounding can hide in one measure.  A
    failed run makes its seed incomplete, but for `largest_trained` it counts as a run that did not train.  An x that is
    not above 0 is left out if the scale of x is a logarithm.
    """
    selected = selected_runs(runs, selection)
    if claim.kind not in KINDS_WITHOUT_X:
        selected = selected.assign(x=scaled(product(selected, paper.x), paper.x_scale))
        selected = selected[np.isfinite(selected["x"])]
    if claim.strength:
        selected = selected.assign(strength=product(selected, claim.strength))
    cells = selected["cell_key"].nunique()
    if claim.kind != "largest_trained":
        selected = selected[selected["measure"].notna()]
    values, sds = dict[int, float](), [0.0]
    for _, group in selected.groupby("seed"):
        if group["cell_key"].nunique() < cells or (result := _QUANTITIES[claim.kind](group, claim, least_sd)) is None:
            continue
        values[int(group["seed"].iloc[0])] = result[0]
        sds.append(result[1])
    return PerSeed(values, max(sds))


def scaled(x: "pd.Series[float]", scale: str) -> "pd.Series[float]":
    """Return x on a scale of `X_SCALES`; NaN for a number that the scale cannot show."""
    if scale == "linear":
        return x
    logarithms: pd.Series[float] = x.where(x > 0).map(np.log2 if scale == "log2" else np.log10)
    return logarithms


# Each function returns the quantity of one seed, and the standard deviation that rounding can hide in it.  `runs` has
# the columns `measure`, `x` and `strength`, if the claim uses them; `least_sd` is the deviation that rounding can hide
# in one measure.  They return None if the runs do not determine the quantity.
def _mean(runs: pd.DataFrame, _: Claim, least_sd: float) -> tuple[float, float]:
    return float(runs["measure"].mean()), least_sd * len(runs) ** -0.5


def _slope(runs: pd.DataFrame, _: Claim, least_sd: float) -> tuple[float, float] | None:
    """The least-squares slope; its rounding error is that of a weighted sum of the measures."""
    deviations = runs["x"].to_numpy(float) - runs["x"].mean()
    squares = float((deviations**2).sum())
    if squares == 0:
        return None
    return float(deviations @ runs["measure"].to_numpy(float)) / squares, least_sd * squares**-0.5


def _rank_correlation(runs: pd.DataFrame, _: Claim, __: float) -> tuple[float, float] | None:
    return _spearman(runs["x"].to_numpy(float), runs["measure"].to_numpy(float))


def _spearman(x: Floats, y: Floats) -> tuple[float, float] | None:
    """Spearman's correlation, 0 for equal y; its steps are 12 / (n (n^2 - 1)) for n values without ties."""
    n = len(x)
    if len(set(x)) < 2:
        return None
    ranks = pd.DataFrame({"x": x, "y": y}).rank()
    correlation = 0.0 if len(set(y)) < 2 else float(np.corrcoef(ranks["x"], ranks["y"])[0, 1])
    return correlation, 12 / (n * (n**2 - 1)) / 12**0.5


def _largest_trained(runs: pd.DataFrame, claim: Claim, _: float) -> tuple[float, float] | None:
    """The largest x of a run that trained; one step below the smallest x if none did.  NaN did not train."""
    levels = np.unique(runs["x"].to_numpy(float))
    if len(levels) < 2:
        return None
    step = float(levels[-1] - levels[0]) / (len(levels) - 1)
    trained = runs["x"][runs["measure"] < (claim.trains_below or 0.0)]
    return float(trained.max()) if len(trained) else float(levels[0]) - step, step / 12**0.5


def _explained(runs: pd.DataFrame, _: Claim, least_sd: float) -> tuple[float, float] | None:
    """The share of the variance between runs that groups of equal x explain: the adjusted R^2 of Ezekiel 1930.

    It is 1 if runs with equal x have equal measures, and on average 0 if x explains nothing; a share below 0 is chance.
    Assumption: apart from x, the runs differ by independent deviations of one variance.  The rounding error is that of
    the sum of squares within the groups to first order, with squares of at least those that rounding causes.
    """
    measures = runs["measure"]
    n, groups = len(runs), runs["x"].nunique()
    total = float(((measures - measures.mean()) ** 2).sum())
    if not 1 < groups < n or total == 0:
        return None
    within = float(((measures - measures.groupby(runs["x"]).transform("mean")) ** 2).sum())
    unit = (n - 1) / (n - groups) / total
    return 1 - within * unit, 2 * unit * least_sd * max(within, (n - groups) * least_sd**2) ** 0.5


def _shift_of_best(runs: pd.DataFrame, _: Claim, __: float) -> tuple[float, float] | None:
    """Spearman's correlation of x with the best strength at each x, which is the smallest one if several are best.

    It is 0 if the best strength is the same at each x.
    """
    best = runs.loc[runs.sort_values("strength").groupby("x")["measure"].idxmin()]
    return _spearman(best["x"].to_numpy(float), best["strength"].to_numpy(float))


_QUANTITIES: Mapping[str, Callable[[pd.DataFrame, Claim, float], tuple[float, float] | None]] = {
    "mean": _mean,
    "slope": _slope,
    "rank_correlation": _rank_correlation,
    "largest_trained": _largest_trained,
    "explained": _explained,
    "shift_of_best": _shift_of_best,
}
