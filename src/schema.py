"""Describe the keys of the configuration (types, ranges, defaults), and check their values.

This module imports only the standard library, so the command can reject a typo quickly.
"""

import dataclasses
import importlib
import math
import operator
import pkgutil
import shlex
import typing
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from types import UnionType
from typing import Any, ClassVar

from src.bad_input import BadInput

COMPARISONS = {">=": operator.ge, "above": operator.gt, "<=": operator.le, "below": operator.lt}  # of a key's limits
REQUIRED: Any = "???"  # OmegaConf marks a missing value with this text


def key(
    default: Any = REQUIRED,
    *,
    at_least: float | None = None,
    above: float | None = None,
    at_most: float | None = None,
    below: float | None = None,
    choices: tuple[str, ...] = (),
    word: str = "",
    example: str = "",
    automatic: bool = False,
) -> Any:
    """Return a dataclass field for one key of the configuration; `Key` explains the arguments."""
    limits = {">=": at_least, "above": above, "<=": at_most, "below": below}
    start: dict[str, Any] = {"default_factory": default.copy} if isinstance(default, list) else {"default": default}
    return field(
        **start,
        metadata={
            "example": example,
            "limits": {word: limit for word, limit in limits.items() if limit is not None},
            "choices": choices,
            "word": word,
            "automatic": automatic,
        },
    )


@dataclass
class Option:
    """One option of a configuration group, such as `norm=gn`; its fields are the keys that it reads."""

    name: str = REQUIRED

    packages: ClassVar[tuple[str, ...]] = ()
    """Optional packages that compute results for this option; its jobs record their versions."""

    def check(self) -> None:
        """Raise BadInput, which names the keys, if values contradict each other; each alone has been checked before."""


Options = Mapping[str, type[Option]]
"""The options of a configuration group, by their name."""


def options_in(package: str, path: Iterable[str], base: type[Option]) -> dict[str, Any]:
    """Import all modules of a package, given its `__path__`, and return the options that they define, sorted by name.

    The options are subclasses of `base`.  Modules of sub-packages are not imported.
    """
    modules = [importlib.import_module(f"{package}.{mod.name}") for mod in pkgutil.iter_modules(path) if not mod.ispkg]
    classes = [item for module in modules for item in vars(module).values() if isinstance(item, type)]
    options = (item for item in classes if issubclass(item, base) and item.name != REQUIRED)
    return options_by_name(*sorted(options, key=lambda option: option.name))


def options_by_name(*options: type[Option]) -> dict[str, Any]:
    """Return a dictionary from the name of each option to its class."""
    return {option.name: option for option in options}


@dataclass(frozen=True)
class Key:
    """One key of the configuration, with its type, default and valid values.

    `word` is a text that the key accepts beside its values, such as `auto`; it is empty if there is none.
    `read_by` names the options that read the key, such as `gn` for `norm.groups`; it is empty if all options read it.
    `nullable` says whether the user may set the key to null.  The key is always null for an option that ignores it.
    `automatic` says whether normlab replaces null by a value of its own choice.  Error messages suggest `example`.
    """

    path: str
    type: Any
    default: Any
    limits: Mapping[str, float]
    choices: tuple[str, ...]
    example: str
    nullable: bool
    read_by: tuple[str, ...] = ()
    word: str = ""
    automatic: bool = False

    @property
    def optional(self) -> bool:
        """Whether the key can be null in a configuration."""
        return isinstance(self.type, UnionType)

    @property
    def allowed(self) -> str:
        """Return the key's valid values in words, such as `a finite number >= 0`."""
        if self.choices:
            return ", ".join(self.choices)
        type_text = {
            int: "an integer",
            float: "a finite number",
            bool: "true or false",
            str: "text",
            list[str]: "a list of strings",
            list[int]: "a list of ascending integers, each",
        }[self.plain_type]
        limits_text = " and ".join(f"{word} {limit:.10g}" for word, limit in self.limits.items())
        word_text = f", {self.word}" if self.word else ""
        return f"{type_text} {limits_text}".strip() + word_text + (" or null" if self.nullable else "")

    @property
    def placeholder(self) -> str:
        """Return an example of a valid value, or a word such as NUMBER, for error messages."""
        if self.choices or self.example:
            return self.example or self.choices[0]
        return {int: "INTEGER", float: "NUMBER", bool: "true", str: "TEXT"}[self.plain_type]

    @property
    def plain_type(self) -> Any:
        """Return the type of the key's values, without null and `word`."""
        return typing.get_args(self.type)[0] if self.optional else self.type

    def accepts(self, value: Any) -> bool:
        """Whether a value from the command line or a file has the right type and is in range."""
        if value is None:
            return self.optional
        if self.word and value == self.word:
            return True
        kind = self.plain_type
        if kind is str:
            has_right_type = isinstance(value, str | int | float) and not isinstance(value, bool) and value != ""
        elif kind is bool:
            has_right_type = isinstance(value, bool)
        elif kind is int:
            has_right_type = isinstance(value, int) and not isinstance(value, bool)
        elif kind is float:
            has_right_type = isinstance(value, int | float) and not isinstance(value, bool) and _is_finite(value)
        elif kind == list[str]:
            has_right_type = isinstance(value, list) and all(isinstance(item, str) for item in value)
        else:  # list[int]
            has_right_type = isinstance(value, list) and value != [] and all(type(item) is int for item in value)
            return has_right_type and value == sorted(set(value)) and all(map(self._in_range, value))
        return has_right_type and (not self.choices or str(value) in self.choices) and self._in_range(value)

    def _in_range(self, value: Any) -> bool:
        return all(COMPARISONS[word](value, limit) for word, limit in self.limits.items())

    def check(self, value: Any) -> None:
        """Raise BadInput, with the key and its valid values, if a value has a wrong type or is out of range."""
        if not self.accepts(value):
            value_text = "null" if value is None else value
            suggestion = shlex.quote(f"{self.path}={self.placeholder}")
            raise BadInput(f"{self.path}={value_text} cannot be used", self.allowed, suggestion)


def _is_finite(number: float) -> bool:
    try:
        return math.isfinite(number)
    except OverflowError:  # an integer too large for a float
        return False


def flatten(tree: Any, prefix: str = "") -> dict[str, Any]:
    """Return the values of a nested mapping, or of nested dataclasses, by dotted key, such as `norm.eps`."""
    values: dict[str, Any] = {}
    for name, value in (tree if isinstance(tree, Mapping) else vars(tree)).items():
        if dataclasses.is_dataclass(value) or isinstance(value, Mapping):
            values |= flatten(value, f"{prefix}{name}.")
        else:
            values[prefix + name] = value
    return values


def known_fields(kind: Any, stored: Mapping[str, Any]) -> dict[str, Any]:
    """Return the stored values that are fields of a dataclass; another version may have stored others."""
    names = {item.name for item in dataclasses.fields(kind)}
    return {name: value for name, value in stored.items() if name in names}


def class_keys(node: Any, prefix: str = "") -> dict[str, Key]:
    """Return the keys of a dataclass by dotted path, without the keys of options (see `group_keys`)."""
    keys: dict[str, Key] = {}
    types = typing.get_type_hints(node)
    for item in dataclasses.fields(node):
        path, kind = prefix + item.name, types[item.name]
        if not dataclasses.is_dataclass(kind):
            default = item.default if item.default_factory is dataclasses.MISSING else item.default_factory()
            extra: dict[str, Any] = {"limits": {}, "choices": (), "example": "", "automatic": False, **item.metadata}
            keys[path] = Key(path, kind, default, **extra, nullable=isinstance(kind, UnionType) or extra["automatic"])
        elif not (isinstance(kind, type) and issubclass(kind, Option)):
            keys |= class_keys(kind, f"{path}.")
    return keys


def group_keys(group: str, options: Options, default_option: str | None = None) -> dict[str, Key]:
    """Return the keys of all options of a configuration group by dotted path.

    A key that only some options have is null for the other options.  If options disagree about a key's range, the key
    has no range here, and `check_config` checks it.  Jobs from before a group existed count as jobs with its option
    `default_option`, so their hash keys do not change.
    """
    name = f"{group}.name"
    keys = {name: Key(name, str, default_option or REQUIRED, {}, tuple(options), "", nullable=False)}
    readers: dict[str, list[str]] = {}
    for option, kind in options.items():
        for path, item in class_keys(kind, f"{group}.").items():
            known = keys.setdefault(path, item)
            if path != name and (known.limits, known.choices) != (item.limits, item.choices):
                keys[path] = dataclasses.replace(known, limits={}, choices=())
            readers.setdefault(path, []).append(option)
    return {path: _with_readers(item, readers.get(path, ()), options) for path, item in keys.items()}


def _with_readers(item: Key, readers: Sequence[str], options: Options) -> Key:
    """Return the key with `read_by` set to the options that read it; unchanged if all options of the group read it."""
    if item.path.endswith(".name") or len(readers) == len(options):
        return item
    if item.default is REQUIRED:
        item = dataclasses.replace(item, type=item.type | None, default=None)
    return dataclasses.replace(item, read_by=tuple(readers))
