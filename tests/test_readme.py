"""What the texts tell a reader to type works as it stands there; the two installing lines are typed by `.ci/run`."""

import re
import shlex
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import OmegaConf

from src.compare import _parser
from src.config import check
from src.sweep.overrides import CONF, check_overrides, expand, option_groups

PROJECT = Path(__file__).parents[1]
TEXTS = [
    "README.md",
    "CONTRIBUTING.md",
    "src/train.py",
    "src/compare.py",
    *sorted((CONF / "experiment").glob("*.yaml")),
]
COMMANDS = sorted(
    {
        (module, " ".join(words.split("  ")[0].split()))
        for text in TEXTS
        for module, words in re.findall(
            r"^[ #$]*python -m src\.(train|compare)\b ?(.*)$", (PROJECT / text).read_text(), re.M
        )
    }
)


def typed(module):
    return [words for name, words in COMMANDS if name == module and words != "norm=batchnrom"]


def test_the_two_lines_stand_near_the_top():
    top = (PROJECT / "README.md").read_text().splitlines()[:15]
    assert "    pip install -e . && python -m src.train -m norm=bn,gn,ln reg.l1=0,1e-5" in top
    assert "    pip install -e '.[test]' && pytest -n 2 --dist loadfile" in top


@pytest.mark.parametrize("words", typed("train"))
def test_every_training_command_is_one_that_runs(words):
    overrides = [word for word in shlex.split(words) if "=" in word]
    if "--config-dir" in words:
        return  # tests/sweep/test_option_files.py runs it
    parsed = OverridesParser.create().parse_overrides(overrides)
    search = "hydra/sweeper=" in words
    check_overrides(parsed, option_groups(), grid=not search)
    if search:
        return  # there are no points to compose; tests/sweep/test_trials.py runs one
    with initialize_config_dir(str(CONF), version_base="1.3"):
        for point in expand(parsed):
            composed = compose("config", [f"{name}={value}" for name, value in point.items()])
            check(OmegaConf.to_object(composed))


@pytest.mark.parametrize("words", typed("compare"))
def test_every_comparing_command_is_one_that_runs(words):
    _parser().parse_args(shlex.split(words))


def test_there_are_such_commands():
    assert len(typed("train")) >= 5
    assert len(typed("compare")) >= 4


def test_the_options_in_the_readme_are_those_in_conf():
    table = dict(re.findall(r"^\| `(\w+)` \| (.*?) \|", (PROJECT / "README.md").read_text(), re.M))
    assert {
        name: sorted(re.findall(r"`(\w+)`", options)) for name, options in table.items() if name in option_groups()
    } == option_groups()
