"""The difference between two levels of a factor, with its interval and its sentences."""

import math
from dataclasses import dataclass, replace

from src.verdict.points import ACCURACY, Measure
from src.verdict.welch import Welch
from src.wording import counted, joined

CELL = "cell"  # the only factor of cells that form no grid


@dataclass(frozen=True)
class Contrast:
    """The difference of the mean test accuracies of two levels of a factor; accuracies go from 0 to 1.

    The difference of one seed is the mean over all settings of the other factors that the seed has at both levels.
    Seeds are independent, so the t interval over seeds holds whatever the settings share, and whatever their spreads
    are (for seeds with unequal variances it is conservative: Bakirov and Szekely 2006, Ibragimov and Mueller 2010).
    Levels that share fewer than two seeds have no such differences, so `welch` compares their means instead.
    """

    factors: tuple[str, ...]  # the factor's short name, such as `norm`; two for an interaction
    first_levels: tuple[str, ...]  # a level of each factor
    second_levels: tuple[str, ...]  # another level of each factor
    setting: str  # levels of other factors at which the contrast is made, such as `l1=1e-05`; empty for an average
    averaged_over: tuple[str, ...]  # short names of the other factors
    settings: int  # number of settings over which the difference is averaged
    cells: tuple[str, ...]  # the cells that are compared, in the order of the levels; empty for several settings
    differences: tuple[float, ...]  # first minus second, one value per seed; empty if `welch` compares the levels
    least_sd: float  # the standard deviation is not smaller than this, because accuracies are rounded to whole images
    equal_within: float  # differences up to this size count as equal
    identical: bool  # all compared runs gave bit-identical metrics with the same seed
    alpha: float = 1.0  # chance that the interval misses the true difference
    low: float | None = None  # ends of the simultaneous interval; None for one seed
    high: float | None = None
    p: float | None = None  # of this contrast alone; None for one seed
    dataset: str = ""  # the dataset's name, if the comparison has several
    welch: Welch | None = None  # the comparison of levels that share fewer than two seeds
    measure: Measure = ACCURACY

    @property
    def factor(self) -> str:
        """The factor's short name, or `norm x l1` for an interaction."""
        return " x ".join(self.factors)

    @property
    def first(self) -> str:
        """The first level, or the first levels of an interaction."""
        return ", ".join(self.first_levels)

    @property
    def second(self) -> str:
        """The second level, or the second levels of an interaction."""
        return ", ".join(self.second_levels)

    @property
    def difference(self) -> float:
        """The mean difference over seeds, first minus second."""
        return self.welch.difference if self.welch else sum(self.differences) / len(self.differences)

    @property
    def n(self) -> int:
        """The number of seeds, of the smallest cell if `welch` compares the levels."""
        return self.welch.seeds if self.welch else len(self.differences)

    @property
    def standard_error(self) -> float:
        """The standard error of the difference; needs two seeds."""
        return self.welch.standard_error if self.welch else self.sd / math.sqrt(self.n)

    @property
    def degrees(self) -> float:
        """The degrees of freedom of the standard error."""
        return self.welch.degrees if self.welch else self.n - 1

    @property
    def sd(self) -> float:
        """The standard deviation of the differences over seeds; needs two seeds.

        Of unpaired levels, the one that gives `n` pairs of runs the same standard error.
        """
        if self.welch:
            return self.welch.standard_error * math.sqrt(self.n)
        mean = self.difference
        return max(math.sqrt(sum((value - mean) ** 2 for value in self.differences) / (self.n - 1)), self.least_sd)

    @property
    def outcome(self) -> str:
        """`better`: the interval excludes 0; `equal`: it lies within `equal_within`; `open`: neither."""
        if self.identical:
            return "equal"
        if self.low is None or self.high is None:
            return "open"
        if self.low > 0 or self.high < 0:
            return "better"
        return "equal" if max(-self.low, self.high) <= self.equal_within else "open"

    @property
    def is_interaction(self) -> bool:
        """Whether this is the difference of two differences."""
        return len(self.factors) > 1

    @property
    def better_first(self) -> "Contrast":
        """The same contrast, turned so that its difference is not negative."""
        if self.difference >= 0:
            return self
        low, high = (None, None) if self.low is None or self.high is None else (-self.high, -self.low)
        return replace(
            self,
            first_levels=self.second_levels,
            second_levels=self.first_levels,
            cells=self.cells[::-1],
            differences=tuple(-value for value in self.differences),
            low=low,
            high=high,
            welch=self.welch and replace(self.welch, difference=-self.welch.difference),
        )

    @property
    def question(self) -> str:
        """The contrast without its result, such as `bn vs gn at l1=1e-05`."""
        first, second = self.labels
        return f"{first} vs {second}{self.place}"

    @property
    def labels(self) -> tuple[str, str]:
        """The names of both levels, such as `bn` or `l1=1e-05`."""
        prefix = "" if self.factor in ("norm", CELL) or self.is_interaction else f"{self.factor}="
        return prefix + self.first, prefix + self.second

    @property
    def place(self) -> str:
        """The setting and the dataset, such as ` at l1=1e-05 on mnist`; empty for an average on the only dataset."""
        setting = f" at {self.setting}" if self.setting else ""
        return f"{setting} on {self.dataset}" if self.dataset else setting

    @property
    def scope_text(self) -> str:
        """The settings that the contrast covers, such as `, averaged over l1 (2 settings)`."""
        if self.settings > 1:
            return f"{self.place}, averaged over {joined(self.averaged_over)} ({counted(self.settings, 'setting')})"
        return self.place + (f", at one setting of {joined(self.averaged_over)}" if self.averaged_over else "")

    @property
    def size_text(self) -> str:
        """The difference and its interval, such as `0.12 points [0.03, 0.21]`."""
        ends = "" if self.low is None or self.high is None else f" {self.measure.interval_text(self.low, self.high)}"
        return f"{self.measure.difference_text(self.difference)}{ends}"

    @property
    def result_text(self) -> str:
        """The result, without the settings and the number of seeds."""
        turned = self.better_first
        first, second = turned.labels
        if self.identical:
            return f"{first} and {second} give bit-identical results with the same seed"
        if self.is_interaction:
            step = f"the step from {second} to {first} differs by {turned.size_text}"
            return f"{self.factor}: {step} from the sum of its two single steps"
        if self.outcome == "better":
            return f"{first} is better than {second} by {turned.size_text}"
        equal = f"are equal within {self.measure.difference_text(self.equal_within)}"
        verb = equal if self.outcome == "equal" else "are open"
        return f"{first} and {second} {verb}: {turned.size_text}"

    @property
    def sentence(self) -> str:
        """The result as a sentence."""
        scope_text = "" if self.is_interaction else self.scope_text
        return f"{self.result_text}{scope_text} ({counted(self.n, 'seed')}{', not shared' if self.welch else ''})"
