"""Compares methods with several seeds under one promise: all statements hold in at least 95 % of sweeps."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from src.config import CompareSettings
from src.runs.looks import design_level
from src.verdict.accuracies import Accuracies
from src.verdict.best import Best, find_best
from src.verdict.contrast import CELL, Contrast
from src.verdict.contrasts import (
    contrasts_by_setting,
    factor_contrasts,
    forms_grid,
    interactions,
    with_intervals,
)

# How the error probability of a look is divided among the kinds of statements.
CONTRASTS_SHARE, BEST_SHARE, INTERACTIONS_SHARE, FAILURES_SHARE, FINDINGS_SHARE = 0.53, 0.35, 0.04, 0.04, 0.04
MAX_PAIRED_LEVELS = 5  # with one factor of up to this many levels, the contrasts also show which level may be the best
EQUAL_WITHIN = CompareSettings.equal / 100  # as a difference of accuracies from 0 to 1


@dataclass(frozen=True)
class Promise:
    """The error probability that a comparison may spend.

    All statements about methods that a comparison makes are true in at least 1 - `level` of sweeps.
    """

    level: float = design_level(0)
    next_level: float = design_level(1)  # of the next look at the same methods
    look: int = 1
    planned: bool = False  # seeds=auto plans the looks, so no seeds are suggested
    is_last: bool = False  # whether this is the last planned look
    equal_within: float = EQUAL_WITHIN


def compare_methods(
    tables: Sequence[Accuracies], factors: Sequence[str], promise: Promise
) -> tuple[tuple[Contrast, ...], tuple[Contrast, ...], tuple[Best, ...]]:
    """Return the contrasts of all factors, the significant interactions, and the cells that may be the best.

    Every cell has at least two seeds.  All statements together are false with a probability of at most `promise.level`.
    """
    level = promise.level / max(len(tables), 1)
    results = [_compare_on_dataset(table, factors, level, promise.equal_within) for table in tables]
    names = [table.dataset if len(tables) > 1 else "" for table in tables]
    named_results = list(zip(names, results, strict=True))
    return (
        tuple(replace(contrast, dataset=name) for name, (contrasts, _, _) in named_results for contrast in contrasts),
        tuple(replace(contrast, dataset=name) for name, (_, found, _) in named_results for contrast in found),
        tuple(best for _, (_, _, best_cells) in named_results for best in best_cells),
    )


def _compare_on_dataset(
    table: Accuracies, factors: Sequence[str], level: float, equal_within: float
) -> tuple[list[Contrast], list[Contrast], list[Best]]:
    table, factors = table.without_constant_factors(factors)
    contrasts = factor_contrasts(table, factors, equal_within)
    if not forms_grid(table, factors, contrasts) and len(table.cells) <= MAX_PAIRED_LEVELS:
        # If the cells form no grid, such as optimizers with different learning rates, compare the cells directly.
        table, factors = replace(table, levels=tuple((cell,) for cell in table.cells)), [CELL]
        contrasts = factor_contrasts(table, factors, equal_within)
    contrasts_share, best_share, interactions_share = _divide_level(table, factors, bool(contrasts))
    tested_interactions = with_intervals(interactions(table, factors, equal_within), interactions_share * level)
    significant_interactions = [interaction for interaction in tested_interactions if interaction.outcome == "better"]
    contrasts = with_intervals(contrasts, contrasts_share * level)
    contrasts = _split_by_interactions(contrasts, significant_interactions, table, factors)
    if len(table.cells) < 2:
        return contrasts, significant_interactions, []
    pairs_compared = len(factors) == 1 and len(table.cells) <= MAX_PAIRED_LEVELS
    return contrasts, significant_interactions, [find_best(table, best_share * level, equal_within, pairs_compared)]


def _divide_level(table: Accuracies, factors: Sequence[str], has_contrasts: bool) -> tuple[float, float, float]:
    """The shares of the error probability for contrasts, for the best cell, and for interactions."""
    whole_share = 1 - FAILURES_SHARE - FINDINGS_SHARE
    if not has_contrasts:
        return 0.0, whole_share, 0.0
    if len(factors) > 1:
        return CONTRASTS_SHARE, BEST_SHARE, INTERACTIONS_SHARE
    level_count = len(table.cells)
    if level_count <= MAX_PAIRED_LEVELS:  # then a test against the best cell equals the test of a contrast
        return whole_share, whole_share / level_count, 0.0
    return CONTRASTS_SHARE + INTERACTIONS_SHARE, BEST_SHARE, 0.0


def _split_by_interactions(
    contrasts: list[Contrast], significant_interactions: list[Contrast], table: Accuracies, factors: Sequence[str]
) -> list[Contrast]:
    """Replace a contrast by one per setting of the factors with which it interacts; an average would mislead."""
    result: list[Contrast] = []
    for contrast in contrasts:
        changing_factors = (_other_factor(interaction, contrast) for interaction in significant_interactions)
        other_factors = [factor for factor in dict.fromkeys(changing_factors) if factor]
        if other_factors:
            result += with_intervals(contrasts_by_setting(table, factors, contrast, other_factors), contrast.alpha)
        else:
            result.append(contrast)
    return result


def _other_factor(interaction: Contrast, contrast: Contrast) -> str | None:
    """The factor that an interaction shows to change a contrast; None if the interaction has other levels."""
    names, levels = interaction.factors, zip(interaction.first_levels, interaction.second_levels, strict=True)
    for name, other_name, level_pair in zip(names, reversed(names), levels, strict=True):
        if name == contrast.factor and set(level_pair) == {contrast.first, contrast.second}:
            return other_name
    return None
