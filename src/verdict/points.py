"""Writes differences of accuracies (0 to 1) in percentage points."""


def points(difference: float) -> str:
    """Two decimals, or one significant digit of a smaller difference."""
    rounded = f"{100 * difference:.2f}"
    if float(rounded) == 0:
        return f"{100 * difference:.1g}" if abs(difference) > 1e-9 else "0"
    return rounded


def hundredths(share: float, sign: bool = False) -> str:
    """A share from 0 to 1 in percent, with two decimals; with `sign`, zero is +0.00."""
    value = round(100 * share, 2) + 0.0
    return f"{value:+.2f}" if sign else f"{value:.2f}"


def interval(low: float, high: float) -> str:
    """Such as `[0.08, 0.33]`."""
    return f"[{points(low)}, {points(high)}]"


def by(difference: float, low: float, high: float) -> str:
    """The size of a difference without its sign: `0.21 points [0.08, 0.33]` for -0.0021 as for 0.0021."""
    ends = interval(low, high) if difference >= 0 else interval(-high, -low)
    return f"{points(abs(difference))} points {ends}"
