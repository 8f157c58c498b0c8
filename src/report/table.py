"""The comparison as a table of numbers: one row a cell, accuracies on validation and test, with their spread."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from src.results.environments import other_environments
from src.results.records import Cell, Records
from src.verdict.statistics import accuracy_half_width, rounding_sd, summarise

SELECTION_RULE = "test: once, after the last epoch; choices belong to validation"


def as_frame(records: Records, letters: Mapping[str, str] | None = None) -> pd.DataFrame:
    """One row a cell, in the order of the cells; accuracies from 0 to 1, what one seed cannot tell is missing.

    Columns: `cell`, `norm.name` and what else varies, `n`, `val/accuracy` and `test/accuracy` (means over seeds, each
    with its `sd`; `ci95` is the half-width of the t interval of the mean), `test/loss`, `test/errors`, `parameters`,
    `seconds` (training alone, mean), `other code` (jobs trained by other code than stands here now), `other
    environment` (jobs trained by another torch or on another processor than most), and `letters` where they are given
    by cell: cells that share one cannot be told apart.
    """
    varies = dict.fromkeys(["norm.name", *records.varies])
    code, place = set(records.other_code), other_environments(records).runs
    frame: pd.DataFrame = pd.DataFrame([_row(cell, list(varies), code, place) for cell in records.cells])
    if letters:
        frame["letters"] = [letters.get(cell.label, "") for cell in records.cells]
    return frame


def _row(cell: Cell, varies: list[str], other_code: set[str], elsewhere: frozenset[str]) -> dict[str, Any]:
    val = summarise(cell.values("val/accuracy"))
    test = summarise(cell.values("test/accuracy"), rounding_sd(cell.source["test"], 1))
    return {
        "cell": cell.label,
        **{path: cell.leaves.get(path) for path in varies},
        "n": test.n,
        "val/accuracy": val.mean,
        "val/accuracy sd": val.sd,
        "test/accuracy": test.mean,
        "test/accuracy sd": test.sd,
        "test/accuracy ci95": test.half_width,
        "test/loss": summarise(cell.values("test/loss")).mean,
        "test/errors": summarise(cell.values("test/errors")).mean,
        "parameters": int(cell.jobs[0].start["parameters"]),
        "seconds": summarise([float(job.result["seconds"]["train"]) for job in cell.jobs]).mean,
        "other code": sum(cell.name(job) in other_code for job in cell.jobs),
        "other environment": sum(cell.name(job) in elsewhere for job in cell.jobs),
    }


def csv_content(frame: pd.DataFrame) -> bytes:
    """The table as CSV, missing numbers empty."""
    return bytes(frame.to_csv(index=False, lineterminator="\n").encode())


def json_content(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """The table as rows that are JSON, missing numbers null."""
    return [
        {name: None if pd.isna(value) else _plain(value) for name, value in row.items()}
        for row in frame.astype(object).to_dict("records")
    ]


def _plain(value: Any) -> Any:
    return value.item() if hasattr(value, "item") else value


def notes(records: Records, frame: pd.DataFrame) -> list[str]:
    """What a reader must know to read the numbers rightly, a sentence each; the first is the rule of selection."""
    found = [SELECTION_RULE]
    if "letters" in frame:
        several = len({cell.source["digest"] for cell in records.cells}) > 1
        apart = "; those of different datasets are not compared" if several else ""
        found.append(f"cells that share a letter cannot be told apart{apart}")
    if frame["parameters"].nunique() == 1:
        found.append(f"{frame['parameters'].iloc[0]:,} parameters each")
    if (frame["n"] > 1).any():
        found.append("± standard deviation over seeds; 95 %: t interval of the mean over seeds")
    if (frame["n"] == 1).any():
        half_width, images = _chance(records)
        found.append(
            f"one seed (n = 1) does not rank methods; the choice of the {images:,} test images alone makes each single "
            f"accuracy uncertain by up to ±{100 * half_width:.2f} points (95 %, Wilson), and intervals of single "
            "accuracies do not compare rows, which are tested on the same images"
        )
    if other := frame["other code"].sum():
        found.append(f"* trained by other code than stands here now: {other} of {frame['n'].sum()} runs")
    if other := frame["other environment"].sum():
        differences = other_environments(records).words
        found.append(f"† trained in another environment than most: {other} of {frame['n'].sum()} runs: {differences}")
    return found


def _chance(records: Records) -> tuple[float, int]:
    """The widest half-width of a single run's accuracy (0 to 1), and that run's number of test images."""
    single = [cell for cell in records.cells if len(cell.jobs) == 1]
    return max(
        (accuracy_half_width(cell.values("test/accuracy")[0], cell.source["test"]), int(cell.source["test"]))
        for cell in single
    )
