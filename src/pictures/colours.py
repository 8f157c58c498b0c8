"""One colour for each method, the same in every figure and in MLflow: hue by norm, shade by penalty."""

import math
from collections.abc import Mapping
from typing import Any

# Okabe & Ito's palette (https://jfly.uni-koeln.de/color), told apart with any colour vision.
HUES = {"none": "#666666", "bn": "#0072b2", "gn": "#d55e00", "ln": "#009e73", "in": "#b0569b"}
OTHER = "#8c6d1f"
WHITE, BLACK = (255, 255, 255), (0, 0, 0)


def colour(leaves: Mapping[str, Any]) -> str:
    """`#rrggbb` for a job's leaves: its norm's hue, lighter the stronger L1 is, darker the stronger L2 is."""
    hue = HUES.get(str(leaves["norm.name"]), OTHER)
    rgb = tuple(int(hue[start : start + 2], 16) for start in (1, 3, 5))
    rgb = _blend(rgb, BLACK, _depth(leaves.get("reg.l2") or 0.0))
    rgb = _blend(rgb, WHITE, _depth(leaves.get("reg.l1") or 0.0))
    return "#" + "".join(f"{part:02x}" for part in rgb)


def _depth(strength: float) -> float:
    """How far to go to white or black, 0 to 0.6: a tenth for each power of ten from 1e-6 to 1e-2, nothing for 0."""
    if strength <= 0:
        return 0.0
    return min(max(0.8 + math.log10(strength) / 10, 0.2), 0.6)


def _blend(rgb: tuple[int, ...], other: tuple[int, ...], share: float) -> tuple[int, ...]:
    return tuple(round(own + (far - own) * share) for own, far in zip(rgb, other, strict=True))
