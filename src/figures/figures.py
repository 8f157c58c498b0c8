"""All figures of a comparison."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from matplotlib.figure import Figure

from src.errors.atlas import Atlas
from src.figures.curves import curves
from src.figures.forest import forest
from src.figures.heat_map import heat_map
from src.figures.reliability import reliability
from src.figures.swept import accuracy_by, swept_numbers, weights_by
from src.pictures.rendering import default_settings, png, svg
from src.results.records import Records
from src.verdict.verdicts import Verdicts


@dataclass(frozen=True)
class Drawing:
    """A figure of a comparison: its heading, and in words what it shows, for those who do not see it."""

    heading: str
    words: str
    figure: Figure

    @cached_property
    def png(self) -> bytes:
        """As PNG; drawn once."""
        return png(self.figure)

    @cached_property
    def svg(self) -> bytes:
        """As SVG; drawn once."""
        return svg(self.figure)


@default_settings
def drawings(records: Records, verdicts: Verdicts, atlases: Sequence[Atlas]) -> dict[str, Drawing]:
    """Everything that these numbers can show, by file name without ending; nothing that they cannot.

    Always `curves`; `differences` where there are pairs; `accuracy_by_KEY` for each swept number, `weights_by_l1`,
    `heat_map` for two swept keys; `reliability` (with the dataset's digest where there are several).
    """
    cells = records.cells
    found = {
        "curves": Drawing(
            "Loss and accuracy by epoch",
            "Four panels, training and validation: the mean over seeds by epoch, a line a cell, a band from the lowest "
            "to the highest seed.",
            curves(cells),
        )
    }
    if verdicts.pairs:
        words = "Forest plot: a row a pair of cells, the difference of their test accuracies with its 95 % interval."
        found["differences"] = Drawing("Differences with their intervals", words, forest(cells, verdicts.pairs))
    for path in swept_numbers(records):
        words = (
            f"Test and validation accuracy against {path}, a line for each norm and setting of what else varies, "
            "with a bar from the lowest run to the highest."
        )
        found[f"accuracy_by_{path}".replace(".", "_")] = Drawing(
            f"Accuracy by {path}", words, accuracy_by(records, path)
        )
    if (heat := heat_map(records)) is not None:
        words = "Heat map of the mean test accuracy over two swept keys, with its numbers."
        found["heat_map"] = Drawing("Test accuracy over two swept keys", words, heat)
    if "reg.l1" in swept_numbers(records) and (weights := weights_by(records)) is not None:
        words = "The sum of the weights' magnitudes and the share of weights close to zero, against reg.l1."
        found["weights_by_l1"] = Drawing("Size and sparsity of the weights by reg.l1", words, weights)
    for name, atlas in zip(reliability_names(atlases), atlases, strict=True):
        if atlas.calibration:
            words = "Reliability diagrams, a panel a cell: accuracy against confidence beside the diagonal."
            drawn = reliability(records.cells, atlas.calibration)
            found[name] = Drawing("Reliability diagrams", words, drawn)
    return found


def reliability_names(atlases: Sequence[Atlas]) -> list[str]:
    """The file name of each atlas's reliability diagrams."""
    return [f"reliability_{atlas.source['digest'][:8]}" if len(atlases) > 1 else "reliability" for atlas in atlases]
