"""Selects the runs that allow fair means over a grid when other runs are missing."""

from collections.abc import Iterable, Sequence

import pandas as pd

from src.runs.identity import applies


def averaged_keys(runs: pd.DataFrame, other_keys: Iterable[str], fixed_keys: Sequence[str]) -> list[str]:
    """The keys in `other_keys` that a mean at each combination of the values of `fixed_keys` averages over.

    These keys have several values at some combination.  A key with one value at each combination is not averaged:
    for example, every optimizer can have a learning rate of its own.
    """
    combination = _combinations(runs, fixed_keys)
    return [path for path in other_keys if (_value_texts(runs, path).groupby(combination).nunique() > 1).any()]


def balanced_runs(runs: pd.DataFrame, other_keys: Iterable[str], fixed_keys: Sequence[str]) -> pd.DataFrame:
    """The runs whose values of `other_keys` exist, on the same dataset, at every combination of `fixed_keys`.

    Means over these runs are fair, because a missing run makes no combination look better or worse.
    """
    combination = _combinations(runs, fixed_keys)
    setting = _combinations(runs, averaged_keys(runs, other_keys, fixed_keys))
    is_everywhere = combination.groupby([setting, runs["dataset"]]).transform("nunique") == combination.nunique()
    balanced: pd.DataFrame = runs.loc[is_everywhere]
    return balanced


def _combinations(runs: pd.DataFrame, paths: Iterable[str]) -> "pd.Series[str]":
    """The values of the keys in each run, joined to one text."""
    texts = pd.Series("", index=runs.index, dtype=str)
    for path in paths:
        texts = texts + "\0" + _value_texts(runs, path)
    return texts


def _value_texts(runs: pd.DataFrame, path: str) -> "pd.Series[str]":
    """The value of a key in each run, as text; empty where the options of a run do not read the key."""
    option = f"{path.partition('.')[0]}.name"
    option_names = runs.get(option, runs[path])  # a key such as `epochs` belongs to no option group
    reads_key = {name: applies(path, {option: name}) for name in option_names.unique()}
    texts: pd.Series[str] = runs[path].map(repr).where(option_names.map(reads_key).astype(bool), "")
    return texts
