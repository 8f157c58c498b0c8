"""Finds the part of a grid that a fair mean can cover when some runs are missing."""

from collections.abc import Iterable, Sequence

import pandas as pd

from src.runs.identity import applies


def averaged_keys(runs: pd.DataFrame, others: Iterable[str], at: Sequence[str]) -> list[str]:
    """The keys among `others` that take several values at some combination of the keys `at`.

    A mean at each combination goes over these keys.  A key with one value at each combination belongs to the
    combination, as a learning rate can belong to its optimizer.
    """
    place = _combinations(runs, at)
    return [path for path in others if (_values(runs, path).groupby(place).nunique() > 1).any()]


def balanced_runs(runs: pd.DataFrame, others: Iterable[str], at: Sequence[str]) -> pd.DataFrame:
    """The runs with settings of `others` that exist, on the same dataset, at every combination of the keys `at`.

    A mean over `others` is fair for these runs: a missing run makes no combination look better or worse.
    """
    place = _combinations(runs, at)
    rest = _combinations(runs, averaged_keys(runs, others, at))
    everywhere = place.groupby([rest, runs["dataset"]]).transform("nunique") == place.nunique()
    balanced: pd.DataFrame = runs.loc[everywhere]
    return balanced


def _combinations(runs: pd.DataFrame, paths: Iterable[str]) -> "pd.Series[str]":
    """Each run's values of the keys, as one text."""
    texts = pd.Series("", index=runs.index, dtype=str)
    for path in paths:
        texts = texts + "\0" + _values(runs, path)
    return texts


def _values(runs: pd.DataFrame, path: str) -> "pd.Series[str]":
    """Each run's value of a key as text; empty if the run's options do not read the key."""
    option = f"{path.partition('.')[0]}.name"
    names = runs.get(option, runs[path])  # a key such as `epochs` belongs to no option
    reads = {name: applies(path, {option: name}) for name in names.unique()}
    texts: pd.Series[str] = runs[path].map(repr).where(names.map(reads).astype(bool), "")
    return texts
