"""Which fields the records of a folder have, and of which type each is.

A later version may have added a field, so unknown ones are let through; one that is missing or of another type is a
fault.  Python's JSON reads NaN, and `1e999` as infinity, so numbers are asked to be finite.
"""

import dataclasses
import math
import re
from collections.abc import Callable, Mapping
from typing import Any

from src.config import KEYS, part_of_a_job
from src.schema import REQUIRED, leaves

Test = Callable[[Any], bool]
Shape = Mapping[str, tuple[Test, str]]
"""By a field's name: whether a value may stand in it, and what may, in words."""

DEEPEST = 20  # levels of a configuration; ours has two
LARGEST_COUNT = 10**15  # beyond it a float is no longer exact, and a time in milliseconds is 30,000 years ahead
MOST_IMAGES, MOST_CLASSES, MOST_PARAMETERS = 10**8, 10_000, 10**11
SHOWN = 40  # characters of a wrong value


def is_integer(value: Any) -> bool:
    """Whether a value is an integer; true and false are none."""
    return isinstance(value, int) and not isinstance(value, bool)


def between(low: float, high: float) -> Test:
    """Whether a value is a finite number from `low` to `high`."""
    return lambda value: (is_integer(value) or isinstance(value, float)) and low <= value <= high


def count(low: int, high: int = LARGEST_COUNT) -> tuple[Test, str]:
    """An integer from `low` to `high`."""
    return lambda value: is_integer(value) and low <= value <= high, f"an integer from {low} to {high}"


def is_text(value: Any) -> bool:
    """Whether a value is a text that can be written as UTF-8; half a surrogate pair cannot."""
    return isinstance(value, str) and _can_be_written(value)


def is_texts(value: Any) -> bool:
    """Whether a value is a list of texts."""
    return isinstance(value, list) and all(map(is_text, value))


def is_named_texts(value: Any) -> bool:
    """Whether a value maps texts to texts."""
    return isinstance(value, dict) and all(map(is_text, value)) and all(map(is_text, value.values()))


def is_key(value: Any) -> bool:
    """Whether a value is 64 hexadecimal digits."""
    return isinstance(value, str) and re.fullmatch("[0-9a-f]{64}", value) is not None


def is_tree(value: Any, depth: int = 0) -> bool:
    """Whether a value is a mapping, and what is in it not too deeply nested to be walked through."""
    if not isinstance(value, dict):
        return depth > 0
    return depth < DEEPEST and all(is_text(name) and is_tree(inner, depth + 1) for name, inner in value.items())


def fault(value: Any, shape: Shape, *, whole: bool = True) -> str:
    """What is wrong with a mapping; empty where nothing is.

    Args:
        value: what was read.
        shape: its fields.
        whole: whether a missing field is a fault.
    """
    if not isinstance(value, dict):
        return f"is {shown(value)}, not an object"
    for name, (fits, words) in shape.items():
        if name not in value:
            if whole:
                return f"lacks {name}"
        elif not fits(value[name]):
            return f"has {name}={shown(value[name])}, not {words}"
    return ""


def shown(value: Any) -> str:
    """A wrong value, short and on one line."""
    if is_integer(value) and abs(value) > LARGEST_COUNT:
        return "an integer too large"  # Python refuses to write one of 5,000 digits
    if isinstance(value, dict | list):
        return "an object" if isinstance(value, dict) else "a list"
    said = "null" if value is None else ascii(value)
    return said if len(said) <= SHOWN else f"{said[:SHOWN]} ..."


def configuration_fault(config: Mapping[str, Any]) -> str:
    """What is wrong with the configuration that a job has stored; empty where nothing is.

    Ranges of fractional numbers are not asked for: they may become narrower, and the older jobs stay what they are.
    """
    found = leaves(config)
    for path, (key, fits) in _STORED.items():
        value = found.get(path, key.default)
        if value == REQUIRED:
            return f"lacks {path}"
        if not fits(value):
            return f"has {path}={shown(value)}, not {key.allowed}"
    return ""


def _can_be_written(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _stored(path: str) -> tuple[Any, Test]:
    key = KEYS[path]
    kinds = str(key.type)
    if "float" in kinds:
        key = dataclasses.replace(key, limits={})
    if "str" not in kinds:
        return key, key.accepts
    return key, lambda value: (value is None or isinstance(value, str)) and key.accepts(value)


FINITE = between(-1.7976931348623157e308, 1.7976931348623157e308)
SHARE = (between(0, 1), "a number from 0 to 1")
NUMBER = (FINITE, "a finite number")
SECONDS = (between(0, LARGEST_COUNT), "a number of seconds")
TEXT = (is_text, "a text")
KEY = (is_key, "64 hexadecimal digits")
NAMED_TEXTS = (is_named_texts, "names with a text each")
PATH = (lambda value: isinstance(value, str), "a text")  # a folder's name may be no UTF-8
SOURCE: Shape = {
    "digest": KEY,
    "place": PATH,
    "train": count(1, MOST_IMAGES),
    "test": count(1, MOST_IMAGES),
    "channels": count(1, 1000),
    "size": count(1, 100_000),
    "classes": (
        lambda value: is_texts(value) and 1 <= len(value) <= MOST_CLASSES,
        f"a list of 1 to {MOST_CLASSES:,} texts",
    ),
}
EVERY: Shape = {"kind": TEXT, "time": count(0)}
RECORDS: Mapping[str, Shape] = {
    "start": {"config": (is_tree, "an object of names"), "environment": NAMED_TEXTS, "code": TEXT},
    "ready": {
        "job": KEY,
        "cell": KEY,
        "source": (lambda value: isinstance(value, dict), "an object"),
        "parameters": count(1, MOST_PARAMETERS),
        "device": TEXT,
    },
    "epoch": {"epoch": count(1), "metrics": (lambda value: isinstance(value, dict), "an object")},
    "stop": {"status": TEXT, "error": (lambda value: isinstance(value, str), "a text")},
    "resume": {"environment": NAMED_TEXTS, "device": TEXT},
}
EPOCH_METRICS: Shape = {
    "train/loss": NUMBER,
    "train/penalty": NUMBER,
    "train/accuracy": SHARE,
    "val/loss": NUMBER,
    "val/accuracy": SHARE,
    "time/train_seconds": SECONDS,
}
RESULT_METRICS: Shape = {
    "test/loss": NUMBER,
    "test/accuracy": SHARE,
    "test/errors": count(0, MOST_IMAGES),
    "val/loss": NUMBER,
    "val/accuracy": SHARE,
    "best/val_accuracy": SHARE,
}
RESULT: Shape = {
    "metrics": (lambda value: isinstance(value, dict), "an object"),
    "seconds": (lambda value: isinstance(value, dict), "an object"),
    "finished": count(0),
}
RESULT_SECONDS: Shape = {"train": SECONDS, "total": SECONDS}
FOLDER = (
    lambda value: is_text(value) and value not in ("", ".", "..") and not re.search(r"[/\x00]", value),
    "a folder's name",
)
SWEEP: Shape = {
    "id": KEY,
    "command": TEXT,
    "started": count(0),
    "varies": (is_texts, "a list of texts"),
    "jobs": (lambda value: isinstance(value, list) and len(value) > 0, "a list of jobs"),
}
LABEL = (lambda value: is_text(value) and re.search(r" s[0-9]{1,10}$", value) is not None, "a text with the seed")
PLANNED_JOB: Shape = {"key": KEY, "folder": FOLDER, "label": LABEL, "cell": TEXT, "params": NAMED_TEXTS}
_STORED = {path: _stored(path) for path in KEYS if part_of_a_job(path)}


def record_fault(record: Any, *, whole: bool = False) -> str:
    """What is wrong with a journal's record; empty where nothing is.

    Args:
        record: what a line holds.
        whole: whether a job that has finished needs it: then every field must be there.
    """
    found = fault(record, EVERY)
    if found or record["kind"] not in RECORDS:  # a kind that a later version has added
        return found
    found = fault(record, RECORDS[record["kind"]], whole=whole or record["kind"] in ("epoch", "stop"))
    if found:
        return found
    if record["kind"] == "epoch":
        metrics = record["metrics"]
        if all(type(value) is float and math.isfinite(value) for value in metrics.values()):  # nearly always, and fast
            return ""
        return fault(metrics, dict.fromkeys(metrics, NUMBER))
    what = fault(record.get("source", {}), SOURCE, whole=False) if record["kind"] == "ready" else ""
    return f"has a source that {what}" if what else ""


def result_fault(result: Any) -> str:
    """What is wrong with a result by itself; empty where nothing is."""
    return fault(result, RESULT) or fault(result["metrics"], RESULT_METRICS) or fault(result["seconds"], RESULT_SECONDS)


def sweep_fault(sweep: Any) -> str:
    """What is wrong with a sweep's manifest; empty where nothing is."""
    found = fault(sweep, SWEEP)
    return found or next((f"has a job that {what}" for job in sweep["jobs"] if (what := fault(job, PLANNED_JOB))), "")
