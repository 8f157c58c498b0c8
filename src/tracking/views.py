"""Builds the saved views that turn MLflow's empty first page into a dashboard of one sweep.

A saved view is an experiment tag, `mlflow.sharedViewState.<key>`, with the runs, table columns and charts of MLflow's
page as JSON. MLflow does not document this format, which is copied from the page of MLflow 3.17. A page that does not
understand a view shows its default view, so tests/tracking/test_page.py opens views in a browser.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from src.tracking.charts import chart_layout

TAG_PREFIX = "mlflow.sharedViewState."
KEY_PREFIX = "sweep-"  # only the views of normlab have it; a view that a user saves has a bare UUID as key
# Without workflowType, MLflow opens its page for language models in a new browser.
RUNS_PAGE = "#/experiments/{}/runs?workflowType=machine_learning"
MOST_VIEWS = 30  # MLflow's page saves 40 views at most, and users need room for their own
MOST_SWEEPS = 2  # MLflow's page shows one line of an experiment's note, with room for two sweeps
# The endings of the views' keys: curves of all runs, mean curves of all cells (runs that differ by seed), a table.
CURVES, CELLS, TABLE = "", "-cells", "-table"
TABLE_METRICS = ("val/accuracy", "best/val_accuracy", "test/accuracy", "test/errors")
MAX_VARIED = 12  # a table or chart shows this many keys; more are not legible and do not fit into one tag
GROUP_BY_CELL = {"aggregateFunction": "average", "groupByKeys": [{"mode": "tag", "groupByData": "cell"}]}


def sweep_mark(sweep_id: str, multirun_id: str) -> str:
    """Return a sweep's unique mark in a store: 8 digits of the sweep's id, and 8 of its `multirun` folder's id."""
    return f"{sweep_id[:8]}-{multirun_id[:8]}"


def view_key(mark: str, kind: str = CURVES) -> str:
    """Return the key of a view, which its link contains."""
    return f"{KEY_PREFIX}{mark}{kind}"


def view_link(experiment_id: str, key: str) -> str:
    """Return the link to a view of an experiment, relative to the server's address."""
    mode = "" if key.endswith(TABLE) else "&compareRunsMode=CHART"
    return f"{RUNS_PAGE.format(experiment_id)}&viewStateShareKey={key}{mode}"


def sweep_tag(mark: str) -> str:
    """Return the name of the tag that every run of a sweep has; the sweep's views filter runs by it."""
    return f"sweep.{mark}"


def sweep_views(
    mark: str, name: str, varying_params: Sequence[str], created_ms: int, seeds: int, *, penalty: bool, images: int
) -> dict[str, str]:
    """Return all views of a sweep as experiment tags: curves, leaderboard, and means if there are several seeds.

    Every job must log `varying_params`. `created_ms`, in milliseconds since 1970, is the time of the sweep, so the
    same sweep always gives the same views. `images` is the number of jobs with a picture of their mistakes.
    """
    names = {CURVES: f"{name}: curves", TABLE: f"{name}: leaderboard", CELLS: f"{name}: mean of {seeds} seeds"}
    tags = {}
    for kind in names if seeds > 1 else (CURVES, TABLE):
        page_state = _compact_json(_view_state(mark, varying_params, kind, penalty=penalty, images=images))
        view = {"name": names[kind], "createdAt": created_ms, "updatedAt": created_ms, "state": page_state}
        tags[TAG_PREFIX + view_key(mark, kind)] = _compact_json(view)
    return tags


def _view_state(mark: str, varying_params: Sequence[str], kind: str, *, penalty: bool, images: int) -> dict[str, Any]:
    varying_params = list(varying_params)[:MAX_VARIED]
    key, grouped = view_key(mark, kind), kind == CELLS
    sections, charts = chart_layout(key, varying_params, grouped=grouped, penalty=penalty, images=images)
    columns = [f"params.`{param}`" for param in varying_params if param != "seed"]
    columns += ["tags.`seed`", *(f"metrics.`{metric}`" for metric in TABLE_METRICS)]
    # MLflow shows images of only the first ten runs, so the runs with seed 0 of all cells come first.
    sort_key = "tags.`seed`" if "seed" in varying_params else "tags.`mlflow.runName`"
    return {
        "searchFilter": f'tags.`{sweep_tag(mark)}` = "true"',
        "orderByKey": "metrics.`val/accuracy`" if kind == TABLE else sort_key,
        "orderByAsc": kind != TABLE,
        "startTime": "ALL",
        "lifecycleFilter": "Active",
        "datasetsFilter": [],
        "modelVersionFilter": "All Runs",
        "selectedColumns": columns,
        "columnOrder": [],
        "columnWidths": {},
        "runsHiddenMode": "SHOW_ALL",  # by default, MLflow hides all runs but ten
        "viewMaximized": False,
        "runListHidden": False,
        "isAccordionReordered": True,  # otherwise MLflow's page sorts the sections by name
        "useGroupedValuesInCharts": grouped,
        "hideEmptyCharts": True,
        "groupBy": GROUP_BY_CELL if grouped else None,
        "groupsExpanded": {},
        "globalLineChartConfig": {"xAxisKey": "step", "lineSmoothness": 0, "selectedXAxisMetricKey": ""},
        "compareRunSections": sections,
        "compareRunCharts": charts,
    }


def surplus_view_tags(tags: Mapping[str, str]) -> list[str]:
    """Return the tags of the oldest views, which must be deleted to leave at most `MOST_VIEWS` views.

    Only views of normlab are deleted, never views that a user saved.
    """
    view_count = sum(key.startswith(TAG_PREFIX) for key in tags)
    our_tags = [TAG_PREFIX + key for key, _ in reversed(_list_views(tags))]
    return our_tags[: max(0, view_count - MOST_VIEWS)]


def note_text(experiment_id: str, tags: Mapping[str, str]) -> str:
    """Return an experiment's note with links to its newest views; `tags` are the experiment's tags.

    MLflow's page shows only the first line, which must begin with words.
    """
    sweeps: dict[str, dict[str, str]] = {}
    for key, name in _list_views(tags):
        sweep, _, kind = name.rpartition(": ")
        link = f"[{_link_text(kind)}]({view_link(experiment_id, key)})"
        sweeps.setdefault(_link_text(sweep), {}).setdefault(kind, link)  # skips older views of this name
    links = [f"{name} {', '.join(kinds.values())}".strip() for name, kinds in list(sweeps.items())[:MOST_SWEEPS]]
    return "Sweeps, newest first: " + " · ".join([*links, f"[all runs]({RUNS_PAGE.format(experiment_id)})"])


def _list_views(tags: Mapping[str, str]) -> list[tuple[str, str]]:
    """Return the keys and names of all views that normlab saved, newest first; damaged views count as oldest."""
    dated_views = []
    for tag, value in tags.items():
        key = tag.removeprefix(TAG_PREFIX)
        if key == tag or not key.startswith(KEY_PREFIX):
            continue
        try:
            view = json.loads(value)
            dated_views.append((int(view["createdAt"]), key, str(view["name"])))
        except (ValueError, TypeError, KeyError):
            dated_views.append((0, key, key))
    dated_views.sort(key=lambda dated_view: (-dated_view[0], dated_view[1]))  # a sweep's curves have the shortest key
    return [(key, name) for _, key, name in dated_views]


def _link_text(name: str) -> str:
    """Return a name with round brackets, because a square bracket would end the text of a Markdown link."""
    return name.replace("[", "(").replace("]", ")")


def _compact_json(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)
