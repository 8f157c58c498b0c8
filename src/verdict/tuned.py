"""Shows each value of a key with the best values of all other keys, chosen by validation accuracy."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from src.bad_input import BadInput
from src.results.results import Results
from src.results.statistics import ALPHA
from src.runs.naming import format_value, short_name
from src.verdict.accuracies import NOT_READ, Accuracies, level_sort_key
from src.verdict.best import Best, find_best
from src.verdict.points import points_text
from src.verdict.verdicts import Verdicts
from src.wording import counted, joined

MAX_NAMED = 4  # values that a sentence names


@dataclass(frozen=True)
class TunedLevel:
    """A level of a factor with the cell that validation chooses for it; accuracies go from 0 to 1."""

    level: str
    cell: str  # the cell with the highest mean validation accuracy
    settings: int  # number of cells with this level among which validation chooses: those with the most seeds
    validation: float
    test: float
    behind: float  # the cell is at most this much behind the best cell of all levels
    may_be_best: bool  # whether the best cell may have this level


@dataclass(frozen=True)
class Tuned:
    """The values of a key, each with the cell that validation chooses, and the values that the best cell may have."""

    key: str
    levels: tuple[TunedLevel, ...]
    sentences: tuple[str, ...]

    @property
    def lines(self) -> list[str]:
        """A line for each value."""
        return [
            f"{row.level}: {row.cell}, test {100 * row.test:.2f} %"
            + (f", at most {points_text(row.behind)} points behind the best" if 0 < row.behind < 1 else "")
            + f" (validation {100 * row.validation:.2f} %, the highest of {counted(row.settings, 'cell')})"
            for row in self.levels
        ]


def tune_values(results: Results, key: str, verdicts: Verdicts) -> Tuned:
    """Return each value of a key with the cell that validation chooses for it.

    `key` is a dotted key, or its last part: `norm`, `l1`.  Raises BadInput for a key that does not vary.
    """
    path = _dotted_key(results, key)
    position, name = results.varies.index(path), short_name(path, results.varies)
    levels, sentences = list[TunedLevel](), list[str]()
    tables = {table.dataset: table for table in verdicts.tables}
    # With one seed, every cell may be the best.
    for best in verdicts.best or [find_best(table, ALPHA, verdicts.promise.equal_within) for table in verdicts.tables]:
        table = tables[best.dataset]
        dataset_text = f" on {table.dataset}" if len(verdicts.tables) > 1 else ""
        rows, unread_may_be_best = _tuned_levels(table, best, position)
        levels += [replace(row, level=row.level + dataset_text) for row in rows]
        values = [f"{name}={row.level}" for row in rows if row.may_be_best] + [f"no {name}"] * unread_may_be_best
        verb = "has" if len(values) == 1 else "may have"
        sentences += [f"The best cell{dataset_text} {verb} {joined(values, MAX_NAMED, 'or')}."] if verdicts.best else []
    if not verdicts.tables:
        sentences.append("This sweep compares no methods.")
    elif not verdicts.best:
        sentences.append(
            f"With one seed, this compares only these trained networks, and says nothing general about {name}."
        )
    return Tuned(path, tuple(levels), tuple(sentences))


def _tuned_levels(table: Accuracies, best: Best, position: int) -> tuple[list[TunedLevel], bool]:
    """The values of the key at `position`, ascending, and whether a cell that does not read the key may be the best."""
    cells_by_value: dict[object, list[str]] = {}
    for cell, levels in zip(table.cells, table.levels, strict=True):
        if cell in best.behind:
            cells_by_value.setdefault(levels[position], []).append(cell)
    cells_without_key = cells_by_value.pop(NOT_READ, [])
    level_cells = {format_value(value): cells_by_value[value] for value in sorted(cells_by_value, key=level_sort_key)}
    return tuned_levels(best, level_cells, table), any(cell in best.candidates for cell in cells_without_key)


def tuned_levels(best: Best, cells_by_level: Mapping[str, Sequence[str]], table: Accuracies) -> list[TunedLevel]:
    """Return each level with its best other settings, chosen by validation.

    `cells_by_level` lists the cells with each level.  If all cells that may be the best have one level, this level is
    the best one when every level may choose its settings, however many settings it has to choose from: the sentence
    about cells in `best` says so already, so it needs no further test.
    """
    row_by_cell = {cell: position for position, cell in enumerate(table.cells)}
    max_seeds = int(table.seed_counts.max())
    tuned = []
    for level, cells in cells_by_level.items():
        ranked = [cell for cell in best.cells if cell in cells]  # by validation accuracy
        complete = [cell for cell in ranked if table.seed_counts[row_by_cell[cell]] == max_seeds]
        cell = (complete or ranked)[0]
        tuned.append(
            TunedLevel(
                level,
                cell,
                max(len(complete), 1),
                float(table.validation_means[row_by_cell[cell]]),
                float(table.means[row_by_cell[cell]]),
                best.behind[cell],
                any(candidate in cells for candidate in best.candidates),
            )
        )
    return tuned


def _dotted_key(results: Results, key: str) -> str:
    varies = results.varies
    matches = [path for path in varies if key in (path, path.removesuffix(".name"), path.rpartition(".")[2])]
    if len(matches) == 1:
        return matches[0]
    names = [short_name(path, varies) for path in varies]
    problem = f"--tuned {key} is {' or '.join(matches)}" if matches else f"--tuned {key}: this key does not vary"
    allowed = ", ".join(names) or "a key that the sweep varies"
    raise BadInput(problem, allowed, f"--tuned {(matches or names or ['norm'])[0]}")
