"""Checks the figure and the claims that a paper's preset or a sweep's manifest states, field by field."""

import difflib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from src.bad_input import BadInput
from src.config import KEYS, OPTIONS, affects_results
from src.runs.paper import KINDS, KINDS_WITHOUT_X, MEASURES, X_SCALES, Claim, Paper, Published
from src.runs.shapes import NUMBER, TEXT, Shape, fault, short_text

NUMBERS = "a list of numbers or null"
LONGEST = 400  # characters of a text, which stands in a sentence or in a figure


def text_of(longest: int = LONGEST) -> tuple[Any, str]:
    """Return a field that allows a text of 1 to `longest` characters."""
    return lambda value: TEXT[0](value) and 0 < len(value) <= longest, f"a text of 1 to {longest} characters"


def one_of(choices: Iterable[str]) -> tuple[Any, str]:
    """Return a field that allows the `choices`."""
    names = list(choices)
    return lambda value: value in names, ", ".join(names)


def is_number_list(value: Any) -> bool:
    """Whether a value is a list of 1 to 100 finite numbers or nulls."""
    return isinstance(value, list) and 0 < len(value) <= 100 and all(v is None or NUMBER[0](v) for v in value)


KEY_NAME = (lambda value: isinstance(value, str) and _full_key(value) is not None, "a key of a job, such as norm")
NUMERIC_KEYS = (
    lambda value: all(isinstance(key, str) and _is_numeric(key) for key in _as_list(value)) and value != [],
    "a key of a job with numbers as values, such as data.batch_size, or a list of such keys",
)
MAPPING = (lambda value: isinstance(value, dict) and len(value) > 0, "KEY: VALUE pairs")
MAPPINGS = (
    lambda value: value != [] and all(MAPPING[0](item) for item in _as_list(value)),
    "KEY: VALUE pairs, or a list of them",
)
CLAIMS = (lambda value: isinstance(value, list) and 0 < len(value) <= 20, "a list of 1 to 20 claims")
PAPER: Shape = {"title": text_of(), "source": text_of(), "claims": CLAIMS}
PAPER_OPTIONAL: Shape = {
    "differs": text_of(2000),
    "measure": one_of(MEASURES),
    "x": (lambda value: KEY_NAME[0](value) or NUMERIC_KEYS[0](value), NUMERIC_KEYS[1]),
    "x_scale": one_of(X_SCALES),
    "lines": KEY_NAME,
    "published": MAPPING,
}
PUBLISHED: Shape = {
    "of": text_of(),
    "x": (lambda value: is_number_list(value) and None not in value, "a list of numbers"),
    "lines": MAPPING,
}
CLAIM: Shape = {"claim": text_of()}
CLAIM_OPTIONAL: Shape = {
    **dict.fromkeys(KINDS, MAPPING),
    **dict.fromkeys(("minus", "plus"), MAPPINGS),
    "over": MAPPING,
    "strength": NUMERIC_KEYS,
    **dict.fromkeys(("at_least", "at_most", "trains_below"), NUMBER),
    "measure": one_of(MEASURES),
}


def parse_paper(name: str, stated: Any) -> Paper:
    """Return the paper that a preset or a manifest states.  Raises BadInput, with the place, for the first mistake."""
    _check(f"paper={name}", stated, PAPER, PAPER_OPTIONAL)
    measure, x_scale = stated.get("measure", "test error"), stated.get("x_scale", "linear")
    x = tuple(_full_key(key) or key for key in _as_list(stated.get("x", [])))
    if x_scale != "names" and not all(map(_is_numeric, x)):
        problem = f"paper={name} has x={stated['x']!r}, not {NUMERIC_KEYS[1]}"
        raise BadInput(problem, "such keys, or any key with x_scale: names", "x_scale: names")
    if x_scale == "names" and len(x) != 1:
        raise BadInput(f"paper={name}: x_scale: names needs one key x", KEY_NAME[1], "x: optimizer")
    claims = [
        _parse_claim(f"paper={name}, claim {number}", claim, measure, has_x=bool(x) and x_scale != "names")
        for number, claim in enumerate(stated["claims"], start=1)
    ]
    texts = {key: stated.get(key, "") for key in ("title", "source", "differs")}
    lines = _full_key(stated["lines"]) if "lines" in stated else None
    published = _parse_published(f"paper={name}, published", stated["published"]) if "published" in stated else None
    axis = {"x": x, "x_scale": x_scale, "lines": lines}
    return Paper(name, **texts, claims=tuple(claims), measure=measure, **axis, published=published, stated=stated)


def paper_fault(stored: Any) -> str:
    """Return the fault in the paper of a sweep's manifest, or an empty string; null stands for a sweep without one."""
    if stored is None:
        return ""
    if not isinstance(stored, dict) or not TEXT[0](stored.get("name")):
        return "has a paper without a name"
    try:
        stored_paper(stored)
    except BadInput as refusal:
        return f"has a wrong paper ({str(refusal).splitlines()[0].removeprefix('normlab: ')})"
    return ""


def stored_paper(stored: Mapping[str, Any]) -> Paper:
    """Return the paper of a sweep's manifest, which has the preset's mapping and the preset's name."""
    return parse_paper(stored["name"], {key: value for key, value in stored.items() if key != "name"})


def _parse_claim(place: str, stated: Any, measure: str, *, has_x: bool) -> Claim:
    _check(place, stated, CLAIM, CLAIM_OPTIONAL)
    kinds = [kind for kind in KINDS if kind in stated]
    if len(kinds) != 1:
        problem = f"{place} needs exactly one kind" + (f", not {' and '.join(kinds)}" if kinds else "")
        raise BadInput(problem, ", ".join(KINDS), "slope: {norm: bn}")
    (kind,) = kinds
    if not has_x and kind not in KINDS_WITHOUT_X:
        raise BadInput(f"{place}: {kind} needs a numeric x of the paper", "a numeric key", "x: data.batch_size")
    if ("minus" in stated or "plus" in stated) and ("over" in stated or kind == "variance_ratio"):
        raise BadInput(f"{place} cannot use minus or plus", "these or over, and neither with variance_ratio")
    if "over" in stated and kind == "variance_ratio":
        raise BadInput(f"{place}: variance_ratio is a ratio already", "a claim without over")
    for owner, name, example in (
        ("largest_trained", "trains_below", "trains_below: 50"),
        ("shift_of_best", "strength", "strength: reg.l2"),
    ):
        if (kind == owner) != (name in stated):
            raise BadInput(f"{place}: {owner} and {name} belong together", write=example)
    at_least, at_most = stated.get("at_least"), stated.get("at_most")
    if at_least is None and at_most is None:
        raise BadInput(f"{place} has no bound", "at_least, at_most, or both", "at_most: 0")
    if at_least is not None and at_most is not None and at_least > at_most:
        raise BadInput(f"{place}: at_least={at_least} is larger than at_most={at_most}", "at_least <= at_most")
    selections = {
        name: tuple(_parse_selection(f"{place}, {name}", item) for item in _as_list(stated.get(name, [])))
        for name in (kind, "minus", "plus", "over")
    }
    return Claim(
        text=stated["claim"],
        kind=kind,
        of=selections[kind][0],
        minus=selections["minus"],
        plus=selections["plus"],
        over=selections["over"][0] if "over" in stated else None,
        at_least=at_least,
        at_most=at_most,
        measure=stated.get("measure", measure),
        trains_below=stated.get("trains_below"),
        strength=tuple(_as_list(stated.get("strength", []))),
    )


def _parse_selection(place: str, stated: Mapping[Any, Any]) -> dict[str, tuple[Any, ...]]:
    selection = {}
    for name, value in stated.items():
        path = _full_key(str(name))
        if path is None:
            names = [*OPTIONS, *(path for path in KEYS if affects_results(path))]
            raise BadInput(f"{place}: there is no key {name}{_did_you_mean(str(name), names)}", KEY_NAME[1])
        values = _as_list(value)
        for item in values:
            if not KEYS[path].accepts(item):
                raise BadInput(f"{place}: {name}={short_text(item)} cannot be used", KEYS[path].allowed)
        selection[path] = tuple(values)
    return selection


def _parse_published(place: str, stated: Mapping[str, Any]) -> Published:
    _check(place, stated, PUBLISHED, {})
    lines: dict[str, tuple[float | None, ...] | float] = {}
    for name, values in stated["lines"].items():
        if not NUMBER[0](values) and not (is_number_list(values) and len(values) == len(stated["x"])):
            raise BadInput(f"{place}: {short_text(name)} needs one number, or as many as x has", NUMBERS)
        lines[str(name)] = tuple(values) if isinstance(values, list) else values
    return Published(stated["of"], tuple(stated["x"]), lines)


def _check(place: str, value: Any, required: Shape, optional: Shape) -> None:
    """Raise BadInput if a mapping lacks a required key, has an unknown key or a wrong value."""
    allowed = [*required, *optional]
    if not isinstance(value, dict):
        raise BadInput(f"{place} is {short_text(value)}, not KEY: VALUE pairs", ", ".join(allowed))
    for name in value:
        if name not in allowed:
            raise BadInput(f"{place} has no key {name}{_did_you_mean(str(name), allowed)}", ", ".join(allowed))
    if reason := fault(value, required) or fault(value, optional, complete=False):
        raise BadInput(f"{place} {reason}", ", ".join(allowed) if reason.startswith("lacks") else "")


def _did_you_mean(name: str, known: Sequence[str]) -> str:
    matches = difflib.get_close_matches(name, known, n=1)
    return f"; did you mean {matches[0]}?" if matches else ""


def _full_key(name: str) -> str | None:
    """Return the dotted key of a job that a name stands for: `norm` stands for `norm.name`; None for another name."""
    path = f"{name}.name" if name in OPTIONS else name
    return path if path in KEYS and affects_results(path) else None


def _is_numeric(path: str) -> bool:
    return path in KEYS and affects_results(path) and any(kind in str(KEYS[path].type) for kind in ("int", "float"))


def _as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]
