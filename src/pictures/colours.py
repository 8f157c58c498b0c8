"""The colour of a method, the same in every figure and in MLflow: the norm sets the hue, the penalties the shade."""

import math
from collections.abc import Mapping
from typing import Any

from src.norms import NORMS

OTHER = "#8c6d1f"  # of a norm in an old folder that this version does not have
WHITE, BLACK = (255, 255, 255), (0, 0, 0)


def hue(norm_name: str) -> str:
    """The colour of a norm without penalties, `#rrggbb`."""
    return NORMS[norm_name].colour if norm_name in NORMS else OTHER


def colour(settings: Mapping[str, Any]) -> str:
    """The colour of a configuration, `#rrggbb`: the hue of its norm, lighter with stronger L1, darker with stronger L2.

    Args:
        settings: the configuration's values by dotted key; `norm.name` is required.
    """
    own = hue(str(settings["norm.name"]))
    rgb = tuple(int(own[start : start + 2], 16) for start in (1, 3, 5))
    rgb = _blend(rgb, BLACK, _share(settings.get("reg.l2") or 0.0))
    rgb = _blend(rgb, WHITE, _share(settings.get("reg.l1") or 0.0))
    return "#" + "".join(f"{part:02x}" for part in rgb)


def _share(strength: float) -> float:
    """The share of white or black, 0 to 0.6: it grows by a tenth for each power of ten of the penalty's strength."""
    if strength <= 0:
        return 0.0
    return min(max(0.8 + math.log10(strength) / 10, 0.2), 0.6)


def _blend(rgb: tuple[int, ...], other: tuple[int, ...], share: float) -> tuple[int, ...]:
    return tuple(round(own + (far - own) * share) for own, far in zip(rgb, other, strict=True))
