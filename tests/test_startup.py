"""The settings of other programs neither change a picture nor end a command."""

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pytest

from src.figures.figures import draw_figures
from src.pictures.confusion_matrix import draw_confusion_matrix
from src.pictures.rendering import render_png, render_svg
from src.results.results import load_results
from src.verdict.verdicts import judge
from tests.world import predict

PROJECT = Path(__file__).parents[1]
CLASSES = ["a", "b", "c", "d"]
PICTURE = """
import hashlib, sys, warnings
from src.startup import prepare_process
prepare_process()
import numpy as np
from src.pictures.confusion_matrix import draw_confusion_matrix
from src.pictures.rendering import render_png
from tests.world import predict
warnings.warn("a library's", DeprecationWarning)
classes = ["a", "b", "c", "d"]
print(hashlib.sha256(render_png(draw_confusion_matrix(predict(np.arange(40) % 4, {3: 0.9}, 4), classes))).hexdigest())
"""


def picture():
    return draw_confusion_matrix(predict(np.arange(40) % 4, {3: 0.9}, 4), CLASSES)


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
def test_environment_and_matplotlibrc_do_not_change_a_picture(tmp_path, settings):
    (tmp_path / "matplotlibrc").write_bytes(settings)  # matplotlib looks here first
    (tmp_path / "other").mkdir()
    (tmp_path / "other/matplotlibrc").write_bytes(settings)
    done = drawn_under(
        tmp_path,
        MPLBACKEND="module://matplotlib_inline.backend_inline" if b"usetex" in settings else "nonsense",
        MATPLOTLIBRC=str(tmp_path / "other"),
        MPLCONFIGDIR="/proc/nothing",  # cannot be created
        PYTHONWARNINGS="error" if b"usetex" in settings else "ignore,err::DeprecationWarning",
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == hashlib.sha256(render_png(picture())).hexdigest()
    assert "a library's" in done.stderr  # the warning is printed
    assert "atplotlib" not in done.stderr


def test_settings_of_the_running_process_change_no_figure_and_stay(world, six):
    records = load_results([six], world.multirun)
    verdicts = judge([six], records, {})
    plain = {name: drawing.png for name, drawing in draw_figures(records, verdicts, []).items()}
    matrix, vector = render_png(picture()), render_svg(picture())
    with mpl.rc_context({"font.size": 30, "lines.linewidth": 9, "text.usetex": True, "axes.facecolor": "red"}):
        assert {name: drawing.png for name, drawing in draw_figures(records, verdicts, []).items()} == plain
        assert (render_png(picture()), render_svg(picture())) == (matrix, vector)
        assert mpl.rcParams["font.size"] == 30  # the notebook's own figures keep their look


def test_child_processes_do_not_raise_warnings_either():
    code = """
import subprocess, sys
from src.startup import prepare_process
prepare_process()
from multiprocessing import util
words = [*util._args_from_interpreter_flags(), '-c', 'import warnings; warnings.warn("a")']
sys.exit(subprocess.run([sys.executable, *words]).returncode)
"""
    environment = os.environ | {"PYTHONWARNINGS": "error"}
    words = [sys.executable, "-bb", "-W", "error::UserWarning", "-c", code]
    assert subprocess.run(words, cwd=PROJECT, env=environment, timeout=60).returncode == 0
