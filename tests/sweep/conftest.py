"""Runs a command in this process, up to its plan, and composes the combinations of grids."""

import shutil
import sys
from collections.abc import Callable, Iterator

import pytest
from hydra import initialize_config_dir
from hydra.core.global_hydra import GlobalHydra

from src.bad_input import BadInput
from src.sweep.command_line import check_command_line
from src.sweep.grid import Grid
from src.sweep.overrides import CONF_FOLDER
from src.train import main


@pytest.fixture(scope="module")
def grid(tmp_path_factory) -> Iterator[Grid]:
    """The grid of the package's own options, which Hydra composes, because they are copies in another folder."""
    conf = shutil.copytree(CONF_FOLDER, tmp_path_factory.mktemp("copied") / "conf")
    with initialize_config_dir(str(conf), version_base="1.3"):
        yield Grid(GlobalHydra.instance().config_loader(), "config")


@pytest.fixture
def typed(monkeypatch) -> Callable[..., list[str]]:
    """`typed("norm=gn")` checks the words of a command and returns them in Hydra's order."""

    def check(*words: str) -> list[str]:
        monkeypatch.setattr("sys.argv", ["train.py", *words])
        check_command_line()
        return sys.argv[1:]

    return check


@pytest.fixture
def refused(typed) -> Callable[..., str]:
    """`refused("norm=x")` is the command's refusal of these words."""

    def refusal(*words: str) -> str:
        with pytest.raises(BadInput) as error:
            typed(*words)
        assert len(str(error.value).splitlines()) <= 3
        return str(error.value)

    return refusal


@pytest.fixture
def run(monkeypatch, capsys) -> Callable[..., tuple[int, str, str]]:
    """`run("plan=true")` is the command's exit status, its output and its errors."""

    def call(*words: str) -> tuple[int, str, str]:
        monkeypatch.setattr("sys.argv", ["train.py", *words])
        status: object = 0
        try:
            main()
        except SystemExit as end:
            status = end.code or 0
        assert isinstance(status, int)
        assert sys.argv == ["train.py", *words]
        captured = capsys.readouterr()
        return status, captured.out, captured.err

    return call
