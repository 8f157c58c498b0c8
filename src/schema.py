"""Describes the keys of the configuration: their types, ranges and defaults, and the check of a value.

Standard library only: the command checks what is typed before it imports anything heavy.
"""

import dataclasses
import importlib
import math
import pkgutil
import shlex
import typing
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from types import UnionType
from typing import Any

from src.bad_input import BadInput

REQUIRED: Any = "???"  # OmegaConf's mark for a missing value


def key(
    default: Any = REQUIRED,
    *,
    at_least: float | None = None,
    above: float | None = None,
    at_most: float | None = None,
    below: float | None = None,
    choices: tuple[str, ...] = (),
    example: str = "",
) -> Any:
    """Return a dataclass field for one key, with its range or choices, and an example for error messages."""
    limits = {">=": at_least, "above": above, "<=": at_most, "below": below}
    start: dict[str, Any] = {"default_factory": default.copy} if isinstance(default, list) else {"default": default}
    return field(
        **start,
        metadata={
            "example": example,
            "limits": {word: limit for word, limit in limits.items() if limit is not None},
            "choices": choices,
        },
    )


@dataclass
class Option:
    """One option of a configuration group; its fields are the keys that it reads."""

    name: str = REQUIRED

    def check(self) -> None:
        """Refuse values that are valid alone but not together.

        Raises:
            BadInput: naming the keys.
        """


Options = Mapping[str, type[Option]]
"""The options of a group by name."""


def options_in(package: str, path: Iterable[str], base: type[Option]) -> dict[str, Any]:
    """Import the modules of a package and return the options that they define, by name.

    Args:
        package: the package's dotted name.
        path: its `__path__`; sub-packages are not searched.
        base: the group's base class.
    """
    names = sorted(module.name for module in pkgutil.iter_modules(path) if not module.ispkg)
    modules = [importlib.import_module(f"{package}.{name}") for name in names]
    found = [item for module in modules for item in vars(module).values() if isinstance(item, type)]
    return named(*(item for item in found if issubclass(item, base) and item.name != REQUIRED))


def named(*options: type[Option]) -> dict[str, Any]:
    """Return the options by name."""
    return {option.name: option for option in options}


@dataclass(frozen=True)
class Key:
    """One key of the configuration.

    `read_by` names the options that use the key, such as `gn` for `norm.groups`; it is empty if all options do.
    `nullable` says whether the user may set the key to null.  An option that does not use the key holds null.
    """

    path: str
    type: Any
    default: Any
    limits: Mapping[str, float]
    choices: tuple[str, ...]
    example: str
    nullable: bool
    read_by: tuple[str, ...] = ()

    @property
    def is_text(self) -> bool:
        """Whether any text is a valid value."""
        return self._plain_type is str and not self.choices

    @property
    def optional(self) -> bool:
        """Whether null can stand in the configuration."""
        return isinstance(self.type, UnionType)

    @property
    def allowed(self) -> str:
        """Describe the valid values, such as `a number >= 0`."""
        if self.choices:
            return ", ".join(self.choices)
        words = {
            int: "an integer",
            float: "a finite number",
            bool: "true or false",
            str: "a text",
            list[str]: "a list of texts",
        }[self._plain_type]
        limits = " and ".join(f"{word} {limit:.10g}" for word, limit in self.limits.items())
        return f"{words} {limits}".strip() + (" or null" if self.nullable else "")

    @property
    def placeholder(self) -> str:
        """Return a value for an example of how to write the key."""
        if self.choices or self.example:
            return self.example or self.choices[0]
        return {int: "INTEGER", float: "NUMBER", bool: "true", str: "TEXT"}[self._plain_type]

    @property
    def _plain_type(self) -> Any:
        return typing.get_args(self.type)[0] if self.optional else self.type

    def accepts(self, value: Any) -> bool:
        """Whether `value`, typed in a shell or read from a file, has the right type and is in range."""
        if value is None:
            return self.optional
        kind = self._plain_type
        if kind is str:
            fits = isinstance(value, str | int | float) and not isinstance(value, bool) and value != ""
        elif kind is bool:
            fits = isinstance(value, bool)
        elif kind == list[str]:
            fits = isinstance(value, list) and all(isinstance(item, str) for item in value)
        elif kind is int:
            fits = isinstance(value, int) and not isinstance(value, bool)
        else:
            fits = isinstance(value, int | float) and not isinstance(value, bool) and _is_finite(value)
        return fits and (not self.choices or str(value) in self.choices) and self._in_range(value)

    def _in_range(self, value: Any) -> bool:
        inside = {
            ">=": lambda limit: value >= limit,
            "above": lambda limit: value > limit,
            "<=": lambda limit: value <= limit,
            "below": lambda limit: value < limit,
        }
        return all(inside[word](limit) for word, limit in self.limits.items())

    def check(self, value: Any) -> None:
        """Refuse a value of the wrong type or out of range.

        Raises:
            BadInput: naming the key, the value and the valid values.
        """
        if not self.accepts(value):
            shown = "null" if value is None else value
            write = shlex.quote(f"{self.path}={self.placeholder}")
            raise BadInput(f"{self.path}={shown} cannot be used", self.allowed, write)


def _is_finite(number: float) -> bool:
    try:
        return math.isfinite(number)
    except OverflowError:  # an integer too large for a float
        return False


def leaves(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Flatten a nested mapping into dotted keys."""
    found: dict[str, Any] = {}
    for name, value in tree.items():
        found |= leaves(value, f"{prefix}{name}.") if isinstance(value, Mapping) else {f"{prefix}{name}": value}
    return found


def flat(node: Any, prefix: str = "") -> dict[str, Any]:
    """Flatten a dataclass of dataclasses into dotted keys; faster than `leaves(dataclasses.asdict(node))`."""
    found: dict[str, Any] = {}
    for name, value in vars(node).items():
        if dataclasses.is_dataclass(value):
            found.update(flat(value, f"{prefix}{name}."))
        else:
            found[prefix + name] = value
    return found


def schema(node: Any, prefix: str = "") -> dict[str, Key]:
    """Return the keys of a dataclass by dotted path; fields that are options are left out (see `group_schema`)."""
    keys: dict[str, Key] = {}
    types = typing.get_type_hints(node)
    for item in dataclasses.fields(node):
        path, kind = prefix + item.name, types[item.name]
        if not dataclasses.is_dataclass(kind):
            default = item.default if item.default_factory is dataclasses.MISSING else item.default_factory()
            metadata = item.metadata or {"limits": {}, "choices": (), "example": ""}
            keys[path] = Key(path, kind, default, **metadata, nullable=isinstance(kind, UnionType))
        elif not (isinstance(kind, type) and issubclass(kind, Option)):
            keys |= schema(kind, f"{path}.")
    return keys


def group_schema(group: str, options: Options, off: str | None = None) -> dict[str, Key]:
    """Return the keys of all options of a group by dotted path.

    A key that only some options have is null in the others.  `off` is the option that old jobs had before the group
    came: it leaves their keys alone.
    """
    name = f"{group}.name"
    keys = {name: Key(name, str, off or REQUIRED, {}, tuple(options), "", nullable=False)}
    having: dict[str, list[str]] = {}
    for option, kind in options.items():
        for path, item in schema(kind, f"{group}.").items():
            keys.setdefault(path, item)
            having.setdefault(path, []).append(option)
    return {path: _shared(item, having.get(path, ()), options) for path, item in keys.items()}


def _shared(item: Key, having: Sequence[str], options: Options) -> Key:
    """Return a group's key with the options that have it."""
    if item.path.endswith(".name") or len(having) == len(options):
        return item
    if item.default is REQUIRED:
        item = dataclasses.replace(item, type=item.type | None, default=None)
    return dataclasses.replace(item, read_by=tuple(having))
