"""Builds the sections and charts of a view that MLflow's page opens (`src/tracking/views.py`)."""

from collections.abc import Sequence
from typing import Any
from uuid import NAMESPACE_URL, uuid5

IMAGE_KEY = "misclassified"
IMAGE_STEP = 0  # the step that MLflow's image cards show first

Json = dict[str, Any]


def chart_layout(
    key: str, varying_params: Sequence[str], *, grouped: bool, penalty: bool, images: int
) -> tuple[list[Json], list[Json]]:
    """Return the sections of MLflow's page from top to bottom, and their charts."""
    # A legend has two lines, which hold the names of six runs only in a wide chart, so this chart gets its own row.
    sections = [_section(key, "validation accuracy", columns=1, height=420)]
    # A mean's band would stretch a linear axis down to zero; a logarithmic axis has no zero.
    scale = "log" if grouped else "linear"
    charts = [_line_chart(key, "validation accuracy", "val/accuracy", scale)]

    result_charts = [_bar_chart(key, "test result", "test/errors")]
    axes = [param for param in varying_params if param != "seed"]
    if axes and not grouped:
        content = {"selectedParams": axes, "selectedMetrics": ["best/val_accuracy", "test/errors"], "showAllRuns": True}
        result_charts.append(_chart(key, "test result", "PARALLEL", "parallel", content))
    sections.append(_section(key, "test result", columns=len(result_charts), height=380))
    charts += result_charts

    if images and not grouped:
        # Up to three images need one row; more images get two rows and a scroll bar.
        sections.append(_section(key, "most confident mistakes", columns=1, height=540 if images <= 3 else 960))
        # The params of a run would push its image out of the card, and the run's name already shows them.
        content = {"imageKeys": [IMAGE_KEY], "step": IMAGE_STEP, "showRunParams": False}
        charts.append(_chart(key, "most confident mistakes", "IMAGE", IMAGE_KEY, content))

    sections.append(_section(key, "curves", columns=2, height=360))
    shown, folded = ("train/penalty", "time/train_seconds") if penalty else ("time/train_seconds", "train/penalty")
    charts += [_line_chart(key, "curves", metric, scale) for metric in ("val/loss", "train/loss", "train/accuracy")]
    charts.append(_line_chart(key, "curves", shown))

    # MLflow's page adds a section for each metric without a chart, so this folded section holds all other metrics.
    sections.append(_section(key, "more", columns=2, height=300, display=False))
    charts.append(_line_chart(key, "more", folded))
    charts += [_bar_chart(key, "more", metric) for metric in ("best/val_accuracy", "test/accuracy", "test/loss")]
    return sections, charts


def _section(key: str, title: str, *, columns: int, height: int, display: bool = True) -> Json:
    return {
        "uuid": _stable_uuid(key, title),
        "name": title,
        "display": display,
        "isReordered": True,  # MLflow then appends new metrics and does not reorder the section
        "deleted": False,
        "isGenerated": False,
        "columns": columns,
        "cardHeight": height,
    }


def _chart(key: str, section: str, kind: str, name: str, content: Json) -> Json:
    return {
        "uuid": _stable_uuid(key, section, kind, name),
        "type": kind,
        "metricSectionId": _stable_uuid(key, section),
        "displayName": name,
        "runsCountToCompare": 100,
        "deleted": False,
        "isGenerated": False,
        **content,
    }


def _line_chart(key: str, section: str, metric: str, scale: str = "linear") -> Json:
    content = {
        "metricKey": metric,
        "lineSmoothness": 0,
        "xAxisScaleType": "linear",
        "scaleType": scale,
        "range": {},
        "xAxisKey": "step",
        "selectedXAxisMetricKey": "",
        "yAxisKey": "metric",
        "yAxisExpressions": [],
        "ignoreOutliers": False,
        "useGlobalXaxisKey": True,
        "useGlobalLineSmoothing": True,
    }
    return _chart(key, section, "LINE", metric, content)


def _bar_chart(key: str, section: str, metric: str) -> Json:
    return _chart(key, section, "BAR", metric, {"metricKey": metric})


def _stable_uuid(*parts: str) -> str:
    """Return the id of a section or chart, which is always the same for the same sweep."""
    return str(uuid5(NAMESPACE_URL, "/".join(("normlab:view", *parts))))
