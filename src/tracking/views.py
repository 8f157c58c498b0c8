"""Builds the saved views that turn MLflow's empty first page into a dashboard of one sweep.

A saved view is an experiment tag, `mlflow.sharedViewState.<key>`, that holds the page's state as JSON: its runs, table
columns and charts. MLflow does not document the format. It was read from the page of MLflow 3.17, so
tests/tracking/test_page.py opens views in a browser. A page that does not understand a view shows its default view.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from src.tracking.charts import layout

TAG_PREFIX = "mlflow.sharedViewState."
KEY_PREFIX = "sweep-"  # ours only: views that a reader saves have bare UUIDs as keys
# Without workflowType a fresh browser opens the page for language models.
RUNS_PAGE = "#/experiments/{}/runs?workflowType=machine_learning"
MAX_CHARACTERS = 20_000  # of an experiment tag, and of a view
VIEWS_KEPT = 30  # the page saves 40 at most: leave room for the reader's own
SWEEPS_SHOWN = 2  # the page shows one line of an experiment's note
# The kinds of views, as the end of their keys: a line for each run, a line for each cell, a table.
CURVES, CELLS, TABLE = "", "-cells", "-table"
LAST_AND_BEST = ("val/accuracy", "best/val_accuracy", "test/accuracy", "test/errors")
MAX_VARIED = 12  # table columns and parallel axes; more are not legible and too long for one tag
BY_CELL = {"aggregateFunction": "average", "groupByKeys": [{"mode": "tag", "groupByData": "cell"}]}


def sweep_mark(sweep_id: str, multirun_id: str) -> str:
    """Return a sweep's name among all users of a store: 8 digits of its id, 8 of its folder's identity."""
    return f"{sweep_id[:8]}-{multirun_id[:8]}"


def view_key(mark: str, kind: str = CURVES) -> str:
    """Return a view's key in links."""
    return f"{KEY_PREFIX}{mark}{kind}"


def view_link(experiment_id: str, key: str) -> str:
    """Return the link to a view, relative to the server's address."""
    mode = "" if key.endswith(TABLE) else "&compareRunsMode=CHART"
    return f"{RUNS_PAGE.format(experiment_id)}&viewStateShareKey={key}{mode}"


def sweep_tag(mark: str) -> str:
    """Return the tag of every job of the sweep, with the value "true". Views filter by it."""
    return f"sweep.{mark}"


def sweep_views(
    mark: str, name: str, varied: Sequence[str], created_ms: int, seeds: int, *, penalty: bool, images: int
) -> dict[str, str]:
    """Return all views of a sweep as experiment tags: curves, leaderboard, and means if there are several seeds.

    Every job must log the params `varied`. `created_ms` (since 1970) is the sweep's own time, so the same sweep gives
    the same views. `images` is the number of jobs with a picture of their mistakes; it sets the height of that card.
    """
    names = {CURVES: f"{name}: curves", TABLE: f"{name}: leaderboard", CELLS: f"{name}: mean of {seeds} seeds"}
    tags = {}
    for kind in names if seeds > 1 else (CURVES, TABLE):
        state = _compact(_state(mark, varied, kind, penalty=penalty, images=images))
        view = {"name": names[kind], "createdAt": created_ms, "updatedAt": created_ms, "state": state}
        tags[TAG_PREFIX + view_key(mark, kind)] = _compact(view)
    return tags


def _state(mark: str, varied: Sequence[str], kind: str, *, penalty: bool, images: int) -> dict[str, Any]:
    varied = list(varied)[:MAX_VARIED]
    key, grouped = view_key(mark, kind), kind == CELLS
    sections, charts = layout(key, varied, grouped=grouped, penalty=penalty, images=images)
    columns = [f"params.`{param}`" for param in varied if param != "seed"]
    columns += ["tags.`seed`", *(f"metrics.`{metric}`" for metric in LAST_AND_BEST)]
    # With several seeds, seed 0 of all cells comes first: only the first ten runs show their images.
    order = "tags.`seed`" if "seed" in varied else "tags.`mlflow.runName`"
    return {
        "searchFilter": f'tags.`{sweep_tag(mark)}` = "true"',
        "orderByKey": "metrics.`val/accuracy`" if kind == TABLE else order,
        "orderByAsc": kind != TABLE,
        "startTime": "ALL",
        "lifecycleFilter": "Active",
        "datasetsFilter": [],
        "modelVersionFilter": "All Runs",
        "selectedColumns": columns,
        "columnOrder": [],
        "columnWidths": {},
        "runsHiddenMode": "SHOW_ALL",  # the default hides all but ten
        "viewMaximized": False,
        "runListHidden": False,
        "isAccordionReordered": True,  # otherwise the page sorts the sections by name
        "useGroupedValuesInCharts": grouped,
        "hideEmptyCharts": True,
        "groupBy": BY_CELL if grouped else None,
        "groupsExpanded": {},
        "globalLineChartConfig": {"xAxisKey": "step", "lineSmoothness": 0, "selectedXAxisMetricKey": ""},
        "compareRunSections": sections,
        "compareRunCharts": charts,
    }


def surplus_views(tags: Mapping[str, str]) -> list[str]:
    """Return the experiment tags to delete, oldest first, to leave at most `VIEWS_KEPT` views.

    Views that a reader saved are never among them.
    """
    total = sum(key.startswith(TAG_PREFIX) for key in tags)
    ours = [TAG_PREFIX + key for key, _ in reversed(_views(tags))]
    return ours[: max(0, total - VIEWS_KEPT)]


def note(experiment_id: str, tags: Mapping[str, str]) -> str:
    """Return the experiment's note: links to the newest views among `tags`.

    The page shows only the first line, which must begin with words.
    """
    sweeps: dict[str, dict[str, str]] = {}
    for key, name in _views(tags):
        sweep, _, kind = name.rpartition(": ")
        link = f"[{_link_text(kind)}]({view_link(experiment_id, key)})"
        sweeps.setdefault(_link_text(sweep), {}).setdefault(kind, link)  # skips an older view with the same name
    links = [f"{name} {', '.join(kinds.values())}".strip() for name, kinds in list(sweeps.items())[:SWEEPS_SHOWN]]
    return "Sweeps, newest first: " + " · ".join([*links, f"[all runs]({RUNS_PAGE.format(experiment_id)})"])


def _views(tags: Mapping[str, str]) -> list[tuple[str, str]]:
    """Return (key, name) of our views, newest first. A damaged view counts as the oldest."""
    dated = []
    for tag, value in tags.items():
        key = tag.removeprefix(TAG_PREFIX)
        if key == tag or not key.startswith(KEY_PREFIX):
            continue
        try:
            view = json.loads(value)
            dated.append((int(view["createdAt"]), key, str(view["name"])))
        except (ValueError, TypeError, KeyError):
            dated.append((0, key, key))
    dated.sort(key=lambda item: (-item[0], item[1]))  # a sweep's curves have the shortest key and come first
    return [(key, name) for _, key, name in dated]


def _link_text(name: str) -> str:
    """Return a name without the brackets that would end a markdown link."""
    return name.replace("[", "(").replace("]", ")")


def _compact(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)
