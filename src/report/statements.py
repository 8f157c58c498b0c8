"""Makes the tables of all statements about methods, networks and failed runs, and explains how they were made."""

from collections.abc import Iterable, Sequence

from src.report.table import Column
from src.verdict.contrasts import Contrast
from src.verdict.failures import FailureCount
from src.verdict.networks import NetworkPair
from src.verdict.points import interval_text, points_text
from src.verdict.verdicts import Verdicts
from src.wording import counted


def difference_columns(contrasts: Iterable[Contrast]) -> list[Column]:
    """The table of the differences between the levels of each factor, each turned so that it is not negative."""
    texts = ("first", "second", "scope")
    numbers = ("difference, points", "simultaneous interval", "p of this difference alone", "seeds")
    return _columns((*texts, "outcome"), numbers, [_difference_texts(item.better_first) for item in contrasts])


def _difference_texts(item: Contrast) -> tuple[str, ...]:
    interval = "" if item.low is None or item.high is None else interval_text(item.low, item.high)
    p = "" if item.p is None else f"{item.p:.2g}"
    return *item.labels, item.scope.strip(", "), item.outcome, points_text(item.difference), interval, p, str(item.n)


def network_columns(pairs: Iterable[NetworkPair]) -> list[Column]:
    """The table of the pairs of networks."""
    numbers = ("difference, points", "images on which they disagree", "p", "p (Holm)")
    return _columns(("first", "second", "outcome"), numbers, [_network_texts(pair) for pair in pairs])


def _network_texts(pair: NetworkPair) -> tuple[str, ...]:
    outcome = "significant" if pair.significant else "not significant"
    p_values = (f"{p:.2g}" for p in (pair.p, pair.p_holm))
    return pair.better, pair.worse, outcome, points_text(pair.difference), f"{pair.disputed:,}", *p_values


def failure_columns(counts: Iterable[FailureCount]) -> list[Column]:
    """The table of the failed runs at each level of each factor."""
    numbers = ("failed runs", "runs", "seeds with a failed run", "seeds")
    rows = [
        (count.factor, count.level, *map(str, (count.failed, count.runs, count.failed_seeds, count.seeds)))
        for count in counts
    ]
    return _columns(("key", "value"), numbers, rows)


def _columns(texts: Sequence[str], numbers: Sequence[str], rows: Sequence[Sequence[str]]) -> list[Column]:
    headings = [*texts, *numbers]
    return [Column(heading, [row[k] for row in rows], numeric=k >= len(texts)) for k, heading in enumerate(headings)]


def basis(verdicts: Verdicts) -> list[str]:
    """The sentences that explain how the statements were made; empty if nothing is compared."""
    if verdicts.networks:
        return [
            "Two networks are compared image by image, by the exact McNemar test.",
            "Holm's correction keeps the chance of any false difference between networks at 5 %.",
            "Other seeds can order the methods differently, and so can other data or hyperparameters.",
        ]
    if not verdicts.best:
        return []
    promise, intervals = verdicts.promise, [item for item in verdicts.contrasts if item.high is not None]
    lines = [
        "All statements about differences, interactions, the best cell, failures and test errors together are true in "
        f"at least {100 * (1 - promise.level):.4g} % of sweeps.",
        f"This is look {promise.look} at these methods, and all looks together are wrong in at most 5 % of sweeps.",
    ]
    if intervals:
        level, margin = 100 * (1 - max(item.alpha for item in intervals)), points_text(promise.equal_within)
        lines += [
            f"Each interval is a t interval over seeds with a level of at least {level:.4g} %, so that all "
            f"{counted(len(intervals), 'interval')} hold together (Bonferroni).",
            f"A difference counts as better if its interval excludes 0, as equal if the interval lies within ±{margin} "
            "points, and is open otherwise.",
        ]
    return [
        *lines,
        "A cell may be the best unless one-sided t tests over seeds find another cell better, or one cell better than "
        "all others (Hsu's multiple comparisons with the best).",
        "All this holds for these images, this split of them and these hyperparameters: a seed changes the first "
        "weights, the order of the images, dropout and augmentation.",
    ]
