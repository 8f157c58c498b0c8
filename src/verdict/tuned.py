"""Compares the values of a key, each with the best values of all other keys, chosen by validation accuracy."""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from src.bad_input import BadInput
from src.results.results import Results
from src.runs.identity import applies
from src.runs.naming import format_value, short_name
from src.verdict.pairs import Pair
from src.verdict.pairwise import as_pairs, compare_cells
from src.verdict.statistics import Bools, Summary, summarise
from src.wording import counted, joined


@dataclass(frozen=True)
class TunedLevel:
    """A value (level) of a key, and the cell chosen for it by validation accuracy; accuracies go from 0 to 1."""

    level: str
    cell: str  # the chosen cell
    settings: int  # number of cells from which it was chosen
    runs: int  # number of finished runs of these cells
    validation: float  # mean validation accuracy of the chosen cell over its seeds
    test: Summary


@dataclass(frozen=True)
class Tuned:
    """For each value of a key, its best cell by validation accuracy, and how these cells compare on the test images."""

    key: str
    rows: tuple[TunedLevel, ...]
    pairs: tuple[Pair, ...]  # all pairs of chosen cells; Holm's correction covers only these pairs
    sentences: tuple[str, ...]


def tuned(results: Results, key: str, correct_by_run: Mapping[str, Bools] | None = None) -> Tuned:
    """Choose the cell with the highest mean validation accuracy for each value of a key, and compare the chosen cells.

    `key` is a dotted key, or its last part: `norm`, `l1`.  `correct_by_run` maps run names to arrays that mark
    correctly classified test images; cells with one seed need it.  Raises BadInput for a key that does not vary.
    """
    path, runs = _dotted_key(results, key), results.runs
    levels: dict[tuple[str, Any], list[dict[Hashable, Any]]] = {}
    for cell in runs.drop_duplicates("cell").to_dict("records"):
        if applies(path, cell):
            levels.setdefault((cell["dataset"], cell[path]), []).append(cell)
    several_datasets = len({dataset for dataset, _ in levels}) > 1
    validation = {str(cell): float(np.mean(values)) for cell, values in runs.groupby("cell")["val/accuracy"]}
    rows, ties = [], []
    for (_, value), cells in levels.items():
        names = [cell["cell"] for cell in cells]
        best = max(names, key=validation.__getitem__)
        rows.append(
            TunedLevel(
                level=format_value(value) + (f" on {cells[0]['dataset_name']}" if several_datasets else ""),
                cell=best,
                settings=len(cells),
                runs=int(runs["cell"].isin(names).sum()),
                validation=validation[best],
                test=summarise(runs.loc[runs["cell"] == best, "test/accuracy"].tolist()),
            )
        )
        tied = [name for name in names if validation[name] == validation[best]]
        if len(tied) > 1:
            ties.append(f"{joined(tied)} have the same mean validation accuracy; the first one is chosen.")
    pairs = as_pairs(compare_cells(results, correct_by_run or {}, [row.cell for row in rows]))
    name = short_name(path, results.varies)
    selection_rule = (
        f"For each value of {name}, the cell with the highest mean validation accuracy is chosen, and its test "
        "accuracy is reported.  The same runs serve both purposes, so a lucky seed counts twice."
    )
    budget = _budget_sentence(name, rows, len(results.unfinished))
    return Tuned(path, tuple(rows), pairs, (selection_rule, budget, *ties, *(pair.words for pair in pairs)))


def _dotted_key(results: Results, key: str) -> str:
    varies = results.varies
    paths = [path for path in varies if key in (path, path.removesuffix(".name"), path.rpartition(".")[2])]
    if len(paths) == 1:
        return paths[0]
    names = [short_name(path, varies) for path in varies]
    problem = f"--tuned {key} is {' or '.join(paths)}" if paths else f"--tuned {key}: this key does not vary"
    allowed = ", ".join(names) or "a key that the sweep varies"
    raise BadInput(problem, allowed, f"--tuned {(paths or names or ['norm'])[0]}")


def _budget_sentence(name: str, rows: Sequence[TunedLevel], unfinished: int) -> str:
    budgets = [f"({counted(row.settings, 'setting')}, {counted(row.runs, 'run')})" for row in rows]
    if len(set(budgets)) == 1:
        return f"Every value of {name} has the same budget {budgets[0]}."
    listed = joined([f"{row.level} {budget}" for row, budget in zip(rows, budgets, strict=True)], 8)
    if unfinished:
        return f"Without {counted(unfinished, 'unfinished run')}, the cells were chosen from unequal numbers: {listed}."
    return f"Unequal budgets favour the value of {name} with more settings to choose from: {listed}."
