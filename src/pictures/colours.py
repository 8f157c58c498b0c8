"""Choose a method's colour, in all figures and in MLflow: the norm sets the hue, the penalties set the shade."""

import math
from collections.abc import Mapping
from typing import Any

from src.norms import NORMS

UNKNOWN_NORM_COLOUR = "#8c6d1f"  # for a norm in an old folder that this version no longer has
WHITE, BLACK = (255, 255, 255), (0, 0, 0)


def norm_colour(norm_name: str) -> str:
    """Return the colour of a norm without penalties as `#rrggbb`."""
    return NORMS[norm_name].colour if norm_name in NORMS else UNKNOWN_NORM_COLOUR


def choose_colour(settings: Mapping[str, Any]) -> str:
    """Return a configuration's colour as `#rrggbb`: its norm's hue, lighter with L1, darker with L2 or weight decay.

    `settings` are the configuration's values by dotted key; `norm.name` is required.
    """
    norm_rgb = norm_colour(str(settings["norm.name"]))
    rgb = tuple(int(norm_rgb[start : start + 2], 16) for start in (1, 3, 5))
    strength = max(settings.get("reg.l2") or 0.0, settings.get("reg.weight_decay") or 0.0)
    rgb = _mix_colours(rgb, BLACK, _blend_share(strength))
    rgb = _mix_colours(rgb, WHITE, _blend_share(settings.get("reg.l1") or 0.0))
    return "#" + "".join(f"{channel:02x}" for channel in rgb)


def _blend_share(strength: float) -> float:
    """Return how much white or black (0 to 0.6) a penalty's strength adds: 0.1 more for each power of ten."""
    if strength <= 0:
        return 0.0
    return min(max(0.8 + math.log10(strength) / 10, 0.2), 0.6)


def _mix_colours(start_rgb: tuple[int, ...], end_rgb: tuple[int, ...], share: float) -> tuple[int, ...]:
    return tuple(round(start + (end - start) * share) for start, end in zip(start_rgb, end_rgb, strict=True))
