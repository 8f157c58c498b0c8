"""Settings of a user's other programs change no picture and end no command."""

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pytest

from src.figures.figures import drawings
from src.pictures.confusion_matrix import confusion_matrix
from src.pictures.rendering import png, svg
from src.results.results import load_results
from src.verdict.verdicts import judge
from tests.world import predict

PROJECT = Path(__file__).parents[1]
CLASSES = ["a", "b", "c", "d"]
PICTURE = """
import hashlib, sys, warnings
from src.foreign_settings import ignore_foreign_settings
ignore_foreign_settings()
import numpy as np
from src.pictures.confusion_matrix import confusion_matrix
from src.pictures.rendering import png
from tests.world import predict
warnings.warn("a library's", DeprecationWarning)
classes = ["a", "b", "c", "d"]
print(hashlib.sha256(png(confusion_matrix(predict(np.arange(40) % 4, {3: 0.9}, 4), classes))).hexdigest())
"""


def picture():
    return confusion_matrix(predict(np.arange(40) % 4, {3: 0.9}, 4), CLASSES)


def drawn_under(folder: Path, **variables: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-c", PICTURE],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(PROJECT), **variables},
        capture_output=True,
        text=True,
        timeout=60,
    )


@pytest.mark.parametrize(
    "settings", [b"text.usetex: True\nfont.size: 30\n", b"\xff\xfe: broken", b"font.size: thirty\n"]
)
def test_no_environment_and_no_matplotlibrc_changes_a_picture(tmp_path, settings):
    (tmp_path / "matplotlibrc").write_bytes(settings)  # the first place where matplotlib looks
    (tmp_path / "other").mkdir()
    (tmp_path / "other/matplotlibrc").write_bytes(settings)
    done = drawn_under(
        tmp_path,
        MPLBACKEND="module://matplotlib_inline.backend_inline" if b"usetex" in settings else "nonsense",
        MATPLOTLIBRC=str(tmp_path / "other"),
        MPLCONFIGDIR="/proc/nothing",  # cannot be made
        PYTHONWARNINGS="error" if b"usetex" in settings else "ignore,err::DeprecationWarning",
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == hashlib.sha256(png(picture())).hexdigest()
    assert "a library's" in done.stderr  # the warning is printed
    assert "atplotlib" not in done.stderr


def test_settings_of_the_running_process_change_no_figure_and_stay(world, six):
    records = load_results([six], world.multirun)
    verdicts = judge([six], records, {})
    plain = {name: drawing.png for name, drawing in drawings(records, verdicts, []).items()}
    matrix, vector = png(picture()), svg(picture())
    with mpl.rc_context({"font.size": 30, "lines.linewidth": 9, "text.usetex": True, "axes.facecolor": "red"}):
        assert {name: drawing.png for name, drawing in drawings(records, verdicts, []).items()} == plain
        assert (png(picture()), svg(picture())) == (matrix, vector)
        assert mpl.rcParams["font.size"] == 30  # a notebook's own figures look as before


def test_processes_that_a_command_starts_do_not_raise_warnings_either():
    code = """
import subprocess, sys
from src.foreign_settings import ignore_foreign_settings
ignore_foreign_settings()
from multiprocessing import util
words = [*util._args_from_interpreter_flags(), '-c', 'import warnings; warnings.warn("a")']
sys.exit(subprocess.run([sys.executable, *words]).returncode)
"""
    environment = os.environ | {"PYTHONWARNINGS": "error"}
    words = [sys.executable, "-bb", "-W", "error::UserWarning", "-c", code]
    assert subprocess.run(words, cwd=PROJECT, env=environment, timeout=60).returncode == 0
