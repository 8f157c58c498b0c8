"""Checks the typed words one by one, before Hydra composes anything, and expands them into combinations.

Hydra's parser turns each word into an `Override`. Hydra is imported only to parse.
"""

import itertools
import math
import re
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from src.bad_input import BadInput, as_one_word
from src.config import KEYS, check_device
from src.sweep.suggestions import Groups, can_be_swept, did_you_mean, example, nearest, not_an_override, unknown_key

if TYPE_CHECKING:
    from hydra.core.config_loader import ConfigLoader
    from hydra.core.override_parser.types import Override

CONF = Path(__file__).resolve().parents[2] / "conf"


def option_groups(loader: "ConfigLoader | None" = None) -> dict[str, list[str]]:
    """The options of each group: all on a loader's search path, or the package's own."""
    folders = sorted(path for path in CONF.iterdir() if path.is_dir() and path.name != "hydra")
    if loader:
        groups = {folder.name: sorted(loader.get_group_options(folder.name)) for folder in folders}
        return {group: options for group, options in groups.items() if options}
    return {folder.name: sorted(file.stem for file in folder.glob("*.yaml")) for folder in folders}


def check_text(words: Sequence[str], groups: Groups) -> None:
    """Refuse a word without = and an empty value in a list; Hydra would answer with its grammar. Raises BadInput."""
    for word in words:
        name, equals, value = word.partition("=")
        if not name.strip() or not (equals or word.startswith("~")):
            raise not_an_override(word, groups)
        if "," in value and not re.search(r"[\[({'\"]", value) and not all(part.strip() for part in value.split(",")):
            rest = f"{name}={','.join(part for part in value.split(',') if part.strip())}"
            write = rest if is_accepted(rest, groups) else example(name, groups)
            raise BadInput(f"empty value in {name}: {word}", write=write)


def parse(word: str, groups: Groups, loader: "ConfigLoader | None" = None) -> "Override":
    """Parse a word with Hydra's parser; a `loader` gives glob() the options to choose from."""
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.errors import HydraException

    try:
        return OverridesParser.create(loader).parse_overrides([word])[0]  # `parse_override` would forget the loader
    except (HydraException, ValueError) as error:  # ValueError: a number with thousands of digits
        name, _, value = word.partition("=")
        if name != name.strip() and name.strip() in (*groups, *KEYS):
            raise BadInput(f"{word!r} has spaces beside its key", write=f"{name.strip()}={value.strip()}") from error
        if name not in (*groups, *KEYS) and not name.startswith(("hydra.", "hydra/")):
            raise unknown_key(name, groups, "", is_accepted) from error
        if name in (*groups, *KEYS):
            check_value(name, value, groups)
        folder = re.fullmatch(r"\[([^\[\]'\",]*)\]", value)  # a list with one item, such as hydra.searchpath=[~/mine]
        raise BadInput(
            f"{word} cannot be read as KEY=VALUE",
            "quotes around a value with spaces, brackets, ~ and other special characters",
            shlex.quote(f'{name}=["{folder[1]}"]') if folder else as_one_word(name, value),
        ) from error


def check_overrides(overrides: Sequence["Override"], groups: Groups, *, grid: bool = True) -> None:
    """Refuse unknown keys and options, and values that are not allowed; all values of a sweep are checked.

    A search may use an interval, a `grid` may not. Raises BadInput for the first wrong word.
    """
    given: dict[str, str] = {}
    for override in overrides:
        name = override.key_or_group
        if name.split(".")[0].split("/")[0] == "hydra":  # src/sweep/hydra_keys.py checks it
            continue
        _check_form(override, groups)
        if name in given:
            what = f"{name} is given twice: {given[name]} and {override.input_line}"
            raise BadInput(what, "one of them", example(name, groups))
        given[name] = override.input_line or name
        if override.is_sweep_override() and not can_be_swept(name, groups):
            raise BadInput(f"{name} cannot be swept: it is not a setting of a job", write=example(name, groups))
        values = values_of(override, groups, grid=grid)
        for value in values:
            check_value(name, value, groups)
        if name == "data.root" and override.is_sweep_override():
            _check_folders(override.input_line or "", values)


def check_value(name: str, value: Any, groups: Groups) -> None:
    """Refuse a value that an existing group or key cannot have. Raises BadInput with the allowed values."""
    is_reference = isinstance(value, str) and "${" in value  # checked when Hydra has resolved it
    if name in groups:
        _check_option(name, value, groups)
    elif KEYS[name].choices or not is_reference:
        KEYS[name].check(value)
        if name == "device":
            check_device(value)


def is_accepted(word: str, groups: Groups) -> bool:
    """Whether a word passes all checks."""
    try:
        check_text([word], groups)
        check_overrides([parse(word, groups)], groups)
    except BadInput:
        return False
    return True


def _check_folders(line: str, values: Sequence[Any]) -> None:
    """Refuse to sweep over missing folders: perhaps the comma belongs to one folder's name."""
    missing = [str(value) for value in values if value is not None and not _is_folder(str(value))]
    if missing:
        typed, names = line.partition("=")[2], [str(value) for value in values]
        one = typed if re.fullmatch(r"[^'\"()]*", typed) else ",".join(names)
        raise BadInput(
            f"{line} is {len(names)} folders, {' and '.join(names)}: there is no {' and no '.join(missing)}",
            "existing folders; quotes around one folder with a comma in its name",
            as_one_word("data.root", one),
        )


def _is_folder(name: str) -> bool:
    try:
        return Path(name).expanduser().is_dir()
    except (OSError, RuntimeError):  # a name that is too long, a closed folder, or an unknown user
        return False


def _check_form(override: "Override", groups: Groups) -> None:
    name, line = override.key_or_group, override.input_line or ""
    section, _, last = name.rpartition(".")
    if name not in (*groups, *KEYS):
        raise unknown_key(name, groups, line.partition("=")[2], is_accepted)
    if override.package is not None:
        what = f"{line}: {name} cannot move to another package"
        raise BadInput(what, write=line.replace(f"@{override.package}", "", 1))
    if override.is_delete():
        how = "none" if "none" in groups.get(name, ()) else "null" if name == "experiment" else "VALUE"
        raise BadInput(f"{line}: no key can be removed from the configuration", write=f"{name}={how}")
    if override.is_add() or override.is_force_add():
        raise BadInput(f"{line}: {name} exists already", write=line.lstrip("+"))
    if section and last == "name":
        values = values_of(override, groups)
        for value in values:
            _check_option(section, value, groups)
        chosen = f"{'-m ' if len(values) > 1 else ''}{section}={','.join(map(str, values))}"
        raise BadInput(f"{line} would change only the name", f"{section}=... chooses the option", chosen)


def values_of(override: "Override", groups: Groups, *, grid: bool = True) -> list[Any]:
    """The values of a word; for a range the first and the last, and outside a `grid` the ends of an interval."""
    name, line = override.key_or_group, override.input_line
    value: Any = override.value()
    if not override.is_sweep_override():
        return [_plain(value)]
    if override.value_type is not None and override.value_type.name == "GLOB_CHOICE_SWEEP":
        matches: list[Any] = value.filter(groups.get(name, ()))  # a Glob
        if not matches:
            options = ", ".join(groups[name]) if name in groups else "glob() for options only"
            raise BadInput(f"{line}: no option matches", options, example(name, groups))
        return matches
    if override.is_interval_sweep() and not grid:
        return [value.start, value.end]
    if not override.is_discrete_sweep():
        raise BadInput(f"{line}: a grid needs single values", "choice() or range()", f"{name}=A,B")
    if not hasattr(value, "step"):  # a list of choices
        return [_plain(item) for item in override.sweep_iterator(transformer=lambda item: item)]
    if value.step == 0:  # a RangeSweep
        raise BadInput(f"{line} has no end", "range(START,STOP,STEP) with a step other than 0", f"{name}=A,B")
    length = count(override)
    if length == 0:
        raise BadInput(f"{line}: an empty range", "a stop beyond the start", example(name, groups))
    return list(dict.fromkeys([value.start, value.start + (length - 1) * value.step]))


def count(override: "Override") -> int:
    """The number of a word's values, without listing those of a range."""
    if not override.is_sweep_override():
        return 1
    value: Any = override.value()
    if hasattr(value, "step"):  # a RangeSweep
        length: int = math.ceil((value.stop - value.start) / value.step)
        return max(length, 0)
    return len(list(override.sweep_string_iterator()))


def _plain(value: Any) -> Any:
    """The text of a quoted string; other values unchanged."""
    return value.text if type(value).__name__ == "QuotedString" else value


def _check_option(group: str, value: Any, groups: Groups) -> None:
    options = groups[group]
    known = ", ".join(options)
    if isinstance(value, list | dict):
        raise BadInput(f"{group} takes one choice", known, example(group, groups))
    if value == "" or (value is None and group != "experiment"):
        off = f"{group}=none" if "none" in options else f"{group}={options[0]}"
        raise BadInput(f"empty value in {group}" if value == "" else f"{group}=null", known, off)
    if value is not None and str(value) not in options:
        near = nearest(str(value), options)
        raise BadInput(f"{group}={value} is not known{did_you_mean(near)}", known, f"{group}={near or options[0]}")


def expand(overrides: Sequence["Override"]) -> list[dict[str, str]]:
    """Every combination of the values in Hydra's notation; a later word replaces an earlier one."""
    axes = {
        override.get_key_element(): list(override.sweep_string_iterator())
        if override.is_sweep_override()
        else [override.get_value_element_as_str()]
        for override in overrides
    }
    return [dict(zip(axes, values, strict=True)) for values in itertools.product(*axes.values())]
