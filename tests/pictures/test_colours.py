import colorsys

import pytest

from src.config import KEYS
from src.pictures.colours import choose_colour, hue

NORMS = list(KEYS["norm.name"].choices)


def leaves(norm, l1=0.0, l2=0.0):
    return {"norm.name": norm, "reg.l1": l1, "reg.l2": l2}


def hls(text):
    return colorsys.rgb_to_hls(*(int(text[start : start + 2], 16) / 255 for start in (1, 3, 5)))


def test_every_norm_has_a_hue_of_its_own():
    assert len({*map(hue, NORMS), hue("a later norm")}) == len(NORMS) + 1


@pytest.mark.parametrize("norm", NORMS)
def test_a_norm_without_penalty_has_its_own_hue(norm):
    assert choose_colour(leaves(norm)) == hue(norm)


@pytest.mark.parametrize("norm", NORMS)
def test_l1_is_lighter_the_stronger_it_is_and_l2_darker_with_the_same_hue(norm):
    strengths = [0.0, 1e-6, 1e-5, 1e-4, 1e-3, 1e-2]
    light = [hls(choose_colour(leaves(norm, l1=strength)))[1] for strength in strengths]
    dark = [hls(choose_colour(leaves(norm, l2=strength)))[1] for strength in strengths]
    assert light == sorted(light)
    assert dark == sorted(dark, reverse=True)
    assert len(set(light)) == len(set(dark)) == len(strengths)
    if norm != "none":  # grey has no hue
        assert hls(choose_colour(leaves(norm, l1=1e-4)))[0] == pytest.approx(hls(hue(norm))[0], abs=0.02)


def test_every_strength_gives_a_colour_that_is_seen_on_white():
    for strength in (1e-300, 1e-12, 1.0, 1e6):
        text = choose_colour(leaves("bn", l1=strength))
        assert len(text) == 7
        assert int(text[1:], 16) < 0xFFFFFF
        assert hls(text)[1] < 0.8
