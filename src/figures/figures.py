"""Draws all figures of a comparison."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from matplotlib.figure import Figure

from src.errors.atlas import Atlas
from src.figures.curves import draw_curves
from src.figures.forest import draw_forest_plot
from src.figures.heat_map import draw_heat_map
from src.figures.paper import PAPER_CAPTION, SPREAD_CAPTION, draw_paper
from src.figures.reliability import draw_reliability
from src.figures.swept import draw_accuracy_by_key, draw_weights_by_l1, swept_numeric_keys
from src.figures.variance import VARIANCE_CAPTION, draw_variance
from src.pictures.rendering import default_settings, render_png, render_svg
from src.results.results import Results
from src.verdict.verdicts import Verdicts


@dataclass(frozen=True)
class Drawing:
    """A figure, its heading, and a description for readers who cannot see the figure."""

    heading: str
    alt_text: str
    figure: Figure

    @cached_property
    def png(self) -> bytes:
        """The figure as PNG."""
        return render_png(self.figure)

    @cached_property
    def svg(self) -> bytes:
        """The figure as SVG."""
        return render_svg(self.figure)


@default_settings
def draw_figures(results: Results, verdicts: Verdicts, atlases: Sequence[Atlas]) -> dict[str, Drawing]:
    """Draw every figure for which the results have numbers, and return them by file name without ending."""
    numeric_keys = swept_numeric_keys(results)
    trained = replace(results, runs=results.runs[results.runs["run"].isin(verdicts.learned_runs)])
    figures = {
        "curves": Drawing(
            "Loss and accuracy by epoch",
            "Four panels: loss and accuracy in training and validation.  Each cell has a line for the mean over its "
            "seeds and a band from the lowest seed to the highest.",
            draw_curves(results),
        )
    }
    figures |= draw_differences(verdicts)
    if (paper := verdicts.paper) and (figure := draw_paper(paper, results, verdicts.claims)) is not None:
        figures["paper"] = Drawing("Figure of the paper", PAPER_CAPTION if paper.x else SPREAD_CAPTION, figure)
    if (variance := draw_variance(results.runs)) is not None:
        figures["variance"] = Drawing("Where the variance comes from", VARIANCE_CAPTION, variance)
    for path in numeric_keys:
        alt_text = (
            f"Test and validation accuracy against {path}, one line per combination of other settings, with bars from "
            "the lowest run to the highest."
        )
        name = f"accuracy_by_{path}".replace(".", "_")
        figures[name] = Drawing(f"Accuracy by {path}", alt_text, draw_accuracy_by_key(trained, path))
    if (heat_map_figure := draw_heat_map(trained)) is not None:
        alt_text = "Heat map with numbers: the mean test accuracy over two swept keys."
        figures["heat_map"] = Drawing("Test accuracy over two swept keys", alt_text, heat_map_figure)
    if "reg.l1" in numeric_keys and (weights := draw_weights_by_l1(results)) is not None:
        alt_text = "Sum of the weights' magnitudes, and share of the weights that are close to zero, against reg.l1."
        figures["weights_by_l1"] = Drawing("Size and sparsity of the weights by reg.l1", alt_text, weights)
    for name, atlas in zip(reliability_file_names(atlases), atlases, strict=True):
        if atlas.cells:
            alt_text = (
                "Reliability diagrams: accuracy against confidence per cell.  The diagonal is perfect calibration."
            )
            calibration = {cell: predictions.calibration for cell, predictions in atlas.cells.items()}
            figures[name] = Drawing("Reliability diagrams", alt_text, draw_reliability(results.runs, calibration))
    return figures


@default_settings
def draw_differences(verdicts: Verdicts) -> dict[str, Drawing]:
    """Draw the forest plot, and return it by its file name without ending; empty without intervals."""
    figure = draw_forest_plot(verdicts.contrasts)
    if figure is None:
        return {}
    alt_text = "Forest plot: the difference between every two values of a key, with its simultaneous interval."
    return {"differences": Drawing("Differences with their intervals", alt_text, figure)}


def reliability_file_names(atlases: Sequence[Atlas]) -> list[str]:
    """The file name, without ending, of the reliability diagrams on each dataset."""
    return [f"reliability_{atlas.source['digest'][:8]}" if len(atlases) > 1 else "reliability" for atlas in atlases]
