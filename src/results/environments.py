"""Finds the runs that were trained in another environment, if it can change the last bits of their results."""

from collections import Counter

from src.results.frames import Environment
from src.results.results import Results
from src.wording import counted, joined

UNSET = "not set"


def other_environments(results: Results) -> tuple[frozenset[str], str]:
    """The names of the runs outside the most frequent environment (on a tie, the first), and the differences."""
    runs = results.runs
    frequency = Counter(runs["environment"])
    if len(frequency) < 2:
        return frozenset(), ""
    usual = frequency.most_common(1)[0][0]
    others = runs.loc[[environment != usual for environment in runs["environment"]], "run"]
    return frozenset(others), _differences(usual, frequency)


def _differences(usual: Environment, frequency: Counter[Environment]) -> str:
    """Such as `torch 2.13.0 in place of 2.14.0 (2 runs)`."""
    values: Counter[tuple[str, str]] = Counter()
    for environment, runs in frequency.items():
        for name in dict(set(environment) ^ set(usual)):
            values[name, _value(name, environment)] += runs
    differences = [
        f"{name} {value} in place of {_value(name, usual)} ({counted(runs, 'run')})"
        for (name, value), runs in sorted(values.items(), key=lambda item: item[0][0])
    ]
    return joined(differences, 6)


def _value(name: str, environment: Environment) -> str:
    return " and ".join(value for other, value in environment if other == name) or UNSET
