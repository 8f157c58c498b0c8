"""The report: one HTML file that needs nothing else, and the same as Markdown beside its pictures."""

import base64
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import jinja2
import pandas as pd
from markupsafe import Markup

from src.errors.atlas import Atlas
from src.errors.atlas_words import sentences
from src.figures.figures import Drawing, reliability_names
from src.figures.galleries import Gallery
from src.figures.inline import inline_curves
from src.report.columns import TableRows, table_notes, table_rows
from src.report.facts import Facts, facts
from src.results.records import Records
from src.runs.sweep import Sweep
from src.verdict.pairs import clearest
from src.verdict.points import hundredths
from src.verdict.verdicts import Verdicts

TEMPLATES = Path(__file__).parent / "templates"
PAIRS, SUSPECTS, LEFT_OUT = 500, 50, 200  # at most so many rows


@dataclass(frozen=True)
class Report:
    """What the report tells."""

    sweeps: Sequence[Sweep]
    records: Records  # with at least one cell
    frame: pd.DataFrame
    atlases: Sequence[Atlas]
    verdicts: Verdicts
    figures: Mapping[str, Drawing]  # by file name without ending
    galleries: Sequence[Mapping[str, Gallery]]  # of each atlas, by file name without ending

    @property
    def title(self) -> str:
        """What the sweeps vary, and the first digits of their ids."""
        return " and ".join(sweep.title for sweep in self.sweeps)

    @cached_property
    def table(self) -> TableRows:
        """A row a cell."""
        return table_rows(self.records, self.frame)

    @property
    def notes(self) -> list[str]:
        """What must be known to read the table rightly."""
        return table_notes(self.records, self.frame)

    @cached_property
    def facts(self) -> Facts:
        """Configuration, environment, commands."""
        return facts(self.sweeps, self.records)

    @property
    def left_out(self) -> list[str]:
        """Runs and comparisons that are missing, and why."""
        told = [*self.records.unfinished, *self.records.incomplete]
        unfinished = [f"{job.state.capitalize()}: {job.label}: {job.reason}" for job in told]
        unreadable = [f"Left out of the atlas: {problem}" for atlas in self.atlases for problem in atlas.unreadable]
        found = [*self.verdicts.left_out, *unfinished, *unreadable]
        rest = [f"and {len(found) - LEFT_OUT:,} more"] if len(found) > LEFT_OUT else []
        return found[:LEFT_OUT] + rest


def html(report: Report) -> bytes:
    """One self-contained file."""
    environment = _environment(autoescape=True)
    environment.filters["data_uri"] = _data_uri
    curves = inline_curves(report.records, report.figures["curves"])
    return _render(environment, "report.html.j2", report, curves=curves)


def markdown(report: Report) -> bytes:
    """For a README or a paper's appendix; the pictures stand beside it as PNG under the names of the report."""
    environment = _environment(autoescape=False, finalize=escape_markdown)
    environment.filters["fenced"] = fenced
    text = _render(environment, "report.md.j2", report)
    return re.sub(rb"\n{3,}", b"\n\n", text).strip() + b"\n"


def _environment(**options: Any) -> jinja2.Environment:
    loader = jinja2.FileSystemLoader(TEMPLATES)
    return jinja2.Environment(
        loader=loader, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True, **options
    )


def _render(environment: jinja2.Environment, name: str, report: Report, **more: Any) -> bytes:
    environment.filters["hundredths"] = hundredths
    text = environment.get_template(name).render(
        report=report,
        sentences=[sentences(atlas) for atlas in report.atlases],
        reliability=reliability_names(report.atlases),
        pairs=clearest(report.verdicts.pairs, PAIRS),
        suspects_shown=SUSPECTS,
        **more,
    )
    return text.encode()


def _data_uri(png: bytes) -> str:
    return "data:image/png;base64," + base64.b64encode(png).decode()


def escape_markdown(value: Any) -> Any:
    """Text that Markdown shows as it is, on one line; what is marked as safe stays."""
    if isinstance(value, Markup):
        return value
    words = " ".join(str(value).split())
    return re.sub(r"([\\`*_{}\[\]<>|~&$#])", r"\\\1", words)


def fenced(command: str) -> Markup:
    """A shell command as a block of code, whose fence is longer than any that stands in it."""
    fence = "`" * max([3, *(len(run) + 1 for run in re.findall("`+", command))])
    return Markup(f"{fence}sh\n{command}\n{fence}")  # a block of code shows its text as it is
