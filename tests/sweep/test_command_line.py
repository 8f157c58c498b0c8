"""Flags may stand anywhere, Hydra's own nodes are protected, and no suggestion of a refusal is refused itself."""

import os
import re
import shlex
import signal

import pytest
from hydra.core.config_store import ConfigStore
from hydra.core.global_hydra import GlobalHydra

from src.bad_input import BadInput
from src.sweep.command_line import command_to_repeat, study_id
from tests.conftest import files_below
from tests.test_bad_input import CORRECTIONS, QUICK

SMALL = ("data=synthetic", "data.images=1000", "data.validation=200", "epochs=1", "plan=true")


@pytest.mark.parametrize(
    ("words", "ordered"),
    [
        ("norm=bn,gn -m reg.l1=0,1e-5", "-m norm=bn,gn reg.l1=0,1e-5"),
        (
            "epochs=2 --cfg job reg.l1=0 -p norm optimizer.lr=0.1",
            "--cfg job -p norm epochs=2 reg.l1=0 optimizer.lr=0.1",
        ),
        ("norm=bn,gn reg.l1=0 -m", "norm=bn,gn reg.l1=0 -m"),
        ("norm=bn --config-dir=. epochs=1", "--config-dir=. norm=bn epochs=1"),
        ("-m norm=bn,gn", "-m norm=bn,gn"),
        ("-- norm=bn", "-- norm=bn"),
    ],
)
def test_a_flag_may_stand_among_the_overrides(typed, words, ordered):
    assert typed(*words.split()) == ordered.split()


def test_a_tilde_that_the_shell_leaves_is_expanded(typed, monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert typed("--config-dir=~", "norm=bn") == [f"--config-dir={tmp_path}", "norm=bn"]


@pytest.mark.parametrize(
    ("words", "parts"),
    [
        ("-p norm", "--package works only with --cfg|write: --cfg job --package norm"),
        ("--cfg job -p nrom", "no part named nrom; did you mean norm?|write: --cfg job --package norm"),
        ("--cfg job -p hydra.launcher", "write: --cfg hydra --package hydra.launcher"),
        ("--cfg hydra -p norm.eps", "write: --cfg job --package norm.eps"),
        ("--cfg", "expected one argument|--help"),
        ("--cfg all -i", "--cfg and --info cannot be combined"),
        ("-i norm=bn", "invalid choice: 'norm=bn'"),
        ("-c jobs", "invalid choice: 'jobs'"),
        ("--hydra-help norm=gn", "write: --hydra-help"),
        ("--bogus", "unrecognized arguments: --bogus"),
        ("-m -sc install=bash", "--multirun and --shell-completion cannot be combined"),
        ("-sc", "is not a known request|install=bash, install=fish, install=zsh"),
        ("-sc install=tcsh", "install=tcsh is not a known request"),
        ("-sc install=bash", "tab completion works only for the command normlab-train"),
        ("-sc query=bash", "COMP_LINE"),
        ("-cn absent", "--config-name absent: there is no absent.yaml|write: --config-name config"),
        ("-cd /absent", "--config-dir: there is no folder /absent"),
        ("-cp /absent", "--config-path: there is no folder /absent"),
        ("-cd ~nosuchuser", "~nosuchuser: there is no user of this name"),
    ],
)
def test_a_wrong_flag_is_refused(refused, monkeypatch, words, parts):
    monkeypatch.delenv("COMP_LINE", raising=False)
    message = refused(*words.split())
    for part in parts.split("|"):
        assert part in message


@pytest.mark.parametrize(
    ("word", "parts"),
    [
        ("norm=bn\r", "norm=bn ends with a carriage return (\\r): the script has Windows line endings|write: norm=bn"),
        ("\r", "a carriage return"),
        ("-m\r", "write: -m"),
        ("\u2013m", "contains an en dash|write: -m"),
        ("\u2014multirun", "contains an em dash|write: --multirun"),
        ("reg.l1=1e\u22125", "contains a minus sign|write: reg.l1=1e-5"),
        ("norm=bn\uff0cgn", "a fullwidth comma|write: norm=bn,gn"),
        ("norm\uff1dbn", "a fullwidth equals sign|write: norm=bn"),
        ("norm=bn\u200b", "a zero width space|write: norm=bn"),
        ("\ufeffnorm=bn", "zero width no-break space|write: norm=bn"),
        ("norm=bn\xa0epochs=1", "a no-break space|write: norm=bn epochs=1"),
        ("sweep.cells=[\u201cnorm=none\u201d]", "a left double quotation mark|write: 'sweep.cells=[\"norm=none\"]'"),
        ("data.root=/data\r", "write: data.root=/data"),
        ("sweep.cells=[\n'norm=bn']", "a line break"),
        ("norm=\x1b[1mbn", "a control character|write: norm=bn"),
    ],
)
def test_a_pasted_special_character_is_reported(refused, word, parts):
    message = refused(word)
    for part in parts.split("|"):
        assert part in message
    assert not re.search(r"write:.*[^ -~]", message)


def test_a_text_may_hold_any_character(typed):
    words = ['tracking.experiment="l\u2019\xe9t\xe9\u20132"', "sweep.cells=[\t'norm=bn']"]
    assert typed(*words) == words


@pytest.mark.parametrize(
    "word",
    [
        *("hydra=null", "hydra=", "~hydra", "hydra.launcher=null", "hydra.sweeper=null", "~hydra.launcher.workers"),
        *("hydra.launcher._target_=os.system", "+hydra.callbacks.x._target_=os.system", "hydra.callbacks=null"),
        *("hydra.launcher={_target_:os.system}", "hydra.sweeper.params={_target_:x}", "hydra.sweeper._target_=x"),
        *("hydra/launcher=null", "hydra/launcher=[local]", "hydra/sweeper=null", "hydra/env=null", "hydra/help=null"),
        *("hydra.job_logging=null", "hydra.hydra_logging.x=1", "hydra.job=null", "hydra.job.env_copy=[NOPE]"),
        *("+hydra.x=1", "hydra.runtime=null", "hydra.overrides=null", "hydra.help=null", "hydra.job.name=null"),
        *("hydra.searchpath=null", "hydra.searchpath=[1]", "hydra.searchpath=x", "hydra.searchpath=[file:///absent]"),
        *("hydra.searchpath=[pkg://absent]", "hydra.searchpath=[foo://x]", "hydra.searchpath=[file://~/absent]"),
        *("hydra.launcher.workers=1,2", "hydra/launcher=local,joblib"),
    ],
)
def test_hydras_own_nodes_cannot_be_changed(refused, word):
    assert word.lstrip("+~").partition("=")[0] in refused(word)


def test_an_error_of_hydras_has_three_lines(run, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("HYDRA_FULL_ERROR", raising=False)
    for word in ("hydra.verbose=[1]", "hydra.launcher.workers=x", "+hydra.launcher.x=1", "hydra.sweeper.params=5"):
        status, output, errors = run(word)
        assert (status, output) == (2, ""), word
        assert len(errors.splitlines()) <= 3, errors
        assert errors.startswith("normlab: "), errors
    assert files_below(tmp_path) == []


def test_a_refusal_does_not_repeat_the_value_of_a_variable(run, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CANARY", "hunter2")
    for word in ("reg.l1=${oc.env:CANARY}", "data.batch_size=${oc.env:CANARY}", "deterministic=${oc.env:CANARY}"):
        status, output, errors = run(word, *SMALL)
        assert (status, output) == (2, "")
        assert "hunter2" not in errors
        assert word.partition("=")[0] in errors


@pytest.mark.parametrize("word", ["reg.l1=${nowhere}", "reg.l1=${reg.l1}", "reg.l1=${norm.name}", "epochs=${seed}"])
def test_a_reference_to_a_wrong_value_is_refused(run, monkeypatch, tmp_path, word):
    monkeypatch.chdir(tmp_path)
    status, _, errors = run(word, *SMALL[:-2], "plan=true")
    assert (status, len(errors.splitlines()) <= 3, word.partition("=")[0] in errors) == (2, True, True), errors


def test_the_command_restores_its_process(run, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("HYDRA_FULL_ERROR", raising=False)

    def state():
        once = ("MATPLOTLIBRC", "TORCHINDUCTOR_CACHE_DIR")  # set at the first command and at torch's import
        environment = {name: value for name, value in os.environ.items() if name not in once}
        return environment, sorted(ConfigStore.instance().repo), signal.getsignal(signal.SIGTERM)

    before = state()
    for _ in range(2):
        assert run("norm=x")[0] == 2
        status, output, _ = run("norm=bn,gn", "-m", *SMALL)
        assert (status, "2 jobs (varied keys: norm.name" in output) == (0, True)
        assert state() == before
        assert not GlobalHydra.instance().is_initialized()


def test_the_command_to_repeat_has_the_typed_name(monkeypatch):
    words = ["-m", "norm=bn,gn"]
    monkeypatch.setattr("sys.argv", ["/some/where/src/train.py", *words])
    study = study_id()
    assert command_to_repeat() == "python -m src.train -m norm=bn,gn"
    monkeypatch.setattr("sys.argv", ["/some/where/bin/normlab-train", *words])
    assert command_to_repeat() == "normlab-train -m norm=bn,gn"
    assert study_id() == study


# More words with suggestions, besides those of other tests.
MORE = """
norm=bn,gn norm.groups=2 | norm=bn norm.groups=2 | data=mnist,synthetic data.images=900
optimizer=adam optimizer.nesterov=true | gpu=1 | gpu=0,1 | device=1 | lr=-1 | l1=abc | seeds=1.5
norm.eps=null | optimizer.lr=null | batch_size=0 | regularization=l3 | reg=l1,l2 | norm=gn norm.groups=64
norm=gn model.width=7 | norm=[bn] | norm=bn, | reg.l1=, | norm=bx,,gn | epochs=1,,2 | tracking=none,
experiment=nroms | experiment=norms,norms_x_l1 | sweep.cells=bn | optimizer.momentum=0.9 | schedule.gamma=0.5
precision=bf16 | deterministic=1 | optimizer=Adam | norm=BN | ++norm=gn | reg.l1=1 reg.l1=2 | norm.momentum=0
optimizer.lr=1e-30 | --cfg job -p foo | --cfg job norm=bn,gn | --resolve | hydra/launcher=foo
hydra/sweeper=foo | hydra.launcher.workers=1,2 | data.validation=99999 | data.batch_size=99999 | help
version
"""
TYPED = [typed for typed, _ in (*QUICK, *CORRECTIONS) if "tracking.uri" not in typed and typed == typed.strip()]
TYPED += [words.strip() for line in MORE.strip().splitlines() for words in line.split("|")]
EXAMPLES = {"VALUE": "1", "INTEGER": "200", "NUMBER": "0.5", "TEXT": "x", "FOLDER": ".", "A,B": "1,2"}
BESIDE = {"norm.groups": "norm=gn", "optimizer.momentum": "optimizer=sgd", "data.channels": "data=synthetic"}


def refusal(check, grid, words):
    """The refusal of some words by the command or the grid; empty if they are accepted."""
    try:
        left = [word for word in check(*words) if "=" in word and "hydra" not in word]
        request = grid.parse_request(left, {})
        if request.combination_count < 300 and not {"--cfg", "--help"} & set(words):
            grid.compose_all(request)
    except BadInput as error:
        return str(error)
    return ""


def test_the_suggestion_of_a_refusal_is_not_refused_itself(typed, grid):
    tried = 0
    for line in TYPED:
        message = refusal(typed, grid, shlex.split(line) if "'" in line else line.split())
        corrections = message.partition("\n  write: ")[2]
        for correction in corrections.split(" or ") if corrections else ():
            for name, value in EXAMPLES.items():
                correction = re.sub(rf"\b{name}\b", value, correction)
            words = shlex.split(correction.removeprefix("python -m src.train "))
            if not all("=" in word or word in ("-m", "--cfg", "job") for word in words):
                continue  # a sentence, such as "the command without it"
            beside = [group for key, group in BESIDE.items() if words[0].startswith(key)]
            tried += 1
            again = refusal(typed, grid, [*beside, *words])
            assert not again, f"{line}: {correction}: {again}"
    assert tried > 150


def test_a_key_of_one_among_several_options_is_suggested_with_cells(typed, grid):
    message = refusal(typed, grid, ["-m", "norm=bn,gn,ln", "norm.groups=2,4", "norm.momentum=0.2", "reg.l1=0,1e-5"])
    assert "norm=bn does not use norm.groups=2" in message
    write = message.partition("write: python -m src.train ")[2]
    cells = 'sweep.cells=["norm=bn norm.momentum=0.2","norm=gn norm.groups=2,4","norm=ln"]'
    assert shlex.split(write) == ["-m", "reg.l1=0,1e-5", cells]
    assert refusal(typed, grid, shlex.split(write)) == ""


@pytest.mark.parametrize(
    ("typed", "jobs"),
    [
        (("optimizer=sgd,rmsprop", "optimizer.momentum=0.5"), 2),  # the default, adam, has no momentum
        (("-m", "optimizer=sgd,rmsprop", "optimizer.momentum=0.5"), 2),
        (("optimizer=adam,adamw", "optimizer.momentum=null"), 2),
        (("optimizer=adam", "optimizer.momentum=null", "data.classes=10"), 1),
        (("data.limit=${schedule.step_epochs}",), 1),  # null: the default schedule has no such key
    ],
)
def test_a_key_may_be_set_that_the_default_option_lacks(run, monkeypatch, tmp_path, typed, jobs):
    monkeypatch.chdir(tmp_path)
    status, said, told = run(*typed, *SMALL)
    assert (status, f"{jobs} job" in said) == (0, True), told
