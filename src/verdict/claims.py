"""Tests a paper's claims on the runs of a sweep: each one holds, does not hold, or cannot be told.

Seeds are the unit.  A claim is a bound on a quantity that each seed gives once (`src/verdict/quantities.py`), such as
the slope of the error on the logarithm of the batch size.  Its interval is Student's t interval over seeds.  The claim
holds if the interval lies on the claimed side of each bound, and does not hold if it lies on the other side of one.

Assumptions: seeds are independent, and the quantity is normally distributed over seeds.  Two quantities of one seed may
depend on each other.  Bonferroni's correction over the claims of the paper keeps the probability that any outcome
is false at or below the level of the look, which is at most 5 %.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy import special

from src.results.results import Results
from src.results.statistics import Bools, Floats, seeds_to_decide, t_interval
from src.runs.paper import Claim, Paper
from src.verdict.quantities import PerSeed, measure_least_sd, measured_runs, per_seed, selected_runs

HOLDS, FAILS, UNKNOWN = "holds", "does not hold", "cannot tell"
MAX_SEEDS = 100  # more seeds are no advice
RANGES = {"rank_correlation": (-1.0, 1.0), "shift_of_best": (-1.0, 1.0), "explained": (-math.inf, 1.0)}
"""The possible values of the quantities that have a range, whatever their measure."""
Interval = tuple[float, float, float]
"""An estimate and the two ends of its interval; an end can be infinite."""


@dataclass(frozen=True)
class JudgedClaim:
    """A claim with its estimate and its interval."""

    claim: Claim
    seeds: int  # seeds that give the quantity
    left_out: int  # other seeds, which lack one of its runs
    alpha: float  # the probability that the interval misses the true value
    interval: Interval | None = None
    reason: str = ""  # why there is no interval

    @property
    def outcome(self) -> str:
        """`holds`, `does not hold` or `cannot tell`."""
        if self.interval is None:
            return UNKNOWN
        _, low, high = self.interval
        at_least = -math.inf if self.claim.at_least is None else self.claim.at_least
        at_most = math.inf if self.claim.at_most is None else self.claim.at_most
        if at_least <= low and high <= at_most:
            return HOLDS
        return FAILS if high < at_least or low > at_most else UNKNOWN

    @property
    def seeds_to_decide(self) -> int | None:
        """The number of seeds that probably decides an open claim, if the true quantity is the estimate.

        None for another claim, for an interval that is not a t interval, and above `MAX_SEEDS`.
        """
        if self.outcome != UNKNOWN or self.interval is None or self.claim.over or self.claim.kind == "variance_ratio":
            return None
        estimate, low, high = self.interval
        half_width = max(high - estimate, estimate - low)  # one side may end at the limit of the possible values
        sd = half_width * math.sqrt(self.seeds) / -float(special.stdtrit(self.seeds - 1, self.alpha / 2))
        distance = min(
            abs(estimate - bound) for bound in (self.claim.at_least, self.claim.at_most) if bound is not None
        )
        return seeds_to_decide(sd, self.seeds, self.alpha, distance, MAX_SEEDS)

    def as_json(self) -> dict[str, Any]:
        """The claim, its numbers and its outcome; an infinite end of the interval is null."""
        numbers = [value if math.isfinite(value) else None for value in self.interval or ()] or [None, None, None]
        return {
            "claim": self.claim.text,
            "kind": self.claim.kind,
            "outcome": self.outcome,
            **dict(zip(("estimate", "low", "high"), numbers, strict=True)),
            "at_least": self.claim.at_least,
            "at_most": self.claim.at_most,
            "seeds": self.seeds,
            "left_out": self.left_out,
            "alpha": self.alpha,
            "reason": self.reason,
        }


def judge_claims(
    paper: Paper, results: Results, correct_by_run: Mapping[str, Bools], level: float
) -> tuple[JudgedClaim, ...]:
    """Test all claims of a paper; any of the outcomes is false with a probability of at most `level`.

    `correct_by_run` maps run names to arrays (N,) that mark the correctly classified test images; only the claims of
    the kind `variance_ratio` need it.
    """
    alpha = level / len(paper.claims)
    frames = {measure: measured_runs(results, measure) for measure in {claim.measure for claim in paper.claims}}
    judged = []
    for claim in paper.claims:
        runs = frames[claim.measure]
        groups = [selected_runs(runs, selection) for selection in claim.selections]
        all_seeds = len({seed for group in groups for seed in group["seed"]})
        if any(group.empty for group in groups):
            judged.append(JudgedClaim(claim, 0, 0, alpha, reason="the sweep has no such runs"))
        elif claim.kind == "variance_ratio":
            judged.append(_judge_variance(claim, groups[0], correct_by_run, alpha))
        else:
            least_sd = measure_least_sd(results, claim.measure)
            quantities = [per_seed(claim, selection, paper, runs, least_sd) for selection in claim.selections]
            judged.append(_judge_quantities(claim, quantities, all_seeds, alpha))
    return tuple(judged)


def _judge_quantities(claim: Claim, quantities: list[PerSeed], all_seeds: int, alpha: float) -> JudgedClaim:
    """Test a claim about one quantity, a sum and difference of several, or the ratio of two."""
    seeds = sorted(set.intersection(*(set(quantity.values) for quantity in quantities)))
    n = len(seeds)
    if n < 2:
        reason = "the seeds lack runs" if all_seeds > 1 else "one seed has no interval"
        return JudgedClaim(claim, n, all_seeds - n, alpha, reason=reason)
    columns = [np.array([quantity.values[seed] for seed in seeds]) for quantity in quantities]
    least_sds = [quantity.least_sd for quantity in quantities]
    if claim.over is not None:
        interval = ratio_interval(columns[0], columns[1], (least_sds[0], least_sds[1]), alpha)
    else:
        signs = np.array([1, *[-1] * len(claim.minus), *[1] * len(claim.plus)])
        interval = mean_interval(signs @ np.stack(columns), math.hypot(*least_sds), alpha)
        if len(columns) == 1:
            estimate, *ends = interval
            low, high = np.clip(ends, *RANGES.get(claim.kind, (-math.inf, math.inf))).tolist()
            interval = estimate, low, high
    reason = "" if interval else "the denominator may be 0"
    return JudgedClaim(claim, n, all_seeds - n, alpha, interval, reason)


def mean_interval(values: Floats, least_sd: float, alpha: float) -> Interval:
    """Return the mean of the values (n,) and its t interval, which misses the true mean with probability `alpha`.

    The interval assumes a standard deviation of at least `least_sd`.
    """
    n, mean = len(values), float(values.mean())
    standard_error = max(float(values.std(ddof=1)), least_sd) / math.sqrt(n)
    low, high = t_interval(mean, standard_error, n - 1, alpha)[:2] if standard_error else (mean, mean)
    return mean, low, high


def ratio_interval(top: Floats, bottom: Floats, least_sds: tuple[float, float], alpha: float) -> Interval | None:
    """Return the ratio of two means and Fieller's interval (1954); None if the mean of `bottom` may be 0.

    The values (n,) are pairs, one per seed.  The interval has all ratios r for which the t interval of the mean of
    `top - r * bottom` covers 0.
    """
    n = len(top)
    t = -float(special.stdtrit(n - 1, alpha / 2))
    (top_variance, covariance), (_, bottom_variance) = np.cov(top, bottom) * t**2 / n
    top_variance = max(top_variance, (least_sds[0] * t) ** 2 / n)
    bottom_variance = max(bottom_variance, (least_sds[1] * t) ** 2 / n)
    a, b = float(top.mean()), float(bottom.mean())
    leading = b**2 - bottom_variance
    if leading <= 0:
        return None
    middle = a * b - covariance
    root = math.sqrt(max(middle**2 - leading * (a**2 - top_variance), 0.0))
    return a / b, float(middle - root) / leading, float(middle + root) / leading


def _judge_variance(claim: Claim, runs: pd.DataFrame, correct_by_run: Mapping[str, Bools], alpha: float) -> JudgedClaim:
    """Compare the variance of the test accuracy between seeds with that of independent errors (Jordan 2023).

    If a seed changes the error of one image independently of the errors of all others, the accuracy has the variance
    sum p (1 - p) / N^2 for N images that are right with probability p.  The interval is the chi-square interval of the
    variance of a normal accuracy.  The other variance, which is a mean over N images, counts as known.
    """
    seeds = runs["seed"].nunique()
    names = [name for name in runs["run"].dropna() if name in correct_by_run]
    left_out = seeds - len(names)
    if runs["cell_key"].nunique() > 1:
        return JudgedClaim(claim, 0, seeds, alpha, reason="the claim selects several methods")
    if len(names) < 2:
        return JudgedClaim(claim, len(names), left_out, alpha, reason="one seed has no interval")
    right = np.stack([correct_by_run[name] for name in names]).astype(float)
    n, images = right.shape
    shares = right.mean(axis=0)
    independent = float((shares * (1 - shares)).sum()) * n / (n - 1) / images**2
    if independent == 0:
        return JudgedClaim(claim, n, left_out, alpha, reason="all seeds make the same errors")
    ratio = float(right.mean(axis=1).var(ddof=1)) / independent
    high_quantile, low_quantile = special.chdtri(n - 1, [alpha / 2, 1 - alpha / 2])
    return JudgedClaim(
        claim, n, left_out, alpha, (ratio, *(ratio * (n - 1) / q for q in (high_quantile, low_quantile)))
    )
