"""What was typed after the command, checked word by word and expanded into a grid.

Hydra's parser turns each word into an `Override`; this module says what is wrong with it before anything is composed,
and what every combination is.  It works on Hydra's objects and imports Hydra only to parse.
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
    """The options of each configuration group: all on a loader's search path, or the package's own."""
    folders = sorted(path for path in CONF.iterdir() if path.is_dir() and path.name != "hydra")
    if loader:
        found = {folder.name: sorted(loader.get_group_options(folder.name)) for folder in folders}
        return {group: options for group, options in found.items() if options}
    return {folder.name: sorted(file.stem for file in folder.glob("*.yaml")) for folder in folders}


def check_text(words: Sequence[str], groups: Groups) -> None:
    """Refuse what Hydra's parser would answer with its grammar: a word without =, and an empty value in a list.

    Raises:
        BadInput: naming the word.
    """
    for word in words:
        name, equals, value = word.partition("=")
        if not name.strip() or not (equals or word.startswith("~")):
            raise not_an_override(word, groups)
        if "," in value and not re.search(r"[\[({'\"]", value) and not all(part.strip() for part in value.split(",")):
            rest = f"{name}={','.join(part for part in value.split(',') if part.strip())}"
            write = rest if is_accepted(rest, groups) else example(name, groups)
            raise BadInput(f"empty value in {name}: {word}", write=write)


def parse(word: str, groups: Groups, loader: "ConfigLoader | None" = None) -> "Override":
    """One word of the command line as Hydra reads it; with a loader it knows what a glob() can find.

    Raises:
        BadInput: where its value needs quotes, or could not be used with them either.
    """
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.errors import HydraException

    try:
        return OverridesParser.create(loader).parse_override(word)
    except (HydraException, ValueError) as error:  # the latter from a number of thousands of digits
        name, _, value = word.partition("=")
        if name != name.strip() and name.strip() in (*groups, *KEYS):
            raise BadInput(f"{word!r} has spaces beside its key", write=f"{name.strip()}={value.strip()}") from error
        if name not in (*groups, *KEYS) and not name.startswith(("hydra.", "hydra/")):
            raise unknown_key(name, groups, "", is_accepted) from error
        if name in (*groups, *KEYS):
            check_value(name, value, groups)
        listed = re.fullmatch(r"\[([^\[\]'\",]*)\]", value)  # of one folder, such as hydra.searchpath=[~/mine]
        raise BadInput(
            f"{word} cannot be read as KEY=VALUE",
            "a value with spaces, brackets, ~ and the like only in quotes",
            shlex.quote(f'{name}=["{listed[1]}"]') if listed else as_one_word(name, value),
        ) from error


def check_overrides(overrides: Sequence["Override"], groups: Groups, *, grid: bool = True) -> None:
    """Refuse words that name no key, no option or no possible value; every value of a sweep is looked at.

    An interval can be searched, but is no part of a `grid`.

    Raises:
        BadInput: for the first such word.
    """
    seen: dict[str, str] = {}
    for override in overrides:
        name = override.key_or_group
        if name.split(".")[0].split("/")[0] == "hydra":
            continue  # `src/sweep/hydra_keys.py` checks them
        _check_form(override, groups)
        if name in seen:
            what = f"{name} is given twice: {seen[name]} and {override.input_line}"
            raise BadInput(what, "one of them", example(name, groups))
        seen[name] = override.input_line or name
        if override.is_sweep_override() and not can_be_swept(name, groups):
            raise BadInput(f"{name} cannot be swept: it is no part of what a job is", write=example(name, groups))
        values = values_of(override, groups, grid=grid)
        for value in values:
            check_value(name, value, groups)
        if name == "data.root" and override.is_sweep_override():
            _check_folders(override.input_line or "", values)


def check_value(name: str, value: Any, groups: Groups) -> None:
    """Refuse what a group or key that exists cannot be.

    Raises:
        BadInput: naming what it can be.
    """
    if name in groups:
        _check_option(name, value, groups)
    elif KEYS[name].choices or not (
        isinstance(value, str) and "${" in value
    ):  # a reference is checked once Hydra has resolved it
        KEYS[name].check(value)
        if name == "device":
            check_device(value)


def is_accepted(word: str, groups: Groups) -> bool:
    """Whether a word would be refused in its turn."""
    try:
        check_text([word], groups)
        check_overrides([parse(word, groups)], groups)
    except BadInput:
        return False
    return True


def _check_folders(line: str, values: Sequence[Any]) -> None:
    """Refuse folders to sweep over that are not all there: a comma may be a part of one folder's name."""
    missing = [str(value) for value in values if value is not None and not _is_folder(str(value))]
    if missing:
        typed, names = line.partition("=")[2], [str(value) for value in values]
        one = typed if re.fullmatch(r"[^'\"()]*", typed) else ",".join(names)
        raise BadInput(
            f"{line} is {len(names)} folders, {' and '.join(names)}: there is no {' and no '.join(missing)}",
            "folders that exist; one folder with a comma in its name is written in quotes",
            as_one_word("data.root", one),
        )


def _is_folder(name: str) -> bool:
    try:
        return Path(name).expanduser().is_dir()
    except (OSError, RuntimeError):  # too long a name, one that may not be looked at, or a user who does not exist
        return False


def _check_form(override: "Override", groups: Groups) -> None:
    name, line = override.key_or_group, override.input_line or ""
    section, _, last = name.rpartition(".")
    if name not in (*groups, *KEYS):
        raise unknown_key(name, groups, line.partition("=")[2], is_accepted)
    if override.package is not None:
        raise BadInput(f"{line}: {name} has its place", write=line.replace(f"@{override.package}", "", 1))
    if override.is_delete():
        how = "none" if "none" in groups.get(name, ()) else "null" if name == "experiment" else "VALUE"
        raise BadInput(f"{line}: nothing can be taken out of the configuration", write=f"{name}={how}")
    if override.is_add() or override.is_force_add():
        raise BadInput(f"{line}: {name} is there already", write=line.lstrip("+"))
    if section and last == "name":
        values = values_of(override, groups)
        for value in values:
            _check_option(section, value, groups)
        chosen = f"{'-m ' if len(values) > 1 else ''}{section}={','.join(map(str, values))}"
        raise BadInput(f"{line} would change the name alone", f"choose the option by {section}=...", chosen)


def values_of(override: "Override", groups: Groups, *, grid: bool = True) -> list[Any]:
    """The values that one word gives, one or many; of a range, however long, the first and the last.

    Those of an interval are its ends, where it is not meant for a `grid`.

    Raises:
        BadInput: where there is none, or where they cannot be counted.
    """
    name, line = override.key_or_group, override.input_line
    value: Any = override.value()
    if not override.is_sweep_override():
        return [_plain(value)]
    if override.value_type is not None and override.value_type.name == "GLOB_CHOICE_SWEEP":
        found: list[Any] = value.filter(groups.get(name, ()))  # a Glob
        if not found:
            options = ", ".join(groups[name]) if name in groups else "glob() for options alone"
            raise BadInput(f"{line}: no option matches", options, example(name, groups))
        return found
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
    """How many values a word gives; those of a range are not listed for it."""
    value: Any = override.value()
    if override.is_sweep_override() and hasattr(value, "step"):  # a RangeSweep
        length: int = math.ceil((value.stop - value.start) / value.step)
        return max(length, 0)
    return len(list(override.sweep_string_iterator())) if override.is_sweep_override() else 1


def _plain(value: Any) -> Any:
    """The text of Hydra's quoted strings; any other value as it is."""
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
        said = did_you_mean([near] if near else [])
        raise BadInput(f"{group}={value} is not known{said}", known, f"{group}={near or options[0]}")


def expand(overrides: Sequence["Override"]) -> list[dict[str, str]]:
    """Every combination of the values, each as Hydra would write it; a later word wins over an earlier one."""
    axes: dict[str, list[str]] = {}
    for override in overrides:
        name = override.get_key_element()
        if override.is_sweep_override():
            axes[name] = list(override.sweep_string_iterator())
        else:
            axes[name] = [override.get_value_element_as_str()]
    return [dict(zip(axes, values, strict=True)) for values in itertools.product(*axes.values())]
