"""Sorts runs that normlab did not train into cells, and refuses runs that cannot be compared."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from src.bad_input import BadInput
from src.runs.naming import format_value, short_name
from src.wording import counted, joined, shorten

Level = float | str | None
"""The value of a factor; None if a run has no value, because its method does not have this setting."""
MISSING = {"", "nan", "na", "none", "null"}  # what programs write where a failed run has no metric
MAX_NAMED = 12  # columns that a refusal names


@dataclass(frozen=True)
class ExternalRun:
    """A run of another program."""

    name: str  # for messages, such as `line 3`
    value: float  # the metric; NaN if the run failed
    seed: str
    settings: Mapping[str, str]  # by the name of the column or parameter; without empty values


@dataclass(frozen=True)
class ExternalRuns:
    """The runs of a comparison, with the cell of each run."""

    source: str  # where the runs come from, such as `runs.csv`
    metric: str
    by: str  # the column or parameter that holds the seed
    factors: tuple[str, ...]  # the columns or parameters that distinguish the cells
    runs: tuple[ExternalRun, ...]
    levels: tuple[tuple[Level, ...], ...]  # for each run, its value of each factor
    lower_is_better: bool
    left_out: tuple[str, ...] = ()  # sentences about runs that are not compared

    @property
    def cells(self) -> list[str]:
        """The name of the cell of each run."""
        return [cell_name(levels, self.factors) for levels in self.levels]


def cell_name(levels: Sequence[Level], factors: Sequence[str]) -> str:
    """Return the name of a cell, such as `bn l1=0`: the norm without its key, and all other values with theirs."""
    names = [short_name(factor, factors) for factor in factors]
    pairs = [(name, format_value(level)) for name, level in zip(names, levels, strict=True) if level is not None]
    return " ".join(text if name == "norm" else f"{name}={text}" for name, text in pairs) or "-"


def number_in(text: str) -> float | None:
    """Return the number that a text holds; None for any other text."""
    try:
        return None if "_" in text else float(text)
    except ValueError:
        return None


def make_run(name: str, value: float, seed: str, settings: Mapping[str, str]) -> ExternalRun:
    """Return a run; an infinite value becomes NaN, and settings without a value are left out.

    The seeds 0 and 0.0 are the same, because pandas writes integers as 0.0 into a column with a missing value.
    """
    number = number_in(seed)
    seed = str(int(number)) if number is not None and number.is_integer() else clean_text(seed)
    texts = {clean_text(key): clean_text(text) for key, text in settings.items()}
    settings = {key: text for key, text in texts.items() if text and text.lower() != "nan"}
    return ExternalRun(name, value if math.isfinite(value) else math.nan, seed, settings)


def clean_text(text: str) -> str:
    """Return a name or value on one line, without the characters that separate names in sentences."""
    line = "".join(letter for letter in " ".join(text.split()) if letter.isprintable())
    return line.replace(", ", ",").replace(" x ", "*")


def sort_into_cells(
    source: str,
    metric: str,
    by: str,
    runs: Sequence[ExternalRun],
    factors: Sequence[str] = (),
    *,
    lower_is_better: bool = False,
    left_out: Sequence[str] = (),
) -> ExternalRuns:
    """Return the runs with their cells.  Without `factors`, all settings that vary distinguish the cells.

    Raises BadInput if two runs have the same cell and seed, if there are fewer than two cells or no cell with two
    seeds, or if no run has a value.
    """
    columns = list(dict.fromkeys(name for run in runs for name in run.settings))
    values = {name: _convert([run.settings.get(name) for run in runs]) for name in columns}
    for name in factors:
        if name not in values:
            raise BadInput(f"{source} has no settings named {name}", _names(columns), "--factors NAME,NAME")
    chosen = tuple(factors) or tuple(_varying(values))
    levels = [tuple(values[name][row] for name in chosen) for row in range(len(runs))]
    external = ExternalRuns(source, metric, by, chosen, tuple(runs), tuple(levels), lower_is_better, tuple(left_out))
    _check_cells(external, columns)
    _check_duplicates(external, values)
    _check_seeds(external, values)
    return external


def _convert(texts: Sequence[str | None]) -> list[Level]:
    """Return a column's values: numbers if all of them are numbers, otherwise texts."""
    numbers = [None if text is None else number_in(text) for text in texts]
    if any(number is None or math.isnan(number) for number, text in zip(numbers, texts, strict=True) if text):
        return list(texts)
    return list(numbers)


def _varying(values: Mapping[str, Sequence[Level]]) -> list[str]:
    """The columns with several values.

    A column with one value that only some runs have, such as the number of groups of GroupNorm, varies only if the
    columns with several values do not say which runs have it.
    """
    several = [name for name, column in values.items() if len({*column} - {None}) > 1]
    cells = list(zip(*(values[name] for name in several), strict=True)) or [()] * max(
        map(len, values.values()), default=0
    )
    partial = [name for name, column in values.items() if name not in several and None in column]
    told = {name: len({*zip(cells, values[name], strict=True)}) == len({*cells}) for name in partial}
    return [name for name in values if name in several or not told.get(name, True)]


def _check_cells(external: ExternalRuns, columns: Sequence[str]) -> None:
    if all(math.isnan(run.value) for run in external.runs):
        raise BadInput(f"no run in {external.source} has a value of {external.metric}", "runs with a number")
    if len({*external.levels}) < 2:
        problem = f"all {counted(len(external.runs), 'run')} in {external.source} have the same settings"
        names = joined(list(external.factors or columns), MAX_NAMED) or "none"
        raise BadInput(problem, f"runs of two methods or more, and a setting that tells them apart (now: {names})")


def _check_duplicates(external: ExternalRuns, values: Mapping[str, Sequence[Level]]) -> None:
    first_rows: dict[object, int] = {}
    for row, (run, levels) in enumerate(zip(external.runs, external.levels, strict=True)):
        first = first_rows.setdefault((levels, run.seed), row)
        if first == row:
            continue
        cell, names = external.cells[row], f"{external.runs[first].name} and {run.name}"
        differing = [name for name, column in values.items() if column[first] != column[row]]
        problem = f"{names} both have {external.by}={run.seed} in the cell {cell}"
        if differing:
            more = ",".join([*external.factors, *differing[:1]])
            raise BadInput(
                problem, f"one run per cell and seed; they differ in {_names(differing)}", f"--factors {more}"
            )
        raise BadInput(problem, "one run per cell and seed")


def _check_seeds(external: ExternalRuns, values: Mapping[str, Sequence[Level]]) -> None:
    """Raise BadInput if no cell has two seeds, with the highest value, which is all that such runs show."""
    cells = external.cells
    if len({*cells}) < len(cells):
        return
    sign = -1 if external.lower_is_better else 1
    best = max(
        (row for row, run in enumerate(external.runs) if not math.isnan(run.value)),
        key=lambda row: sign * external.runs[row].value,
    )
    superlative = "lowest" if external.lower_is_better else "highest"
    problem = (
        f"each cell has one {external.by}, so nothing can be said about methods; the {superlative} {external.metric} "
        f"is {external.runs[best].value:g} ({cells[best]})"
    )
    per_run = [name for name in external.factors if len({*values[name]}) > max(2, len(cells) / 2)]
    kept = [name for name in external.factors if name not in per_run]
    if per_run and kept:
        different = f"{_names(per_run)} {'differs' if len(per_run) == 1 else 'differ'} in most runs; name the factors"
        raise BadInput(problem, f"2 seeds or more for each cell; {different}", f"--factors {','.join(kept)}")
    raise BadInput(problem, f"2 different values of {external.by} or more for each cell; 5 are better")


def _names(names: Iterable[str]) -> str:
    return ", ".join(shorten(names, MAX_NAMED)) or "none"
