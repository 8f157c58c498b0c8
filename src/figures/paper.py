"""Draws the figure of a paper: the sweep's own values, with the published values beside them."""

import math
import textwrap
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from src.figures.looks import INK, figure_label, line_styles, marker, style_axes
from src.pictures.colours import choose_colour, norm_colour
from src.results.results import Results
from src.runs.naming import format_value
from src.runs.paper import Paper
from src.verdict.claims import JudgedClaim
from src.verdict.quantities import measured_runs
from src.verdict.statistics import summarise

SCALES: Mapping[str, Callable[[float], float]] = {"linear": float, "log2": math.log2, "log10": math.log10}
MAX_LINES = 8
TITLE_WIDTH = 46  # characters of a line in a panel's title
PAPER_CAPTION = (
    "The runs of this sweep.  Bars are 95 % t intervals of means over seeds.  A second panel shows the values that the "
    "paper published.  The paper used another network and another dataset, so compare only the shapes of the lines."
)
SPREAD_CAPTION = (
    "Histogram of the runs of this sweep.  The curve is the normal distribution with the same mean and the standard "
    "deviation of independent errors, which is what a finite number of test images causes on its own."
)
Look = Mapping[str, Any]
"""Keyword arguments of matplotlib: a line's colour, marker and style."""


def draw_paper(paper: Paper, results: Results, claims: Sequence[JudgedClaim]) -> Figure | None:
    """Draw the figure of a paper; None if no run has its measure.

    With x, the panel shows the measure against x, a line per value of `paper.lines`; published values have a panel of
    their own.  A line whose runs have no x, such as InstanceNorm for the number of groups, crosses the panel.  Without
    x, the figure is a histogram of the measure.
    """
    runs = measured_runs(results, paper.measure)
    runs = runs[runs["measure"].notna()]
    if runs.empty:
        return None
    networks = " and ".join(sorted(set(runs["model.name"] + " on " + runs["data.name"])))
    title = f"this sweep: {networks}, {paper.measure} in %"
    figure = Figure(figsize=(9.6, 4.8), layout="constrained")
    figure.suptitle(figure_title(f"{paper.title} ({paper.source})", 110), fontsize=11, x=0.01, ha="left")
    if paper.x is None:
        axes = figure.subplots()
        _draw_histogram(axes, runs["measure"], claims)
        _style_panel(axes, title)
        axes.set_xlabel(f"{paper.measure}, %")
        return figure
    panels = figure.subplots(1, 1 if paper.published is None else 2, squeeze=False)[0]
    looks = _draw_sweep(panels[0], paper, paper.x, runs)
    _label_x(panels[0], paper, _positive(sorted({float(x) for x in runs[paper.x].dropna()}), paper))
    low, high = panels[0].get_ylim()
    panels[0].set_ylim(max(low, 0), min(high, 100))  # an interval may leave the range of a percentage
    _style_panel(panels[0], title)
    if paper.published is not None:
        for name, values in paper.published.lines.items():
            look = looks.get(name, {"color": norm_colour(name), "marker": marker(name)})
            _draw_published(panels[1], paper, name, values, look)
        _label_x(panels[1], paper, sorted(paper.published.x))
        _style_panel(panels[1], f"published: {paper.published.of}")
    return figure


def figure_title(text: str, width: int = TITLE_WIDTH) -> str:
    """Break a text into lines of at most `width` characters, and escape the characters that would begin a formula."""
    return "\n".join(line.replace("$", r"\$") for line in textwrap.wrap(text, width))


def _draw_sweep(axes: Axes, paper: Paper, x: str, runs: pd.DataFrame) -> dict[str, Look]:
    """Draw the lines of the sweep, and return the look of each line."""
    names = runs[paper.lines].map(format_value) if paper.lines else pd.Series("all runs", index=runs.index)
    groups = [(str(name), group, _settings(group)) for name, group in runs.groupby(names, sort=False)][:MAX_LINES]
    looks: dict[str, Look] = {}
    styles = line_styles(str(settings["norm.name"]) for _, _, settings in groups)
    for (name, group, settings), style in zip(groups, styles, strict=True):
        colour = choose_colour(settings)
        looks[name] = {"color": colour, "marker": marker(str(settings["norm.name"])), **style}
        label = figure_label(f"{name} (n = {group['seed'].nunique()})")
        values = group[x].astype(float)
        if values.isna().all():
            axes.axhline(group["measure"].mean(), label=label, color=colour, linestyle=":", linewidth=1.8)
            continue
        points = {float(value): summarise(list(part["measure"])) for value, part in group.groupby(values)}
        shown = _positive(list(points), paper)
        means, bars = [points[value].mean for value in shown], [points[value].half_width or 0.0 for value in shown]
        places = [SCALES[paper.x_scale](value) for value in shown]
        axes.errorbar(places, means, yerr=bars, label=label, capsize=3, linewidth=1.8, markersize=6, **looks[name])
    return looks


def _settings(runs: pd.DataFrame) -> dict[str, Any]:
    return {str(name): value for name, value in runs.iloc[0].items()}


def _draw_published(axes: Axes, paper: Paper, name: str, values: tuple[float | None, ...] | float, look: Look) -> None:
    """Draw published values as a dashed line, or a single value across the panel."""
    if isinstance(values, int | float):
        axes.axhline(values, label=figure_label(name), color=look["color"], linestyle=":", linewidth=1.8)
        return
    published_x = paper.published.x if paper.published else ()
    known = sorted((x, y) for x, y in zip(published_x, values, strict=True) if y is not None)
    places = [SCALES[paper.x_scale](x) for x, _ in known]
    axes.plot(places, [y for _, y in known], label=figure_label(name), **{**look, "linestyle": "--", "markersize": 6})


def _draw_histogram(axes: Axes, values: "pd.Series[float]", claims: Sequence[JudgedClaim]) -> None:
    """Draw a histogram, and the normal density of independent errors if a claim estimates their variance."""
    axes.hist(values, bins="auto", density=True, color=INK, alpha=0.25, label=f"{len(values)} runs")
    ratios = [item.interval[0] for item in claims if item.claim.kind == "variance_ratio" and item.interval]
    if ratios and (sd := float(values.std(ddof=1)) / math.sqrt(ratios[0])) > 0:
        x = np.linspace(values.mean() - 4 * sd, values.mean() + 4 * sd, 200)
        density = np.exp(-(((x - values.mean()) / sd) ** 2) / 2) / (sd * math.sqrt(2 * math.pi))
        axes.plot(x, density, color=INK, linewidth=1.8, label="independent errors")
    axes.set_ylabel("density")


def _positive(values: Sequence[float], paper: Paper) -> list[float]:
    """Return the values that the scale of x can show."""
    return [value for value in values if value > 0 or paper.x_scale == "linear"]


def _label_x(axes: Axes, paper: Paper, values: Sequence[float]) -> None:
    places = [SCALES[paper.x_scale](value) for value in values]
    axes.set_xticks(places, [format_value(float(value)) for value in values])
    axes.tick_params(axis="x", labelsize=9)
    axes.set_xlabel(figure_label(paper.x or ""))


def _style_panel(axes: Axes, title: str) -> None:
    style_axes(axes, figure_title(title))
    axes.title.set_fontsize(9.5)
    axes.legend(frameon=False, fontsize=9)
