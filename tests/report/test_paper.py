"""The claims of a paper in the answer, the report, its figure and the JSON."""

import io
import math
from dataclasses import replace

import numpy as np
import pytest
from rich.console import Console

from src.figures.paper import DODGE, draw_paper
from src.pictures.colours import norm_colour
from src.report.comparison import _common_paper, compare_runs
from src.runs.paper_schema import parse_paper
from src.verdict.claims import judge_claims
from tests.verdict.test_claims import BATCHES, batches, correct_of, noise, products, results_of, shipped

HOSTILE = "<b>bn</b> | $x$ is the same"
PAPER = {
    "title": "Nobody's <i>paper</i>",
    "source": "nobody 2026",
    "claims": [
        {"claim": HOSTILE, "mean": {"norm": "gn"}, "at_least": 60},
        {"claim": "bn has fewer errors than gn", "mean": {"norm": "gn"}, "minus": {"norm": "bn"}, "at_least": -90},
    ],
}


def test_a_comparison_tells_which_claims_hold_before_everything_else(world, six):
    console, folder = Console(file=io.StringIO(), width=80), world.multirun / "out"
    sweep = replace(six, paper=parse_paper("nobody", PAPER))
    _, report, verdicts = compare_runs([sweep], world.multirun, folder, console)
    text = console.file.getvalue()
    assert max(map(len, text.splitlines()[:8])) <= 80
    first, second, third = " ".join(text.split()).split(". ")[:3]
    assert first == "Nobody's <i>paper</i> (nobody 2026): of 2 claims, 1 holds and 1 does not hold"
    assert second.startswith(f"Does not hold: {HOSTILE}: mean 6.67 [")
    assert third.startswith("Holds: bn has fewer errors than gn: difference of means 3")
    assert [claim["outcome"] for claim in report.as_json()["claims"]] == ["does not hold", "holds"]
    assert report.as_json()["paper"] == "nobody"
    assert verdicts.contrasts  # the usual comparison follows
    assert (folder / "verdict.txt").read_text().splitlines()[0].endswith("1 does not hold.")
    page, markdown = (folder / "report.html").read_text(), (folder / "report.md").read_text()
    assert '<section id="paper">' in page
    assert "&lt;b&gt;bn&lt;/b&gt; | $x$ is the same" in page
    assert "<b>bn</b>" not in page
    assert (folder / "paper.png").exists()
    assert "## Claims of the paper" in markdown
    assert r"\<b\>bn\</b\> \| \$x\$" in markdown


def test_two_sweeps_are_judged_together_only_if_they_state_the_same_paper(six):
    paper = parse_paper("nobody", PAPER)
    sweep, other = replace(six, paper=paper), replace(six, paper=parse_paper("other", PAPER))
    assert _common_paper([sweep, sweep]) == paper
    assert _common_paper([sweep, other]) is _common_paper([sweep, six]) is _common_paper([six, sweep]) is None


def drawn(results, paper, correct=None):
    runs = results.runs.assign(**{"model.name": "cnn", "data.name": "mnist"})
    results = replace(results, runs=runs)
    return draw_paper(paper, results, judge_claims(paper, results, correct or {}, 0.05))


def test_the_figure_shows_the_sweep_beside_the_published_values():
    figure = drawn(results_of(lambda settings, seed: 9 - noise(settings, seed), batches()), shipped("gn_batch_size"))
    ours, published = figure.axes
    assert "this sweep: cnn on mnist" in ours.get_title(loc="left")
    assert published.get_title(loc="left").startswith("published: ResNet-50 on ImageNet")
    for panel in (ours, published):
        assert [label.get_text() for label in panel.get_xticklabels()] == [str(batch) for batch in BATCHES]
        assert list(panel.get_xticks()) == [1, 2, 3, 4, 5]
    bn, gn = published.lines
    assert (list(bn.get_ydata()), bn.get_linestyle()) == ([34.7, 27.3, 24.8, 23.7, 23.6], "--")
    assert [text.get_text() for text in ours.get_legend().get_texts()] == ["bn (n = 5)", "gn (n = 5)"]
    assert [bar.lines[0].get_color() for bar in ours.containers] == [bn.get_color(), gn.get_color()]
    assert bn.get_color() != gn.get_color()


def test_a_line_without_x_crosses_the_figure():
    cells = [{"norm.name": "gn", "norm.groups": groups} for groups in (1, 4)] + [
        {"norm.name": "in", "norm.groups": None}
    ]
    figure = drawn(results_of(lambda settings, seed: 5, cells), shipped("gn_groups"))
    for axes, value in zip(figure.axes, (5, 28.4), strict=True):
        (line,) = [line for line in axes.lines if line.get_linestyle() == ":"]
        assert list(line.get_ydata()) == pytest.approx([value, value])


def test_cells_with_the_same_product_are_points():
    figure = drawn(
        results_of(lambda job, seed: 9 + job["reg.l2"] + noise(job, seed), products()), shipped("effective_lr")
    )
    (axes,) = figure.axes
    assert axes.get_xlabel() == "optimizer.lr * reg.l2"
    assert [label.get_text() for label in axes.get_xticklabels()] == ["0.01", "0.02", "0.04", "0.08", "0.16"]
    for bars, side in zip(axes.containers, (-1, 1), strict=True):  # the two norms stand beside each other
        places = np.log2([0.01, 0.02, 0.02, *[0.04] * 3, 0.08, 0.08, 0.16]) + side * DODGE / 2 * np.log2(16)
        assert sorted(bars.lines[0].get_xdata()) == pytest.approx(places)
        assert bars.lines[0].get_linestyle() == "None"
        assert bars.lines[0].get_color() == norm_colour("bn" if side < 0 else "none"), "whatever the strength of L2"


def test_the_best_strengths_have_a_panel():
    cells = [
        {"norm.name": "none", "optimizer.name": "adam", "reg.weight_decay": 0.0, **cell} for cell in products(("bn",))
    ]
    cells += [{**cell, "optimizer.name": "adamw", "reg.weight_decay": cell["reg.l2"], "reg.l2": 0.0} for cell in cells]

    def error(job, seed):  # the best L2 is 0.04 / lr, and the best decay is 0.2
        best = 0.2 if job["optimizer.name"] == "adamw" else 0.04 / job["optimizer.lr"]
        return 9 + abs(math.log((job["reg.l2"] + job["reg.weight_decay"]) / best))

    _, best = drawn(results_of(error, cells), shipped("adamw")).axes
    lines = {line.get_label(): line for line in best.lines}
    rates = np.array([0.1, 0.2, 0.4])
    assert list(lines["reg.l2"].get_ydata()) == pytest.approx(0.04 / rates)
    assert list(lines["optimizer.lr * reg.weight_decay"].get_ydata()) == pytest.approx(0.2 * rates)
    assert list(lines["reg.l2"].get_xdata()) == pytest.approx(np.log2(rates))


def test_an_axis_can_show_names():
    cells = [{"norm.name": norm, "optimizer.name": name} for norm in ("rms", "derf") for name in ("adamw", "muon")]
    results = results_of(lambda job, seed: 5 + noise(job, seed), cells)
    (axes,) = drawn(results, shipped("norm_x_optimizer")).axes
    assert [label.get_text() for label in axes.get_xticklabels()] == ["adamw", "muon"]
    assert axes.get_xlabel() == "optimizer"
    assert axes.get_title(loc="left").endswith("test loss in nats")
    left, right = (bars.lines[0].get_xdata() for bars in axes.containers)
    assert (left + right) / 2 == pytest.approx([0, 1])
    assert right - left == pytest.approx(DODGE)


def test_the_figure_of_a_variance_shows_independent_errors():
    results = results_of(lambda settings, seed: 5 + noise(settings, seed, 0.1), [{"norm.name": "bn"}], seeds=50)
    figure = drawn(results, shipped("seed_variance"), correct_of(results))
    (axes,) = figure.axes
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["50 runs", "independent errors"]


def test_a_figure_without_runs_is_not_drawn():
    results = results_of(lambda settings, seed: 5, batches())
    paper = parse_paper("p", {**PAPER, "measure": "near-zero weights"})
    runs = results.runs.assign(folder="nowhere", parameters=3)
    assert draw_paper(paper, replace(results, runs=runs), ()) is None
