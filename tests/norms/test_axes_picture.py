"""README's figure shows every norm's averages as they are, and is up to date."""

import runpy

import numpy as np
import pytest
import torch
from omegaconf import OmegaConf
from PIL import Image

from src.norms import NORMS, Norm
from src.sweep.overrides import CONF_FOLDER

SCRIPT = CONF_FOLDER.parent / ".github/draw_axes.py"
SMALL = {"groups": 2, "chunk": 2}  # half of the channels and half of the images, as in the figure


@pytest.fixture(scope="module")
def script():
    return runpy.run_path(str(SCRIPT))


@pytest.mark.parametrize("name", [name for name, norm in NORMS.items() if "map" in norm.axes])
def test_the_marked_values_are_those_that_the_layers_output_depends_on(name, script):
    keys = OmegaConf.load(CONF_FOLDER / f"norm/{name}.yaml")
    norm = NORMS[name](**{key: SMALL.get(str(key), value) for key, value in keys.items()})
    images, channels, pixels = (script[axis] for axis in "NCP")
    generator = torch.Generator().manual_seed(0)
    values = torch.randn(images, channels, 2, pixels // 2, dtype=torch.float64, generator=generator).requires_grad_()
    output = norm.layer(channels, "map").double().train()(values)
    output.flatten(2)[0, 0, pixels - 1].backward()  # the first channel of the first image at the last position
    depends = values.grad.flatten(2).numpy() != 0
    marked = script["averaged_values"](NORMS[name])
    if marked is None:
        assert depends.sum() == 1, "the attribute `axes` must say which values share one mean"
    else:
        assert np.array_equal(depends, marked)


def test_the_figure_is_up_to_date(script):
    with Image.open(script["IMAGE"]) as image:
        assert image.info["Description"] == script["description"](), "run python .github/draw_axes.py"


def test_axes_that_cannot_be_drawn_are_named(script):
    odd = type("Odd", (Norm,), {"name": "odd", "axes": {"map": "every other row of pixels (H/2, W)"}})
    with pytest.raises(ValueError, match="norm=odd: axes must end like"):
        script["averaged_values"](odd)
