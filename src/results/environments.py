"""Where the compared runs were trained, as far as that changes the last bits of their results."""

from collections import Counter
from dataclasses import dataclass

from src.results.frames import Environment
from src.results.results import Results
from src.wording import counted, joined

UNSET = "not set"


@dataclass(frozen=True)
class OtherEnvironments:
    """The runs that were trained in another environment than most runs."""

    runs: frozenset[str]  # by name
    words: str  # the differences; empty where there is none


def other_environments(results: Results) -> OtherEnvironments:
    """The runs outside the most frequent environment; among equally frequent ones, the first counts."""
    runs = results.runs
    frequency = Counter(runs["environment"])
    if len(frequency) < 2:
        return OtherEnvironments(frozenset(), "")
    usual = frequency.most_common(1)[0][0]
    others = runs.loc[[environment != usual for environment in runs["environment"]], "run"]
    return OtherEnvironments(frozenset(others), _differences(usual, frequency))


def _differences(usual: Environment, frequency: Counter[Environment]) -> str:
    """Such as `torch 2.13.0 in place of 2.14.0 (2 runs)`."""
    values: dict[str, Counter[str]] = {}
    for environment, runs in frequency.items():
        for name in dict(set(environment) ^ set(usual)):
            values.setdefault(name, Counter())[_value(name, environment)] += runs
    differences = [
        f"{name} {value} in place of {_value(name, usual)} ({counted(runs, 'run')})"
        for name, counts in sorted(values.items())
        for value, runs in counts.items()
    ]
    return joined(differences, 6)


def _value(name: str, environment: Environment) -> str:
    return " and ".join(value for other, value in environment if other == name) or UNSET
