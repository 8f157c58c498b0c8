"""Estimates how much each source of randomness contributes to the spread of the test accuracy (Bouthillier 2021)."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from scipy import special

from src.config import SOURCES
from src.results.frames import SETTING_COLUMNS
from src.runs.identity import find_varying_keys
from src.runs.naming import job_name

ALL = "all"  # the name of the series in which all sources vary together
SOURCE_NAMES = SOURCES | {ALL: "all together"}  # in sentences and figures
MIN_RUNS = 3  # with two runs, the upper end of the interval would be 32 times the standard deviation
TAIL_PROBABILITIES = np.array([0.975, 0.025])  # upper and lower probability of a 95 % interval
COLUMNS = ["method", "source", "runs", "sd", "sd_low", "sd_high", "share", "share_low", "share_high"]
Seeds = tuple[int, ...]
"""The seed of each source of randomness, in the order of `SOURCES`."""


def variance_by_source(runs: pd.DataFrame) -> pd.DataFrame:
    """Return the spread of the test accuracy that each source of randomness causes: a row per method and source.

    `runs` has the columns that `load_runs` documents.  The rows of a method come in the order of `SOURCES`, then `ALL`.
    A source needs `MIN_RUNS` runs that differ in it alone; other runs of the method are not used.

    | column | content |
    | --- | --- |
    | `method`, `source` | the settings without the sources; a key of `SOURCES`, or `ALL` |
    | `runs` | the number of runs in the series |
    | `sd`, `sd_low`, `sd_high` | standard deviation in percentage points, with its 95 % chi-square interval |
    | `share`, `share_low`, `share_high` | variance divided by that of `ALL`, with its 95 % F interval |

    The intervals assume normal accuracies, and hold at the fixed seeds of the other sources.  The F interval also
    assumes that two series share no run, as in `experiment=variance`.  They are NaN for runs with equal accuracies.  A
    share is NaN for `ALL` itself, and without a series `ALL`.
    """
    rows: list[dict[str, Any]] = []
    if any(runs[path].nunique(dropna=False) > 1 for path in SOURCES):
        for method, group in runs.groupby(method_names(runs), sort=False):
            series = _series_by_source(_accuracy_by_seeds(group))
            for source, accuracies in series.items():
                all_sources = None if source == ALL else series.get(ALL)
                rows.append({"method": method, "source": source, **_spread_row(accuracies, all_sources)})
    frame: pd.DataFrame = pd.DataFrame(rows, columns=COLUMNS)
    return frame


def method_names(runs: pd.DataFrame) -> "pd.Series[str]":
    """The name of each run's method: its varying settings without the sources of randomness, and its dataset."""
    settings = runs[SETTING_COLUMNS].to_dict("records")
    varying_keys = [path for path in find_varying_keys(settings) if path not in SOURCES]
    datasets = runs["dataset"].str[:6] if runs["dataset"].nunique() > 1 else [""] * len(runs)
    names = [job_name(job, varying_keys, seed=False) for job in settings]
    return pd.Series([f"{name} {digest}".strip() for name, digest in zip(names, datasets, strict=True)], runs.index)


def _accuracy_by_seeds(runs: pd.DataFrame) -> dict[Seeds, float]:
    """The test accuracy of each run of a method, in ascending order of its seeds; equal seeds give the same run."""
    seeds = (runs[source].where(runs[source].notna(), runs["seed"]).map(int) for source in SOURCES)
    return dict(sorted(zip(zip(*seeds, strict=True), runs["test/accuracy"], strict=True)))


def _series_by_source(accuracies: Mapping[Seeds, float]) -> dict[str, list[float]]:
    """The accuracies of the runs that differ in one source alone, by source, and of those that differ in all.

    The other sources have the seeds with the most runs.  In the series `ALL`, all sources have the same seed.
    """
    series = {}
    for position, source in enumerate(SOURCES):
        by_other_seeds: dict[Seeds, list[float]] = {}
        for seeds, accuracy in accuracies.items():
            by_other_seeds.setdefault(seeds[:position] + seeds[position + 1 :], []).append(accuracy)
        series[source] = max(by_other_seeds.values(), key=len)
    series[ALL] = [accuracy for seeds, accuracy in accuracies.items() if len(set(seeds)) == 1]
    return {source: values for source, values in series.items() if len(values) >= MIN_RUNS}


def _spread_row(accuracies: Sequence[float], all_sources: Sequence[float] | None) -> dict[str, float]:
    """The standard deviation of a series, and its variance as a share of that of the series `all_sources`."""
    (variance, degrees), (total_variance, total_degrees) = _variance(accuracies), _variance(all_sources or ())
    sd_low, sd_high = np.sqrt(variance * degrees / special.chdtri(degrees, 1 - TAIL_PROBABILITIES))
    share_low, share_high = variance / total_variance / special.fdtri(degrees, total_degrees, TAIL_PROBABILITIES)
    sd = 0.0 if np.isnan(variance) else variance**0.5
    shares = {"share": variance / total_variance, "share_low": share_low, "share_high": share_high}
    return {"runs": len(accuracies), "sd": sd, "sd_low": sd_low, "sd_high": sd_high, **shares}


def _variance(accuracies: Sequence[float]) -> tuple[float, int]:
    """The variance in squared percentage points, NaN for equal accuracies, and its degrees of freedom."""
    equal = len(set(accuracies)) < 2
    return np.nan if equal else 10_000 * float(np.var(accuracies, ddof=1)), max(1, len(accuracies) - 1)
