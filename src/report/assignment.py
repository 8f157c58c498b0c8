"""What a course on normalisation asks to hand in: two graphs, ten mistakes a model, a table and a text."""

from collections.abc import Sequence
from pathlib import Path

from src.bad_input import BadInput
from src.errors.atlas import Atlas
from src.figures.curves import single_panel
from src.pictures.rendering import png
from src.pictures.tiles import mistake_grid, picture_png
from src.report.columns import table_rows
from src.report.output import write_all
from src.report.report import Report, escape_markdown
from src.results.records import Cell
from src.runs.naming import folder_name
from src.runs.predictions import load_predictions, worst_mistakes

MISTAKES, COLUMNS = 10, 5
# What each norm takes the mean and variance of, in an activation (N, C, H, W).
AXES = {
    "none": ("no norm", "nothing", "-", "-"),
    "bn": ("BatchNorm", "one channel of all images of the batch (N, H, W)", "yes", "running averages of training"),
    "gn": ("GroupNorm", "a group of channels of one image (C/groups, H, W)", "no", "the same as in training"),
    "ln": ("LayerNorm", "all channels of one image (C, H, W)", "no", "the same as in training"),
    "in": ("InstanceNorm", "one channel of one image (H, W)", "no", "the same as in training"),
}
EXPLANATION = """Each norm subtracts a mean, divides by the root of a variance plus a small number, and then applies a
gain and a bias for each channel.  They differ in the values that a mean and variance are taken of:"""


def write_assignment(report: Report, folder: Path, budget: int | None = None) -> None:
    """Write `README.md`, `loss.png`, `accuracy.png` and a grid of ten mistakes for each model into a folder.

    A model of several seeds shows the mistakes of its first; where the images cannot be found any more, there are none.

    Args:
        report: a comparison with at least one cell.
        folder: where.
        budget: parameters that a model may have; None where the course sets none.
    """
    cells = report.records.cells
    files = {
        "loss.png": png(single_panel(report.records, "val/loss")),
        "accuracy.png": png(single_panel(report.records, "val/accuracy")),
    }
    grids = {cell.label: f"misclassified_{folder_name(cell.label, cell.key)}.png" for cell in cells}
    there: dict[str, bytes] = {}
    for atlas in report.atlases:
        there |= _mistakes(atlas)
    files |= {grids[label]: picture for label, picture in there.items()}
    text = _text(report, {label: grids[label] for label in there}, budget)
    write_all(folder, {**files, "README.md": text.encode()})


def _mistakes(atlas: Atlas) -> dict[str, bytes]:
    """The ten most confident mistakes of each model that was tested on these images, as PNG by the model's label."""
    found: dict[str, bytes] = {}
    try:
        images = atlas.test_images()
    except BadInput:
        return found
    for cell in atlas.cells:
        job = next((job for job in cell.jobs if cell.name(job) in atlas.runs), None)
        if job is not None:
            predictions = load_predictions(job.folder.path / "predictions.npz")
            chosen = worst_mistakes(predictions, MISTAKES)
            grid = mistake_grid(images, predictions, chosen, atlas.source["classes"], COLUMNS)
            found[cell.label] = picture_png(grid)
    return found


def _text(report: Report, grids: dict[str, str], budget: int | None) -> str:
    cells = report.records.cells
    table = table_rows(report.records, report.frame)
    parts = [
        "# Normalisation and regularisation: a comparison",
        _setting(report, len(cells)),
        "\n".join(f"- {escape_markdown(sentence)}" for sentence in report.verdicts.opening),
        "## Accuracy",
        _table(table.headings, table.rows),
        "\n".join(f"- {escape_markdown(note)}" for note in report.notes),
        "## Parameters",
        _parameters(cells, budget),
        "## Loss of all models\n\n![Validation loss of all models by epoch](loss.png)",
        "## Accuracy of all models\n\n![Validation accuracy of all models by epoch](accuracy.png)",
        "## Ten misclassified test images of each model\n\nThe most confident mistakes: true class > predicted class.",
        *(f"### {escape_markdown(name)}\n\n![Ten mistakes](<{file}>)" for name, file in grids.items()),
        "## What the norms do",
        EXPLANATION,
        _norms(cells),
        "## How to repeat it",
        "\n".join(["```sh", *report.facts.commands, "```"]),
    ]
    return "\n\n".join(parts) + "\n"


def _setting(report: Report, models: int) -> str:
    common = dict(report.facts.common)
    data, epochs, optimizer, batch, held_back = (
        common.get(path, "several")
        for path in ("data.name", "epochs", "optimizer.name", "data.batch_size", "data.validation")
    )
    return (
        f"{models} models; data: {data}; epochs: {epochs}; optimizer: {optimizer}; batch size: {batch}.  The curves "
        f"are those of images that are held back from training ({held_back}); the test images are looked at once, "
        "after the last epoch."
    )


def _parameters(cells: Sequence[Cell], budget: int | None) -> str:
    counts = {cell.label: int(cell.jobs[0].start["parameters"]) for cell in cells}
    if budget is None:
        return _table(("model", "parameters"), [(name, f"{count:,}") for name, count in counts.items()])
    rows = [
        (name, f"{count:,}", f"{'within' if count <= budget else 'over'} {budget:,}") for name, count in counts.items()
    ]
    return _table(("model", "parameters", "budget"), rows)


def _norms(cells: Sequence[Cell]) -> str:
    present = [name for name in AXES if name in {cell.leaves["norm.name"] for cell in cells}]
    headings = ("", "name", "one mean and variance over", "depends on the rest of the batch", "in evaluation")
    return _table(headings, [(name, *AXES[name]) for name in present])


def _table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [headings, ["---"] * len(headings), *([escape_markdown(text) for text in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
