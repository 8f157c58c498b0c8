"""Bad input is refused before anything runs, in at most three lines, and leaves no files."""

import re
import shlex
import shutil
import sqlite3
import subprocess
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import pytest

from src.bad_input import BadInput, as_one_word
from src.data.images import Source
from src.data.sizes import check_sizes
from src.datasets import Synthetic
from src.norms import NORMS
from src.sweep.overrides import check_override_words, check_overrides, group_options, override_values, parse_override
from tests.conftest import files_below, python

# MLflow 3.17 uses a loader strategy that SQLAlchemy 2.1 deprecates.
pytestmark = pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy is deprecated")

MNIST = Path(__file__).parents[1] / "src" / "data" / "mnist"
NORM_NAMES = ", ".join(sorted(NORMS))
SYNTHETIC = ("data=synthetic", "data.images=200", "data.validation=50", "data.batch_size=16", "epochs=1")
# These imports take seconds, so a refusal must come before them: here they fail.
WITHOUT_SLOW_IMPORTS = """
import runpy, sys
sys.modules.update(torch=None, torchvision=None, mlflow=None, matplotlib=None, pandas=None)
sys.argv[0] = "train.py"
runpy.run_module("src.train", run_name="__main__")
"""

# The command line, and the words that its refusal must contain.
QUICK = [
    ("norm=batchnrom", ["norm=batchnrom", "did you mean bn", NORM_NAMES]),
    ("nrom=bn", ["nrom", "did you mean norm"]),
    ("reg.l3=0", ["l3", "l1, l1_method, l2, weight_decay, dropout, label_smoothing, stochastic_depth, clip, ema, sam"]),
    ("reg.l1_method=proximal", ["reg.l1_method=proximal has no effect with reg.l1=0", "write: reg.l1=0.1"]),
    ("reg.l1_method=ista reg.l1=1e-5", ["reg.l1_method=ista", "subgradient, proximal"]),
    ("reg.ema=1", ["reg.ema=1", ">= 0 and below 1"]),
    ("regularization=swa", ["regularization=swa", "ema, l1, l1_l2, l1_proximal, l2, none, sam, weight_decay"]),
    ("norm=[bn,gn]", ["one option", "-m norm=bn,gn"]),
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
    ("data.batch_size=60000", ["is larger than the", "55,000"]),
    ("data.limit=10", ["is larger than the", "10 training images"]),
    ("data.validation=60000", ["data.validation=60000", "59,999"]),
    ("norm=gn norm.groups=3", ["conv1", "1, 2, 4, 8, 16"]),
    ("-m norm=gn norm.groups=4,32", ["conv1", "norm.groups=32"]),
    ("epochs=0", ["epochs=0", ">= 1"]),
    ("epochs=-1", ["epochs=-1", ">= 1"]),
    ("epochs=true", ["epochs", "integer"]),
    ("optimizer.lr=0", ["optimizer.lr=0", ">= 1e-12"]),
    ("optimizer=sgd optimizer.momentum=0", ["nesterov", "momentum"]),
    ("optimizer=adam optimizer.momentum=0.9", ["optimizer.momentum", "optimizer=adam does not use", "sgd"]),
    ("~norm", ["norm=none"]),
    ("norm=null", ["norm=none"]),
    ("norm=", ["norm=none"]),
    ("+a.b.c=1", ["a.b.c"]),
    ("+norm.eps=1", ["norm.eps already exists"]),
    ("-m norm=bn,,gn", ["norm has an empty value"]),
    ("-m optimizer.lr=interval(0,1)", ["choice() or range()"]),
    ("norm=bn norm.groups=2", ["norm.groups=2", "norm=bn does not use", "norm=gn"]),
    ("norm=bn norm=gn", ["given twice", "write: -m norm=bn,gn"]),
    ("norm=bn,gn norm=gn,ln", ["given twice", "write: -m norm=bn,gn,ln"]),
    ("data.limit=10 data.limit=10", ["given twice", "write: data.limit=10"]),
    ("experiment=norms experiment=assignment", ["given twice", "write: experiment=assignment"]),
    ("seed=range(0,3) seed=5", ["given twice", "write: -m seed=A,B"]),
    ("norm=batchnorm,groupnorm,layernorm", ["norm=batchnorm is not known", "write: -m norm=bn,gn,ln"]),
    ("norm=bn,batchnorm,xyzzyx", ["norm=batchnorm is not known", "write: norm=bn"]),
    ("compare.looks=3,6 norm=bn,gn seeds=auto", ["compare.looks cannot be swept", "write: 'compare.looks=[3,6]'"]),
    ("hydra.mode=RUN", ["hydra.mode"]),
    ("-m device=cpu,cuda", ["device cannot be swept", "write: device=cpu"]),
    ("-m tracking=sqlite,none", ["tracking cannot be swept", "write: tracking=sqlite"]),
    ("device=gpu", ["device=gpu", "cuda"]),
    ("data=idx", ["data.root"]),
    ("data.root=/nowhere", ["/nowhere", "no such folder"]),
    ("data=synthetic data.channels=2", ["data.channels=2", "1, 3"]),
    ("seed=-1", ["seed=-1", ">= 0"]),
    ("tracking.uri=http://user:secret@host", ["MLFLOW_TRACKING_USERNAME"]),
    ("tracking.uri=http://127.0.0.1:1", ["does not answer", "tracking=none"]),
    ("data.root=~/mnist", ["'data.root=\"~/mnist\"'"]),
    ("data=fashion_mnist data.root='~nosuchuser/x'", ["~nosuchuser"]),
    ("hydra/launcher=joblib", ["hydra/launcher=joblib is not known", "basic, local, ray, submitit_slurm"]),
    ("-m seed=range(0,10000)", ["10,000 jobs", "sweep.max_jobs=200", "write: sweep.max_jobs=10000"]),
    ("-m seed=range(0,1000000000) norm=bn,gn", ["2,000,000,000 jobs"]),  # counted without expanding the grid
    ("-m seed=0,1,2 sweep.max_jobs=2", ["3 jobs", "sweep.max_jobs=2"]),
    ("seeds=2 seed=1", ["given twice: seeds=2 and seed=1", "short for"]),
    ("seeds=auto seed=1,2", ["given twice: seeds=auto and seed=1,2", "write: seeds=auto"]),
    (
        "seeds=auto norm=gn",
        ["seeds=auto", "one method", "two or more combinations", "write: -m norm=bn,gn,ln seeds=auto"],
    ),
    (
        "seeds=auto norm=bn,gn sweep.max_jobs=39",
        ["40 jobs at 20 seeds", "sweep.max_jobs=39", "write: sweep.max_jobs=40"],
    ),
    (
        "compare.looks=[10,5]",
        ["compare.looks=[10, 5]", "ascending integers", ">= 2", "write: 'compare.looks=[5,10,20]'"],
    ),
    ('sweep.cells=["norm=batchnrom"]', ["in the cell 'norm=batchnrom'", "did you mean bn", NORM_NAMES]),
    ('sweep.cells=["norm=gn"] norm=bn', ["in the cell 'norm=gn', and outside it as norm=bn", "without norm=bn"]),
    ("-m seeds=201 plan=true", ["201 jobs", "sweep.max_jobs=200"]),  # a plan is refused like the sweep itself
    ("-m epochs=1,2 resume=auto,restart", ["resume cannot be swept", "it applies to the whole command"]),
    ("-m sweep.max_jobs=1,2", ["sweep.max_jobs cannot be swept", "write: sweep.max_jobs=1"]),
    ("-m sweep.max_jobs=x,y", ["sweep.max_jobs cannot be swept", "write: sweep.max_jobs="]),
    ("resume=maybe", ["resume=maybe", "auto, restart"]),
    ("hydra.launcher.workers=0", ["normlab: hydra.launcher.workers=0", "an integer >= 1"]),
    ("hydra.launcher.jobs_per_gpu=33", ["normlab: hydra.launcher.jobs_per_gpu=33", "an integer from 1 to 32"]),
    ("execution=graph device=cpu", ["execution=graph needs an NVIDIA GPU", "auto, eager"]),
    ("threads=999999999", ["threads=999999999", "<= 1024"]),
    ("seed=range(5,0)", ["seed=range(5,0)", "an empty range"]),
    ("seed=range(0)", ["seed=range(0)", "an empty range"]),
    ("seed=range(1,5,0)", ["seed=range(1,5,0)", "other than 0"]),
    ("experiment=null data.limit=10", ["is larger than the"]),  # experiment=null itself is accepted
    ("norm=glob(*) data.limit=10", ["is larger than the"]),  # glob(*) itself is accepted
    ("norm=glob(x*)", ["no option matches", NORM_NAMES]),
    ("--cfg job -m norm=gn,ln", ["--multirun and --cfg", "--cfg job"]),
    ("--cfg job --info", ["--cfg and --info"]),
    ("--multirun --run", ["--run and --multirun"]),
    ("--resolve norm=gn", ["--resolve", "--cfg job"]),
    ("--experimental-rerun x", ["--experimental-rerun"]),
    ("--bogus", ["--bogus"]),
    ("--cfg job norm=gn,ln", ["--cfg shows one configuration", "write: norm=gn"]),
    ("tracking.uri=foo", ["tracking.uri=foo", "sqlite:///FILE, http://HOST:PORT, postgresql://"]),
    ("tracking.uri=./mlruns", ["tracking.uri=./mlruns", "cannot open folders"]),
    ("tracking.uri=file:mlruns", ["tracking.uri=file:mlruns", "cannot open folders"]),
    ("tracking.uri=foo://user:secret@host", ["tracking.uri", "MLFLOW_TRACKING_URI in the environment"]),
    ("hydra.sweep.dir=x", ["hydra.sweep.dir", "chooses the folder of each job"]),
    ("+hydra.sweep.subdir=x", ["hydra.sweep.subdir", "chooses the folder of each job"]),
    ("hydra.run.dir=x", ["hydra.run.dir", "chooses the folder of each job"]),
    ("hydra.job.chdir=true", ["hydra.job.chdir", "chooses the folder of each job"]),
    ("hydra.output_subdir=x", ["hydra.output_subdir"]),
    ("hydra/job_logging=default", ["hydra/job_logging"]),
    ("hydra/hydra_logging=default", ["hydra/hydra_logging"]),
    ("hydra/sweeper=basic", ["hydra/sweeper", "chooses the folder of each job"]),
    ("hydra/sweeper=grid hydra.verbose=true epochs=0", ["epochs=0"]),  # Hydra's other keys are accepted
    ("hydra.sweeper.params.seed=0,1", ["this command chooses none", "write: seed=0,1"]),
    ("experiment=norms hydra.sweeper.params.seed=-5", ["seed=-5"]),
    ("data=synthetic data.images=10", ["1 to 9", "write: data.validation=1 data.batch_size=9"]),
    ("data=synthetic data.images=1", ["data.images=1", "2 images or more"]),
    ("model.width=1000000000 norm=gn", ["model.width=1000000000", "<= 1024"]),
    ("help", ["help is not of the form KEY=VALUE", "norm", "optimizer", "epochs"]),
    ("-m data.root=/a,b", ["/a and b", "'data.root=\"/a,b\"'"]),
    ("-m data.root=choice(.,/nowhere)", ["no /nowhere", "'data.root=\".,/nowhere\"'"]),
    ("reg.l1=1e400", ["reg.l1=inf", "finite"]),
    (f"reg.l1={'9' * 400}", ["reg.l1=999", "finite"]),
    (f"seed={'9' * 5000}", ["seed=999", "integer >= 0"]),
    (f"-m seed=0,{'9' * 5000}", ["seed=0,999", "integer >= 0"]),
    ("seed=0x10", ["seed=0x10", "integer >= 0"]),
    ("seed=1.0", ["seed=1.0", "integer >= 0"]),
    ("epochs=1e3", ["epochs=1000.0", "integer >= 1"]),
    ("reg.l1=1e-5,", ["reg.l1 has an empty value"]),
    ("-m norm=bn,gn reg.l1=", ["reg.l1=", "number >= 0"]),
    ("norm=bñ", ["norm=bñ", NORM_NAMES]),
    ("data.limit=true", ["data.limit=True", "integer >= 1 or null"]),
    ("data.root=true", ["data.root=True", "text or null"]),
    (f"data.root={'x' * 5000}", ["data.root=xxx", "File name too long"]),
    ("hydra.job.env_set.X=1", ["hydra.job.env_set.X", "in the shell"]),
    ("tracking.uri=sqlite:///.", ["tracking.uri=sqlite:///.", "is a folder"]),
    ("tracking.uri=sqlite://", ["tracking.uri=sqlite://", "does not name a file"]),
    ("tracking.uri=sqlite:///:memory:", ["tracking.uri=sqlite:///:memory:", "does not name a file"]),
    ("tracking.uri=postgresql://127.0.0.1:1/x", ["does not answer", "tracking=none"]),
    ("tracking.uri=http://127.0.0.1:port", ["tracking.uri is not a valid address", "http://HOST:PORT"]),
]


@pytest.mark.parametrize(("typed", "words"), QUICK, ids=[typed[:60] for typed, _ in QUICK])
def test_bad_input_is_refused_before_slow_imports(quick_command, tmp_path, typed, words):
    done = quick_command(tmp_path, "src.train", *typed.split())
    assert done.returncode == 2, done.stderr
    assert 1 <= len(done.stderr.strip().splitlines()) <= 3, done.stderr
    assert done.stdout == ""
    for word in words:
        assert word in done.stderr
    assert "secret" not in done.stderr
    assert files_below(tmp_path) == []


def test_a_dry_run_imports_neither_mlflow_nor_matplotlib_and_leaves_no_files(tmp_path):
    code = WITHOUT_SLOW_IMPORTS.replace("torch=None, ", "", 1)  # the plan builds each network to count its parameters
    done = python(tmp_path, "-c", code, "experiment=group_sizes", "seeds=2", "plan=true")
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    lines = done.stdout.splitlines()
    assert "14 jobs (varied keys: norm.name, norm.groups, seed), 0 already finished" in lines[0]
    assert lines[1].startswith(
        "data: mnist, 55,000 training, 5,000 validation and 10,000 test images, 28 x 28 pixels, "
    )
    assert [line.split() for line in lines[3:5]] == [["none", f"s{seed}", "14,810", "to", "train"] for seed in (0, 1)]
    assert lines[-1] == "dry run (plan=true): nothing was trained"
    assert files_below(tmp_path) == []


def test_the_user_may_request_the_traceback(quick_command, tmp_path):
    done = quick_command(tmp_path, "src.train", "reg.l1=-1", HYDRA_FULL_ERROR="1")
    assert done.returncode == 1
    assert "Traceback" in done.stderr


def test_a_missing_device_is_refused_with_the_available_ones(command, tmp_path):
    done = command("src.train", "device=cuda:7")
    assert done.returncode == 2
    assert "device=cuda:7" in done.stderr
    assert "cpu" in done.stderr
    assert len(done.stderr.strip().splitlines()) <= 3
    assert files_below(tmp_path) == []


def test_a_configuration_is_shown_without_a_run(quick_command, tmp_path):
    done = quick_command(tmp_path, "src.train", "--cfg", "job", "norm=gn", "experiment=null")
    assert done.returncode == 0, done.stderr
    assert "groups: 4" in done.stdout
    assert files_below(tmp_path) == []


@pytest.mark.slow
def test_the_correction_for_a_folder_with_a_comma_works(command, tmp_path):
    folder = tmp_path / "mine, all"
    folder.mkdir()
    for file in MNIST.glob("*.gz"):
        shutil.copy(file, folder)
    small = ("data.limit=128", "epochs=1", "tracking=none")
    refused = command("src.train", "-m", f"data.root={folder}", *small)
    assert refused.returncode == 2, refused.stderr
    assert f"{tmp_path / 'mine'} and all" in refused.stderr
    done = command("src.train", *shlex.split(refused.stderr.split("write: ")[1]), *small)
    assert done.returncode == 0, done.stderr
    (config,) = tmp_path.glob("multirun/jobs/*/config.yaml")
    assert f"root: {folder}\n" in config.read_text()


def test_existing_folders_may_be_swept(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("one", "two"):
        Path(name).mkdir()
    check_typed_words("data.root=one,two")
    check_typed_words("data.root=null,one")
    check_typed_words("data.root=one,two/..")
    with pytest.raises(BadInput, match="no three"):
        check_typed_words("data.root=one,two,three")


@pytest.mark.parametrize(
    "name", ["/a,b", 'a"b', "a'b", "a b", "~/x", "a\\", 'a\\"b', "a\\\\b", "(a", "ä,ö", "a=b", "a#b"]
)
def test_a_quoted_correction_keeps_the_value(name):
    (word,) = shlex.split(as_one_word("data.root", name))
    override = parse_override(word, group_options())
    assert override_values(override, group_options()) == [name]


def test_the_commands_of_the_test_above_cannot_import_a_slow_module(quick_command, tmp_path):
    done = quick_command(tmp_path, "src.train", "device=cuda:7")  # torch lists the devices
    assert done.returncode == 1
    assert "import of torch halted" in done.stderr


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("nonsense", ["MLFLOW_TRACKING_URI=nonsense", "sqlite:///FILE"]),
        (" ", ["MLFLOW_TRACKING_URI", "sqlite:///FILE"]),
        ("file:///tmp", ["MLFLOW_TRACKING_URI=file:///tmp", "cannot open folders"]),
        ("http://", ["MLFLOW_TRACKING_URI=http://", "no host"]),
        ("http://host:port", ["MLFLOW_TRACKING_URI is not a valid address"]),
        ("postgresql://me:pass/word@127.0.0.1:1/x", ["MLFLOW_TRACKING_URI is not a valid address", "%2F"]),
        ("postgresql://me:word@127.0.0.1:1/x", ["postgresql://***@127.0.0.1:1/x does not answer"]),
    ],
)
def test_a_wrong_store_in_an_environment_variable_is_refused(quick_command, tmp_path, address, words):
    check_refused(quick_command(tmp_path, "src.train", MLFLOW_TRACKING_URI=address), words)
    assert files_below(tmp_path) == []


def test_a_store_that_mlflow_refuses_is_refused(command, tmp_path):
    check_refused(command("src.train", MLFLOW_TRACKING_URI="databricks"), ["databricks", "tracking=none"])
    assert files_below(tmp_path) == []


def check_refused(done: "subprocess.CompletedProcess[str]", words: Sequence[str]) -> None:
    assert done.returncode == 2, done.stderr
    assert 1 <= len(done.stderr.strip().splitlines()) <= 3, done.stderr
    assert "word@" not in done.stderr
    for word in words:
        assert word in done.stderr


@pytest.mark.slow
def test_an_empty_experiment_variable_means_the_default(command):
    done = command("src.train", *SYNTHETIC, MLFLOW_EXPERIMENT_NAME="")
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("harm", "words"),
    [
        ("DELETE FROM alembic_version; INSERT INTO alembic_version VALUES ('ffffffffffff')", ["needs a later MLflow"]),
        ("UPDATE alembic_version SET version_num = '0584bdc529eb'", ["mlflow db upgrade sqlite:///"]),
    ],
)
def test_a_store_of_another_mlflow_is_refused_and_unchanged(command, tmp_path, migrated, harm, words):
    path = Path(shutil.copy(migrated, tmp_path / "mlflow.db"))
    with closing(sqlite3.connect(path)) as database:
        database.executescript(harm)
    before = path.read_bytes()
    check_refused(command("src.train", *SYNTHETIC), words)
    assert files_below(tmp_path) == ["mlflow.db"]
    assert path.read_bytes() == before


@pytest.mark.parametrize("content", [b"no database", b"SQLite format 3\0 and then nothing like it", "half"])
def test_a_damaged_store_is_refused_and_unchanged(command, tmp_path, migrated, content):
    path = tmp_path / "mlflow.db"
    path.write_bytes(migrated.read_bytes()[:100_000] if content == "half" else content * 500)
    before = path.read_bytes()
    check_refused(command("src.train", *SYNTHETIC), [str(path), "cannot be opened", "tracking=none"])
    assert files_below(tmp_path) == ["mlflow.db"]
    assert path.read_bytes() == before


def test_a_folder_in_place_of_the_store_is_refused(quick_command, tmp_path):
    (tmp_path / "mlflow.db").mkdir()
    check_refused(quick_command(tmp_path, "src.train", *SYNTHETIC), [f"{tmp_path / 'mlflow.db'} is a folder"])
    assert files_below(tmp_path) == ["mlflow.db"]


def test_a_locked_store_is_refused(command, tmp_path, migrated):
    path = Path(shutil.copy(migrated, tmp_path / "mlflow.db"))
    with closing(sqlite3.connect(path, isolation_level=None)) as database:
        database.execute("BEGIN EXCLUSIVE")
        check_refused(command("src.train", *SYNTHETIC), ["database is locked", "tracking=none"])
    assert files_below(tmp_path) == ["mlflow.db"]


CELLS = '\'sweep.cells=["norm=none","norm=gn norm.groups=2,4"]\''
# A wrong word, and the correction in its refusal.
CORRECTIONS = [
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
    ("experiment=", "experiment=assignment"),
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
    ("weight_decay=1e-4", "reg.weight_decay=1e-4"),
    ("optimizer.weight_decay=1e-4", "reg.weight_decay=1e-4"),
    ("learning_rate=0.1", "optimizer.lr=0.1"),
    ("training.lr=0.1", "optimizer.lr=0.1"),
    ("regularization.l1=1e-5", "reg.l1=1e-5"),
    ("momentum=0.9", "norm.momentum=0.9 or optimizer.momentum=0.9"),
    ("norm@x=gn", "norm=gn"),
    ("~lr", "optimizer.lr=VALUE"),
    ("~experiment", "experiment=null"),
    ("device=cpu,", "device=cpu"),
    ("norm = gn", "norm=gn"),
    ("seeds=0", "seeds=INTEGER"),
    ("seeds=all", "seeds=INTEGER"),
    ("compare.equal=0", "compare.equal=NUMBER"),
    ("compare.looks=5,10", "'compare.looks=[5,10]'"),
    ("compare.looks=10,5", "'compare.looks=[5,10,20]'"),
    ("compare.looks=[1,2]", "'compare.looks=[5,10,20]'"),
    ("looks=[5]", "compare.looks=[5]"),
    ("seeds=1,2", "seed=1,2"),
    ("seeds=range(3)", "seeds=INTEGER"),
    ("plan=1", "plan=true"),
    ("plan=true,false", "plan=true"),
    ("plan", "plan=true"),
    ("dry_run=true", "plan=true"),
    ("sweep.on_failure=never", "sweep.on_failure=continue"),
    ("sweep.on_failure=continue,stop", "sweep.on_failure=continue"),
    ("sweep.same_failures=0", "sweep.same_failures=INTEGER"),
    ("on_failure=stop", "sweep.on_failure=stop"),
    ("sweep.cells=[norm=none]", CELLS),
    ("sweep.cells=[1]", CELLS),
    ("sweep.cells=null", CELLS),
    ("cells=[]", "sweep.cells=[]"),
    (" epochs=2", "epochs=2"),
]


def check_typed_words(*words: str) -> None:
    groups = group_options()
    check_override_words(words, groups)
    check_overrides([parse_override(word, groups) for word in words], groups)


@pytest.mark.parametrize(("typed", "correction"), CORRECTIONS)
def test_a_correction_is_accepted(typed, correction):
    with pytest.raises(BadInput) as refused:
        check_typed_words(typed)
    assert str(refused.value).endswith(f"\n  write: {correction}")
    for word in correction.removeprefix("-m ").split(" or "):
        word = shlex.split(word)[0] if word.startswith("'") else word
        check_typed_words(word.replace("VALUE", "1").replace("INTEGER", "1").replace("NUMBER", "1"))


def test_only_a_similar_word_is_suggested():
    for typed, suggested in (("schedule=linear", False), ("schedule=cosin", True), ("foo=1", False), ("epoch=1", True)):
        with pytest.raises(BadInput) as refused:
            check_typed_words(typed)
        assert ("did you mean" in str(refused.value)) == suggested, typed


@pytest.mark.parametrize("validation", [1, 9, 500, 5000])
@pytest.mark.parametrize("images", [2, 3, 9, 10, 64, 65, 5000, 60000])
@pytest.mark.parametrize("limit", [None, 1, 40])
def test_corrected_sizes_can_be_trained(validation, images, limit):
    data = Synthetic(batch_size=64, validation=validation, split_seed=0, limit=limit, images=images)
    source = Source("", "", images, 10, 1, 28, ())
    try:
        check_sizes(data, source)
    except BadInput as refused:
        for key, value in re.findall(r"data\.(\w+)=(\d+)", str(refused).split("write: ")[1]):
            setattr(data, key, int(value))
    check_sizes(data, source)
