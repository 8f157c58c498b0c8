"""Builds the sections and charts of a saved view."""

from collections.abc import Sequence
from typing import Any
from uuid import NAMESPACE_URL, uuid5

IMAGE_KEY = "misclassified"
IMAGE_STEP = 0  # the step that the page's image cards show first

Json = dict[str, Any]


def layout(
    key: str, varied: Sequence[str], *, grouped: bool, penalty: bool, images: int
) -> tuple[list[Json], list[Json]]:
    """Return the page's sections from top to bottom, and their charts."""
    # A legend has two lines and names six runs only in a wide chart, so the main curve gets its own row.
    sections = [_section(key, "validation accuracy", columns=1, height=420)]
    # MLflow fills a mean's band down to zero, which stretches accuracies over 0 to 1; a log axis has no zero.
    scale = "log" if grouped else "linear"
    charts = [_line(key, "validation accuracy", "val/accuracy", scale)]

    result = [_bar(key, "test result", "test/errors")]
    axes = [param for param in varied if param != "seed"]
    if axes and not grouped:
        content = {"selectedParams": axes, "selectedMetrics": ["best/val_accuracy", "test/errors"], "showAllRuns": True}
        result.append(_chart(key, "test result", "PARALLEL", "parallel", content))
    sections.append(_section(key, "test result", columns=len(result), height=380))
    charts += result

    if images and not grouped:
        # One row of images, or two with a scroll bar.
        sections.append(_section(key, "most confident mistakes", columns=1, height=540 if images <= 3 else 960))
        # The params above an image would push it out of its card; the run's name shows what varies.
        content = {"imageKeys": [IMAGE_KEY], "step": IMAGE_STEP, "showRunParams": False}
        charts.append(_chart(key, "most confident mistakes", "IMAGE", IMAGE_KEY, content))

    sections.append(_section(key, "curves", columns=2, height=360))
    fourth, folded = ("train/penalty", "time/train_seconds") if penalty else ("time/train_seconds", "train/penalty")
    charts += [_line(key, "curves", metric, scale) for metric in ("val/loss", "train/loss", "train/accuracy")]
    charts.append(_line(key, "curves", fourth))

    # The page adds a section for each metric without a chart, so a folded section holds the rest.
    sections.append(_section(key, "more", columns=2, height=300, display=False))
    charts.append(_line(key, "more", folded))
    charts += [_bar(key, "more", metric) for metric in ("best/val_accuracy", "test/accuracy", "test/loss")]
    return sections, charts


def _section(key: str, title: str, *, columns: int, height: int, display: bool = True) -> Json:
    return {
        "uuid": _uuid(key, title),
        "name": title,
        "display": display,
        "isReordered": True,  # later metrics are appended and do not reorder the section
        "deleted": False,
        "isGenerated": False,
        "columns": columns,
        "cardHeight": height,
    }


def _chart(key: str, section: str, kind: str, name: str, content: Json) -> Json:
    return {
        "uuid": _uuid(key, section, kind, name),
        "type": kind,
        "metricSectionId": _uuid(key, section),
        "displayName": name,
        "runsCountToCompare": 100,
        "deleted": False,
        "isGenerated": False,
        **content,
    }


def _line(key: str, section: str, metric: str, scale: str = "linear") -> Json:
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


def _bar(key: str, section: str, metric: str) -> Json:
    return _chart(key, section, "BAR", metric, {"metricKey": metric})


def _uuid(*parts: str) -> str:
    """Return a fixed id for a section or chart, because the same sweep must give the same view."""
    return str(uuid5(NAMESPACE_URL, "/".join(("normlab:view", *parts))))
