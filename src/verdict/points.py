"""Writes differences of accuracies (0 to 1) in percentage points."""


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


def interval_text(low: float, high: float) -> str:
    """The ends of an interval in points, such as `[0.08, 0.33]`."""
    return f"[{points_text(low)}, {points_text(high)}]"
