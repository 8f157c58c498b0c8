"""What a comparison writes: drawn once, and then given as files by name."""

from collections.abc import Callable, Sequence

import pandas as pd

from src.bad_input import BadInput
from src.errors.atlas import Atlas
from src.figures.figures import drawings
from src.figures.galleries import Gallery, galleries
from src.report.curves_csv import curves_csv
from src.report.report import Report, html, markdown
from src.report.table import csv_content
from src.results.records import Records
from src.runs.sweep import REPORT, VERDICT, Sweep
from src.verdict.verdicts import Verdicts


def draw(
    sweeps: Sequence[Sweep],
    records: Records,
    frame: pd.DataFrame,
    atlases: Sequence[Atlas],
    verdicts: Verdicts,
    say: Callable[[str], None],
) -> Report:
    """The report with its figures and galleries; where a gallery cannot be drawn, `say` gets the reason."""
    drawn = [_galleries(atlas, say, several=len(atlases) > 1) for atlas in atlases]
    return Report(sweeps, records, frame, atlases, verdicts, drawings(records, verdicts, atlases), drawn)


def _galleries(atlas: Atlas, say: Callable[[str], None], *, several: bool) -> dict[str, Gallery]:
    """One dataset's galleries by file name without ending."""
    if len(atlas.runs) < 2:
        return {}  # a single run's own mistakes stand in its folder
    try:
        drawn = galleries(atlas)
    except BadInput as missing:
        say(f"no galleries: {str(missing).splitlines()[0]}")
        return {}
    suffix = f"-{atlas.dataset.replace(' ', '-')}" if several else ""
    return {f"{name}{suffix}": gallery for name, gallery in drawn.items()}


def files(report: Report) -> dict[str, bytes]:
    """Everything that is written, by name; the report last, so that what it links is there."""
    found = {"table.csv": csv_content(report.frame), "curves.csv": curves_csv(report.records.cells)}
    found |= {f"{name}.png": drawing.png for name, drawing in report.figures.items()}
    found |= {f"svg/{name}.svg": drawing.svg for name, drawing in report.figures.items()}
    for pictures in report.galleries:
        found |= {f"{name}.png": gallery.png for name, gallery in pictures.items()}
    found[VERDICT] = "".join(f"{sentence}\n" for sentence in report.verdicts.opening).encode()
    return found | {"report.md": markdown(report), REPORT: html(report)}
