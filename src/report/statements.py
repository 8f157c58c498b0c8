"""Makes the tables of all statements about methods, networks and failed runs, and explains how they were made."""

from collections.abc import Iterable, Sequence

from src.report.table import Column
from src.verdict.contrast import Contrast
from src.verdict.failures import FailureCount
from src.verdict.networks import NetworkPair
from src.verdict.points import ACCURACY, points_text
from src.verdict.verdicts import Verdicts
from src.wording import counted


def difference_columns(contrasts: Sequence[Contrast]) -> list[Column]:
    """The table of the differences between the levels of each factor, each turned so that it is not negative."""
    text_headings = ("first", "second", "scope", "outcome")
    measure = contrasts[0].measure if contrasts else ACCURACY
    difference_heading = "difference, points" if measure.in_points else "difference"
    number_headings = (difference_heading, "simultaneous interval", "p of this difference alone", "seeds")
    rows = [_difference_texts(contrast.better_first) for contrast in contrasts]
    return _columns(text_headings, number_headings, rows)


def _difference_texts(contrast: Contrast) -> tuple[str, ...]:
    measure, has_interval = contrast.measure, contrast.low is not None and contrast.high is not None
    interval = measure.interval_text(contrast.low or 0.0, contrast.high or 0.0) if has_interval else ""
    p = "" if contrast.p is None else f"{contrast.p:.2g}"
    difference_text = measure.number_text(contrast.difference)
    texts = (*contrast.labels, contrast.scope_text.strip(", "), contrast.outcome, difference_text)
    return *texts, interval, p, f"{contrast.n}{' (not shared)' if contrast.welch else ''}"


def network_columns(pairs: Iterable[NetworkPair]) -> list[Column]:
    """The table of the pairs of networks."""
    number_headings = ("difference, points", "images on which they disagree", "p", "p (Holm)")
    return _columns(("first", "second", "outcome"), number_headings, [_network_texts(pair) for pair in pairs])


def _network_texts(pair: NetworkPair) -> tuple[str, ...]:
    outcome = "significant" if pair.significant else "not significant"
    p_values = (f"{p:.2g}" for p in (pair.p, pair.p_holm))
    return pair.better, pair.worse, outcome, points_text(pair.difference), f"{pair.disputed:,}", *p_values


def failure_columns(counts: Iterable[FailureCount]) -> list[Column]:
    """The table of the failed runs at each level of each factor."""
    number_headings = ("failed runs", "runs", "seeds with a failed run", "seeds")
    rows = list[tuple[str, ...]]()
    for count in counts:
        numbers = count.failed_run_count, count.run_count, count.failed_seed_count, count.seed_count
        rows.append((count.factor, count.level, *map(str, numbers)))
    return _columns(("key", "value"), number_headings, rows)


def _columns(texts: Sequence[str], numbers: Sequence[str], rows: Sequence[Sequence[str]]) -> list[Column]:
    headings = [*texts, *numbers]
    return [Column(heading, [row[k] for row in rows], numeric=k >= len(texts)) for k, heading in enumerate(headings)]


def basis_sentences(verdicts: Verdicts) -> list[str]:
    """The sentences that explain how the statements were made; empty if nothing is compared."""
    if verdicts.networks:
        return [
            "Two networks are compared image by image, by the exact McNemar test.",
            "Holm's correction keeps the chance of any false difference between networks at 5 %.",
            "Other seeds can order the methods differently, and so can other data or hyperparameters.",
        ]
    if not verdicts.best:
        return []
    promise, contrasts = verdicts.promise, [contrast for contrast in verdicts.contrasts if contrast.high is not None]
    lines = [
        "All statements about differences, interactions, the best cell, failures and test errors together are true in "
        f"at least {100 * (1 - promise.level):.4g} % of sweeps.",
        f"This is look {promise.look} at these methods, and all looks together are wrong in at most 5 % of sweeps.",
    ]
    if contrasts:
        level = 100 * (1 - max(contrast.alpha for contrast in contrasts))
        margin = verdicts.measure.difference_text(promise.equal_within)
        equal_text = f", as equal if the interval lies within ±{margin}" if promise.equal_within else ""
        lines += [
            f"Each interval is a t interval over seeds with a level of at least {level:.4g} %, so that all "
            f"{counted(len(contrasts), 'interval')} hold together (Bonferroni).",
            f"A difference counts as better if its interval excludes 0{equal_text}, and is open otherwise.",
        ]
    if any(contrast.welch for contrast in contrasts):
        lines.append(
            "Levels that share fewer than two seeds are compared by Welch's t intervals, which treat their runs as "
            "independent."
        )
    return [
        *lines,
        "A cell may be the best unless one-sided t tests over seeds find another cell better, or one cell better than "
        "all others (Hsu's multiple comparisons with the best).",
        "All this holds for these images, this split of them and these hyperparameters: a seed changes the first "
        "weights, the order of the images, dropout and augmentation.",
    ]
