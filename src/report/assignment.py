"""Writes the files of a course assignment on normalisation: two graphs, ten mistakes per model, a table and a text."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from src.bad_input import BadInput
from src.errors.atlas import Atlas
from src.figures.curves import single_panel
from src.pictures.rendering import png
from src.pictures.tiles import mistake_grid, picture_png
from src.report.output import write_all
from src.report.report import Report, escape_markdown
from src.results.results import Results
from src.runs.naming import folder_name
from src.runs.predictions import load_predictions, worst_mistakes

MISTAKES, COLUMNS = 10, 5
# Name, the values over which one mean and variance are taken, batch dependence, behaviour in evaluation.
AXES = {
    "none": ("no norm", "nothing", "-", "-"),
    "bn": ("BatchNorm", "one channel of all images of the batch (N, H, W)", "yes", "running averages from training"),
    "gn": ("GroupNorm", "a group of channels of one image (C/groups, H, W)", "no", "same as in training"),
    "ln": ("LayerNorm", "all channels of one image (C, H, W)", "no", "same as in training"),
    "in": ("InstanceNorm", "one channel of one image (H, W)", "no", "same as in training"),
}
EXPLANATION = """Each norm subtracts a mean, divides by a standard deviation, and then applies a gain and a bias per
channel.  The norms differ in the values over which they take one mean and variance, in an activation (N, C, H, W):"""


def write_assignment(report: Report, folder: Path, budget: int | None = None) -> None:
    """Write `README.md`, `loss.png`, `accuracy.png` and a grid of ten mistakes per model into a folder.

    The mistakes of a model with several seeds are those of its first run.  Without the test images there are no grids.
    `budget` is the most parameters that a model may have; None for no limit.
    """
    results = report.results
    files = {f"{metric}.png": png(single_panel(results, f"val/{metric}")) for metric in ("loss", "accuracy")}
    keys = results.runs.drop_duplicates("cell")[["cell", "cell_key"]]
    names = {cell: f"misclassified_{folder_name(cell, key)}.png" for cell, key in keys.itertuples(index=False)}
    drawn: dict[str, bytes] = {}
    for atlas in report.atlases:
        drawn |= _mistakes(atlas, results)
    files |= {names[cell]: picture for cell, picture in drawn.items()}
    text = _text(report, {cell: names[cell] for cell in drawn}, budget)
    write_all(folder, {**files, "README.md": text.encode()})


def _mistakes(atlas: Atlas, results: Results) -> dict[str, bytes]:
    """The ten most confident mistakes of each model on one dataset, as PNG by the model's name."""
    try:
        images = atlas.test_images()
    except BadInput:
        return {}
    found = {}
    for name, cell in atlas.answers.items():
        predictions = load_predictions(results.jobs[next(iter(cell.runs))].folder.path / "predictions.npz")
        chosen = worst_mistakes(predictions, MISTAKES)
        found[name] = picture_png(mistake_grid(images, predictions, chosen, atlas.source["classes"], COLUMNS))
    return found


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
    rows = [[cell, f"{count:,}"] for cell, count in zip(frame["cell"], frame["parameters"], strict=True)]
    if budget is None:
        return _table(("model", "parameters"), rows)
    within = ["within" if count <= budget else "over" for count in frame["parameters"]]
    return _table(
        ("model", "parameters", "budget"),
        [[*row, f"{word} {budget:,}"] for row, word in zip(rows, within, strict=True)],
    )


def _norms(names: set[str]) -> str:
    headings = ("", "name", "one mean and variance over", "depends on the rest of the batch", "in evaluation")
    return _table(headings, [(name, *words) for name, words in AXES.items() if name in names])


def _table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [headings, ["---"] * len(headings), *([escape_markdown(text) for text in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
