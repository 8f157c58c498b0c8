"""Checks the names, types and ranges of the fields in stored records.

A missing field or a wrong type is a fault.  Unknown fields are ignored, because a later version may have added them.
Numbers must be finite: Python's JSON parser accepts NaN and reads 1e999 as infinity.
"""

import dataclasses
import math
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from src.config import KEYS, affects_results
from src.schema import REQUIRED, flatten

ValueTest = Callable[[Any], bool]
Field = tuple[ValueTest, str]  # a test of the field's value, and the allowed values in words
Shape = Mapping[str, Field]  # the fields of a record by their names

MAX_DEPTH = 20  # nesting levels of a stored configuration; a configuration of normlab has two
LARGEST_COUNT = 10**15  # floats above it may be inexact; as milliseconds, it is more than 30,000 years
MOST_IMAGES, MOST_CLASSES, MOST_WEIGHTS = 10**8, 10_000, 10**11
MOST_CHARACTERS = 40  # a message shows at most this many characters of a wrong value


def is_integer(value: Any) -> bool:
    """Whether a value is an integer and not a Boolean."""
    return isinstance(value, int) and not isinstance(value, bool)


def number_field(low: float, high: float, description: str) -> Field:
    """Return a field that allows finite numbers from `low` to `high`."""
    return lambda value: (is_integer(value) or isinstance(value, float)) and low <= value <= high, description


def integer_field(low: int, high: int = LARGEST_COUNT) -> Field:
    """Return a field that allows integers from `low` to `high`."""
    return lambda value: is_integer(value) and low <= value <= high, f"an integer from {low} to {high}"


def text_field(pattern: str, description: str) -> Field:
    """Return a field that allows texts if a regular expression matches the whole text."""
    return lambda value: is_text(value) and re.fullmatch(pattern, value) is not None, description


def is_text(value: Any) -> bool:
    """Whether a value is a string that UTF-8 can encode; it cannot encode half a surrogate pair."""
    return isinstance(value, str) and (value.isascii() or value.encode(errors="replace").decode() == value)


def is_text_list(value: Any) -> bool:
    """Whether a value is a list of strings that UTF-8 can encode."""
    return isinstance(value, list) and all(map(is_text, value))


def is_tree_of_texts(value: Any, depth: int = 0) -> bool:
    """Whether a value is a dict whose keys are strings and that has at most `MAX_DEPTH` levels of nested dicts."""
    if not isinstance(value, dict):
        return depth > 0
    return depth < MAX_DEPTH and all(
        is_text(name) and is_tree_of_texts(inner, depth + 1) for name, inner in value.items()
    )


def fault(value: Any, shape: Shape, *, complete: bool = True) -> str:
    """Return the first fault in a record's fields, or an empty string; if `complete`, a missing field is a fault."""
    if not isinstance(value, dict):
        return f"is {short_text(value)}, not a JSON object"
    for name, (is_valid, description) in shape.items():
        if name not in value:
            if complete:
                return f"lacks {name}"
        elif not is_valid(value[name]):
            return f"has {name}={short_text(value[name])}, not {description}"
    return ""


def short_text(value: Any) -> str:
    """Return a wrong value as a short text on one line, for a message."""
    if is_integer(value) and abs(value) > LARGEST_COUNT:
        return "an integer that is too large"  # Python raises ValueError if it prints an integer of 5,000 digits
    if isinstance(value, dict | list):
        return "a JSON object" if isinstance(value, dict) else "a list"
    text = "null" if value is None else ascii(value)
    return text if len(text) <= MOST_CHARACTERS else f"{text[:MOST_CHARACTERS]} ..."


def configuration_fault(config: Mapping[str, Any]) -> str:
    """Return the fault in a job's stored configuration, or an empty string.

    Does not check the ranges of fractional numbers: if a later version narrows a range, older jobs stay valid.
    """
    stored_values = flatten(config)
    for path, (key, is_valid) in _STORED_KEYS.items():
        value = stored_values.get(path, key.default)
        if value == REQUIRED:
            return f"lacks {path}"
        if not is_valid(value):
            return f"has {path}={short_text(value)}, not {key.allowed}"
    return ""


def _key_and_test(path: str) -> tuple[Any, ValueTest]:
    key = KEYS[path]
    kinds = str(key.type)
    if "float" in kinds:
        key = dataclasses.replace(key, limits={})
    if "str" not in kinds:
        return key, key.accepts
    return key, lambda value: (value is None or isinstance(value, str)) and key.accepts(value)


_STORED_KEYS = {path: _key_and_test(path) for path in KEYS if affects_results(path)}
SHARE = number_field(0, 1, "a number from 0 to 1")
NUMBER = number_field(-1.7976931348623157e308, 1.7976931348623157e308, "a finite number")
SECONDS = number_field(0, LARGEST_COUNT, "a number of seconds")
TEXT: Field = (is_text, "text")
ANY_TEXT: Field = (lambda value: isinstance(value, str), "text")  # a folder's name need not be valid UTF-8
OBJECT: Field = (lambda value: isinstance(value, dict), "a JSON object")
KEY = text_field("[0-9a-f]{64}", "64 hexadecimal digits")
NAMED_TEXTS: Field = (
    lambda value: isinstance(value, dict) and all(map(is_text, [*value, *value.values()])),
    "a JSON object whose values are strings",
)
DEVICE_FACTS: Shape = {"device": TEXT, "execution": TEXT, "gpu": TEXT}  # older jobs lack the last two; a CPU has no GPU
OWN_VALIDATION: Shape = {"validation": integer_field(0, MOST_IMAGES)}  # older jobs have no such field in their source
LABEL_NOISE: Shape = {"changed_labels": integer_field(0, MOST_IMAGES)}  # only jobs with label noise have this field
SOURCE: Shape = {
    "digest": KEY,
    "place": ANY_TEXT,
    "train": integer_field(1, MOST_IMAGES),
    "test": integer_field(1, MOST_IMAGES),
    "channels": integer_field(1, 1000),
    "size": integer_field(1, 100_000),
    "classes": (
        lambda value: is_text_list(value) and 1 <= len(value) <= MOST_CLASSES,
        f"a list of 1 to {MOST_CLASSES:,} strings",
    ),
}
EVERY_RECORD: Shape = {"kind": TEXT, "time": integer_field(0)}
RECORDS: Mapping[str, Shape] = {
    "start": {
        "config": (is_tree_of_texts, "a JSON object whose keys are strings"),
        "environment": NAMED_TEXTS,
        "code": TEXT,
    },
    "ready": {"job": KEY, "cell": KEY, "source": OBJECT, "parameters": integer_field(1, MOST_WEIGHTS), "device": TEXT},
    "epoch": {"epoch": integer_field(1), "metrics": OBJECT},
    "stop": {"status": TEXT, "error": ANY_TEXT},
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
RESULT: Shape = {"metrics": OBJECT, "seconds": OBJECT, "finished": integer_field(0)}
RESULT_METRICS: Shape = {
    "test/loss": NUMBER,
    "test/accuracy": SHARE,
    "test/errors": integer_field(0, MOST_IMAGES),
    "val/loss": NUMBER,
    "val/accuracy": SHARE,
    "best/val_accuracy": SHARE,
}
EMA_METRICS: Shape = {  # of jobs with norm.stats=precise: the results with running averages (norm.stats=ema)
    "test/loss_ema": NUMBER,
    "test/accuracy_ema": SHARE,
    "val/loss_ema": NUMBER,
    "val/accuracy_ema": SHARE,
}
RESULT_SECONDS: Shape = {"train": SECONDS, "total": SECONDS}
SWEEP: Shape = {
    "id": KEY,
    "command": TEXT,
    "started": integer_field(0),
    "varies": (is_text_list, "a list of strings"),
    "jobs": (lambda value: isinstance(value, list) and len(value) > 0, "a list of jobs"),
}
PLANNED_JOB: Shape = {
    "key": KEY,
    "folder": text_field(r"(?!\.\.?\Z)[^/\x00]+", "a folder's name"),
    "label": text_field(r"(?s).* s[0-9]{1,10}", "a name that ends with the seed"),
    "cell": TEXT,
    "params": NAMED_TEXTS,
}
LEDGER: Shape = {"looks": (lambda value: isinstance(value, list), "a list of looks")}
LOOK: Shape = {
    "cells": (lambda value: is_text_list(value) and all(map(KEY[0], value)), "a list of keys"),
    "runs": KEY,
    "seeds": integer_field(2),
    "planned": (lambda value: value == [] or KEYS["compare.looks"].accepts(value), KEYS["compare.looks"].allowed),
    "level": SHARE,
    "time": integer_field(0),
}


def record_fault(record: Any, *, complete: bool = False) -> str:
    """Return the fault in a journal record, or an empty string; if `complete`, a missing field is a fault."""
    reason = fault(record, EVERY_RECORD)
    if reason or record["kind"] not in RECORDS:  # a later version may have added this kind
        return reason
    if reason := fault(record, RECORDS[record["kind"]], complete=complete or record["kind"] in ("epoch", "stop")):
        return reason
    if reason := fault(record, DEVICE_FACTS, complete=False):
        return reason
    if record["kind"] == "epoch":
        metrics = record["metrics"]
        if all(type(value) is float and math.isfinite(value) for value in metrics.values()):  # fast test of most epochs
            return ""
        return fault(metrics, dict.fromkeys(metrics, NUMBER))
    if record["kind"] != "ready":
        return ""
    reason = fault(record.get("source", {}), {**SOURCE, **OWN_VALIDATION}, complete=False)
    return f"has a source that {reason}" if reason else fault(record, LABEL_NOISE, complete=False)


def result_fault(result: Any) -> str:
    """Return the fault in the fields of a job's result, or an empty string."""
    if reason := fault(result, RESULT):
        return reason
    metrics, seconds = result["metrics"], result["seconds"]
    return (
        fault(metrics, RESULT_METRICS) or fault(metrics, EMA_METRICS, complete=False) or fault(seconds, RESULT_SECONDS)
    )


def sweep_fault(sweep: Any) -> str:
    """Return the fault in the fields of a sweep's manifest, or an empty string."""
    return fault(sweep, SWEEP) or _item_fault(sweep["jobs"], PLANNED_JOB, "job")


def looks_fault(ledger: Any) -> str:
    """Return the fault in the fields of the ledger of looks, or an empty string."""
    return fault(ledger, LEDGER) or _item_fault(ledger["looks"], LOOK, "look")


def _item_fault(items: Iterable[Any], shape: Shape, noun: str) -> str:
    reasons = (fault(item, shape) for item in items)
    return next((f"has a {noun} that {reason}" for reason in reasons if reason), "")
