"""The grid that a command requests: every combination of its words' values with the lines of `sweep.cells`."""

import json
import math
import re
import shlex
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from src.bad_input import LONGEST_LINE, BadInput
from src.command import command_name
from src.config import KEYS, Config
from src.sweep.overrides import check_override_words, check_overrides, list_combinations, value_count
from src.sweep.plain_words import AnyOverride
from src.sweep.suggestions import Groups, can_be_swept

# A word of a line in `sweep.cells`: no spaces, except inside quotes or brackets.
CELL_WORD = re.compile(r"""(?:"[^"]*"|'[^']*'|\([^()]*\)|\[[^\[\]]*\]|\S)+""")


@dataclass(frozen=True)
class CellLine:
    """A line of `sweep.cells`, which lists one or more combinations."""

    location: str  # the line as an error message shows it
    overrides: Sequence[AnyOverride]


@dataclass(frozen=True)
class RequestedGrid:
    """A grid that is not yet expanded into combinations."""

    overrides: Sequence[AnyOverride]  # without `sweep.cells`
    cells: Sequence[CellLine]
    config: Config  # only the keys with one value are set
    looks: tuple[int, ...] = ()  # the numbers of seeds at which seeds=auto compares; `overrides` has the last one

    @property
    def combination_count(self) -> int:
        """The number of combinations, computed without listing them."""
        count_in_cells = sum(math.prod(value_count(override) for override in cell.overrides) for cell in self.cells)
        return math.prod(value_count(override) for override in self.overrides) * (count_in_cells if self.cells else 1)

    def check_job_count(self, multirun: Path) -> None:
        """Raise BadInput, with the estimated time, if there are more combinations than `sweep.max_jobs`."""
        job_count, job_limit = self.combination_count, self.config.sweep.max_jobs
        if job_count > job_limit:  # checked first, because listing thousands of combinations is slow
            from src.sweep.pace import typical_seconds

            seconds = typical_seconds(multirun / "jobs")
            cost = f" (about {job_count * seconds / 3600:,.0f} hours at {seconds:.0f} s per job)" if seconds else ""
            at_last_look = f" at {self.looks[-1]} seeds" if self.looks else ""
            problem = f"{job_count:,} jobs{at_last_look}{cost} are more than sweep.max_jobs={job_limit}"
            raise BadInput(problem, "fewer combinations, or a higher limit", f"sweep.max_jobs={job_count}")

    def combinations(self) -> Iterator[tuple[dict[str, str], CellLine | None]]:
        """Yield every combination in Hydra's notation, with its line of `sweep.cells`, or None without such lines."""
        outside = list_combinations(self.overrides)
        if not self.cells:
            yield from ((combination, None) for combination in outside)
        for cell in self.cells:
            yield from ((inside | other, cell) for inside in list_combinations(cell.overrides) for other in outside)


def parse_cells(
    lines: Sequence[str],
    outside_overrides: Sequence[AnyOverride],
    groups: Groups,
    parse: Callable[[str], AnyOverride],
) -> list[CellLine]:
    """Parse and check the lines of `sweep.cells`. Raises BadInput, with the line, for the first mistake."""
    outside_lines = {override.key_or_group: override.input_line for override in outside_overrides}
    cells = []
    for line in lines:
        words, location = CELL_WORD.findall(line), f"in the cell {line!r}"
        if not words:
            problem, example = "sweep.cells=[...] has an empty entry", """'sweep.cells=["norm=none"]'"""
            raise BadInput(problem, "at least one KEY=VALUE in each entry", example)
        try:
            check_override_words(words, groups)
            overrides = [parse(word) for word in words]
            check_overrides(overrides, groups)
        except BadInput as error:
            raise error.with_location(location) from error
        for override in overrides:
            name = override.key_or_group
            if not can_be_swept(name, groups):
                problem = f"{location}: {name} applies to the whole command, not to one job"
                raise BadInput(problem, "swept keys", advice=f"write {override.input_line} outside sweep.cells")
            if name in outside_lines:
                problem = f"{name} is given twice: {location}, and outside it as {outside_lines[name]}"
                raise BadInput(problem, "one of them", advice=f"the command without {outside_lines[name]}")
        cells.append(CellLine(location, overrides))
    return cells


def cells_command(
    words: Sequence[AnyOverride], group: str, compose: Callable[[Mapping[str, str]], Config]
) -> str | None:
    """Rewrite the typed command with `sweep.cells`, so that each option of a group has only the keys that it reads.

    Returns None if that is impossible, for example because a preset chose the options or no option reads a key.
    """
    choice = next((override for override in words if override.key_or_group == group), None)
    key_words = [word for word in words if word.key_or_group in KEYS]
    all_readers = {word.input_line or "": KEYS[word.key_or_group].read_by for word in key_words}
    readers = {word: names for word, names in all_readers.items() if names and word.startswith(f"{group}.")}
    if choice is None or not choice.is_sweep_override() or not {choice.input_line, *readers} <= set(sys.argv):
        return None
    lines: dict[str, list[str]] = {}
    for option in choice.sweep_string_iterator():
        name = getattr(compose({group: option}), group).name
        lines.setdefault(" ".join(word for word, names in readers.items() if name in names), []).append(option)
    cells = [f"{group}={','.join(options)} {keys_text}".strip() for keys_text, options in lines.items()]
    if '"' in "".join(cells) or not all(any(word in line for line in lines) for word in readers):
        return None
    other_words = [word for word in sys.argv[1:] if word not in (choice.input_line, *readers)]
    cells_word = f"sweep.cells={json.dumps(cells, separators=(',', ':'))}"
    command = f"{command_name('train')} {shlex.join([*other_words, cells_word])}"
    return command if len(command) < LONGEST_LINE else None
