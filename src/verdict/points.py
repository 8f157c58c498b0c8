"""Writes accuracies (0 to 1) and their differences in percentage points, and other metrics in their own unit."""

from dataclasses import dataclass


def points_text(difference: float) -> str:
    """A difference in points with two decimals, or with one significant digit if it is below 0.005 points."""
    rounded = f"{100 * difference:.2f}"
    if float(rounded) == 0:
        return f"{100 * difference:.1g}" if abs(difference) > 1e-9 else "0"
    return rounded


def percent_text(share: float, sign: bool = False) -> str:
    """A share from 0 to 1 in percent, with two decimals.  With `sign`, positive values and zero get a plus."""
    value = round(100 * share, 2) + 0.0
    return f"{value:+.2f}" if sign else f"{value:.2f}"


@dataclass(frozen=True)
class Measure:
    """The metric that a comparison compares, and how sentences write it."""

    name: str = "test accuracy"
    in_points: bool = True  # values go from 0 to 1, and differences are written in percentage points
    lower_is_better: bool = False  # then the compared values are those of the metric with the other sign

    @property
    def unit(self) -> str:
        """The unit of a difference, such as ` points`; empty for a metric in its own unit."""
        return " points" if self.in_points else ""

    @property
    def scale(self) -> float:
        """The factor from a difference to its number in sentences and figures."""
        return 100.0 if self.in_points else 1.0

    def number_text(self, difference: float) -> str:
        """A difference without its unit: points with two decimals, or three significant digits in the own unit."""
        return points_text(difference) if self.in_points else f"{difference:.3g}"

    def difference_text(self, difference: float) -> str:
        """A difference, such as `0.12 points`."""
        return f"{self.number_text(difference)}{self.unit}"

    def interval_text(self, low: float, high: float) -> str:
        """The ends of an interval, such as `[0.08, 0.33]`."""
        return f"[{self.number_text(low)}, {self.number_text(high)}]"


ACCURACY = Measure()
