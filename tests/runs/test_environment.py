import json
import shutil
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

from src.runs import environment as module

CODE = "import json; from src.runs.environment import environment; print(json.dumps(environment()))"


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A project that holds only environment.py."""
    for name in ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE"):
        monkeypatch.delenv(name, raising=False)
    for name, value in {
        "AUTHOR_NAME": "a",
        "AUTHOR_EMAIL": "a@b",
        "COMMITTER_NAME": "a",
        "COMMITTER_EMAIL": "a@b",
    }.items():
        monkeypatch.setenv(f"GIT_{name}", value)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    place = tmp_path / "project" / "src" / "runs"
    place.mkdir(parents=True)
    shutil.copy(module.__file__, place / "environment.py")
    return tmp_path / "project"


def found(project: Path) -> dict[str, str]:
    done = subprocess.run([sys.executable, "-B", "-c", CODE], cwd=project, capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def git(project: Path, *words: str) -> str:
    return subprocess.run(["git", *words], cwd=project, check=True, capture_output=True, text=True).stdout.strip()


def test_versions_and_machine_are_recorded(project):
    recorded = found(project)
    assert recorded["torch"] == version("torch")
    assert recorded["python"] == ".".join(map(str, sys.version_info[:3]))
    assert all(recorded[name] for name in ("system", "cpu", "cores"))


def test_optional_packages_are_recorded_if_they_are_installed():
    assert module.package_versions(["numpy", "no-such-package"]) == {"numpy": version("numpy")}


def test_every_set_variable_that_changes_results_is_recorded(project, monkeypatch):
    monkeypatch.setenv("MKL_CBWR", "COMPATIBLE")
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", "AVX2")
    recorded = found(project)
    assert (recorded["MKL_CBWR"], recorded["ONEDNN_MAX_CPU_ISA"]) == ("COMPATIBLE", "AVX2")
    assert "ATEN_CPU_CAPABILITY" not in recorded
    assert "cpu capability" not in recorded  # this process has not imported torch


def test_the_instruction_set_of_torch_is_recorded():
    import torch

    module.environment.cache_clear()
    assert module.environment()["cpu capability"] == torch.backends.cpu.get_cpu_capability()


def test_the_gpus_of_a_machine_are_named_once_each(tmp_path):
    for place, model in enumerate(["NVIDIA H200", "NVIDIA L4", "NVIDIA H200"]):
        (tmp_path / f"0000:0{place}:00.0").mkdir()
        (tmp_path / f"0000:0{place}:00.0" / "information").write_text(f"Model: \t\t {model}\nIRQ:   \t\t 5\n")
    assert module.gpu_models(tmp_path) == ["NVIDIA H200", "NVIDIA L4"]
    assert module.gpu_models(tmp_path / "missing") == []


def test_without_a_repository_there_is_no_commit(project):
    assert "commit" not in found(project)


@pytest.mark.skipif(not shutil.which("git"), reason="there is no git here")
def test_the_commit_has_a_plus_if_the_tree_was_changed(project):
    git(project, "init", "--quiet")
    git(project, "add", ".")
    git(project, "commit", "--quiet", "--no-verify", "-m", "first")
    commit = git(project, "rev-parse", "HEAD")
    assert found(project)["commit"] == commit
    with (project / "src" / "runs" / "environment.py").open("a") as file:
        file.write("# edited\n")
    assert found(project)["commit"] == f"{commit}+"
