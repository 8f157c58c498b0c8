"""Runs the real command in a folder of the test's own."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

Command = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def command(tmp_path) -> Command:
    """`command("src.train", "norm=gn")` is `python -m src.train norm=gn`, typed in an empty folder."""

    def run(module: str, *words: str, **variables: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [sys.executable, "-m", module, *words],
            cwd=tmp_path,
            env=clean_environment() | variables,
            capture_output=True,
            text=True,
            timeout=240,
        )

    return run


def clean_environment() -> dict[str, str]:
    """The machine's environment without what would lead a command elsewhere."""
    return {name: value for name, value in os.environ.items() if not name.startswith(("MLFLOW_", "HYDRA_"))}


def files_below(folder: Path) -> list[str]:
    """Every file and folder below `folder`, as relative paths."""
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*"))
