"""The three commands share their names, versions, paths, and their checks of the folder and the package."""

import re
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

from src import compare, sync, train
from src.bad_input import BadInput
from src.command import command_name, typed_path
from src.compare import _make_parser
from src.runs.manifests import choose_sweeps
from tests.conftest import clean_environment

PROJECT = Path(__file__).parents[1]
# Starts an installed command as pip's script does, with the script's path in `sys.argv[0]`.
SCRIPT = "import sys; sys.argv[0] = '/bin/normlab-{0}'; from hydra_plugins.normlab.commands import {0}; {0}()"


def installed(name, *words, **variables):
    return subprocess.run(
        [sys.executable, "-c", SCRIPT.format(name), *words],
        cwd="/",
        env=clean_environment() | variables,
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_pyproject_installs_the_commands_that_are_tested_here():
    text = (PROJECT / "pyproject.toml").read_text(encoding="utf-8")  # Python 3.10 has no tomllib
    scripts = dict(re.findall(r'^(normlab-\w+) = "(.*)"$', text, re.M))
    names = ("train", "compare", "sync")
    assert scripts == {f"normlab-{name}": f"hydra_plugins.normlab.commands:{name}" for name in names}


@pytest.mark.parametrize("shadow", ["src/__init__.py", "src/train.py"])  # a package, and a folder without __init__.py
def test_an_installed_command_refuses_to_run_another_projects_src(tmp_path, shadow):
    (tmp_path / "src").mkdir()
    (tmp_path / shadow).write_text("raise SystemExit('theirs')")
    done = installed("train", "norm=x", PYTHONPATH=str(tmp_path))
    assert done.returncode == 2
    assert f"the package src of another project: {tmp_path / 'src'}" in done.stderr
    assert "env -u PYTHONPATH normlab-train" in done.stderr
    assert len(done.stderr.splitlines()) == 3


def test_versions_are_printed_without_importing_the_packages():
    code = f"import sys; sys.modules.update(torch=None, mlflow=None); {SCRIPT.format('train')}"
    done = subprocess.run([sys.executable, "-c", code, "--version"], check=True, capture_output=True, text=True)
    lines = [line.split() for line in done.stdout.splitlines()]
    assert lines == [[name, version(name)] for name in ("normlab", "hydra-core", "torch", "mlflow")]


def test_a_python_without_the_packages_is_refused_with_the_way_to_install_them(tmp_path):
    words = ["-S", "-m", "src.train", "norm=gn"]  # -S hides all installed packages
    environment = clean_environment() | {"PYTHONPATH": str(PROJECT)}
    done = subprocess.run([sys.executable, *words], cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 2
    assert f"{sys.executable} has no package " in done.stderr
    assert f"write: {sys.executable} -m pip install -e {PROJECT}" in done.stderr
    assert len(done.stderr.splitlines()) == 3


@pytest.mark.parametrize("module", [train, compare, sync])
def test_a_missing_package_is_refused_and_a_missing_part_of_one_is_not(module, monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["/x/src/" + module.__name__, "norm=gn"])
    for name, ends in (("nosuchpackage.part", SystemExit), ("pathlib.nosuchpart", ModuleNotFoundError)):

        def check(name=name):
            raise ModuleNotFoundError(name=name)

        for importer in ("src.train", "src.startup"):
            monkeypatch.setattr(f"{importer}.check_current_folder", check)
        with pytest.raises(ends):
            module.main()
    answer = capsys.readouterr().err
    assert "has no package nosuchpackage" in answer
    assert "pathlib" not in answer


@pytest.mark.parametrize("name", ["train", "compare", "sync"])
def test_a_deleted_current_folder_is_refused(name, tmp_path):
    line = f"mkdir gone && cd gone && rmdir ../gone && exec {sys.executable} -m src.{name}"
    environment = clean_environment() | {"PYTHONPATH": str(PROJECT)}
    done = subprocess.run(["sh", "-c", line], cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 2, done.stderr
    assert "the current folder cannot be used: No such file or directory" in done.stderr
    assert len(done.stderr.splitlines()) <= 3


@pytest.mark.parametrize(
    ("module", "words", "problem"),
    [
        (compare, "--bogus", "unrecognized arguments: --bogus"),
        (compare, "--budget many", "--budget: invalid int value: 'many'"),
        (compare, "--csv=~nosuchuser/t.csv", "~nosuchuser/t.csv: there is no user of this name"),
        (compare, "--tuned norm\r", "norm ends with a carriage return"),
        (compare, "\u2013\u2013csv=x", "contains an en dash"),
        (sync, "--sweep", "--sweep: expected one argument"),
        (sync, "--bogus", "unrecognized arguments: --bogus"),
        (sync, "--multirun ~nosuchuser", "there is no user of this name"),
    ],
)
def test_a_wrong_argument_is_refused_in_three_lines_with_the_name_that_was_typed(
    monkeypatch, capsys, module, words, problem
):
    name = module.__name__.removeprefix("src.")
    for typed, shown in ((f"/x/{name}.py", f"python -m src.{name}"), (f"/bin/normlab-{name}", f"normlab-{name}")):
        monkeypatch.setattr("sys.argv", [typed, *words.split(" ")])
        with pytest.raises(SystemExit) as end:
            module.main()
        assert end.value.code == 2
        answer = capsys.readouterr().err
        assert problem in answer
        assert len(answer.splitlines()) <= 3
        assert "--help" not in answer or f"write: {shown} --help" in answer


def test_help_and_refusals_name_the_command_as_it_was_typed(monkeypatch, tmp_path):
    monkeypatch.setattr("sys.argv", ["/bin/normlab-compare"])
    assert "python -m" not in _make_parser().format_help()
    assert "    normlab-compare --sweep 1a2b3c4d" in _make_parser().format_help()
    with pytest.raises(BadInput, match="write: normlab-train -m norm=bn,gn,ln"):
        choose_sweeps(tmp_path, [])
    monkeypatch.setattr("sys.argv", ["/x/src/compare.py"])
    assert command_name("sync") == "python -m src.sync"
    assert "    python -m src.compare --sweep 1a2b3c4d" in _make_parser().format_help()


def test_a_tilde_means_the_home_folder_where_no_shell_expands_it(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    options = ("out", "json", "csv", "curves", "latex", "multirun")
    arguments = _make_parser().parse_args([f"--{name}=~/{name}" for name in options])
    assert {getattr(arguments, name) for name in options} == {tmp_path / name for name in options}
    assert typed_path("-") == Path("-")


def test_submitits_folder_may_be_in_the_home_folder(monkeypatch, tmp_path):
    pytest.importorskip("submitit", reason="pip install 'normlab[slurm]' for hydra/launcher=submitit_slurm")
    from hydra_plugins.normlab.submitit_launcher import SubmititLauncher

    monkeypatch.setenv("HOME", str(tmp_path))
    assert SubmititLauncher("local", 1, "~/logs", 0, {})._folder == tmp_path / "logs"
    with pytest.raises(BadInput, match="no user of this name"):
        SubmititLauncher("local", 1, "~nosuchuser/logs", 0, {})
