"""The sections and charts of a saved view, from the top of MLflow's page to the bottom."""

from collections.abc import Sequence
from typing import Any
from uuid import NAMESPACE_URL, uuid5

IMAGE_KEY = "misclassified"
IMAGE_STEP = 0  # where the page's own image cards start

Json = dict[str, Any]


def layout(
    key: str, varied: Sequence[str], *, grouped: bool, penalty: bool, images: int
) -> tuple[list[Json], list[Json]]:
    """Arrange the page: sections from top to bottom, and the charts in them.

    A legend has room for two lines and names the metric after every run: one wide chart shows it for six runs or more,
    two side by side do not, so the most important curve stands alone.
    """
    sections = [_section(key, "validation accuracy", columns=1, height=420)]
    # MLflow fills the band of a mean down to zero and so shows accuracies from 0 to 1; a log axis has no zero.
    scale = "log" if grouped else "linear"
    charts = [_line(key, "validation accuracy", "val/accuracy", scale)]

    result = [_bar(key, "test result", "test/errors")]
    axes = [param for param in varied if param != "seed"]
    if axes and not grouped:
        result.append(_parallel(key, "test result", axes))
    sections.append(_section(key, "test result", columns=len(result), height=380))
    charts += result

    if images and not grouped:
        # One row of images, or two and a scroll bar.
        sections.append(_section(key, "most confident mistakes", columns=1, height=540 if images <= 3 else 960))
        charts.append(_image(key, "most confident mistakes"))

    sections.append(_section(key, "curves", columns=2, height=360))
    fourth, folded = ("train/penalty", "time/train_seconds") if penalty else ("time/train_seconds", "train/penalty")
    charts += [_line(key, "curves", metric, scale) for metric in ("val/loss", "train/loss", "train/accuracy")]
    charts.append(_line(key, "curves", fourth))

    # The page appends a section for every metric that no chart names: name the rest, folded away.
    sections.append(_section(key, "more", columns=2, height=300, display=False))
    charts.append(_line(key, "more", folded))
    charts += [_bar(key, "more", metric) for metric in ("best/val_accuracy", "test/accuracy", "test/loss")]
    return sections, charts


def _section(key: str, title: str, *, columns: int, height: int, display: bool = True) -> Json:
    return {
        "uuid": _uuid(key, title),
        "name": title,
        "display": display,
        "isReordered": True,  # a metric that appears later is appended and does not reshuffle the section
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


def _parallel(key: str, section: str, params: Sequence[str]) -> Json:
    content = {"selectedParams": list(params), "selectedMetrics": ["best/val_accuracy", "test/errors"]}
    return _chart(key, section, "PARALLEL", "parallel", {**content, "showAllRuns": True})


def _image(key: str, section: str) -> Json:
    # With the params above it an image is pushed out of its card; the run's name says what varies.
    content = {"imageKeys": [IMAGE_KEY], "step": IMAGE_STEP, "showRunParams": False}
    return _chart(key, section, "IMAGE", IMAGE_KEY, content)


def _uuid(*parts: str) -> str:
    """Identify a section or chart by what it is, so that the same sweep gives the same bytes."""
    return str(uuid5(NAMESPACE_URL, "/".join(("normlab:view", *parts))))
