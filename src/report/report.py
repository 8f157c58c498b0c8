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
from src.figures.figures import Drawing, draw_figures, reliability_file_names
from src.figures.galleries import Gallery, draw_galleries
from src.figures.inline import inline_curves
from src.report.augmented import augmented_pictures
from src.report.facts import Facts, collect_facts, problem_lines
from src.report.statements import (
    SCOPE,
    basis_sentences,
    best_sentences,
    cell_error_columns,
    claim_columns,
    difference_columns,
    failure_columns,
    network_columns,
)
from src.report.table import Column, column_rows, csv_content, curves_csv, json_content, table_columns, table_notes
from src.results.results import Results
from src.results.weights import zeros_frame
from src.runs.sweep import REPORT, VERDICT, Sweep
from src.verdict.claim_words import basis_lines
from src.verdict.contrast import Contrast
from src.verdict.failures import FailureCount
from src.verdict.networks import NetworkPair
from src.verdict.points import percent_text
from src.verdict.verdicts import Verdicts
from src.verdict.words import NextStep, answer_lines, next_step
from src.wording import shorten

MAX_PAIRS, MAX_SUSPECTS, MAX_LEFT_OUT = 500, 50, 200  # the report lists at most this many
MAX_JSON_PAIRS = 1_000  # a limit, because a thousand cells have half a million pairs of networks


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
    augmented: Mapping[str, Gallery]  # pictures of augmented images, by file name without suffix

    @property
    def title(self) -> str:
        """The title of the report, made of the titles of the sweeps."""
        return " and ".join(sweep.title for sweep in self.sweeps)

    @cached_property
    def columns(self) -> list[Column]:
        """The columns of the table, which has one row per cell."""
        return table_columns(self.results, self.frame)

    @property
    def notes(self) -> list[str]:
        """The sentences that explain how to read the table."""
        return table_notes(self.results, self.frame)

    @property
    def answer(self) -> list[str]:
        """The sentences that answer the question of the comparison."""
        return answer_lines(self.verdicts)

    @property
    def next_step(self) -> NextStep:
        """What to train next, and the commands for it."""
        return next_step(self.verdicts)

    @cached_property
    def network_pairs(self) -> list[NetworkPair]:
        """The pairs of networks, the smallest p first."""
        return sorted(self.verdicts.networks, key=lambda pair: pair.p)

    @cached_property
    def facts(self) -> Facts:
        """The configuration, environment and commands of the compared runs."""
        return collect_facts(self.sweeps, self.results)

    @property
    def basis(self) -> list[str]:
        """The sentences that explain how the statements were made."""
        return [*basis_sentences(self.verdicts), *([SCOPE] if self.verdicts.best else [])]

    @property
    def left_out(self) -> list[str]:
        """A line for each run that is left out, with the reason."""
        return shorten([*self.verdicts.left_out, *problem_lines(self.results, self.atlases)], MAX_LEFT_OUT)

    def as_json(self) -> dict[str, Any]:
        """All numbers of the comparison as a JSON object."""
        verdicts = self.verdicts
        return {
            "sweeps": [sweep.id for sweep in self.sweeps],
            "notes": self.notes,
            "verdict": self.answer,
            "next": next_step(verdicts).lines,
            "promise": asdict(verdicts.promise),
            "cells": json_content(self.frame),
            "paper": verdicts.paper and verdicts.paper.name,
            "claims": [claim.as_json() for claim in verdicts.claims],
            "contrasts": [_contrast_json(contrast) for contrast in verdicts.contrasts],
            "interactions": [_contrast_json(contrast) for contrast in verdicts.interactions],
            "best": [asdict(best) | {"words": f"{best.sentence}.  {best.choice_sentence}."} for best in verdicts.best],
            "networks": [vars(pair) | {"words": pair.sentence} for pair in self.network_pairs[:MAX_JSON_PAIRS]],
            "pairs of networks": len(verdicts.networks),
            "failures": [_failures_json(count) for count in verdicts.failures],
            "failure differences": [
                {"more": _failures_json(gap.more), "less": _failures_json(gap.less), "p": gap.p, "words": gap.sentence}
                for gap in verdicts.failure_differences
            ],
            "left out": list(verdicts.left_out),
            "unfinished": [vars(job) for job in self.results.unfinished],
            "incomplete": [vars(job) for job in self.results.incomplete],
            "images": [atlas.as_json() for atlas in self.atlases],
        }


def _failures_json(count: FailureCount) -> dict[str, Any]:
    numbers = {"runs": count.run_count, "failed_seeds": count.failed_seed_count, "seeds": count.seed_count}
    return {"factor": count.factor, "level": count.level, "failed": count.failed_run_count} | numbers


def _contrast_json(contrast: Contrast) -> dict[str, Any]:
    levels = {"factor": contrast.factor, "first": contrast.first, "second": contrast.second}
    numbers = {"difference": contrast.difference, "n": contrast.n}
    return levels | asdict(contrast) | numbers | {"outcome": contrast.outcome, "words": contrast.sentence}


def draw_report(
    sweeps: Sequence[Sweep],
    results: Results,
    frame: pd.DataFrame,
    atlases: Sequence[Atlas],
    verdicts: Verdicts,
    warn: Callable[[str], None],
) -> Report:
    """Draw all figures and galleries of a report.  Calls `warn` with the reason if a gallery cannot be drawn."""
    pictures = [_draw_galleries_or_warn(atlas, warn, several_datasets=len(atlases) > 1) for atlas in atlases]
    figures, augmented = draw_figures(results, verdicts, atlases), augmented_pictures(results)
    return Report(sweeps, results, frame, atlases, verdicts, figures, pictures, augmented)


def _draw_galleries_or_warn(atlas: Atlas, warn: Callable[[str], None], *, several_datasets: bool) -> dict[str, Gallery]:
    suffix = f"-{atlas.dataset.replace(' ', '-')}" if several_datasets else ""
    try:
        # A single run needs no galleries, because its own folder has a picture of its mistakes.
        galleries = draw_galleries(atlas) if len(atlas.runs) > 1 else {}
    except BadInput as refusal:
        warn(f"the report has no image galleries: {str(refusal).splitlines()[0]}")
        return {}
    return {f"{name}{suffix}": gallery for name, gallery in galleries.items()}


def report_files(report: Report) -> dict[str, bytes]:
    """The contents of all files of a report, by file name.  The HTML page comes last, after the files that it needs."""
    files = {"table.csv": csv_content(report.frame)}
    if len(report.results.epochs):
        files["curves.csv"] = curves_csv(report.results.epochs)
    if len(zeros := zeros_frame(report.results.runs)):
        files["zeros.csv"] = csv_content(zeros)
    files |= {f"{name}.png": drawing.png for name, drawing in report.figures.items()}
    files |= {f"svg/{name}.svg": drawing.svg for name, drawing in report.figures.items()}
    for pictures in (*report.galleries, report.augmented):
        files |= {f"{name}.png": gallery.png for name, gallery in pictures.items()}
    files[VERDICT] = "".join(f"{sentence}\n" for sentence in report.answer).encode()
    return files | {"report.md": render_markdown(report), REPORT: render_html(report)}


def render_html(report: Report) -> bytes:
    """The report as a self-contained HTML page, which loads nothing from the network."""
    curves = inline_curves(report.results, report.figures["curves"]) if "curves" in report.figures else None
    return _render_template("report.html.j2", report, autoescape=True, curves=curves).encode()


def render_markdown(report: Report) -> bytes:
    """The report as Markdown, for a README or an appendix, with links to the pictures in the same folder."""
    text = _render_template("report.md.j2", report, finalize=escape_markdown)
    return (re.sub(r"\n{3,}", "\n\n", text).strip() + "\n").encode()


def _render_template(name: str, report: Report, *, curves: Any = None, **options: Any) -> str:
    loader = jinja2.FileSystemLoader(Path(__file__).parent / "templates")
    options |= {"undefined": jinja2.StrictUndefined, "trim_blocks": True, "lstrip_blocks": True}
    environment = jinja2.Environment(loader=loader, **options)
    environment.filters |= {"percent": percent_text, "fenced": fenced, "base64": lambda png: b64encode(png).decode()}
    environment.filters["rows"] = column_rows
    return environment.get_template(name).render(
        report=report,
        sentences=[error_sentences(atlas) for atlas in report.atlases],
        cell_errors=[cell_error_columns(atlas) for atlas in report.atlases],
        reliability=reliability_file_names(report.atlases),
        basis=report.basis,
        best=best_sentences(report.verdicts),
        differences=difference_columns(report.verdicts.contrasts),
        networks=network_columns(report.network_pairs[:MAX_PAIRS]),
        failures=failure_columns(report.verdicts.failures),
        claims=claim_columns(report.verdicts),
        claim_basis=basis_lines(report.verdicts.claims) if report.verdicts.claims else [],
        most_pairs=MAX_PAIRS,
        suspects_shown=MAX_SUSPECTS,
        curves=curves,
    )


def escape_markdown(value: Any) -> Any:
    """Put text on one line and escape Markdown's special characters.  `Markup` is returned unchanged."""
    if isinstance(value, Markup):
        return value
    plain_text = " ".join(str(value).split())
    return re.sub(r"([\\`*_{}\[\]<>|~&$#])", r"\\\1", plain_text)


def fenced(command: str) -> Markup:
    """A shell command as a Markdown code block.  Its fence is longer than any run of backquotes in the command."""
    fence = "`" * max([3, *(len(run) + 1 for run in re.findall("`+", command))])
    return Markup(f"{fence}sh\n{command}\n{fence}")  # not escaped, because it is code
