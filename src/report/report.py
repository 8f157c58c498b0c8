"""Writes the report of a comparison: a self-contained HTML page, the same as Markdown, JSON, and all figures."""

import re
from base64 import b64encode
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import jinja2
import pandas as pd
from markupsafe import Markup

from src.bad_input import BadInput
from src.errors.atlas import Atlas
from src.errors.atlas_words import sentences
from src.figures.figures import Drawing, drawings, reliability_names
from src.figures.galleries import Gallery, galleries
from src.figures.inline import inline_curves
from src.report.facts import Facts, facts
from src.report.table import Column, csv_content, curves_csv, json_content, notes, table_columns
from src.results.results import Results
from src.runs.sweep import REPORT, VERDICT, Sweep
from src.verdict.pairs import Pair, clearest
from src.verdict.points import percent_text
from src.verdict.verdicts import Verdicts
from src.wording import shorten

PAIRS, SUSPECTS, LEFT_OUT = 500, 50, 200  # rows, at most
JSON_PAIRS = 1_000  # a thousand cells have half a million pairs


@dataclass(frozen=True)
class Report:
    """The contents of a report."""

    sweeps: Sequence[Sweep]
    results: Results  # at least one run
    frame: pd.DataFrame
    atlases: Sequence[Atlas]
    verdicts: Verdicts
    figures: Mapping[str, Drawing]  # by file name without suffix
    galleries: Sequence[Mapping[str, Gallery]]  # of each atlas, by file name without suffix

    @property
    def title(self) -> str:
        """The titles of the sweeps."""
        return " and ".join(sweep.title for sweep in self.sweeps)

    @cached_property
    def columns(self) -> list[Column]:
        """The table, a row a cell."""
        return table_columns(self.results, self.frame)

    @property
    def rows(self) -> list[tuple[str, ...]]:
        """The texts of the table by row."""
        return list(zip(*(column.texts for column in self.columns), strict=True))

    @property
    def notes(self) -> list[str]:
        """How to read the table."""
        return notes(self.results, self.frame)

    @cached_property
    def facts(self) -> Facts:
        """Configuration, environment, commands."""
        return facts(self.sweeps, self.results)

    @property
    def left_out(self) -> list[str]:
        """Missing runs and comparisons, each with the reason."""
        problems = [*self.results.unfinished, *self.results.incomplete]
        lines = [f"{job.state.capitalize()}: {job.label}: {job.reason}" for job in problems]
        lines += [f"No predictions: {problem}" for atlas in self.atlases for problem in atlas.unreadable]
        return shorten([*self.verdicts.left_out, *lines], LEFT_OUT)

    def as_json(self) -> dict[str, Any]:
        """All numbers of the comparison."""
        verdicts = self.verdicts
        return {
            "sweeps": [sweep.id for sweep in self.sweeps],
            "notes": self.notes,
            "verdict": list(verdicts.opening),
            "cells": json_content(self.frame),
            "pairs": [_pair(pair) for pair in clearest(verdicts.pairs, JSON_PAIRS)],
            "pairs in all": len(verdicts.pairs),
            "effects": [asdict(effect) | {"words": effect.words} for effect in verdicts.effects],
            "more": verdicts.more,
            "left out": list(verdicts.left_out),
            "unfinished": [vars(job) for job in self.results.unfinished],
            "incomplete": [vars(job) for job in self.results.incomplete],
            "images": [atlas.as_json() for atlas in self.atlases],
        }


def _pair(pair: Pair) -> dict[str, Any]:
    names = ("first", "second", "difference", "low", "high", "p", "p_holm", "method", "n", "superiority", "decided")
    return {name: getattr(pair, name) for name in (*names, "words", "equal")} | {"across environments": pair.across}


def draw_report(
    sweeps: Sequence[Sweep],
    results: Results,
    frame: pd.DataFrame,
    atlases: Sequence[Atlas],
    verdicts: Verdicts,
    warn: Callable[[str], None],
) -> Report:
    """The report with its figures and galleries; calls `warn` with the reason if a gallery cannot be drawn."""
    drawn = [_galleries(atlas, warn, several=len(atlases) > 1) for atlas in atlases]
    return Report(sweeps, results, frame, atlases, verdicts, drawings(results, verdicts, atlases), drawn)


def _galleries(atlas: Atlas, warn: Callable[[str], None], *, several: bool) -> dict[str, Gallery]:
    suffix = f"-{atlas.dataset.replace(' ', '-')}" if several else ""
    try:
        # The folder of a single run already shows its mistakes.
        drawn = galleries(atlas) if len(atlas.runs) > 1 else {}
    except BadInput as missing:
        warn(f"no galleries: {str(missing).splitlines()[0]}")
        return {}
    return {f"{name}{suffix}": gallery for name, gallery in drawn.items()}


def report_files(report: Report) -> dict[str, bytes]:
    """All files by name; the page comes last, after the pictures that it belongs to."""
    files = {"table.csv": csv_content(report.frame), "curves.csv": curves_csv(report.results.epochs)}
    files |= {f"{name}.png": drawing.png for name, drawing in report.figures.items()}
    files |= {f"svg/{name}.svg": drawing.svg for name, drawing in report.figures.items()}
    for pictures in report.galleries:
        files |= {f"{name}.png": gallery.png for name, gallery in pictures.items()}
    files[VERDICT] = "".join(f"{sentence}\n" for sentence in report.verdicts.opening).encode()
    return files | {"report.md": markdown(report), REPORT: html(report)}


def html(report: Report) -> bytes:
    """A self-contained page: it requests nothing from the network."""
    curves = inline_curves(report.results, report.figures["curves"])
    return _render("report.html.j2", report, autoescape=True, curves=curves).encode()


def markdown(report: Report) -> bytes:
    """The report for a README or an appendix; it links the pictures in the same folder."""
    text = _render("report.md.j2", report, finalize=escape_markdown)
    return (re.sub(r"\n{3,}", "\n\n", text).strip() + "\n").encode()


def _render(name: str, report: Report, *, curves: Any = None, **options: Any) -> str:
    loader = jinja2.FileSystemLoader(Path(__file__).parent / "templates")
    options |= {"undefined": jinja2.StrictUndefined, "trim_blocks": True, "lstrip_blocks": True}
    environment = jinja2.Environment(loader=loader, **options)
    environment.filters |= {"percent": percent_text, "fenced": fenced, "base64": lambda png: b64encode(png).decode()}
    return environment.get_template(name).render(
        report=report,
        sentences=[sentences(atlas) for atlas in report.atlases],
        reliability=reliability_names(report.atlases),
        pairs=clearest(report.verdicts.pairs, PAIRS),
        suspects_shown=SUSPECTS,
        curves=curves,
    )


def escape_markdown(value: Any) -> Any:
    """Text on one line with Markdown's special characters escaped; `Markup` stays as it is."""
    if isinstance(value, Markup):
        return value
    words = " ".join(str(value).split())
    return re.sub(r"([\\`*_{}\[\]<>|~&$#])", r"\\\1", words)


def fenced(command: str) -> Markup:
    """A shell command as a code block, with a fence longer than any in the command."""
    fence = "`" * max([3, *(len(run) + 1 for run in re.findall("`+", command))])
    return Markup(f"{fence}sh\n{command}\n{fence}")  # a code block needs no escaping
