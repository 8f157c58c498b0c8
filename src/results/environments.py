"""Where the compared runs were trained, as far as that changes the last bits of their results."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from src.results.records import Records
from src.runs.environment import VARIABLES
from src.runs.folder import FinishedJob
from src.wording import counted, joined

UNSET = "not set"
HARDWARE = ("torch", "device", "cpu", "gpu", "cpu capability")
Environment = tuple[tuple[str, str], ...]
"""What changes bits, by name; a run that was resumed elsewhere has several values of one name."""


@dataclass(frozen=True)
class OtherEnvironments:
    """The runs whose environment differs from that of most runs."""

    runs: frozenset[str]  # by name
    words: str  # what differs; empty where nothing does


def bit_changing(jobs: Sequence[FinishedJob]) -> list[Environment]:
    """Each job's environment, reduced to what can change bits.

    A name of `HARDWARE` counts only if every job recorded it: older versions recorded less.
    """
    places = [job.environments for job in jobs]
    recorded = [name for name in HARDWARE if all(name in place for each in places for place in each)]
    found = []
    for each in places:
        pairs = {(name, str(place[name])) for place in each for name in recorded}
        pairs |= {(name, str(place[name])) for place in each for name in VARIABLES if name in place}
        found.append(tuple(sorted(pairs)))
    return found


def other_environments(records: Records) -> OtherEnvironments:
    """The runs that were trained elsewhere than most; of equally frequent environments the first counts as most."""
    named = [(cell.name(job), job) for cell in records.cells for job in cell.jobs]
    environments = bit_changing([job for _, job in named])
    often = Counter(environments)
    if len(often) < 2:
        return OtherEnvironments(frozenset(), "")
    usual = often.most_common(1)[0][0]
    others = frozenset(name for (name, _), place in zip(named, environments, strict=True) if place != usual)
    return OtherEnvironments(others, _differences(usual, often))


def _differences(usual: Environment, often: Counter[Environment]) -> str:
    """Such as `torch 2.13.0 in place of 2.14.0 (2 runs)`."""
    values: dict[str, Counter[str]] = {}
    for place, runs in often.items():
        for name in dict(set(place) ^ set(usual)):
            values.setdefault(name, Counter())[_value(name, place)] += runs
    return joined(
        [
            f"{name} {value} in place of {_value(name, usual)} ({counted(runs, 'run')})"
            for name, counts in sorted(values.items())
            for value, runs in counts.items()
        ],
        6,
    )


def _value(name: str, place: Environment) -> str:
    return " and ".join(value for other, value in place if other == name) or UNSET
