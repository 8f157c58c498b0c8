"""The commands in README and the other texts run as written; `.ci/run` runs the two installation commands."""

import re
import shlex
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from omegaconf import OmegaConf

from src.compare import _make_parser
from src.sweep.overrides import CONF_FOLDER, group_options

PROJECT = Path(__file__).parents[1]
TEXTS = [
    "README.md",
    "CONTRIBUTING.md",
    "src/train.py",
    "src/compare.py",
    "conf/config.yaml",  # the examples of --help
    *sorted((CONF_FOLDER / "experiment").glob("*.yaml")),
    *sorted((CONF_FOLDER / "paper").glob("*.yaml")),
]
ON_A_LINE = r"^[ #$]*python -m src\.(train|compare)\b ?(.*)$"
IN_A_SENTENCE = r"`python -m src\.(train|compare)\b ?([^`]*)`"


def commands() -> list[tuple[str, str]]:
    """Module and arguments of every command in the texts; two spaces separate a command from its comment."""
    joined = [re.sub(r" \\\n *", " ", (PROJECT / text).read_text(encoding="utf-8")) for text in TEXTS]
    found = {pair for text in joined for form in (ON_A_LINE, IN_A_SENTENCE) for pair in re.findall(form, text, re.M)}
    return sorted({(module, " ".join(words.split("  ")[0].split())) for module, words in found})


def arguments(module: str) -> list[str]:
    return [words for name, words in commands() if name == module and words != "norm=batchnrom" and "?" not in words]


def test_the_two_first_commands_are_near_the_top():
    top = (PROJECT / "README.md").read_text(encoding="utf-8").splitlines()[:15]
    assert "    pip install -e . && python -m src.train -m norm=bn,gn,ln reg.l1=0,1e-5" in top
    assert "    pip install -e '.[test]' && pytest -n 2 --dist loadfile" in top


@pytest.mark.parametrize("words", arguments("compare"))
def test_every_comparison_command_is_valid(words):
    _make_parser().parse_args(shlex.split(words))


def test_the_texts_have_commands():
    assert len(arguments("train")) >= 5
    assert len(arguments("compare")) >= 4


def test_the_help_shows_examples_the_dry_run_and_the_groups():
    words = [sys.executable, "-m", "src.train", "--help"]
    shown = subprocess.run(words, cwd=PROJECT, capture_output=True, text=True, check=True).stdout
    for part in (
        "python -m src.train experiment=norms",
        "plan=true",
        f"norm: {', '.join(group_options()['norm'])}",
        "mlflow ui",
    ):
        assert part in shown
    assert len(shown.splitlines()) <= 30


def test_the_readme_lists_the_options_in_conf():
    table = dict(re.findall(r"^\| `(\w+)` \| (.*?) \|", (PROJECT / "README.md").read_text(encoding="utf-8"), re.M))
    assert {
        name: sorted(re.findall(r"`(\w+)`", options)) for name, options in table.items() if name in group_options()
    } == group_options()


def test_contributings_examples_work(monkeypatch):
    text = (PROJECT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    norm, test, network = re.findall(r"^```python\n(.*?)^```", text, re.M | re.S)
    (values,) = re.findall(r"^```yaml\n(.*?)^```", text, re.M | re.S)
    module = ModuleType("src.norms.in_running")
    monkeypatch.setitem(sys.modules, module.__name__, module)
    exec(norm, vars(module))
    assert module.RunningInstanceNorm(**OmegaConf.create(values)).layer(4, "map").momentum == 0.1
    module = ModuleType("src.models.two")
    monkeypatch.setitem(sys.modules, module.__name__, module)
    exec(network, vars(module))
    assert module.Two(width=4).norm_channels() == [("conv1", 4), ("conv2", 4)]
    names: dict[str, Any] = {}
    exec(test, names)
    names["test_training_uses_the_mean_and_variance_of_each_channel_of_each_image"]()
