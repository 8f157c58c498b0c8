"""Two cells compared: the difference of their test accuracies, its uncertainty, and a sentence about both."""

from collections.abc import Sequence
from dataclasses import dataclass

from src.verdict.points import by, interval, points
from src.verdict.statistics import ALPHA
from src.wording import counted


@dataclass(frozen=True, slots=True)
class Pair:
    """The comparison of two cells; accuracies and differences from 0 to 1."""

    first: str
    second: str
    difference: float  # first minus second
    low: float  # of the 95 % confidence interval of the difference, for this pair alone
    high: float
    p: float  # two-sided, for this pair alone
    p_holm: float  # corrected for all pairs of the comparison
    method: str  # `paired t over 5 seeds`, `exact McNemar on 10,000 images`
    n: int  # common seeds; one seed compares the networks, not the methods
    superiority: float | None  # P(a run of the first beats one of the second), ties count half; None for one seed
    among: int  # pairs in the comparison
    seeds: int | None  # total seeds that detect the difference `resolves` with a power of 80 %; None if unknown
    resolves: float | None
    differences: tuple[float, ...] = ()  # one per common seed, in the order of the seeds; empty for one seed
    images: int = 0
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
            return f"{self.first} and {self.second} are bit-identical: the same seed gives the same results"
        network = "the trained network " if self.n == 1 else ""
        first, second = f"{network}{self.first}", f"{network}{self.second}"
        size = by(self.difference, self.low, self.high)
        if self.decided:
            result = f"{first} is {'better' if self.difference > 0 else 'worse'} than {second} by {size}"
        elif self.p < ALPHA:
            result = (
                f"{first} and {second} differ by {size}, which is significant on its own, but not after Holm's "
                f"correction over {self.among:,} pairs"
            )
        else:
            stricter = "; the exact test is stricter than the interval" if self.low > 0 or self.high < 0 else ""
            ends = f"{points(self.difference)} points {interval(self.low, self.high)}"
            result = f"{first} and {second} do not differ significantly ({ends}{stricter})"
        if self.n == 1:
            images = f"{self.images:,} test images"
            return f"on {images}, {result}; this is not about the methods: another seed could reverse it"
        if self.decided or self.seeds is None or self.resolves is None:
            return result
        more = counted(self.seeds - self.n, "more seed")
        return f"{result}; about {more} would detect {100 * self.resolves:g} points with a power of 80 %"


def clearest(pairs: Sequence[Pair], most: int) -> list[Pair]:
    """The pairs with the smallest p, at most `most` of them, in their original order."""
    chosen = sorted(range(len(pairs)), key=lambda k: (pairs[k].p_holm, pairs[k].p))[:most]
    return [pairs[k] for k in sorted(chosen)]
