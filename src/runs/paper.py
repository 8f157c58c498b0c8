"""A paper's figure, its published values, and its claims in a small closed vocabulary.

`conf/paper/*.yaml` states them (`paper_schema.py` checks that), a sweep's manifest stores them, and
`src/verdict/claims.py` tests them.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

MEASURES = {
    "test error": "points",
    "validation error": "points",
    "training error": "points",
    "near-zero weights": "points",
    "zero weights": "points",
    "gain of recomputed statistics": "points",
    "test loss": "nats",
}
"""What a claim is about, each with its unit; points are percentages.

`near-zero weights` are smaller than 0.001, and `zero weights` are exactly 0.  The gain of recomputed statistics is the
test error with running averages minus that of the same weights with statistics of the whole training split; only runs
with `norm.stats=precise` have it.
"""
KINDS = {
    "mean": "the mean of the measure over the selected runs",
    "slope": "the least-squares slope of the measure on x",
    "rank_correlation": "Spearman's rank correlation of the measure with x",
    "largest_trained": "the largest x at which the measure is below trains_below",
    "explained": "the adjusted share of the variance between runs of one seed that runs with equal x explain",
    "shift_of_best": "Spearman's rank correlation of x with the strength that has the smallest measure",
    "variance_ratio": "the variance of the test accuracy between seeds over that of independent errors",
}
"""The quantities that a claim bounds.  All but `variance_ratio` are one number per seed."""
KINDS_WITHOUT_X = ("mean", "variance_ratio")
X_SCALES = {"linear": "", "log2": "doubling", "log10": "factor of ten", "names": ""}
"""The scales of x, each with the name of one unit on it.  With `names`, x is any key, and no claim can use it."""


@dataclass(frozen=True)
class Claim:
    """One statement of a paper, as bounds on a quantity of the selected runs.

    The quantity of `of`, less those of `minus`, plus those of `plus`, or divided by that of `over`.  A statement that
    something does not change is a bound too, such as a slope from -0.25 to 0.25 times another slope.
    """

    text: str  # the statement as a sentence without a full stop
    kind: str  # a key of KINDS
    of: "Selection"
    minus: "tuple[Selection, ...]"
    plus: "tuple[Selection, ...]"
    over: "Selection | None"
    at_least: float | None
    at_most: float | None
    measure: str  # a key of MEASURES
    trains_below: float | None  # a run with a smaller measure trained; only for `largest_trained`
    strength: tuple[str, ...]  # the keys with this product; only for `shift_of_best`

    @property
    def selections(self) -> "tuple[Selection, ...]":
        """The selections of the claim: `of`, then `minus`, `plus` and `over`."""
        return self.of, *self.minus, *self.plus, *([] if self.over is None else [self.over])


Selection = Mapping[str, tuple[Any, ...]]
"""The runs that a claim is about: for each dotted key, the values that it may have."""


@dataclass(frozen=True)
class Published:
    """Values that the paper published, for lines with the same names as those of the figure."""

    of: str  # the network, the dataset and the measure of the paper
    x: tuple[float, ...]
    lines: Mapping[str, tuple[float | None, ...] | float]  # a single number is drawn across the figure


@dataclass(frozen=True)
class Paper:
    """A paper's figure and claims."""

    name: str  # the option: paper=NAME
    title: str
    source: str  # authors, year, arXiv number and figure
    differs: str  # how the network and data of the preset differ from those of the paper
    claims: tuple[Claim, ...]
    measure: str  # a key of MEASURES
    x: tuple[str, ...]  # the dotted keys with this product; empty without x
    x_scale: str  # a key of X_SCALES
    lines: str | None  # the dotted key that distinguishes the lines of the figure
    published: Published | None
    stated: Mapping[str, Any]  # the preset's mapping, which a sweep's manifest stores with the name
