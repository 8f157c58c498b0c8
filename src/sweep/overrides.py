"""Checks the typed words one by one, before Hydra composes anything, and expands them into combinations.

`parse_plain_word` reads most words.  Hydra's parser turns the others into an `Override`, after importing Hydra.
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
from src.sweep.hydra_keys import is_hydra_key
from src.sweep.plain_words import AnyOverride, parse_plain_word
from src.sweep.suggestions import (
    PRESET_GROUPS,
    Groups,
    can_be_swept,
    closest,
    did_you_mean,
    example_override,
    missing_equals_refusal,
    sweep_of_lines,
    unknown_key_refusal,
    word_without_sweep,
)

if TYPE_CHECKING:
    from hydra.core.config_loader import ConfigLoader

CONF_FOLDER = Path(__file__).resolve().parents[2] / "conf"


def group_options(loader: "ConfigLoader | None" = None) -> dict[str, list[str]]:
    """Return the options of each group: all that the loader finds, or without a loader the package's own."""
    folders = sorted(path for path in CONF_FOLDER.iterdir() if path.is_dir() and path.name != "hydra")
    if loader:
        groups = {folder.name: sorted(loader.get_group_options(folder.name)) for folder in folders}
        return {group: options for group, options in groups.items() if options}
    return {folder.name: sorted(file.stem for file in folder.glob("*.yaml")) for folder in folders}


def check_override_words(words: Sequence[str], groups: Groups) -> None:
    """Raise BadInput for a word without = and for an empty value in a list, which Hydra answers with its grammar."""
    for word in words:
        name, equals, value = word.partition("=")
        if not name.strip() or not (equals or word.startswith("~")):
            raise missing_equals_refusal(word, groups)
        if "," in value and not re.search(r"[\[({'\"]", value) and not all(item.strip() for item in value.split(",")):
            corrected = f"{name}={','.join(item for item in value.split(',') if item.strip())}"
            suggestion = corrected if is_valid_override(corrected, groups) else example_override(name, groups)
            raise BadInput(f"{name} has an empty value: {word}", write=suggestion)


def parse_override(word: str, groups: Groups, loader: "ConfigLoader | None" = None) -> AnyOverride:
    """Parse a word as Hydra does; `loader` supplies the options that glob() chooses from. Raises BadInput."""
    if plain_word := parse_plain_word(word):
        return plain_word
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.errors import HydraException

    try:
        return OverridesParser.create(loader).parse_overrides([word])[0]  # Hydra's `parse_override` ignores it
    except (HydraException, ValueError) as error:  # ValueError: Python cannot read a number with thousands of digits
        name, _, value = word.partition("=")
        if name != name.strip() and name.strip() in (*groups, *KEYS):
            problem = f"{word!r} has a space before or after its key"
            raise BadInput(problem, write=f"{name.strip()}={value.strip()}") from error
        if name not in (*groups, *KEYS) and not name.startswith(("hydra.", "hydra/")):
            raise unknown_key_refusal(name, groups, "", is_valid_override) from error
        if name in (*groups, *KEYS):
            check_value(name, value, groups)
        folder = re.fullmatch(r"\[([^\[\]'\",]*)\]", value)  # a list of one item without quotes, such as [~/mine]
        raise BadInput(
            f"{word} cannot be read as KEY=VALUE",
            "quotes around a value with spaces, brackets, ~ and other special characters",
            shlex.quote(f'{name}=["{folder[1]}"]') if folder else as_one_word(name, value),
        ) from error


def check_overrides(overrides: Sequence[AnyOverride], groups: Groups, *, grid: bool = True) -> None:
    """Raise BadInput for the first word with an unknown key, an unknown option or a value that is not allowed.

    All values of a sweep are checked. A `grid` may not use an interval, but a search may.
    """
    lines: dict[str, str] = {}
    for override in overrides:
        name = override.key_or_group
        if is_hydra_key(name):  # `check_hydra_key` checks Hydra's own keys
            continue
        _check_override_form(override, groups)
        if name in lines:
            problem = f"{name} is given twice: {lines[name]} and {override.input_line}"
            raise BadInput(problem, "each key once", sweep_of_lines(name, [lines[name], override.input_line], groups))
        lines[name] = override.input_line or name
        if override.is_sweep_override() and not can_be_swept(name, groups):
            problem = f"{name} cannot be swept: it applies to the whole command"
            raise BadInput(problem, write=word_without_sweep(lines[name], groups, is_valid_override))
        values = override_values(override, groups, grid=grid)
        _check_values(name, values, groups)
        if name == "data.root" and override.is_sweep_override():
            _check_swept_folders(override.input_line or "", values)


def _check_values(name: str, values: Sequence[Any], groups: Groups) -> None:
    """Check all values of a word; a refusal of one mistyped option corrects all of them."""
    try:
        for value in values:
            check_value(name, value, groups)
    except BadInput as refusal:
        options = groups.get(name, ())
        corrections = [str(value) if str(value) in options else closest(str(value), options) for value in values]
        if len(values) == 1 or not all(corrections):
            raise
        raise refusal.with_correction(f"-m {name}={','.join(dict.fromkeys(corrections))}") from refusal


def check_value(name: str, value: Any, groups: Groups) -> None:
    """Raise BadInput, with the allowed values, if an existing group or key cannot have this value."""
    is_reference = isinstance(value, str) and "${" in value  # checked after Hydra has resolved it
    if name in groups:
        _check_option(name, value, groups)
    elif (KEYS[name].choices or not is_reference) and not (value is None and KEYS[name].automatic):
        KEYS[name].check(value)
        if name == "device":
            check_device(value)


def is_valid_override(word: str, groups: Groups) -> bool:
    """Whether a word passes `check_override_words`, `parse_override` and `check_overrides`."""
    try:
        check_override_words([word], groups)
        check_overrides([parse_override(word, groups)], groups)
    except BadInput:
        return False
    return True


def _check_swept_folders(line: str, values: Sequence[Any]) -> None:
    """Raise BadInput for a sweep over missing folders: the comma may be part of one folder's name."""
    missing = [str(value) for value in values if value is not None and not _exists(str(value))]
    if missing:
        typed_value, folders = line.partition("=")[2], [str(value) for value in values]
        whole_name = typed_value if re.fullmatch(r"[^'\"()]*", typed_value) else ",".join(folders)
        raise BadInput(
            f"{line} names {len(folders)} folders, {' and '.join(folders)}, but there is no {' and no '.join(missing)}",
            "existing folders; write quotes around a folder name with a comma",
            as_one_word("data.root", whole_name),
        )


def _exists(name: str) -> bool:
    try:
        return Path(name).expanduser().exists()
    except (OSError, RuntimeError):  # the name is too long, access is denied, or ~user is unknown
        return False


def _check_override_form(override: AnyOverride, groups: Groups) -> None:
    name, line = override.key_or_group, override.input_line or ""
    section, _, last_part = name.rpartition(".")
    if name not in (*groups, *KEYS):
        raise unknown_key_refusal(name, groups, line.partition("=")[2], is_valid_override)
    if override.package is not None:
        problem = f"{line}: {name} cannot be moved to another package"
        raise BadInput(problem, write=line.replace(f"@{override.package}", "", 1))
    if override.is_delete():
        off_value = "none" if "none" in groups.get(name, ()) else "null" if name in PRESET_GROUPS else "VALUE"
        raise BadInput(f"{line}: a key cannot be removed from the configuration", write=f"{name}={off_value}")
    if override.is_add() or override.is_force_add():
        raise BadInput(f"{line}: the + is wrong, because the key {name} already exists", write=line.lstrip("+"))
    if section and last_part == "name":
        values = override_values(override, groups)
        for value in values:
            _check_option(section, value, groups)
        suggestion = f"{'-m ' if len(values) > 1 else ''}{section}={','.join(map(str, values))}"
        raise BadInput(f"{line} changes only the name, not the option", f"{section}=OPTION", suggestion)


def override_values(override: AnyOverride, groups: Groups, *, grid: bool = True) -> list[Any]:
    """Return the values that a word gives its key: all of them, or only the first and last of a range or interval."""
    name, line = override.key_or_group, override.input_line
    value: Any = override.value()
    if not override.is_sweep_override():
        return [_without_quotes(value)]
    if override.value_type is not None and override.value_type.name == "GLOB_CHOICE_SWEEP":
        matches: list[Any] = value.filter(groups.get(name, ()))  # `value` is Hydra's Glob
        if not matches:
            options = ", ".join(groups[name]) if name in groups else "glob() for options, such as norm=glob(*)"
            raise BadInput(f"{line}: no option matches", options, example_override(name, groups))
        return matches
    if override.is_interval_sweep() and not grid:
        return [value.start, value.end]
    if not override.is_discrete_sweep():
        raise BadInput(f"{line} is not a list of values, which a grid needs", "choice() or range()", f"{name}=A,B")
    if not hasattr(value, "step"):  # `value` is Hydra's ChoiceSweep
        return [_without_quotes(item) for item in override.sweep_iterator(transformer=lambda item: item)]
    if value.step == 0:  # `value` is Hydra's RangeSweep
        raise BadInput(f"{line} never ends", "range(START,STOP,STEP) with a step other than 0", f"{name}=A,B")
    length = value_count(override)
    if length == 0:
        raise BadInput(f"{line} is an empty range", "a STOP beyond the START", example_override(name, groups))
    return list(dict.fromkeys([value.start, value.start + (length - 1) * value.step]))


def value_count(override: AnyOverride) -> int:
    """Return the number of a word's values without expanding a range."""
    if not override.is_sweep_override():
        return 1
    value: Any = override.value()
    if hasattr(value, "step"):  # `value` is Hydra's RangeSweep
        length: int = math.ceil((value.stop - value.start) / value.step)
        return max(length, 0)
    return len(list(override.sweep_string_iterator()))


def _without_quotes(value: Any) -> Any:
    """Return the text of a quoted string, and any other value unchanged."""
    return value.text if type(value).__name__ == "QuotedString" else value


def _check_option(group: str, value: Any, groups: Groups) -> None:
    options = groups[group]
    allowed = ", ".join(options)
    if isinstance(value, list | dict):
        names, example = [str(_without_quotes(item)) for item in value], example_override(group, groups)
        if example.startswith("-m") and set(names) <= set(options):
            example = f"-m {group}={','.join(names)}"
        raise BadInput(f"{group} takes the name of one option", allowed, example)
    if value == "" or (value is None and group not in PRESET_GROUPS):
        suggestion = f"{group}=none" if "none" in options else f"{group}={options[0]}"
        raise BadInput(f"{group} cannot be {'empty' if value == '' else 'null'}", allowed, suggestion)
    if value is not None and str(value) not in options:
        guess = closest(str(value), options)
        problem = f"{group}={value} is not known{did_you_mean(guess)}"
        raise BadInput(problem, f"{allowed} ('{group}=?' explains them)", f"{group}={guess or options[0]}")


def list_combinations(overrides: Sequence[AnyOverride]) -> list[dict[str, str]]:
    """Return every combination of the words' values in Hydra's notation; the last word with a key counts."""
    axes = {
        override.key_or_group: list(override.sweep_string_iterator())
        if override.is_sweep_override()
        else [override.get_value_element_as_str()]
        for override in overrides
    }
    return [dict(zip(axes, values, strict=True)) for values in itertools.product(*axes.values())]
