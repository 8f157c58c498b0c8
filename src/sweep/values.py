"""Converts the values of keys to their types, and finds the values that null stands for."""

import re
from collections.abc import Mapping
from typing import Any

from src.bad_input import BadInput
from src.config import KEYS, UnusedKeyError, automatic_values
from src.runs.identity import applies
from src.schema import REQUIRED

# `${` begins a reference, `$\{` is how Hydra escapes it in a single value, and `???` marks a missing value.
UNRESOLVED_VALUE = re.compile(r"\$\\?\{|\?\?\?")


def is_unresolved(value: Any) -> bool:
    """Whether a text holds a reference, which only Hydra resolves, or marks a missing value."""
    return isinstance(value, str) and UNRESOLVED_VALUE.search(value) is not None


def convert_value(path: str, value: Any) -> Any:
    """Return a valid value of a key in the key's type, as OmegaConf would: an integer becomes a float for some keys."""
    kind = KEYS[path].plain_type
    return kind(value) if kind in (float, str) and value is not None else value


def missing_automatic_values(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return the network's own values for the automatic keys that are null in `settings`, both by dotted key."""
    empty_keys = [path for path, item in KEYS.items() if item.automatic and settings.get(path, REQUIRED) is None]
    return {path: automatic_value(path, settings) for path in empty_keys if applies(path, settings)}


def automatic_value(path: str, settings: Mapping[str, Any]) -> Any:
    """Return the value that null stands for; raises BadInput if the chosen network has no such value."""
    model, optimizer = settings.get("model.name"), settings.get("optimizer.name")
    KEYS["model.name"].check(model)
    values = automatic_values(settings)
    if path not in values:
        problem = f"model={model} has no {path} of its own for optimizer={optimizer}"
        raise BadInput(problem, KEYS[path].allowed.removesuffix(" or null"), f"{path}={KEYS[path].placeholder}")
    return values[path]


def check_key_is_unset(path: str, value: Any, option: str) -> None:
    """Raise UnusedKeyError for a value of a key that the chosen option does not have; null is the same as no value."""
    if value is not None and value != KEYS[path].default:
        raise UnusedKeyError(KEYS[path], value, option)
