"""Puts the test errors of all runs into a few sentences."""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from src.errors.atlas import Atlas
from src.errors.calibration import BINS
from src.wording import shorten

INDICES = 8  # images in a line, at most
SUSPECTS = 3  # suspected label errors in a line
CELLS = 8  # lines for single cells
UNREADABLE = 3  # lines for runs without predictions


def sentences(atlas: Atlas) -> list[str]:
    """The sentences on one dataset: common errors, disagreement, the largest confusion, suspected label errors."""
    lines = shorten([f"Not counted below: {problem}" for problem in atlas.unreadable], UNREADABLE)
    if not atlas.runs:
        return lines
    classes, runs, count = atlas.source["classes"], list(atlas.runs), len(atlas.by_all)
    images = [f"#{index} (label {classes[atlas.labels[index]]})" for index in atlas.by_all]
    listed = f" of the {len(atlas.labels):,} test images: {', '.join(shorten(images, INDICES))}"
    if len(runs) == 1:
        return [*lines, f"{runs[0]} misclassifies {count:,}{listed}" if count else f"{runs[0]} misclassifies no image"]
    common = f"All {len(runs):,} runs misclassify the same {count:,}{listed}"
    lines.append(common if count else f"No test image is misclassified by all {len(runs):,} runs")
    return [*lines, *_disagreement(atlas), *_confusion(atlas), _suspected(atlas)]


def cell_lines(atlas: Atlas) -> Iterator[str]:
    """A line per cell: how many images only this cell gets wrong or right, and its calibration error."""
    alone = {
        name: (len(atlas.by_cell_alone_wrong[name]), len(atlas.by_cell_alone_right[name])) for name in atlas.answers
    }
    shown = sorted(atlas.answers, key=lambda name: -sum(alone[name]))[:CELLS]
    if len(atlas.answers) > 1:
        yield f"Images that only one cell gets wrong or right; expected calibration error (ECE) in points, {BINS} bins:"
    width = max(map(len, shown), default=0)
    for name in [name for name in atlas.answers if name in shown]:
        own = atlas.calibration[name]
        error = f"{100 * own.ece:.2f}, {'over' if own.overconfidence > 0 else 'under'}confident"
        if len(atlas.answers) > 1:
            yield f"  {name:<{width}}  {alone[name][0]:>3} wrong  {alone[name][1]:>3} right  ECE {error}"
        else:
            yield f"{name}: expected calibration error {error} (points, {BINS} bins)"
    if len(atlas.answers) > len(shown):
        yield f"  and {len(atlas.answers) - len(shown):,} more, none with more such images"


def _disagreement(atlas: Atlas) -> Iterator[str]:
    """How often runs of two cells disagree and, for comparison, two seeds of one cell."""
    shares, names = atlas.disagreement, list(atlas.answers)
    own = np.diagonal(shares)[~np.isnan(np.diagonal(shares))]
    seeds = f"two seeds of one cell on {_range(own)}" if len(own) else ""
    if len(names) > 1:
        rows, columns = np.triu_indices(len(names), k=1)
        between = shares[rows, columns]
        most, named = int(between.argmax()), len(names) > 2 and not (own >= between.max()).any()
        where = f" (most: {names[rows[most]]} and {names[columns[most]]})" if named else ""
        yield f"Runs of two cells disagree on {_range(between)} of the images{where}" + (f"; {seeds}" if seeds else "")
    elif seeds:
        yield f"Two seeds disagree on {_range(own)} of the images"


def _range(shares: npt.NDArray[np.float64]) -> str:
    low, high = f"{100 * shares.min():.2f}", f"{100 * shares.max():.2f}"
    return f"{low} %" if low == high else f"{low} to {high} %"


def _confusion(atlas: Atlas) -> Iterator[str]:
    """The confusion with the largest difference between two cells."""
    if atlas.confusion_differences:
        most, classes = atlas.confusion_differences[0], atlas.source["classes"]
        yield (
            f"Largest difference in a confusion: {most.more} predicts {classes[most.predicted]} for the label "
            f"{classes[most.label]} in {most.times_more:.1f} images per run, {most.less} in {most.times_less:.1f}"
        )


def _suspected(atlas: Atlas) -> str:
    classes, runs = atlas.source["classes"], len(atlas.runs)
    words = [
        f"#{suspect.index} (label {classes[suspect.label]}; {round(suspect.share * runs)} of {runs} runs predict "
        f"{classes[suspect.suggested]})"
        for suspect in atlas.suspected
    ]
    listed = ", ".join(shorten(words, SUSPECTS))
    return f"Suspected label errors{f', to check by eye: {len(words):,}: {listed}' if words else ': none'}"
