"""Writes the files of a course assignment on normalisation: two graphs, ten mistakes per model, a table and a text."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import pandas as pd

from src.bad_input import BadInput
from src.errors.atlas import Atlas
from src.figures.curves import single_panel
from src.norms import NORMS
from src.pictures.rendering import png
from src.pictures.tiles import mistake_grid, picture_png
from src.report.output import write_all
from src.report.report import Report, escape_markdown
from src.results.results import Results
from src.runs.naming import folder_name
from src.runs.predictions import load_predictions, worst_mistakes

MISTAKES, COLUMNS = 10, 5
EXPLANATION = """Each norm subtracts a mean, divides by a standard deviation, and then applies a gain and a bias per
channel.  The norms differ in the values over which they take one mean and variance, in an activation (N, C, H, W):"""


def write_assignment(report: Report, folder: Path, budget: int | None = None) -> None:
    """Write `README.md`, `loss.png`, `accuracy.png` and a grid of ten mistakes per model into a folder.

    A model with several seeds shows the mistakes of its first run.  Without the test images there are no grids.
    `budget` is the largest number of parameters that a model may have; None for no limit.
    """
    results = report.results
    files = {f"{metric}.png": png(single_panel(results, f"val/{metric}")) for metric in ("loss", "accuracy")}
    names: dict[str, str] = {}
    for model, key, picture in (grid for atlas in report.atlases for grid in _mistakes(atlas, results)):
        names[model] = f"misclassified_{folder_name(model, key)}.png"
        files[names[model]] = picture
    write_all(folder, {**files, "README.md": _text(report, names, budget).encode()})


def _mistakes(atlas: Atlas, results: Results) -> Iterator[tuple[str, str, bytes]]:
    """The name and key of each model on one dataset, and its most confident mistakes as PNG."""
    try:
        images = atlas.test_images()
    except BadInput:
        return
    for model, cell in atlas.answers.items():
        job = results.jobs[next(iter(cell.runs))]
        predictions = load_predictions(job.folder.path / "predictions.npz")
        chosen = worst_mistakes(predictions, MISTAKES)
        grid = mistake_grid(images, predictions, chosen, atlas.source["classes"], COLUMNS)
        yield model, job.start["cell"], picture_png(grid)


def _text(report: Report, grids: dict[str, str], budget: int | None) -> str:
    parts = [
        "# Normalisation and regularisation: a comparison",
        _setting(report),
        "\n".join(f"- {escape_markdown(sentence)}" for sentence in report.verdicts.opening),
        "## Accuracy",
        _table([column.heading for column in report.columns], report.rows),
        "\n".join(f"- {escape_markdown(note)}" for note in report.notes),
        "## Parameters",
        _parameters(report.frame, budget),
        "## Loss of all models\n\n![Validation loss of all models by epoch](loss.png)",
        "## Accuracy of all models\n\n![Validation accuracy of all models by epoch](accuracy.png)",
        "## Ten misclassified test images of each model\n\nThe most confident mistakes: true class > predicted class.",
        *(f"### {escape_markdown(name)}\n\n![Ten mistakes](<{file}>)" for name, file in grids.items()),
        "## How the norms differ",
        EXPLANATION,
        _norms(set(report.frame["norm.name"])),
        "## How to repeat the comparison",
        "\n".join(["```sh", *report.facts.commands, "```"]),
    ]
    return "\n\n".join(parts) + "\n"


def _setting(report: Report) -> str:
    common = dict(report.facts.common)
    keys = ("data.name", "epochs", "optimizer.name", "data.batch_size", "data.validation")
    data, epochs, optimizer, batch, held_back = (common.get(key, "several") for key in keys)
    return (
        f"{len(report.frame)} models; data: {data}; epochs: {epochs}; optimizer: {optimizer}; batch size: {batch}.  "
        f"The curves show the validation split (images held back from training: {held_back}).  The networks are tested "
        "once, after the last epoch."
    )


def _parameters(frame: pd.DataFrame, budget: int | None) -> str:
    models = frame.assign(count=frame["parameters"].map("{:,}".format))
    if budget is None:
        return _table(("model", "parameters"), models[["cell", "count"]].to_numpy())
    models["budget"] = [f"{'within' if count <= budget else 'over'} {budget:,}" for count in frame["parameters"]]
    return _table(("model", "parameters", "budget"), models[["cell", "count", "budget"]].to_numpy())


def _norms(names: set[str]) -> str:
    headings = ("", "name", "one mean and variance over", "depends on the rest of the batch", "in evaluation")
    norms = [norm for name, norm in NORMS.items() if name in names]
    return _table(
        headings,
        [(norm.name, norm.title, norm.axes, "yes" if norm.uses_batch else "no", norm.evaluation) for norm in norms],
    )


def _table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [headings, ["---"] * len(headings), *([escape_markdown(text) for text in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
