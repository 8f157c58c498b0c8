"""A command that cannot be right is refused before anything runs, in at most three lines, and leaves nothing behind."""

import subprocess
import sys

import pytest

from tests.conftest import clean_environment, files_below

# Whoever imports these before refusing keeps the user waiting for seconds: here the import itself fails.
WITHOUT_SLOW_IMPORTS = """
import runpy, sys
sys.modules.update(torch=None, torchvision=None, mlflow=None, matplotlib=None, pandas=None)
sys.argv[0] = "train.py"
runpy.run_module("src.train", run_name="__main__")
"""

# What is typed, and words that the answer must hold.
QUICK = [
    ("norm=batchnrom", ["norm=batchnrom", "did you mean bn", "bn, gn, in, ln, none"]),
    ("nrom=bn", ["nrom", "did you mean norm"]),
    ("reg.l3=0", ["l3", "l1, l2, dropout, label_smoothing"]),
    ("norm=[bn,gn]", ["one choice", "-m norm=bn,gn"]),
    ("reg=l1", ["regularization=l1", "reg.l1="]),
    ("reg.l1=abc", ["reg.l1=abc", "number >= 0"]),
    ("reg.l1=", ["reg.l1", "number >= 0"]),
    ("reg.l1=null", ["reg.l1=null", "number >= 0"]),
    ("reg.l1=-1", ["reg.l1=-1", ">= 0"]),
    ("reg.l1=inf", ["reg.l1=inf", "finite"]),
    ("reg.l1=nan", ["reg.l1=nan", "finite"]),
    ("-m reg.l1=0,1e-5,-1", ["reg.l1=-1", ">= 0"]),
    ("-m norm=bn,gn,batchnrom", ["norm=batchnrom", "did you mean bn"]),
    ("data.batch_size=64.5", ["data.batch_size=64.5", "integer >= 1"]),
    ("data.batch_size=0", ["data.batch_size=0", "integer >= 1"]),
    ("data.batch_size=60000", ["0 steps an epoch", "55,000"]),
    ("data.limit=10", ["0 steps an epoch", "10 training images"]),
    ("data.validation=60000", ["data.validation=60000", "59,999"]),
    ("norm=gn norm.groups=3", ["conv1", "1, 2, 4, 8, 16"]),
    ("-m norm=gn norm.groups=4,32", ["conv1", "norm.groups=32"]),
    ("epochs=0", ["epochs=0", ">= 1"]),
    ("epochs=-1", ["epochs=-1", ">= 1"]),
    ("epochs=true", ["epochs", "integer"]),
    ("optimizer.lr=0", ["optimizer.lr=0", "above 0"]),
    ("optimizer=sgd optimizer.momentum=0", ["nesterov", "momentum"]),
    ("optimizer=adam optimizer.momentum=0.9", ["optimizer.momentum", "optimizer=adam does not read it", "sgd"]),
    ("~norm", ["norm=none"]),
    ("norm=null", ["norm=none"]),
    ("norm=", ["norm=none"]),
    ("+a.b.c=1", ["a.b.c"]),
    ("+norm.eps=1", ["norm.eps is there already"]),
    ("-m norm=bn,,gn", ["empty value in norm"]),
    ("-m optimizer.lr=interval(0,1)", ["choice() or range()"]),
    ("norm=bn norm.groups=2", ["norm.groups=2", "norm=bn does not read it", "norm=gn"]),
    ("norm=bn norm=gn", ["given twice", "-m norm="]),
    ("hydra.mode=RUN", ["hydra.mode"]),
    ("-m device=cpu,cuda", ["device cannot be swept"]),
    ("-m tracking=sqlite,none", ["tracking cannot be swept"]),
    ("device=gpu", ["device=gpu", "cuda"]),
    ("data=idx", ["data.root"]),
    ("data.root=/nowhere", ["/nowhere", "no such folder"]),
    ("data=synthetic data.channels=2", ["data.channels=2", "1, 3"]),
    ("seed=-1", ["seed=-1", ">= 0"]),
    ("tracking.uri=http://user:secret@host", ["MLFLOW_TRACKING_USERNAME"]),
    ("tracking.uri=http://127.0.0.1:1", ["does not answer", "tracking=none"]),
    ("data.root=~/mnist", ["'data.root=\"~/mnist\"'"]),
    ("data=fashion_mnist data.root='~nosuchuser/x'", ["~nosuchuser"]),
    ("hydra/launcher=nowhere", ["hydra/launcher", "basic"]),
]


@pytest.mark.parametrize(("typed", "words"), QUICK, ids=[typed for typed, _ in QUICK])
def test_is_refused_before_slow_imports_and_leaves_nothing(tmp_path, typed, words):
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_SLOW_IMPORTS, *typed.split()],
        cwd=tmp_path,
        env=clean_environment(),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 2, done.stderr
    assert 1 <= len(done.stderr.strip().splitlines()) <= 3, done.stderr
    assert done.stdout == ""
    for word in words:
        assert word in done.stderr
    assert "secret" not in done.stderr
    assert files_below(tmp_path) == []


def test_the_user_may_ask_for_the_traceback(command):
    done = command("src.train", "reg.l1=-1", HYDRA_FULL_ERROR="1")
    assert done.returncode == 1
    assert "Traceback" in done.stderr


def test_a_missing_device_is_refused_naming_those_there_are(command, tmp_path):
    done = command("src.train", "device=cuda:7")
    assert done.returncode == 2
    assert "device=cuda:7" in done.stderr
    assert "cpu" in done.stderr
    assert len(done.stderr.strip().splitlines()) <= 3
    assert files_below(tmp_path) == []


def test_help_and_configuration_are_shown_without_running(command, tmp_path):
    done = command("src.train", "--cfg", "job", "norm=gn")
    assert done.returncode == 0, done.stderr
    assert "groups: 4" in done.stdout
    assert files_below(tmp_path) == []
