"""The saved views as text."""

import json
from itertools import pairwise

import pytest

from src.tracking.views import (
    CELLS,
    CURVES,
    MAX_CHARACTERS,
    SWEEPS_SHOWN,
    TABLE,
    TAG_PREFIX,
    VIEWS_KEPT,
    note,
    surplus_views,
    sweep_mark,
    sweep_tag,
    sweep_view,
    sweep_views,
    view_key,
    view_link,
)

SWEEP = "01234567-89abcdef"
VARIED = ["norm.name", "reg.l1"]


def state_of(tag):
    view = json.loads(tag[1])
    return json.loads(view["state"])


def test_a_sweep_has_another_mark_in_each_folder():
    assert sweep_mark("01234567" * 8, "89abcdef" * 4) == SWEEP
    assert sweep_mark("01234567" * 8, "f" * 32) != SWEEP


def test_the_same_sweep_gives_the_same_tag():
    tag = sweep_view(SWEEP, "norms", VARIED, 5, penalty=True, images=6)
    assert tag == sweep_view(SWEEP, "norms", VARIED, 5, penalty=True, images=6)
    assert tag[0] == "mlflow.sharedViewState.sweep-01234567-89abcdef"
    view = json.loads(tag[1])
    assert {key: view[key] for key in ("name", "createdAt", "updatedAt")} == {
        "name": "norms",
        "createdAt": 5,
        "updatedAt": 5,
    }


def test_a_view_filters_by_the_sweeps_tag_and_shows_the_varied_params():
    state = state_of(sweep_view(SWEEP, "norms", [*VARIED, "seed"], 5))
    assert sweep_tag(SWEEP) == "sweep.01234567-89abcdef"
    assert state["searchFilter"] == 'tags.`sweep.01234567-89abcdef` = "true"'
    assert state["selectedColumns"] == [
        "params.`norm.name`",
        "params.`reg.l1`",
        "tags.`seed`",
        "metrics.`val/accuracy`",
        "metrics.`best/val_accuracy`",
        "metrics.`test/accuracy`",
        "metrics.`test/errors`",
    ]


@pytest.mark.parametrize("kind", [CURVES, CELLS, TABLE])
@pytest.mark.parametrize("penalty", [False, True])
@pytest.mark.parametrize("varied", [[], ["seed"], VARIED])
def test_every_chart_has_its_section_and_every_metric_its_chart(kind, penalty, varied):
    state = state_of(sweep_view(SWEEP, "norms", varied, 5, kind=kind, penalty=penalty, images=3))
    sections = {section["uuid"] for section in state["compareRunSections"]}
    charts = state["compareRunCharts"]
    assert {chart["metricSectionId"] for chart in charts} == sections
    assert len({chart["uuid"] for chart in charts}) == len(charts)
    # The page adds a section for each metric without a chart.
    assert {chart["metricKey"] for chart in charts if "metricKey" in chart} == {
        "train/loss",
        "train/penalty",
        "train/accuracy",
        "val/loss",
        "val/accuracy",
        "time/train_seconds",
        "test/loss",
        "test/accuracy",
        "test/errors",
        "best/val_accuracy",
    }


def test_a_view_of_means_has_no_empty_cards():
    kinds = {chart["type"] for chart in state_of(sweep_view(SWEEP, "n", VARIED, 5, kind=CELLS))["compareRunCharts"]}
    assert kinds == {"LINE", "BAR"}
    images = {chart["type"] for chart in state_of(sweep_view(SWEEP, "n", VARIED, 5, images=6))["compareRunCharts"]}
    assert images == {"LINE", "BAR", "PARALLEL", "IMAGE"}
    none = {chart["type"] for chart in state_of(sweep_view(SWEEP, "n", ["seed"], 5, images=0))["compareRunCharts"]}
    assert none == {"LINE", "BAR"}


def test_a_view_of_means_has_a_log_axis():
    for kind, scale in ((CURVES, "linear"), (CELLS, "log")):
        charts = state_of(sweep_view(SWEEP, "n", VARIED, 5, kind=kind))["compareRunCharts"]
        assert {chart["scaleType"] for chart in charts if chart.get("metricKey") == "val/accuracy"} == {scale}


def test_several_seeds_add_a_view_of_means():
    names = {TAG_PREFIX + view_key(SWEEP): "norms: curves", TAG_PREFIX + view_key(SWEEP, TABLE): "norms: leaderboard"}
    for seeds, more in ((1, {}), (5, {TAG_PREFIX + view_key(SWEEP, CELLS): "norms: mean of 5 seeds"})):
        made = sweep_views(SWEEP, "norms", VARIED, 5, seeds=seeds)
        assert {tag: json.loads(view)["name"] for tag, view in made.items()} == names | more


def test_the_leaderboard_is_sorted_by_validation_accuracy():
    state = state_of(sweep_view(SWEEP, "norms", VARIED, 5, kind=TABLE))
    assert (state["orderByKey"], state["orderByAsc"]) == ("metrics.`val/accuracy`", False)
    assert "compareRunsMode" not in view_link("7", view_key(SWEEP, TABLE))
    assert all(view_link("7", view_key(SWEEP, kind)).endswith("compareRunsMode=CHART") for kind in (CURVES, CELLS))


def test_the_largest_view_fits_into_a_tag():
    names = [f"group_{number}.{'x' * 120}" for number in range(40)]
    for value in sweep_views(SWEEP, "n" * 1000, names, 5, seeds=5, penalty=True, images=200).values():
        assert len(value) <= MAX_CHARACTERS


def test_the_oldest_views_are_deleted_and_a_readers_own_stay():
    ours = dict(sweep_view(f"{number:08x}", "n", VARIED, 1000 + number) for number in range(VIEWS_KEPT))
    assert surplus_views(ours) == []
    tags = {**ours, TAG_PREFIX + "4f0c-theirs": "{}", "mlflow.note.content": "x", TAG_PREFIX + "sweep-bad": "no JSON"}
    assert surplus_views(tags) == [TAG_PREFIX + "sweep-bad", TAG_PREFIX + "sweep-00000000"]


def test_the_note_links_the_newest_sweeps_first_in_one_line():
    views: dict[str, str] = {}
    for number in range(6):
        views |= sweep_views(f"{number:08x}", f"sweep [{number}]", VARIED, 1000 + number, seeds=2)
    text = note("7", views)
    assert "\n" not in text
    assert text.startswith(
        "Sweeps, newest first: sweep (5) [curves](#/experiments/7/runs?workflowType=machine_learning&"
    )
    assert text.count("](") == 3 * SWEEPS_SHOWN + 1
    words = ["sweep (5) [curves]", "[mean of 2 seeds]", "[leaderboard]", "sweep (4) [curves]"]
    positions = [text.index(word) for word in words]
    assert all(one < other for one, other in pairwise(positions))
    assert text.endswith("[all runs](#/experiments/7/runs?workflowType=machine_learning)")


def test_a_note_links_the_newer_of_two_equal_views():
    old = sweep_views("01234567", "sweep", VARIED, 1000, seeds=1)  # from the folder that this one was copied from
    text = note("7", old | sweep_views(SWEEP, "sweep", VARIED, 2000, seeds=1))
    assert text.count("[curves]") == text.count("[leaderboard]") == 1
    assert view_link("7", view_key(SWEEP)) in text


def test_a_note_without_views_links_the_runs():
    assert note("7", {}) == "Sweeps, newest first: [all runs](#/experiments/7/runs?workflowType=machine_learning)"
