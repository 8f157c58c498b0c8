"""The saved views that turn MLflow's empty first page into a dashboard of one sweep.

A saved view is an experiment tag, `mlflow.sharedViewState.<key>`, that holds the page's own state as JSON: which runs,
which table columns, which charts.  The format is undocumented and was read from MLflow 3.17's page, which is why
tests/tracking/test_page.py opens a view in a browser; a page that does not understand one shows its default view, so
callers treat a failure to set a view as a warning and never as a lost run.

Everything here is pure: strings in, strings out.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from src.tracking.charts import layout

TAG_PREFIX = "mlflow.sharedViewState."
KEY_PREFIX = "sweep-"  # ours; the page's own keys are bare UUIDs, so a reader's own views are never dropped
# Without workflowType a fresh browser opens the page for language models instead.
RUNS_PAGE = "#/experiments/{}/runs?workflowType=machine_learning"
MAX_IMAGES = 10  # the page shows no more side by side
MAX_CHARACTERS = 20_000  # of one experiment tag, and of one view by the page's own check
VIEWS_KEPT = 30  # the page refuses to save a 41st: leave the reader room for views of their own
SWEEPS_SHOWN = 2  # the page shows one line of an experiment's note
# What a view shows, as the end of its key: one line a run, one a cell, or the table.
CURVES, CELLS, TABLE = "", "-cells", "-table"
LAST_AND_BEST = ("val/accuracy", "best/val_accuracy", "test/accuracy", "test/errors")
MAX_VARIED = 12  # table columns and parallel axes; more are neither legible nor short enough for one tag


def sweep_mark(sweep_id: str, multirun_id: str) -> str:
    """Name a sweep among those of everybody who uses the store: the first 8 digits of its id and of its folder's."""
    return f"{sweep_id[:8]}-{multirun_id[:8]}"


def view_key(mark: str, kind: str = CURVES) -> str:
    """Name a sweep's view in links: the sweep's mark, and the kind where it is not the runs' curves."""
    return f"{KEY_PREFIX}{mark}{kind}"


def view_link(experiment_id: str, key: str) -> str:
    """Where a server shows a view; to be put behind its address and a slash, or used as it is on its own pages."""
    mode = "" if key.endswith(TABLE) else "&compareRunsMode=CHART"
    return f"{RUNS_PAGE.format(experiment_id)}&viewStateShareKey={key}{mode}"


def sweep_tag(mark: str) -> str:
    """Name the tag that every job of the sweep carries with the value "true": what a view filters by."""
    return f"sweep.{mark}"


def sweep_view(
    mark: str,
    name: str,
    varied: Sequence[str],
    created_ms: int,
    *,
    kind: str = CURVES,
    penalty: bool = False,
    images: int = MAX_IMAGES,
) -> tuple[str, str]:
    """Make one saved view of a sweep: the tag's key and value.

    `varied` names the params that differ between the jobs (a job that lacks one is missing from the parallel axes, so
    every job logs them all); `created_ms` (since 1970) is the sweep's, not the clock's, so that the same sweep gives
    the same view.  The kind `CELLS` draws one mean line with a min-max band a cell instead of one line a run; MLflow
    draws neither images nor parallel axes then.  `TABLE` is a leaderboard, by accuracy on the validation split: to
    choose by the test split would spoil it.  `penalty` gives the penalty a chart of its own: it is a row of zeros in a
    sweep without one.  `images` is how many jobs log a picture of their mistakes: it sets that card's height.
    """
    varied = list(varied)[:MAX_VARIED]
    key, grouped = view_key(mark, kind), kind == CELLS
    sections, charts = layout(key, varied, grouped=grouped, penalty=penalty, images=images)
    columns = [f"params.`{param}`" for param in varied if param != "seed"] + [
        "tags.`seed`",
        *(f"metrics.`{metric}`" for metric in LAST_AND_BEST),
    ]
    # With several seeds, seed 0 of every cell before seed 1 of any: only the first ten runs show their images.
    order = "tags.`seed`" if "seed" in varied else "tags.`mlflow.runName`"
    state = {
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
        "groupBy": _BY_CELL if grouped else None,
        "groupsExpanded": {},
        "globalLineChartConfig": {"xAxisKey": "step", "lineSmoothness": 0, "selectedXAxisMetricKey": ""},
        "compareRunSections": sections,
        "compareRunCharts": charts,
    }
    view = {"name": name, "createdAt": created_ms, "updatedAt": created_ms, "state": _compact(state)}
    return TAG_PREFIX + key, _compact(view)


def sweep_views(
    mark: str,
    name: str,
    varied: Sequence[str],
    created_ms: int,
    *,
    seeds: int,
    penalty: bool = False,
    images: int = MAX_IMAGES,
) -> dict[str, str]:
    """Make all views of a sweep, as experiment tags: curves, leaderboard, and the mean per cell of several seeds."""
    names = {CURVES: f"{name}: curves", TABLE: f"{name}: leaderboard", CELLS: f"{name}: mean of {seeds} seeds"}
    kinds = [kind for kind in names if kind != CELLS or seeds > 1]
    return dict(
        sweep_view(mark, names[kind], varied, created_ms, kind=kind, penalty=penalty, images=images) for kind in kinds
    )


def surplus_views(tags: Mapping[str, str]) -> list[str]:
    """Name the experiment's tags to delete, oldest first, so that at most `VIEWS_KEPT` views remain.

    `tags` are all tags of the experiment.  Only views made here are named, never one that a reader saved.
    """
    total = sum(key.startswith(TAG_PREFIX) for key in tags)
    ours = [TAG_PREFIX + key for key, _ in reversed(_views(tags))]
    return ours[: max(0, total - VIEWS_KEPT)]


def note(experiment_id: str, tags: Mapping[str, str]) -> str:
    """Write the experiment's note: one line of plain words, then links to the newest views among `tags`.

    The links work on whichever server shows the page.  The page shows the first line only and needs it to begin with
    words; the rest of the views are a click away under Views.
    """
    runs_page = RUNS_PAGE.format(experiment_id)
    sweeps: dict[str, dict[str, str]] = {}
    for key, name in _views(tags):
        sweep, _, what = name.rpartition(": ")
        link = f"[{_link_text(what)}]({view_link(experiment_id, key)})"
        sweeps.setdefault(_link_text(sweep), {}).setdefault(what, link)  # an older view may show the same
    shown = [f"{name} {', '.join(links.values())}".strip() for name, links in list(sweeps.items())[:SWEEPS_SHOWN]]
    return "Sweeps, newest first: " + " · ".join([*shown, f"[all runs]({runs_page})"])


def _views(tags: Mapping[str, str]) -> list[tuple[str, str]]:
    """List (key, name) of the views made here, newest first; a damaged one counts as the oldest."""
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
    # Of one sweep the shortest key first, which is that of the curves: they are what a reader wants first.
    dated.sort(key=lambda item: (-item[0], item[1]))
    return [(key, name) for _, key, name in dated]


def _link_text(name: str) -> str:
    """Keep a sweep's name from closing the markdown link that it labels."""
    return name.replace("[", "(").replace("]", ")")


_BY_CELL = {"aggregateFunction": "average", "groupByKeys": [{"mode": "tag", "groupByData": "cell"}]}


def _compact(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)
