"""Two cells beside each other: the difference of their test accuracies, how sure it is, and that in words."""

from collections.abc import Sequence
from dataclasses import dataclass

from src.verdict.points import by, interval, points
from src.verdict.statistics import ALPHA, bca, signed_rank
from src.wording import counted


@dataclass(frozen=True, slots=True)
class Pair:
    """Accuracies and differences from 0 to 1."""

    first: str
    second: str
    difference: float  # first minus second
    low: float  # of the 95 % interval of the difference, for this pair alone
    high: float
    p: float  # two-sided, for this pair alone
    p_holm: float  # corrected for all pairs of the comparison
    method: str  # `paired t over 5 seeds`, `exact McNemar on 10,000 images`
    n: int  # seeds in common; with one the networks are compared, not the methods
    superiority: float | None  # P(a run of the first beats that of the second), ties half; None for one seed
    among: int  # pairs in the comparison
    seeds: int | None  # so many in all would resolve `resolves` with a power of 80 %; None where that is not known
    resolves: float | None  # a difference
    differences: tuple[float, ...] = ()  # one a common seed, in the order of the seeds; none for one seed
    images: int = 0
    equal: bool = False  # every common seed gave the same curves and results, to the last bit
    across: bool = False  # a common seed was trained in different environments

    @property
    def decided(self) -> bool:
        """Whether the two can be told apart."""
        return self.p_holm < ALPHA

    @property
    def wilcoxon(self) -> float | None:
        """The p value of the signed-rank test, which needs no normality; None below 6 seeds."""
        return signed_rank(self.differences)

    @property
    def bootstrap(self) -> tuple[float, float] | None:
        """The 95 % BCa interval of the difference; None below 20 seeds."""
        return bca(self.differences)

    @property
    def words(self) -> str:
        """The verdict, a sentence in percentage points."""
        if self.equal:
            return (
                f"{self.first} and {self.second} are equal: with the same seed they give the same results, bit by bit"
            )
        return self._of_networks() if self.n == 1 else self._of_methods()

    def _of_methods(self) -> str:
        if self.decided:
            better = "better" if self.difference > 0 else "worse"
            return f"{self.first} is {better} than {self.second} by {by(self.difference, self.low, self.high)}"
        words = f"{self.first} and {self.second} cannot be told apart{self._doubt()}"
        if self.seeds is None or self.resolves is None:
            return words
        more = counted(self.seeds - self.n, "more seed")
        return f"{words}; about {more} would show {100 * self.resolves:g} points in four of five tries"

    def _of_networks(self) -> str:
        images = f"{self.images:,} test images"
        if self.decided:
            better = "better" if self.difference > 0 else "worse"
            size = by(self.difference, self.low, self.high)
            return (
                f"the trained network {self.first} is {better} than the network {self.second} by {size} on these "
                f"{images}; that says nothing about the methods: another seed could turn it round"
            )
        return (
            f"the trained networks {self.first} and {self.second} cannot be told apart on these {images}"
            f"{self._doubt()}; about the methods one seed says nothing: another could turn it round"
        )

    def _doubt(self) -> str:
        ends = interval(self.low, self.high)
        if self.p < ALPHA:
            size = by(self.difference, self.low, self.high)
            return f": {size} would be a difference alone, not among {self.among:,} comparisons"
        stricter = "; the exact test is stricter than the interval" if self.low > 0 or self.high < 0 else ""
        return f" (difference {points(self.difference)} points {ends}{stricter})"


def clearest(pairs: Sequence[Pair], most: int) -> list[Pair]:
    """At most so many pairs, those with the smallest p, in the order in which they stand."""
    chosen = sorted(range(len(pairs)), key=lambda k: (pairs[k].p_holm, pairs[k].p))[:most]
    return [pairs[k] for k in sorted(chosen)]
