"""What the configuration's dataclasses say of their leaves, and whether a value may stand in one.

Standard library only: used before anything heavy is imported.
"""

import dataclasses
import math
import shlex
import typing
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import UnionType
from typing import Any

from src.bad_input import BadInput

REQUIRED: Any = "???"  # OmegaConf's mark for a value that must be given


def key(
    default: Any = REQUIRED,
    *,
    at_least: float | None = None,
    above: float | None = None,
    at_most: float | None = None,
    below: float | None = None,
    choices: tuple[str, ...] = (),
    read_by: tuple[str, ...] = (),
    null: bool = False,
    example: str = "",
) -> Any:
    """A leaf of the schema: its range, and the options of its group that read it (none named: all do).

    `null` says that null is a value of its own for the options that read it, and not merely "off" for the others.
    """
    limits = {">=": at_least, "above": above, "<=": at_most, "below": below}
    start: dict[str, Any] = {"default_factory": default.copy} if isinstance(default, list) else {"default": default}
    return field(
        **start,
        metadata={
            "example": example,
            "limits": {word: limit for word, limit in limits.items() if limit is not None},
            "choices": choices,
            "read_by": read_by,
            "null": null,
        },
    )


@dataclass(frozen=True)
class Key:
    """What is known of one leaf of the schema."""

    path: str
    type: Any
    default: Any
    limits: Mapping[str, float]
    choices: tuple[str, ...]
    read_by: tuple[str, ...]
    null: bool
    example: str

    @property
    def is_text(self) -> bool:
        """Whether any text is a value."""
        return self._plain_type is str and not self.choices

    @property
    def may_be_null(self) -> bool:
        """Whether null is a value for the options that read the key."""
        return self.optional and (self.null or not self.read_by)

    @property
    def optional(self) -> bool:
        """Whether null is a value."""
        return isinstance(self.type, UnionType)

    @property
    def allowed(self) -> str:
        """The values in words, such as `a number >= 0`."""
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
        return f"{words} {limits}".strip() + (" or null" if self.may_be_null else "")

    @property
    def placeholder(self) -> str:
        """What stands for a value in an example."""
        if self.choices or self.example:
            return self.example or self.choices[0]
        return {int: "INTEGER", float: "NUMBER", bool: "true", str: "TEXT"}[self._plain_type]

    @property
    def _plain_type(self) -> Any:
        return typing.get_args(self.type)[0] if self.optional else self.type

    def accepts(self, value: Any) -> bool:
        """Whether `value`, as typed in a shell or read from a file, is of the right type and in range."""
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
            BadInput: naming the key, the value and what is allowed.
        """
        if not self.accepts(value):
            shown = "null" if value is None else value
            write = shlex.quote(f"{self.path}={self.placeholder}")
            raise BadInput(f"{self.path}={shown} cannot be used", self.allowed, write)


def _is_finite(number: float) -> bool:
    try:
        return math.isfinite(number)
    except OverflowError:  # an integer that no float can hold
        return False


def leaves(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """A nested mapping as one of dotted keys."""
    flat: dict[str, Any] = {}
    for name, value in tree.items():
        flat |= leaves(value, f"{prefix}{name}.") if isinstance(value, Mapping) else {f"{prefix}{name}": value}
    return flat


def flat(node: Any, prefix: str = "") -> dict[str, Any]:
    """The leaves of a dataclass of dataclasses as they are now, by dotted key.

    What `leaves(dataclasses.asdict(node))` would be, without a copy of everything: a sweep asks for thousands.
    """
    found: dict[str, Any] = {}
    for name, value in vars(node).items():
        if dataclasses.is_dataclass(value):
            found.update(flat(value, f"{prefix}{name}."))
        else:
            found[prefix + name] = value
    return found


def schema(node: Any, prefix: str = "") -> dict[str, Key]:
    """The leaves of a dataclass of dataclasses, by dotted key."""
    keys: dict[str, Key] = {}
    types = typing.get_type_hints(node)
    for item in dataclasses.fields(node):
        path = prefix + item.name
        if dataclasses.is_dataclass(types[item.name]):
            keys |= schema(types[item.name], f"{path}.")
        else:
            default = item.default if item.default_factory is dataclasses.MISSING else item.default_factory()
            keys[path] = Key(path, types[item.name], default, **item.metadata)
    return keys
