"""The saved views as text."""

import json
from itertools import pairwise

import pytest

from src.tracking.views import (
    CELLS,
    CURVES,
    MOST_SWEEPS,
    MOST_VIEWS,
    TABLE,
    TAG_PREFIX,
    note_text,
    surplus_view_tags,
    sweep_mark,
    sweep_tag,
    sweep_views,
    view_key,
    view_link,
)

MAX_CHARACTERS = 20_000  # MLflow's limit for an experiment tag, and so for a view
SWEEP = "01234567-89abcdef"
VARIED = ["norm.name", "reg.l1"]


def views_of(mark=SWEEP, name="norms", varied=VARIED, created_ms=5, seeds=2, penalty=False, images=0):
    return sweep_views(mark, name, varied, created_ms, seeds, penalty=penalty, images=images)


def state_of(kind=CURVES, **look):
    view = json.loads(views_of(**look)[TAG_PREFIX + view_key(SWEEP, kind)])
    return json.loads(view["state"])


def test_a_sweep_has_another_mark_in_each_folder():
    assert sweep_mark("01234567" * 8, "89abcdef" * 4) == SWEEP
    assert sweep_mark("01234567" * 8, "f" * 32) != SWEEP


def test_the_same_sweep_gives_the_same_tags():
    tags = views_of(penalty=True, images=6)
    assert tags == views_of(penalty=True, images=6)
    view = json.loads(tags["mlflow.sharedViewState.sweep-01234567-89abcdef"])
    assert (view["name"], view["createdAt"], view["updatedAt"]) == ("norms: curves", 5, 5)


def test_a_view_filters_by_the_sweeps_tag_and_shows_the_varied_params():
    state = state_of(varied=[*VARIED, "seed"])
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
    state = state_of(kind, varied=varied, penalty=penalty, images=3)
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
    def chart_types(kind=CURVES, **look):
        return {chart["type"] for chart in state_of(kind, **look)["compareRunCharts"]}

    assert chart_types(CELLS, images=6) == {"LINE", "BAR"}
    assert chart_types(images=6) == {"LINE", "BAR", "PARALLEL", "IMAGE"}
    assert chart_types(varied=["seed"]) == {"LINE", "BAR"}


def test_a_view_of_means_has_a_log_axis():
    for kind, scale in ((CURVES, "linear"), (CELLS, "log")):
        charts = state_of(kind)["compareRunCharts"]
        assert {chart["scaleType"] for chart in charts if chart.get("metricKey") == "val/accuracy"} == {scale}


def test_several_seeds_add_a_view_of_means():
    names = {TAG_PREFIX + view_key(SWEEP): "norms: curves", TAG_PREFIX + view_key(SWEEP, TABLE): "norms: leaderboard"}
    for seeds, more in ((1, {}), (5, {TAG_PREFIX + view_key(SWEEP, CELLS): "norms: mean of 5 seeds"})):
        assert {tag: json.loads(view)["name"] for tag, view in views_of(seeds=seeds).items()} == names | more


def test_the_leaderboard_is_sorted_by_validation_accuracy():
    state = state_of(TABLE)
    assert (state["orderByKey"], state["orderByAsc"]) == ("metrics.`val/accuracy`", False)
    assert "compareRunsMode" not in view_link("7", view_key(SWEEP, TABLE))
    assert all(view_link("7", view_key(SWEEP, kind)).endswith("compareRunsMode=CHART") for kind in (CURVES, CELLS))


def test_the_largest_view_fits_into_a_tag():
    names = [f"group_{number}.{'x' * 120}" for number in range(40)]
    for value in views_of(name="n" * 1000, varied=names, penalty=True, images=200).values():
        assert len(value) <= MAX_CHARACTERS


def test_the_oldest_views_are_deleted_and_a_readers_own_stay():
    ours: dict[str, str] = {}
    for number in range(MOST_VIEWS // 2):  # two views each
        ours |= views_of(f"{number:08x}", created_ms=1000 + number, seeds=1)
    assert surplus_view_tags(ours) == []
    tags = {**ours, TAG_PREFIX + "4f0c-theirs": "{}", "mlflow.note.content": "x", TAG_PREFIX + "sweep-bad": "no JSON"}
    assert surplus_view_tags(tags) == [TAG_PREFIX + "sweep-bad", TAG_PREFIX + "sweep-00000000-table"]


def test_the_note_links_the_newest_sweeps_first_in_one_line():
    views: dict[str, str] = {}
    for number in range(6):
        views |= views_of(f"{number:08x}", f"sweep [{number}]", created_ms=1000 + number)
    text = note_text("7", views)
    assert "\n" not in text
    assert text.startswith(
        "Sweeps, newest first: sweep (5) [curves](#/experiments/7/runs?workflowType=machine_learning&"
    )
    assert text.count("](") == 3 * MOST_SWEEPS + 1
    words = ["sweep (5) [curves]", "[mean of 2 seeds]", "[leaderboard]", "sweep (4) [curves]"]
    positions = [text.index(word) for word in words]
    assert all(one < other for one, other in pairwise(positions))
    assert text.endswith("[all runs](#/experiments/7/runs?workflowType=machine_learning)")


def test_a_note_links_the_newer_of_two_equal_views():
    old = views_of("01234567", created_ms=1000)  # from the folder that this one was copied from
    text = note_text("7", old | views_of(created_ms=2000))
    assert text.count("[curves]") == text.count("[leaderboard]") == 1
    assert view_link("7", view_key(SWEEP)) in text


def test_a_note_without_views_links_the_runs():
    assert note_text("7", {}) == "Sweeps, newest first: [all runs](#/experiments/7/runs?workflowType=machine_learning)"
