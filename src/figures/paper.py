"""Draws the figure of a paper: the sweep's own values, with the published values beside them."""

import math
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from src.figures.looks import INK, figure_label, line_styles, marker, style_axes
from src.pictures.colours import norm_colour
from src.results.results import Results
from src.results.statistics import summarise
from src.runs.naming import format_value
from src.runs.paper import MEASURES, Paper
from src.verdict.claims import JudgedClaim
from src.verdict.quantities import measured_runs, product, scaled, selected_runs

MAX_LINES = 8
DODGE = 0.008  # the horizontal distance between points of two lines with the same x, as a share of the axis
TITLE_WIDTH = 46  # characters of a line in a panel's title
PAPER_CAPTION = (
    "The runs of this sweep.  Bars are 95 % t intervals of means over seeds.  A panel of best strengths shows the "
    "strength with the smallest mean over seeds.  A panel of published values shows those of the paper, which used "
    "another network and another dataset, so compare only the shapes of the lines."
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
    their own.  A line whose runs have no x, such as InstanceNorm for the number of groups, crosses the panel.  Several
    cells with the same x are points without a line.  If claims are about the best strength, a panel of its own shows
    it against x.  Without x, the figure is a histogram of the measure.
    """
    runs = measured_runs(results, paper.measure)
    runs = runs[runs["measure"].notna()]
    if runs.empty:
        return None
    networks = " and ".join(sorted(set(runs["model.name"] + " on " + runs["data.name"])))
    unit = "%" if MEASURES[paper.measure] == "points" else MEASURES[paper.measure]
    title = f"this sweep: {networks}, {paper.measure} in {unit}"
    figure = Figure(figsize=(9.6, 4.8), layout="constrained")
    figure.suptitle(figure_title(f"{paper.title} ({paper.source})", 110), fontsize=11, x=0.01, ha="left")
    if not paper.x:
        axes = figure.subplots()
        _draw_histogram(axes, runs["measure"], claims)
        _style_panel(axes, title)
        axes.set_xlabel(f"{paper.measure}, {unit}")
        return figure
    runs = _with_places(runs, paper)
    shifts = [item for item in claims if item.claim.strength]
    panels = iter(figure.subplots(1, 1 + (paper.published is not None) + bool(shifts), squeeze=False)[0])
    axes = next(panels)
    looks = _draw_sweep(axes, paper, runs)
    _label_x(axes, paper, runs)
    low, high = axes.get_ylim()  # an interval may leave the range of the measure
    axes.set_ylim(max(low, min(0.0, runs["measure"].min())), min(high, 100.0 if unit == "%" else high))
    _style_panel(axes, title)
    if shifts:
        axes = next(panels)
        _draw_best_strengths(axes, runs, shifts)
        _label_x(axes, paper, runs)
        _style_panel(axes, f"this sweep: the strength with the smallest {paper.measure}")
    if paper.published is not None:
        axes = next(panels)
        x = pd.Series(paper.published.x, dtype=float)
        points = pd.DataFrame({"place": scaled(x, paper.x_scale), "label": x.map(format_value)})
        for name, values in paper.published.lines.items():
            look = looks.get(name, {"color": norm_colour(name), "marker": marker(name)})
            _draw_published(axes, name, points["place"], values, look)
        _label_x(axes, paper, points)
        _style_panel(axes, f"published: {paper.published.of}")
    return figure


def figure_title(text: str, width: int = TITLE_WIDTH) -> str:
    """Break a text into lines of at most `width` characters, and escape the characters that would begin a formula."""
    return "\n".join(line.replace("$", r"\$") for line in textwrap.wrap(text, width))


def _with_places(runs: pd.DataFrame, paper: Paper) -> pd.DataFrame:
    """Return the runs with the columns `place` on the axis of x, NaN if the axis cannot show it, and `label`."""
    if paper.x_scale == "names":
        labels = runs[paper.x[0]].map(format_value)
        placed: pd.DataFrame = runs.assign(place=pd.factorize(labels)[0].astype(float), label=labels)
    else:
        x = product(runs, paper.x)
        placed = runs.assign(place=scaled(x, paper.x_scale), label=x.map(format_value))
    return placed


def _draw_sweep(axes: Axes, paper: Paper, runs: pd.DataFrame) -> dict[str, Look]:
    """Draw the lines of the sweep, and return the look of each line."""
    names = runs[paper.lines].map(format_value) if paper.lines else pd.Series("all runs", index=runs.index)
    groups = [(str(name), group) for name, group in runs.groupby(names, sort=False)][:MAX_LINES]
    looks: dict[str, Look] = {}
    styles = line_styles({"norm.name": str(group["norm.name"].iloc[0])} for _, group in groups)
    step = DODGE * float(runs["place"].max() - runs["place"].min())  # without it, equal points hide each other
    for k, ((name, group), style) in enumerate(zip(groups, styles, strict=True)):
        colour = norm_colour(name) if paper.lines == "norm.name" else f"C{k}"
        looks[name] = {**style, "color": colour}
        label = figure_label(f"{name} (n = {group['seed'].nunique()})")
        if group["place"].isna().all():
            axes.axhline(group["measure"].mean(), label=label, color=colour, linestyle=":", linewidth=1.8)
            continue
        cells = [part for _, part in group.groupby(["place", "cell_key"])]
        places = [part["place"].iloc[0] + step * (k - (len(groups) - 1) / 2) for part in cells]
        points = [summarise(list(part["measure"])) for part in cells]
        means, bars = [point.mean for point in points], [point.half_width or 0.0 for point in points]
        look = looks[name] if len(set(places)) == len(places) else {**looks[name], "linestyle": "none"}
        axes.errorbar(places, means, yerr=bars, label=label, capsize=3, linewidth=1.8, markersize=6, **look)
    return looks


def _draw_best_strengths(axes: Axes, runs: pd.DataFrame, claims: Sequence[JudgedClaim]) -> None:
    """Draw the strength with the smallest mean of the measure against x, a line per claim."""
    for k, item in enumerate(claims):
        keys = item.claim.strength
        selected = selected_runs(runs, item.claim.of)
        selected = selected.assign(strength=product(selected, keys))
        means = selected.groupby(["place", "strength"], as_index=False)["measure"].mean()
        best = means.loc[means.groupby("place")["measure"].idxmin()]
        label = figure_label(" * ".join(keys))
        axes.plot(best["place"], best["strength"], label=label, linewidth=1.8, color=f"C{k}", marker="os^v"[k % 4])
    axes.set_yscale("log")


def _draw_published(
    axes: Axes, name: str, places: "pd.Series[float]", values: tuple[float | None, ...] | float, look: Look
) -> None:
    """Draw published values as a dashed line, or a single value across the panel."""
    if isinstance(values, int | float):
        axes.axhline(values, label=figure_label(name), color=look["color"], linestyle=":", linewidth=1.8)
        return
    known = sorted((x, y) for x, y in zip(places, values, strict=True) if y is not None)
    x, y = [x for x, _ in known], [y for _, y in known]
    axes.plot(x, y, label=figure_label(name), **{**look, "linestyle": "--", "markersize": 6})


def _draw_histogram(axes: Axes, values: "pd.Series[float]", claims: Sequence[JudgedClaim]) -> None:
    """Draw a histogram, and the normal density of independent errors if a claim estimates their variance."""
    axes.hist(values, bins="auto", density=True, color=INK, alpha=0.25, label=f"{len(values)} runs")
    ratios = [item.interval[0] for item in claims if item.claim.kind == "variance_ratio" and item.interval]
    if ratios and (sd := float(values.std(ddof=1)) / math.sqrt(ratios[0])) > 0:
        x = np.linspace(values.mean() - 4 * sd, values.mean() + 4 * sd, 200)
        density = np.exp(-(((x - values.mean()) / sd) ** 2) / 2) / (sd * math.sqrt(2 * math.pi))
        axes.plot(x, density, color=INK, linewidth=1.8, label="independent errors")
    axes.set_ylabel("density")
    axes.set_yticks([])


def _label_x(axes: Axes, paper: Paper, runs: pd.DataFrame) -> None:
    """Label each place of `runs` with the value of x."""
    shown = runs[runs["place"].notna()].drop_duplicates("place").sort_values("place")
    axes.set_xticks(list(shown["place"]), list(shown["label"]))
    axes.tick_params(axis="x", labelsize=9, labelrotation=0 if len(shown) < 8 else 45)
    axes.set_xlabel(figure_label(" * ".join(path.removesuffix(".name") for path in paper.x)))


def _style_panel(axes: Axes, title: str) -> None:
    style_axes(axes, figure_title(title))
    axes.title.set_fontsize(9.5)
    axes.legend(frameon=False, fontsize=9)
