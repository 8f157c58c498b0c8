"""Writes the files of a course assignment on normalisation: two graphs, ten mistakes per model, a table and a text."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import pandas as pd

from src.bad_input import BadInput
from src.errors.atlas import Atlas
from src.figures.curves import draw_metric
from src.models import NETWORKS
from src.norms import NORMS
from src.pictures.rendering import render_png
from src.pictures.tiles import draw_mistake_grid, picture_png
from src.report.output import write_files
from src.report.report import Report, escape_markdown
from src.report.table import column_rows
from src.results.results import Results
from src.runs.naming import folder_name
from src.runs.predictions import load_predictions, worst_mistakes

MISTAKES, COLUMNS = 10, 5  # a grid of mistakes shows 10 images in 5 columns
EXPLANATION = """A norm computes its formula for every value x.  Each channel has its own gain and bias.  The norms also
differ in the values that share a mean and a variance (N images, C channels, H x W pixels, T tokens):"""


def write_assignment(report: Report, folder: Path, budget: int | None = None) -> None:
    """Write `README.md`, `loss.png`, `accuracy.png` and a grid of ten mistakes per model into a folder.

    A grid shows the mistakes of the model's first run.  Without the test images, there are no grids.
    `budget` is the largest allowed number of parameters of a model; None for no limit.
    """
    results = report.results
    files = {f"{metric}.png": render_png(draw_metric(results, f"val/{metric}")) for metric in ("loss", "accuracy")}
    grids = [grid for atlas in report.atlases for grid in _mistake_grids(atlas, results)]
    files |= {file: picture for _, file, picture in grids}
    text = _readme_text(report, {model: file for model, file, _ in grids}, budget)
    write_files(folder, {**files, "README.md": text.encode()})


def _mistake_grids(atlas: Atlas, results: Results) -> Iterator[tuple[str, str, bytes]]:
    """Yield each model's name, a file name, and a PNG of its most confident mistakes on the dataset of `atlas`."""
    try:
        images = atlas.test_images()
    except BadInput:
        return
    for model, cell in atlas.cells.items():
        job = results.jobs[next(iter(cell.runs))]
        predictions = load_predictions(job.folder.path / "predictions.npz")
        mistakes = worst_mistakes(predictions, MISTAKES)
        grid = draw_mistake_grid(images, predictions, mistakes, atlas.source["classes"], COLUMNS)
        yield model, f"misclassified_{folder_name(model, job.start['cell'])}.png", picture_png(grid)


def _readme_text(report: Report, grid_files: dict[str, str], budget: int | None) -> str:
    sections = [
        "# Normalisation and regularisation: a comparison",
        _conditions_text(report),
        "\n".join(f"- {escape_markdown(sentence)}" for sentence in report.answer),
        "## Accuracy",
        _markdown_table([column.heading for column in report.columns], column_rows(report.columns)),
        "\n".join(f"- {escape_markdown(note)}" for note in report.notes),
        "## Parameters",
        _parameter_table(report.frame, budget),
        "## Loss of all models\n\n![Validation loss of all models by epoch](loss.png)",
        "## Accuracy of all models\n\n![Validation accuracy of all models by epoch](accuracy.png)",
        "## The ten most confident mistakes of each model\n\nThe caption of an image is: true class > predicted class.",
        *(f"### {escape_markdown(name)}\n\n![Ten mistakes](<{file}>)" for name, file in grid_files.items()),
        "## How the norms differ",
        EXPLANATION,
        _norm_table(report.results),
        "## Repeat the comparison",
        "\n".join(["```sh", *report.facts.commands, "```"]),
    ]
    return "\n\n".join(sections) + "\n"


def _conditions_text(report: Report) -> str:
    common = dict(report.facts.common)
    keys = ("data.name", "epochs", "optimizer.name", "data.batch_size", "data.validation")
    data, epochs, optimizer, batch, held_back = (common.get(key, "several") for key in keys)
    if (limit := common.get("data.limit", "null")).isdigit():
        data = f"{data}, only {int(limit):,} training images"
    held_out = f"{held_back} images of the training file" if held_back.isdigit() else "which are not used for training"
    return (
        f"{len(report.frame)} models; data: {data}; epochs: {epochs}; optimizer: {optimizer}; batch size: {batch}.  "
        f"The curves are measured on the validation images ({held_out}).  The test images "
        "are used once, after the last epoch."
    )


def _parameter_table(frame: pd.DataFrame, budget: int | None) -> str:
    models = frame.dropna(subset=["parameters"])  # a model whose runs all failed has no number
    columns = {"model": models["cell"], "parameters": models["parameters"].map("{:,}".format)}
    if budget is not None:
        columns["budget"] = [f"{'within' if count <= budget else 'over'} {budget:,}" for count in models["parameters"]]
    return _markdown_table([*columns], zip(*columns.values(), strict=True))


def _norm_table(results: Results) -> str:
    all_settings = [job.settings for job in results.jobs.values()]
    names = {settings["norm.name"] for settings in all_settings}
    layouts = {NETWORKS[name].layout for settings in all_settings if (name := settings["model.name"]) in NETWORKS}
    batch_heading = "depends on other images in the batch"
    headings = ("", "name", "formula", "averages over", "parameters per layer", batch_heading, "in evaluation")
    norms = [norm for name, norm in NORMS.items() if name in names]
    rows = []
    for norm in norms:
        axes = "; ".join(text for layout, text in norm.axes.items() if layout in layouts)
        batch = "yes" if norm.uses_batch else "no"
        own_settings = [settings for settings in all_settings if settings["norm.name"] == norm.name]
        others = sorted({settings["norm.stats"] for settings in own_settings} - {None, "ema"})
        evaluation = f"{norm.evaluation}, unless stats={' or '.join(others)}" if others else norm.evaluation
        rows.append((norm.name, norm.title, norm.formula, axes, norm.parameters, batch, evaluation))
    return _markdown_table(headings, rows)


def _markdown_table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [headings, ["---"] * len(headings), *([escape_markdown(text) for text in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
