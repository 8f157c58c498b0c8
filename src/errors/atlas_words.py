"""Describes the test errors of all runs in a few sentences."""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from src.errors.atlas import Atlas
from src.errors.calibration import BINS
from src.wording import counted, shorten

MAX_IMAGES = 8  # images that one sentence names
MAX_SUSPECTS = 3  # suspected label errors that one sentence names
MAX_CELLS = 8  # cells that get a line of their own
MAX_UNREADABLE = 3  # lines about runs without readable predictions


def error_sentences(atlas: Atlas) -> list[str]:
    """Describe the errors on one dataset: common errors, disagreement, differing confusions, suspected label errors."""
    lines = shorten(
        [f"The sentences below leave out a run: {problem}" for problem in atlas.unreadable_reasons], MAX_UNREADABLE
    )
    if not atlas.runs:
        return lines
    classes, runs, count = atlas.source["classes"], list(atlas.runs), len(atlas.wrong_in_all_runs)
    images = [f"#{index} (label {classes[atlas.labels[index]]})" for index in atlas.wrong_in_all_runs]
    sample = f" of the {len(atlas.labels):,} test images: {', '.join(shorten(images, MAX_IMAGES))}"
    if len(runs) == 1:
        return [*lines, f"{runs[0]} misclassifies {count:,}{sample}" if count else f"{runs[0]} misclassifies no image"]
    common_text = f"All {len(runs):,} runs misclassify the same {count:,}{sample}"
    lines.append(common_text if count else f"No test image is misclassified by all {len(runs):,} runs")
    return [*lines, *_disagreement_text(atlas), *_confusion_text(atlas), _suspects_text(atlas)]


def cell_lines(atlas: Atlas) -> Iterator[str]:
    """Yield a line per cell: how many images only this cell gets wrong or right, and its calibration error."""
    wrong, right = atlas.wrong_in_one_cell, atlas.right_in_one_cell
    counts = {name: (len(wrong[name]), len(right[name])) for name in atlas.answers}
    shown_cells = sorted(atlas.answers, key=lambda name: -sum(counts[name]))[:MAX_CELLS]
    if len(atlas.answers) > 1:
        ece_text = f"expected calibration error (ECE, {BINS} bins)"
        yield f"Images that only one cell gets wrong or right, and each cell's {ece_text}:"
    width = max(map(len, shown_cells), default=0)
    for name in [name for name in atlas.answers if name in shown_cells]:
        bins = atlas.calibration[name]
        error_text = f"{100 * bins.ece:.2f} points ({'over' if bins.overconfidence > 0 else 'under'}confident)"
        if len(atlas.answers) > 1:
            yield f"  {name:<{width}}  {counts[name][0]:>3} wrong  {counts[name][1]:>3} right  ECE {error_text}"
        else:
            yield f"{name} has an expected calibration error (ECE, {BINS} bins) of {error_text}"
    if len(atlas.answers) > len(shown_cells):
        yield f"  and {len(atlas.answers) - len(shown_cells):,} more cells with at most as many such images"


def _disagreement_text(atlas: Atlas) -> Iterator[str]:
    """Say how often runs of different cells disagree and, for comparison, how often two seeds of one cell disagree."""
    shares, names = atlas.disagreement, list(atlas.answers)
    same_cell = np.diagonal(shares)[~np.isnan(np.diagonal(shares))]
    seeds = f".  Two seeds of the same cell disagree on {_range_text(same_cell)}" if len(same_cell) else ""
    if len(names) > 1:
        rows, columns = np.triu_indices(len(names), k=1)
        pairs = shares[rows, columns]
        top, shows_pair = int(pairs.argmax()), len(names) > 2 and not (same_cell >= pairs.max()).any()
        pair_text = f" ({names[rows[top]]} and {names[columns[top]]} disagree most)" if shows_pair else ""
        yield f"Runs of different cells disagree on {_range_text(pairs)} of the images{pair_text}{seeds}"
    elif seeds:
        yield f"Two runs with different seeds disagree on {_range_text(same_cell)} of the images"


def _range_text(shares: npt.NDArray[np.float64]) -> str:
    low, high = f"{100 * shares.min():.2f}", f"{100 * shares.max():.2f}"
    return f"{low} %" if low == high else f"{low} to {high} %"


def _confusion_text(atlas: Atlas) -> Iterator[str]:
    """Describe the confusion of two classes that differs most between two cells."""
    if atlas.confusion_differences:
        top, classes = atlas.confusion_differences[0], atlas.source["classes"]
        yield (
            f"Cells differ most in this confusion: per run, {top.more} predicts {classes[top.predicted]} for "
            f"{top.times_more:.1f} images with label {classes[top.label]}, and {top.less} for {top.times_less:.1f}"
        )


def _suspects_text(atlas: Atlas) -> str:
    classes, runs = atlas.source["classes"], len(atlas.runs)
    images = [
        f"#{suspect.index} (label {classes[suspect.label]}, but {round(suspect.share * runs)} of {runs} runs predict "
        f"{classes[suspect.suggested]})"
        for suspect in atlas.suspects
    ]
    sample = f" to check by eye: {', '.join(shorten(images, MAX_SUSPECTS))}" if images else ""
    return f"{counted(len(images), 'suspected label error')}{sample}"
