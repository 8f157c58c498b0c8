"""Colours and markers of the norms in figures, for normal and for colour-blind sight."""

import itertools
import re
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from src.norms import NORMS
from src.pictures.colours import UNKNOWN_NORM_COLOUR

# Looks that a new norm can take.
SPARE = {"spare 1": ("#7c00ff", "v"), "spare 2": ("#1b09d3", "h"), "spare 3": ("#8c81ff", "8")}
LOOKS = {
    **{name: (norm.colour, norm.marker) for name, norm in NORMS.items()},
    **SPARE,
    "norm of an old folder": (UNKNOWN_NORM_COLOUR, "*"),
}
# Markers of one shape: at a small size, only their colours distinguish them for certain.
SHAPES = [{"o", "8", "h", "H", "p"}, {"s", "D", "d"}, {"^", "v", "<", ">"}, {"x", "X", "+", "P"}, {"*"}]
# Sight without one of the three cones, as matrices of linear RGB (Machado, Oliveira & Fernandes 2009, severity 1).
SIGHT = {
    "normal": np.eye(3),
    "protan": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deutan": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
    "tritan": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]],
}
# Oklab (Ottosson 2020): linear RGB to the cones' responses, and their cube roots to lightness and two colour axes.
CONES = [
    [0.4122214708, 0.5363325363, 0.0514459929],
    [0.2119034982, 0.6806995451, 0.1073969566],
    [0.0883024619, 0.2817188376, 0.6299787005],
]
LAB = [
    [0.2104542553, 0.7936177850, -0.0040720468],
    [1.9779984951, -2.4285922050, 0.4505937099],
    [0.0259040371, 0.7827717662, -0.8086757660],
]
DISTINCT, DISTINCT_IN_CURVES = 10, 7  # hundredths of Oklab; about 2 is the smallest difference that people notice


def lab(colour: str, sight: str) -> npt.NDArray[np.float64]:
    """Return how a colour `#rrggbb` appears, in hundredths of Oklab."""
    rgb = np.array([int(colour[start : start + 2], 16) / 255 for start in (1, 3, 5)])
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    seen = (np.array(SIGHT[sight]) @ linear).clip(0, 1)
    return 100 * np.array(LAB) @ np.cbrt(np.array(CONES) @ seen)


def closest_pairs(sight: str) -> list[tuple[float, str, str]]:
    """Return all pairs of looks with the distance of their colours, closest first."""
    return sorted(
        (float(np.linalg.norm(lab(LOOKS[one][0], sight) - lab(LOOKS[other][0], sight))), one, other)
        for one, other in itertools.combinations(LOOKS, 2)
    )


def same_shape(one: str, other: str) -> bool:
    return any({LOOKS[one][1], LOOKS[other][1]} <= shape for shape in SHAPES)


def test_every_two_norms_have_distinct_colours_and_markers():
    assert len({marker for _, marker in LOOKS.values()}) == len(LOOKS)
    assert not [pair for pair in closest_pairs("normal") if pair[0] < DISTINCT]


@pytest.mark.parametrize("sight", ["protan", "deutan", "tritan"])
def test_colour_blind_people_distinguish_every_two_norms_by_colour_or_shape(sight):
    alike = [pair for pair in closest_pairs(sight) if pair[0] < DISTINCT_IN_CURVES]
    assert not [pair for pair in alike if same_shape(*pair[1:])]


def test_every_marker_has_a_shape_and_the_looks_last_for_14_norms():
    assert {marker for _, marker in LOOKS.values()} <= set.union(*SHAPES)
    assert len(NORMS) + len(SPARE) >= 13


def test_the_example_of_contributing_takes_a_spare_look():
    text = (Path(__file__).parents[2] / "CONTRIBUTING.md").read_text(encoding="utf-8")
    assert re.findall(r'colour, marker = "(.*?)", "(.*?)"', text) == [SPARE["spare 1"]]
