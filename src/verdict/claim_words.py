"""Writes the outcomes of a paper's claims as sentences."""

from collections import Counter
from collections.abc import Sequence

from src.runs.paper import MEASURES, X_SCALES, Claim, Paper
from src.verdict.claims import FAILS, HOLDS, UNKNOWN, JudgedClaim
from src.wording import counted, joined

VERBS = {HOLDS: ("holds", "hold"), FAILS: ("does not hold", "do not hold"), UNKNOWN: ("is undecided", "are undecided")}
NAMES = {
    "mean": ("mean", "means"),
    "slope": ("slope", "slopes"),
    "rank_correlation": ("rank correlation", "rank correlations"),
    "largest_trained": ("largest x that trains", "the largest x"),
    "explained": ("explained share", "explained shares"),
    "shift_of_best": ("shift of the best strength", "shifts of the best strength"),
    "variance_ratio": ("variance ratio", "variance ratios"),
}
"""The name of each kind's quantity, and its plural."""
NO_UNIT = ("rank_correlation", "explained", "shift_of_best", "variance_ratio")


def claim_lines(paper: Paper, claims: Sequence[JudgedClaim]) -> list[str]:
    """A line that counts the outcomes, and a line per claim with its number and interval."""
    counts = Counter(item.outcome for item in claims)
    texts = [f"{counts[outcome]} {verbs[counts[outcome] != 1]}" for outcome, verbs in VERBS.items() if counts[outcome]]
    first = f"{paper.title} ({paper.source}): of {counted(len(claims), 'claim')}, {joined(texts)}"
    return [first, *(claim_sentence(paper, item) for item in claims)]


def claim_sentence(paper: Paper, item: JudgedClaim) -> str:
    """A claim with its outcome, such as `Holds: the error of bn rises ...: slope -0.42 [-0.55, -0.30] points ...`."""
    start = f"{item.outcome.capitalize()}: {item.claim.text}"
    if item.interval is None:
        return f"{start}: {item.reason}"
    numbers = f"{estimate_text(item)}{unit_text(paper, item.claim)}, claimed {bound_text(item.claim)}"
    return f"{start}: {name_text(item.claim)} {numbers} ({seeds_text(item)})"


def name_text(claim: Claim) -> str:
    """The name of a claim's quantity, such as `difference of slopes`."""
    name, plural = NAMES[claim.kind]
    if claim.plus:
        return f"difference of differences of {plural}"
    if claim.minus:
        return f"difference of {plural}"
    return f"ratio of {plural}" if claim.over is not None else name


def estimate_text(item: JudgedClaim) -> str:
    """The estimate and its interval, such as `-0.42 [-0.55, -0.30]`; empty without an interval."""
    if item.interval is None:
        return ""
    estimate, low, high = (f"{value:.2f}" if abs(value) >= 0.095 else f"{value:.2g}" for value in item.interval)
    return f"{estimate} [{low}, {high}]"


def unit_text(paper: Paper, claim: Claim) -> str:
    """The unit of a claim's quantity after a space, such as ` points per doubling`; empty for a pure number."""
    if claim.kind in NO_UNIT or claim.over is not None:
        return ""
    step = X_SCALES[paper.x_scale] or f"unit of {' * '.join(paper.x)}"
    if claim.kind == "largest_trained":
        return {"log2": " doublings", "log10": " powers of ten"}.get(paper.x_scale, "")
    return f" {MEASURES[claim.measure]}" + (f" per {step}" if claim.kind == "slope" else "")


def bound_text(claim: Claim) -> str:
    """The claimed bounds, such as `at most 0` or `from -0.25 to 0.25`."""
    if claim.at_least is not None and claim.at_most is not None:
        return f"from {claim.at_least:g} to {claim.at_most:g}"
    return f"at least {claim.at_least:g}" if claim.at_least is not None else f"at most {claim.at_most:g}"


def seeds_text(item: JudgedClaim) -> str:
    """The number of seeds, how many seeds lack runs, and how many seeds would probably decide an open claim."""
    missing = f"; {counted(item.left_out, 'seed')} without all runs" if item.left_out else ""
    more = f"; about {item.seeds_to_decide} would probably decide it" if item.seeds_to_decide else ""
    return f"{counted(item.seeds, 'seed')}{missing}{more}"


def basis_lines(claims: Sequence[JudgedClaim]) -> list[str]:
    """The sentences that explain how the outcomes were found."""
    alpha = claims[0].alpha
    return [
        f"In at least {100 * (1 - alpha * len(claims)):.4g} % of sweeps, no outcome of these claims is false.  This "
        "guarantee is separate from that of the differences below.",
        f"Each interval misses the true value with a probability of at most {100 * alpha:.3g} % (Bonferroni's "
        f"correction for {counted(len(claims), 'claim')}).",
        "A claim holds if its interval lies within the claimed bounds, and does not hold if it lies outside.",
        "Intervals are t intervals over seeds.  They assume independent seeds and normal quantities.  A ratio has "
        "Fieller's interval, and a variance has a chi-square interval.",
        "A seed counts only if it has all runs that a claim needs.",
    ]
