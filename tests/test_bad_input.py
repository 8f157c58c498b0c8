"""A command that cannot be right is refused before anything runs, in at most three lines, and leaves nothing behind."""

import re
import subprocess
import sys

import pytest

from src.bad_input import BadInput
from src.config import Data
from src.data.images import Source
from src.data.sizes import check_sizes
from src.overrides import check_overrides, check_text, option_groups
from src.train import parse
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
    ("seed=range(5,0)", ["seed=range(5,0)", "an empty range"]),
    ("seed=range(0)", ["seed=range(0)", "an empty range"]),
    ("seed=range(1,5,0)", ["seed=range(1,5,0)", "other than 0"]),
    ("experiment=null data.limit=10", ["0 steps an epoch"]),  # no preset is a choice like others
    ("norm=glob(*) data.limit=10", ["0 steps an epoch"]),  # so is every option
    ("norm=glob(x*)", ["no option matches", "bn, gn, in, ln, none"]),
    ("--cfg job -m norm=gn,ln", ["--multirun and --cfg", "--cfg job"]),
    ("--cfg job --info", ["--cfg and --info"]),
    ("--multirun --run", ["--run and --multirun"]),
    ("--resolve norm=gn", ["--resolve", "--cfg job"]),
    ("--experimental-rerun x", ["--experimental-rerun"]),
    ("--bogus", ["--bogus"]),
    ("--cfg job norm=gn,ln", ["--cfg shows one configuration", "write: norm=gn"]),
    ("tracking.uri=foo", ["tracking.uri=foo", "sqlite:///FILE, http://HOST:PORT, postgresql://"]),
    ("tracking.uri=./mlruns", ["tracking.uri=./mlruns", "no folders"]),
    ("tracking.uri=file:mlruns", ["tracking.uri=file:mlruns", "no folders"]),
    ("tracking.uri=foo://user:secret@host", ["tracking.uri", "sqlite:///FILE"]),
    ("hydra.sweep.dir=x", ["hydra.sweep.dir", "which folder a job has"]),
    ("+hydra.sweep.subdir=x", ["hydra.sweep.subdir", "which folder a job has"]),
    ("hydra.run.dir=x", ["hydra.run.dir", "which folder a job has"]),
    ("hydra.job.chdir=true", ["hydra.job.chdir", "which folder a job has"]),
    ("hydra.output_subdir=x", ["hydra.output_subdir"]),
    ("hydra/job_logging=default", ["hydra/job_logging"]),
    ("hydra/hydra_logging=default", ["hydra/hydra_logging"]),
    ("hydra/sweeper=basic", ["hydra/sweeper", "which folder a job has"]),
    ("hydra/sweeper=grid hydra.verbose=true epochs=0", ["epochs=0"]),  # Hydra's other keys stay free
    ("hydra.sweeper.params.seed=0,1", ["there is none", "write: seed=0,1"]),
    ("experiment=norms hydra.sweeper.params.seed=-5", ["seed=-5"]),
    ("data=synthetic data.images=10", ["1 to 9", "write: data.validation=1 data.batch_size=9"]),
    ("data=synthetic data.images=1", ["data.images=1", "2 images or more"]),
    ("model.width=1000000000 norm=gn", ["model.width=1000000000", "<= 1024"]),
    ("help", ["help is not KEY=VALUE", "norm", "optimizer", "epochs"]),
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


def test_no_preset_is_shown_as_any_other_choice(command):
    done = command("src.train", "--cfg", "job", "experiment=null")
    assert done.returncode == 0, done.stderr
    assert "name: bn" in done.stdout


def test_a_folder_that_cannot_be_written_to_is_named(command, tmp_path):
    (tmp_path / "multirun").touch()  # as good as no permission, and root is refused too
    done = command("src.train", "data.limit=64", "epochs=1", "tracking=none")
    assert done.returncode == 2, done.stderr
    assert "multirun" in done.stderr
    assert len(done.stderr.strip().splitlines()) <= 3
    assert files_below(tmp_path) == ["multirun"]


# What is typed, and what the answer says to write instead.
WAYS_ON = [
    ("norm", "norm=bn"),
    ("seed", "seed=INTEGER"),
    ("lr", "optimizer.lr=VALUE"),
    ("bn", "norm=bn"),
    ("=bn", "norm=bn"),
    ("norm=b(n", "norm=bn"),
    ("reg.l1=1(", "reg.l1=NUMBER"),
    ("norm=batchnrom", "norm=bn"),
    ("norm.name=gn", "norm=gn"),
    ("norm.name=gn,ln", "-m norm=gn,ln"),
    ("optimizer.name=adamw", "optimizer=adamw"),
    ("schedule=none", "schedule=constant"),
    ("schedule=linear", "schedule=constant"),
    ("tracking=mlflow", "tracking=sqlite"),
    ("tracking=[sqlite,none]", "tracking=none"),
    ("experiment=", "experiment=norms"),
    ("normalization=bn", "norm=bn"),
    ("nrom=bn,gn", "norm=bn,gn"),
    ("lr=0.1", "optimizer.lr=0.1"),
    ("l1=0,1e-5", "reg.l1=0,1e-5"),
    ("batch_size=32", "data.batch_size=32"),
    ("batchsize=32", "data.batch_size=32"),
    ("data.batchsize=32", "data.batch_size=32"),
    ("width=8", "model.width=8"),
    ("groups=4", "norm.groups=4"),
    ("limit=64", "data.limit=64"),
    ("dropout=0.1", "reg.dropout=0.1"),
    ("model.dropout=0.1", "reg.dropout=0.1"),
    ("weight_decay=1e-4", "reg.l2=1e-4"),
    ("optimizer.weight_decay=1e-4", "reg.l2=1e-4"),
    ("learning_rate=0.1", "optimizer.lr=0.1"),
    ("training.lr=0.1", "optimizer.lr=0.1"),
    ("regularization.l1=1e-5", "reg.l1=1e-5"),
    ("momentum=0.9", "norm.momentum=0.9 or optimizer.momentum=0.9"),
    ("norm@x=gn", "norm=gn"),
    ("~lr", "optimizer.lr=VALUE"),
    ("~experiment", "experiment=null"),
    ("device=cpu,", "device=VALUE"),
]


def check_words(*words: str) -> None:
    groups = option_groups()
    check_text(words, groups)
    check_overrides([parse(word, groups) for word in words], groups)


@pytest.mark.parametrize(("typed", "advice"), WAYS_ON)
def test_what_an_answer_says_to_write_is_not_refused_in_turn(typed, advice):
    with pytest.raises(BadInput) as refused:
        check_words(typed)
    told = str(refused.value)
    assert told.endswith(f"\n  write: {advice}"), told
    for word in advice.removeprefix("-m ").split(" or "):
        check_words(word.replace("VALUE", "1").replace("INTEGER", "1").replace("NUMBER", "1"))


def test_a_suggestion_is_made_only_where_one_is_near():
    for typed, suggested in (("schedule=linear", False), ("schedule=cosin", True), ("foo=1", False), ("epoch=1", True)):
        with pytest.raises(BadInput) as refused:
            check_words(typed)
        assert ("did you mean" in str(refused.value)) == suggested, typed


@pytest.mark.parametrize("validation", [1, 9, 500, 5000])
@pytest.mark.parametrize("images", [2, 3, 9, 10, 64, 65, 5000, 60000])
@pytest.mark.parametrize("limit", [None, 1, 40])
def test_the_sizes_that_an_answer_says_to_write_can_be_trained(validation, images, limit):
    data = Data("synthetic", batch_size=64, validation=validation, split_seed=0, limit=limit, images=images)
    source = Source("", "", images, 10, 1, 28, ())
    try:
        check_sizes(data, source)
    except BadInput as refused:
        for key, value in re.findall(r"data\.(\w+)=(\d+)", str(refused).split("write: ")[1]):
            setattr(data, key, int(value))
    check_sizes(data, source)
