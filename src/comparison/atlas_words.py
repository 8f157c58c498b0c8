"""The error atlas in a few lines of words."""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from src.comparison.atlas import Atlas
from src.comparison.calibration import BINS
from src.comparison.mistakes import Indices

INDICES = 8  # at most so many images in a line
SUSPECTS = 3  # each with its reason
CELLS = 8  # at most so many lines for cells
LEFT_OUT = 3  # at most so many lines for runs that are left out


def sentences(group: Atlas) -> list[str]:
    """A line each: what all runs get wrong, what one cell alone does, disagreement, confusions, suspected labels."""
    lines = [f"left out of what follows: {problem}" for problem in group.unreadable[:LEFT_OUT]]
    if len(group.unreadable) > LEFT_OUT:
        lines.append(f"and {len(group.unreadable) - LEFT_OUT:,} more are left out")
    if not group.runs:
        return lines
    total = f"{len(group.labels):,} test images"
    count = f"{len(group.by_all):,} of the {total} wrong: {_named(group, group.by_all)}"
    if len(group.runs) == 1:
        return [*lines, f"{next(iter(group.runs))} gets {count}", *_cells(group)]
    lines += [f"All {len(group.runs)} runs get {count}", *_cells(group), *_disagreement(group), *_confusion(group)]
    return lines + _suspected(group)


def _named(group: Atlas, found: Indices) -> str:
    """The first images by index and true class."""
    if len(found) == 0:
        return "none"
    classes = group.source["classes"]
    words = [f"#{index} ({classes[group.labels[index]]})" for index in found[:INDICES]]
    return ", ".join(words) + (", ..." if len(found) > INDICES else "")


def _cells(group: Atlas) -> Iterator[str]:
    """How many images each cell alone gets wrong or right, and its calibration."""
    several = len(group.answers) > 1
    alone = {
        name: (len(group.by_cell_alone_wrong[name]), len(group.by_cell_alone_right[name])) for name in group.answers
    }
    shown = sorted(group.answers, key=lambda name: -sum(alone[name]))[:CELLS]
    if several:
        yield f"One cell alone is wrong or right; expected calibration error in points ({BINS} bins):"
    width = max(map(len, shown))
    for name in [name for name in group.answers if name in shown]:
        own = group.calibration[name]
        error = f"{100 * own.ece:.2f}, {'over' if own.overconfidence > 0 else 'under'}confident"
        if several:
            yield f"  {name:<{width}}  {alone[name][0]:>3} wrong  {alone[name][1]:>3} right  ECE {error}"
        else:
            yield f"{name}: expected calibration error {error} (points, {BINS} bins)"
    if len(group.answers) > len(shown):
        yield f"  and {len(group.answers) - len(shown):,} more cells with fewer such images"


def _disagreement(group: Atlas) -> Iterator[str]:
    """How often runs of two cells differ, and, to judge that by, how often two seeds of one cell do."""
    shares, names = group.disagreement, list(group.answers)
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


def _confusion(group: Atlas) -> Iterator[str]:
    """The confusion that differs most between two cells."""
    if group.confusion_differences:
        most, classes = group.confusion_differences[0], group.source["classes"]
        yield (
            f"Largest difference of a confusion: {most.more} takes {classes[most.label]} for "
            f"{classes[most.predicted]}, {most.times_more:.1f} times a run; {most.less} {most.times_less:.1f} times"
        )


def _suspected(group: Atlas) -> list[str]:
    suspects, classes = group.suspected, group.source["classes"]
    if not suspects:
        return ["Suspected label errors: none"]
    words = [
        f"#{suspect.index} (labelled {classes[suspect.label]}, {round(suspect.share * len(group.runs))} runs say "
        f"{classes[suspect.suggested]})"
        for suspect in suspects[:SUSPECTS]
    ]
    rest = ", ..." if len(suspects) > SUSPECTS else ""
    return [f"Suspected label errors, to be judged by eye: {len(suspects):,}: {', '.join(words)}{rest}"]
