"""Finds runs that used another environment than most runs.  Only differences that can change results count."""

from collections import Counter

from src.results.frames import Environment
from src.results.results import Results
from src.wording import counted, joined

UNSET = "not set"


def environment_differences(results: Results) -> tuple[frozenset[str], str]:
    """The names of runs that did not use the most frequent environment, and the differences between environments."""
    runs = results.runs
    frequency = Counter(runs["environment"])
    if len(frequency) < 2:
        return frozenset(), ""
    usual_environment = frequency.most_common(1)[0][0]
    different_runs = runs.loc[[environment != usual_environment for environment in runs["environment"]], "run"]
    return frozenset(different_runs), _differences_text(usual_environment, frequency)


def _differences_text(usual_environment: Environment, frequency: Counter[Environment]) -> str:
    """List the differences from the usual environment, such as `torch 2.13.0 instead of 2.14.0 (2 runs)`."""
    values: Counter[tuple[str, str]] = Counter()
    for environment, runs in frequency.items():
        for name in dict(set(environment) ^ set(usual_environment)):
            values[name, _value_text(name, environment)] += runs
    differences = [
        f"{name} {value} instead of {_value_text(name, usual_environment)} ({counted(runs, 'run')})"
        for (name, value), runs in sorted(values.items(), key=lambda item: item[0][0])
    ]
    return joined(differences, 6)


def _value_text(name: str, environment: Environment) -> str:
    return " and ".join(value for key, value in environment if key == name) or UNSET
