"""Writes the report of a comparison as a self-contained HTML page, as Markdown and as JSON, with all figures."""

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
from src.errors.atlas_words import error_sentences
from src.figures.figures import Drawing, draw_figures, reliability_names
from src.figures.galleries import Gallery, draw_galleries
from src.figures.inline import inline_curves
from src.report.facts import Facts, collect_facts
from src.report.table import Column, csv_content, curves_csv, json_content, table_columns, table_notes
from src.results.results import Results
from src.runs.sweep import REPORT, VERDICT, Sweep
from src.verdict.pairs import Pair, clearest
from src.verdict.points import percent_text
from src.verdict.verdicts import Verdicts
from src.wording import shorten

MAX_PAIRS, MAX_SUSPECTS, MAX_LEFT_OUT = 500, 50, 200  # the report lists at most this many
MAX_JSON_PAIRS = 1_000  # a limit, because a thousand cells have half a million pairs


@dataclass(frozen=True)
class Report:
    """The results, conclusions and pictures of a report."""

    sweeps: Sequence[Sweep]
    results: Results  # at least one run
    frame: pd.DataFrame
    atlases: Sequence[Atlas]
    verdicts: Verdicts
    figures: Mapping[str, Drawing]  # by file name without suffix
    galleries: Sequence[Mapping[str, Gallery]]  # for each dataset, its galleries by file name without suffix

    @property
    def title(self) -> str:
        """The title of the report, made of the titles of the sweeps."""
        return " and ".join(sweep.title for sweep in self.sweeps)

    @cached_property
    def columns(self) -> list[Column]:
        """The columns of the table, which has one row per cell."""
        return table_columns(self.results, self.frame)

    @property
    def rows(self) -> list[tuple[str, ...]]:
        """The rows of the table as text."""
        return list(zip(*(column.texts for column in self.columns), strict=True))

    @property
    def notes(self) -> list[str]:
        """The sentences that explain how to read the table."""
        return table_notes(self.results, self.frame)

    @cached_property
    def facts(self) -> Facts:
        """The configuration, environment and commands of the compared runs."""
        return collect_facts(self.sweeps, self.results)

    @property
    def left_out(self) -> list[str]:
        """A line for each run and pair that is left out, with the reason."""
        problems = [*self.results.unfinished, *self.results.incomplete]
        lines = [f"{job.state.capitalize()}: {job.label}: {job.reason}" for job in problems]
        lines += [f"No predictions: {problem}" for atlas in self.atlases for problem in atlas.unreadable_reasons]
        return shorten([*self.verdicts.left_out, *lines], MAX_LEFT_OUT)

    def as_json(self) -> dict[str, Any]:
        """All numbers of the comparison as a JSON object."""
        verdicts = self.verdicts
        return {
            "sweeps": [sweep.id for sweep in self.sweeps],
            "notes": self.notes,
            "verdict": list(verdicts.opening),
            "cells": json_content(self.frame),
            "pairs": [_pair_json(pair) for pair in clearest(verdicts.pairs, MAX_JSON_PAIRS)],
            "pairs in all": len(verdicts.pairs),
            "effects": [asdict(effect) | {"words": effect.words} for effect in verdicts.effects],
            "more": verdicts.more,
            "left out": list(verdicts.left_out),
            "unfinished": [vars(job) for job in self.results.unfinished],
            "incomplete": [vars(job) for job in self.results.incomplete],
            "images": [atlas.as_json() for atlas in self.atlases],
        }


def _pair_json(pair: Pair) -> dict[str, Any]:
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
    """Draw all figures and galleries of a report.  Calls `warn` with the reason if a gallery cannot be drawn."""
    pictures = [_draw_galleries_or_warn(atlas, warn, several=len(atlases) > 1) for atlas in atlases]
    return Report(sweeps, results, frame, atlases, verdicts, draw_figures(results, verdicts, atlases), pictures)


def _draw_galleries_or_warn(atlas: Atlas, warn: Callable[[str], None], *, several: bool) -> dict[str, Gallery]:
    suffix = f"-{atlas.dataset.replace(' ', '-')}" if several else ""
    try:
        # A single run needs no galleries, because its own folder has a picture of its mistakes.
        pictures = draw_galleries(atlas) if len(atlas.runs) > 1 else {}
    except BadInput as refusal:
        warn(f"the report has no image galleries: {str(refusal).splitlines()[0]}")
        return {}
    return {f"{name}{suffix}": gallery for name, gallery in pictures.items()}


def report_files(report: Report) -> dict[str, bytes]:
    """The contents of all files of a report, by file name.  The HTML page comes last, after the files that it needs."""
    files = {"table.csv": csv_content(report.frame), "curves.csv": curves_csv(report.results.epochs)}
    files |= {f"{name}.png": drawing.png for name, drawing in report.figures.items()}
    files |= {f"svg/{name}.svg": drawing.svg for name, drawing in report.figures.items()}
    for pictures in report.galleries:
        files |= {f"{name}.png": gallery.png for name, gallery in pictures.items()}
    files[VERDICT] = "".join(f"{sentence}\n" for sentence in report.verdicts.opening).encode()
    return files | {"report.md": render_markdown(report), REPORT: render_html(report)}


def render_html(report: Report) -> bytes:
    """The report as a self-contained HTML page, which loads nothing from the network."""
    curves = inline_curves(report.results, report.figures["curves"])
    return _render("report.html.j2", report, autoescape=True, curves=curves).encode()


def render_markdown(report: Report) -> bytes:
    """The report as Markdown, for a README or an appendix, with links to the pictures in the same folder."""
    text = _render("report.md.j2", report, finalize=escape_markdown)
    return (re.sub(r"\n{3,}", "\n\n", text).strip() + "\n").encode()


def _render(name: str, report: Report, *, curves: Any = None, **options: Any) -> str:
    loader = jinja2.FileSystemLoader(Path(__file__).parent / "templates")
    options |= {"undefined": jinja2.StrictUndefined, "trim_blocks": True, "lstrip_blocks": True}
    environment = jinja2.Environment(loader=loader, **options)
    environment.filters |= {"percent": percent_text, "fenced": fence, "base64": lambda png: b64encode(png).decode()}
    return environment.get_template(name).render(
        report=report,
        sentences=[error_sentences(atlas) for atlas in report.atlases],
        reliability=reliability_names(report.atlases),
        pairs=clearest(report.verdicts.pairs, MAX_PAIRS),
        suspects_shown=MAX_SUSPECTS,
        curves=curves,
    )


def escape_markdown(value: Any) -> Any:
    """Put text on one line and escape Markdown's special characters.  `Markup` is returned unchanged."""
    if isinstance(value, Markup):
        return value
    plain_text = " ".join(str(value).split())
    return re.sub(r"([\\`*_{}\[\]<>|~&$#])", r"\\\1", plain_text)


def fence(command: str) -> Markup:
    """A shell command as a Markdown code block.  Its fence is longer than any run of backquotes in the command."""
    fence = "`" * max([3, *(len(run) + 1 for run in re.findall("`+", command))])
    return Markup(f"{fence}sh\n{command}\n{fence}")  # not escaped, because it is code
