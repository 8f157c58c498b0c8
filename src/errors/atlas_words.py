"""The error atlas in a few lines of words."""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from src.errors.atlas import Atlas
from src.errors.calibration import BINS
from src.runs.predictions import Indices

INDICES = 8  # at most so many images in a line
SUSPECTS = 3  # each with its reason
CELLS = 8  # at most so many lines for cells
LEFT_OUT = 3  # at most so many lines for runs that are left out


def sentences(atlas: Atlas) -> list[str]:
    """A line each: what all runs get wrong, what one cell alone does, disagreement, confusions, suspected labels."""
    lines = [f"left out of what follows: {problem}" for problem in atlas.unreadable[:LEFT_OUT]]
    if len(atlas.unreadable) > LEFT_OUT:
        lines.append(f"and {len(atlas.unreadable) - LEFT_OUT:,} more are left out")
    if not atlas.runs:
        return lines
    total = f"{len(atlas.labels):,} test images"
    count = f"{len(atlas.by_all):,} of the {total} wrong: {_named(atlas, atlas.by_all)}"
    if len(atlas.runs) == 1:
        return [*lines, f"{next(iter(atlas.runs))} gets {count}", *_cells(atlas)]
    lines += [f"All {len(atlas.runs)} runs get {count}", *_cells(atlas), *_disagreement(atlas), *_confusion(atlas)]
    return lines + _suspected(atlas)


def _named(atlas: Atlas, found: Indices) -> str:
    """The first images by index and true class."""
    if len(found) == 0:
        return "none"
    classes = atlas.source["classes"]
    words = [f"#{index} ({classes[atlas.labels[index]]})" for index in found[:INDICES]]
    return ", ".join(words) + (", ..." if len(found) > INDICES else "")


def _cells(atlas: Atlas) -> Iterator[str]:
    """How many images each cell alone gets wrong or right, and its calibration."""
    several = len(atlas.answers) > 1
    alone = {
        name: (len(atlas.by_cell_alone_wrong[name]), len(atlas.by_cell_alone_right[name])) for name in atlas.answers
    }
    shown = sorted(atlas.answers, key=lambda name: -sum(alone[name]))[:CELLS]
    if several:
        yield f"One cell alone is wrong or right; expected calibration error in points ({BINS} bins):"
    width = max(map(len, shown))
    for name in [name for name in atlas.answers if name in shown]:
        own = atlas.calibration[name]
        error = f"{100 * own.ece:.2f}, {'over' if own.overconfidence > 0 else 'under'}confident"
        if several:
            yield f"  {name:<{width}}  {alone[name][0]:>3} wrong  {alone[name][1]:>3} right  ECE {error}"
        else:
            yield f"{name}: expected calibration error {error} (points, {BINS} bins)"
    if len(atlas.answers) > len(shown):
        yield f"  and {len(atlas.answers) - len(shown):,} more cells with no more such images"


def _disagreement(atlas: Atlas) -> Iterator[str]:
    """How often runs of two cells differ, and, to judge that by, how often two seeds of one cell do."""
    shares, names = atlas.disagreement, list(atlas.answers)
    own = np.diagonal(shares)[~np.isnan(np.diagonal(shares))]
    seeds = f"two seeds of one cell on {_range(own)}" if len(own) else ""
    if len(names) > 1:
        rows, columns = np.triu_indices(len(names), k=1)
        between = shares[rows, columns]
        most, named = int(between.argmax()), len(names) > 2 and not (own >= between.max()).any()
        where = f", {names[rows[most]]} and {names[columns[most]]} most" if named else ""
        yield f"Two cells' runs disagree on {_range(between)} of the images{where}" + (f"; {seeds}" if seeds else "")
    elif seeds:
        yield f"Two seeds disagree on {_range(own)} of the images"


def _range(shares: npt.NDArray[np.float64]) -> str:
    low, high = f"{100 * shares.min():.2f}", f"{100 * shares.max():.2f}"
    return f"{low} %" if low == high else f"{low} to {high} %"


def _confusion(atlas: Atlas) -> Iterator[str]:
    """The confusion that differs most between two cells."""
    if atlas.confusion_differences:
        most, classes = atlas.confusion_differences[0], atlas.source["classes"]
        yield (
            f"Largest difference of a confusion: {most.more} takes {classes[most.label]} for "
            f"{classes[most.predicted]}, {most.times_more:.1f} times a run; {most.less} {most.times_less:.1f} times"
        )


def _suspected(atlas: Atlas) -> list[str]:
    suspects, classes = atlas.suspected, atlas.source["classes"]
    if not suspects:
        return ["Suspected label errors: none"]
    words = [
        f"#{suspect.index} (labelled {classes[suspect.label]}, {round(suspect.share * len(atlas.runs))} runs say "
        f"{classes[suspect.suggested]})"
        for suspect in suspects[:SUSPECTS]
    ]
    rest = ", ..." if len(suspects) > SUSPECTS else ""
    return [f"Suspected label errors, to be judged by eye: {len(suspects):,}: {', '.join(words)}{rest}"]
