"""Describes the test errors of all runs in a few sentences."""

from collections.abc import Iterator

import numpy as np

from src.errors.atlas import Atlas
from src.errors.chance import seeds_needed
from src.errors.labels import MOST_ERRORS
from src.results.statistics import Floats
from src.wording import counted, joined, shorten

# The docstring of `find_suspects` gives the source.
MNIST_RATE = "; on MNIST, 17 of 54 suspects of accurate networks were label errors, and 4 of 136 of weak networks"
MAX_IMAGES = 8  # images that one sentence names
MAX_SUSPECTS = 3  # suspected label errors that one sentence names
MAX_UNREADABLE = 3  # lines about runs without readable predictions


def findings(atlas: Atlas) -> list[str]:
    """The differences between cells that exceed chance, and the miscalibrated cells; usually none.

    Chance means the differences between seeds of one method.  The probability that any sentence is false is at most
    `atlas.level`.
    """
    return [*_difference_findings(atlas), *_calibration_findings(atlas)]


def _difference_findings(atlas: Atlas) -> Iterator[str]:
    if atlas.chance_limits is None:
        return
    yield from _disagreement_finding(atlas, atlas.chance_limits["disagreement"])
    yield from _confusion_text(atlas, finding=True)
    for column, (kind, verb) in enumerate([("wrong alone", "misclassifies"), ("right alone", "classifies correctly")]):
        limit, images_by_cell = atlas.chance_limits[kind], atlas.one_cell_counts.items()
        texts = [f"{images[column]:.1f} for {name}" for name, images in images_by_cell if images[column] > limit]
        if texts and (column == 0 or len(atlas.cells) > 2):  # of two cells, one is wrong where the other is right
            yield f"Images per seed that one cell alone {verb}: {joined(texts)}; chance explains {limit:.1f}"


def _calibration_findings(atlas: Atlas) -> Iterator[str]:
    for direction in ("overconfident", "underconfident"):
        gaps = {name: 100 * abs(gap.mean) for name, gap in atlas.confidence_gaps.items() if gap.direction == direction}
        if gaps:
            cells_text = joined([f"{name} by {gap:.2f} points" for name, gap in gaps.items()])
            yield f"{direction.capitalize()} on these test images: {cells_text}"


def error_sentences(atlas: Atlas) -> list[str]:
    """Describe the errors on one dataset: first the findings, then common errors, disagreement, and label errors."""
    lines = shorten(
        [f"One run is missing from the text below: {problem}" for problem in atlas.unreadable_reasons], MAX_UNREADABLE
    )
    if not atlas.runs:
        return lines
    lines += findings(atlas)
    classes, runs, count = atlas.source["classes"], list(atlas.runs), len(atlas.wrong_in_all_runs)
    images = [f"#{index} (label {classes[atlas.labels[index]]})" for index in atlas.wrong_in_all_runs]
    sample = f" of the {len(atlas.labels):,} test images: {', '.join(shorten(images, MAX_IMAGES))}"
    if len(runs) == 1:
        return [*lines, f"{runs[0]} misclassifies {count:,}{sample}" if count else f"{runs[0]} misclassifies no image"]
    lines += _chance_text(atlas)
    common_errors = f"All {len(runs):,} runs misclassify the same {count:,}{sample}"
    lines.append(common_errors if count else f"No test image is misclassified by all {len(runs):,} runs")
    return [*lines, *_disagreement_text(atlas), *_confusion_text(atlas, finding=False), _suspects_text(atlas)]


def _chance_text(atlas: Atlas) -> Iterator[str]:
    """Say what chance means in the other sentences, or why nothing can be compared with chance."""
    cells, runs = len(atlas.cells), len(atlas.runs)
    if cells < 2:
        return
    networks_text = f"these numbers describe only these {runs:,} trained networks, not the methods"
    seeds, needed_seeds = len(atlas.seed_table.has_run), seeds_needed(cells, atlas.level / 2)
    hint = f"At least {needed_seeds} seeds are needed to show that one cell differs from the others"
    if runs == cells:
        yield f"With one seed, {networks_text}"
    elif atlas.chance_limits is None and seeds >= needed_seeds:
        yield f"At this look, too little of the 5 % is left to compare test errors with chance: {networks_text}"
    elif atlas.chance_limits is None:
        yield f"With so few seeds, any difference could be chance, so {networks_text}.  {hint}"
    elif any(_difference_findings(atlas)):
        yield "Chance means the differences between seeds of one method"
    else:
        chance = "chance, that is, the differences between seeds of one method"
        yield f"No difference between the errors of cells exceeds {chance}{f'.  {hint}' * (seeds < needed_seeds)}"


def _disagreement_finding(atlas: Atlas, limit: float) -> Iterator[str]:
    """Name the two cells that disagree most, compared with two seeds of one cell, if this exceeds chance."""
    shares, excess = 100 * atlas.disagreement, np.triu(atlas.seed_table.excess_disagreement(), k=1)
    pair_count, names = np.count_nonzero(excess > limit), list(atlas.cells)
    if pair_count:
        a, b = np.unravel_index(np.nanargmax(excess), excess.shape)
        within_cell, more = (shares[a, a] + shares[b, b]) / 2, pair_count - 1
        yield (
            f"{names[a]} and {names[b]} disagree on {shares[a, b]:.2f} % of the images, and two seeds of one of them "
            f"on {within_cell:.2f} %; chance explains {100 * limit:.2f} points of the difference"
            + (f" ({counted(more, 'other pair')} of cells also exceed{'s' if more == 1 else ''} it)" if more else "")
        )


def _disagreement_text(atlas: Atlas) -> Iterator[str]:
    """Say how often runs of different cells disagree and, for comparison, how often two seeds of one cell disagree."""
    shares = atlas.disagreement
    within_cell, between_cells = np.diagonal(shares), shares[np.triu_indices(len(shares), k=1)]
    within_cell, between_cells = within_cell[~np.isnan(within_cell)], between_cells[~np.isnan(between_cells)]
    if len(between_cells):
        seeds_text = f", and two seeds of one cell on {_range_text(within_cell)}" if len(within_cell) else ""
        yield f"Runs of two cells disagree on {_range_text(between_cells)} of the images{seeds_text}"
    elif len(within_cell):
        yield f"Two runs with different seeds disagree on {_range_text(within_cell)} of the images"


def _range_text(shares: Floats) -> str:
    low, high = f"{100 * shares.min():.2f}", f"{100 * shares.max():.2f}"
    return f"{low} %" if low == high else f"{low} to {high} %"


def _confusion_text(atlas: Atlas, *, finding: bool) -> Iterator[str]:
    """Describe the confusion of two classes that differs most between two cells, if it is a finding or if it is not."""
    if not atlas.confusion_differences:
        return
    top, classes = atlas.confusion_differences[0], atlas.source["classes"]
    limit = np.inf if atlas.chance_limits is None else atlas.chance_limits["confusion"]
    if finding == (top.times_more - top.times_less > limit):
        yield (
            f"Per run, {top.more} predicts {classes[top.predicted]} for {top.times_more:.1f} images with label "
            f"{classes[top.label]}, and {top.less} for {top.times_less:.1f}"
            + ("" if np.isinf(limit) else f"; chance explains a difference of {limit:.1f}")
        )


def _suspects_text(atlas: Atlas) -> str:
    if atlas.joint_error_share > MOST_ERRORS:
        share, most = 100 * atlas.joint_error_share, 100 * MOST_ERRORS
        return (
            f"The runs together misclassify {share:.1f} % of the images, so suspected label errors would be almost all "
            f"their own mistakes; normlab looks for label errors if this share is at most {most:.0f} %"
        )
    classes, runs = atlas.source["classes"], len(atlas.runs)
    images = [
        f"#{suspect.index} (label {classes[suspect.label]}, but {round(suspect.share * runs)} of {runs} runs predict "
        f"{classes[suspect.suggested]})"
        for suspect in atlas.suspects
    ]
    images_text = f" to check by eye: {', '.join(shorten(images, MAX_SUSPECTS))}" if images else ""
    return f"{counted(len(images), 'suspected label error')}{images_text}{MNIST_RATE if images else ''}"
