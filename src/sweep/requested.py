"""A requested grid: the values of the command's words, times the combinations listed in `sweep.cells`."""

import json
import math
import re
import shlex
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from hydra.core.config_loader import ConfigLoader
from hydra.core.override_parser.types import Override

from src.bad_input import LONGEST_LINE, BadInput
from src.command import command
from src.config import KEYS, Config
from src.sweep.overrides import check_overrides, check_text, count, expand, parse
from src.sweep.suggestions import Groups, can_be_swept

COMPACT = (",", ":")  # JSON without spaces
# A word of a cell's line; text in quotes or brackets may hold spaces.
WORD = re.compile(r"""(?:"[^"]*"|'[^']*'|\([^()]*\)|\[[^\[\]]*\]|\S)+""")


@dataclass(frozen=True)
class CellLine:
    """A line of `sweep.cells`; its values may give several combinations."""

    place: str  # the line's name in a refusal
    overrides: Sequence[Override]


@dataclass(frozen=True)
class RequestedGrid:
    """A grid before it is expanded, with the configuration of the keys that have one value."""

    outside: Sequence[Override]  # the words outside `sweep.cells`
    cells: Sequence[CellLine]
    config: Config

    @property
    def number(self) -> int:
        """The number of combinations, found without listing them."""
        inside = sum(math.prod(count(override) for override in cell.overrides) for cell in self.cells)
        return math.prod(count(override) for override in self.outside) * (inside if self.cells else 1)

    def combinations(self) -> Iterator[tuple[dict[str, str], CellLine | None]]:
        """Every combination in Hydra's notation, with the cell that it comes from."""
        outside = expand(self.outside)
        if not self.cells:
            yield from ((combination, None) for combination in outside)
        for cell in self.cells:
            yield from ((inside | combination, cell) for inside in expand(cell.overrides) for combination in outside)


def read_cells(
    lines: Sequence[str], outside: Sequence[Override], groups: Groups, loader: ConfigLoader
) -> list[CellLine]:
    """Parse the lines of `sweep.cells` and check them like typed words; a refusal names the line."""
    given = {override.key_or_group: override.input_line for override in outside}
    cells = []
    for line in lines:
        words, place = WORD.findall(line), f"in the cell {line!r}"
        if not words:
            raise BadInput(f"an empty line in sweep.cells={list(lines)}", "KEY=VALUE words in each", "norm=none")
        try:
            check_text(words, groups)
            overrides = [parse(word, groups, loader) for word in words]
            check_overrides(overrides, groups)
        except BadInput as error:
            raise error.within(place) from error
        for override in overrides:
            name = override.key_or_group
            if not can_be_swept(name, groups):
                what = f"{place}: {name} is not a setting of a job"
                raise BadInput(what, "a key that can be swept", f"{override.input_line} outside it")
            if name in given:
                what = f"{name} is given {place} and outside it, as {given[name]}"
                raise BadInput(what, "one of them", f"the command without {given[name]}")
        cells.append(CellLine(place, overrides))
    return cells


def in_cells(outside: Sequence[Override], group: str, compose: Callable[[Mapping[str, str]], Config]) -> str | None:
    """The typed command rewritten with `sweep.cells`: each option of a group together with the keys that it reads.

    None if that is impossible, for example because a preset chose the options or none of them reads a key.
    """
    choice = next((override for override in outside if override.key_or_group == group), None)
    readers = {o.input_line or "": KEYS[o.key_or_group].read_by for o in outside if o.key_or_group in KEYS}
    keys = {word: names for word, names in readers.items() if names and word.startswith(f"{group}.")}
    if choice is None or not choice.is_sweep_override() or not {choice.input_line, *keys} <= set(sys.argv):
        return None
    lines: dict[str, list[str]] = {}
    for option in choice.sweep_string_iterator():
        name = getattr(compose({group: option}), group).name
        lines.setdefault(" ".join(word for word, names in keys.items() if name in names), []).append(option)
    cells = [f"{group}={','.join(options)} {words}".strip() for words, options in lines.items()]
    if '"' in "".join(cells) or not all(any(word in line for line in lines) for word in keys):
        return None
    rest = [word for word in sys.argv[1:] if word not in (choice.input_line, *keys)]
    write = f"{command('train')} {shlex.join([*rest, f'sweep.cells={json.dumps(cells, separators=COMPACT)}'])}"
    return write if len(write) < LONGEST_LINE else None
