"""Describes the comparison of two cells: the difference of their test accuracies and its uncertainty."""

from collections.abc import Sequence
from dataclasses import dataclass

from src.verdict.points import interval_text, points_text, size_text
from src.verdict.statistics import ALPHA
from src.wording import counted


@dataclass(frozen=True, slots=True)
class Pair:
    """The comparison of two cells; accuracies and differences go from 0 to 1."""

    first: str
    second: str
    difference: float  # mean test accuracy of the first cell minus that of the second
    low: float  # lower end of the 95 % confidence interval of the difference, for this pair alone
    high: float  # upper end of the 95 % confidence interval
    p: float  # two-sided p value, for this pair alone
    p_holm: float  # p value corrected for all pairs of the comparison
    method: str  # `paired t over 5 seeds`, `exact McNemar on 10,000 images`
    n: int  # common seeds; with one seed, the pair compares two networks and not two methods
    superiority: float | None  # share of common seeds in which `first` wins, ties count half; None for one seed
    among: int  # number of pairs in the whole comparison
    seeds: int | None  # total of seeds that detects a difference of `detects` with a power of 80 %; None if unknown
    detects: float | None  # the difference that `seeds` seeds detect
    differences: tuple[float, ...] = ()  # one difference per common seed, in the order of the seeds; empty for one seed
    images: int = 0  # number of test images
    equal: bool = False  # every common seed gave bit-identical curves and results
    across: bool = False  # a common seed was trained in different environments

    @property
    def decided(self) -> bool:
        """Whether the difference is statistically significant after Holm's correction."""
        return self.p_holm < ALPHA

    @property
    def words(self) -> str:
        """The result as a sentence, in percentage points."""
        if self.equal:
            return f"With the same seed, {self.first} and {self.second} give bit-identical results"
        network = "the trained network " if self.n == 1 else ""
        first, second = f"{network}{self.first}", f"{network}{self.second}"
        size = size_text(self.difference, self.low, self.high)
        if self.decided:
            result = f"{first} is {'better' if self.difference > 0 else 'worse'} than {second} by {size}"
        elif self.p < ALPHA:
            result = (
                f"{first} and {second} differ by {size}, which is significant on its own, but not after Holm's "
                f"correction over {self.among:,} pairs"
            )
        else:
            stricter = "; the exact test is stricter than the interval" if self.low > 0 or self.high < 0 else ""
            ends = f"{points_text(self.difference)} points {interval_text(self.low, self.high)}"
            result = f"{first} and {second} do not differ significantly ({ends}{stricter})"
        if self.n == 1:
            images = f"{self.images:,} test images"
            return f"on {images}, {result}; another seed could reverse it, so it says nothing about the methods"
        if self.decided or self.seeds is None or self.detects is None:
            return result
        more = counted(self.seeds - self.n, "more seed")
        return f"{result}; about {more} would detect {100 * self.detects:g} points with a power of 80 %"


def clearest(pairs: Sequence[Pair], most: int) -> list[Pair]:
    """The `most` pairs with the smallest p values, in their original order."""
    chosen = sorted(range(len(pairs)), key=lambda k: (pairs[k].p_holm, pairs[k].p))[:most]
    return [pairs[k] for k in sorted(chosen)]
