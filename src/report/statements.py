"""Makes the tables of all statements about methods, networks and failed runs, and explains how they were made."""

from collections.abc import Iterable, Sequence
from operator import attrgetter

from src.errors.atlas import Atlas
from src.report.table import Column
from src.verdict.claim_words import bound_text, estimate_text, name_text, seeds_text, unit_text
from src.verdict.contrast import Contrast
from src.verdict.failures import FailureCount
from src.verdict.networks import NetworkPair
from src.verdict.points import ACCURACY, percent_text, points_text
from src.verdict.verdicts import Verdicts
from src.wording import counted

SCOPE = (
    "All this holds for these images, this split and these hyperparameters.  A seed changes only the initial weights, "
    "the order of the images, dropout and augmentation."
)


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
    fields = attrgetter("factor", "level", "failed_run_count", "run_count", "failed_seed_count", "seed_count")
    return _columns(("key", "value"), number_headings, [[*map(str, fields(count))] for count in counts])


def cell_error_columns(atlas: Atlas) -> list[Column]:
    """The table of the errors and the calibration of each cell, with the numbers that chance explains."""
    rows = list[tuple[str, ...]]()
    for name, cell in atlas.cells.items():
        wrong, right = atlas.one_cell_counts[name]
        gap = percent_text(atlas.confidence_gaps[name].mean, sign=True)
        rows.append((name, f"{wrong:.1f}", f"{right:.1f}", percent_text(cell.calibration.ece), gap))
    if limits := atlas.chance_limits:
        wrong, right = limits["wrong alone"], limits["right alone"]
        rows.append(("chance explains up to", f"{wrong:.1f}", f"{right:.1f}", "", ""))
    count_headings = [f"images per seed that only this cell gets {kind}" for kind in ("wrong", "right")]
    calibration_headings = ("expected calibration error, points", "confidence minus accuracy, points")
    return _columns(("cell",), (*count_headings, *calibration_headings), rows)


def claim_columns(verdicts: Verdicts) -> list[Column]:
    """The table of a paper's claims; empty without a paper."""
    paper = verdicts.paper
    if paper is None:
        return []
    rows = [
        (
            item.claim.text,
            item.outcome,
            name_text(item.claim) + unit_text(paper, item.claim).replace(" ", ", ", 1),
            bound_text(item.claim),
            estimate_text(item) or item.reason,
            seeds_text(item),
        )
        for item in verdicts.claims
    ]
    return _columns(("claim", "outcome", "quantity", "claimed"), ("estimate and interval", "seeds"), rows)


def _columns(texts: Sequence[str], numbers: Sequence[str], rows: Sequence[Sequence[str]]) -> list[Column]:
    headings = [*texts, *numbers]
    return [Column(heading, [row[k] for row in rows], numeric=k >= len(texts)) for k, heading in enumerate(headings)]


def best_sentences(verdicts: Verdicts) -> list[str]:
    """The cells that may be the best, a sentence per dataset; empty where the answer names them already."""
    return [
        f"{best.dataset}: {best.sentence}." if len(verdicts.best) > 1 else f"{best.sentence}."
        for best in verdicts.best
        if verdicts.contrasts and len(best.candidates) > 1 and not best.rules_out_most
    ]


def basis_sentences(verdicts: Verdicts) -> list[str]:
    """The sentences that explain how the statements were made; empty if nothing is compared."""
    if verdicts.networks:
        return [
            "The exact McNemar test compares two networks by the images that only one of them classifies correctly.",
            "Holm's correction for all pairs keeps the chance of any false difference at 5 % or less.",
            "Other seeds, data or hyperparameters can rank the methods differently.",
        ]
    if not verdicts.best:
        return []
    promise, contrasts = verdicts.promise, [contrast for contrast in verdicts.contrasts if contrast.high is not None]
    lines = [
        f"In at least {100 * (1 - promise.level):.4g} % of sweeps, all statements about differences, interactions, the "
        "best cell, failures and test errors are true.",
        f"This comparison is look {promise.look} at these methods; a comparison on new runs is another look.  In at "
        "least 95 % of sweeps, the statements of all looks are true.",
    ]
    if contrasts:
        level = 100 * (1 - max(contrast.alpha for contrast in contrasts))
        margin = verdicts.measure.difference_text(promise.equal_within)
        equal_text = f", equal if it lies within ±{margin}" if promise.equal_within else ""
        lines += [
            f"Each interval is a t interval over seeds.  Its level is at least {level:.4g} %, so that all "
            f"{counted(len(contrasts), 'interval')} hold together (Bonferroni's correction).",
            f"The outcome is better if the interval excludes 0{equal_text}, and open otherwise.",
        ]
    if any(contrast.welch for contrast in contrasts):
        lines.append(
            "Levels that share fewer than two seeds are compared by Welch's t intervals, which treat their runs as "
            "independent."
        )
    detail = verdicts.advice.detail if verdicts.advice else ""
    return [
        *lines,
        "One-sided t tests over seeds rule out each cell that another cell beats; all other cells may be the best "
        "(Hsu's multiple comparisons with the best).",
        *([detail] if detail else []),
    ]
