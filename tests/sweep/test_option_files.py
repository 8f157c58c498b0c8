"""A user's own options and presets are chosen, swept, shown and refused like the package's."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import clean_environment

PROJECT = Path(__file__).parents[2]
SMALL = ("data=synthetic", "data.images=400", "data.validation=100", "epochs=1", "model.width=4", "tracking=none")
FILES = {
    "norm/two.yaml": "name: gn\ngroups: 2\n",
    "norm/heir.yaml": "defaults: [gn]\ngroups: 2\n",
    "optimizer/fast.yaml": "name: adam\nlr: 0.05\n",
    "regularization/both.yaml": "# @package reg\nl1: 1e-6\ndropout: 0.1\n",
    "experiment/pairs.yaml": "# @package _global_\nepochs: 2\nhydra:\n  sweeper:\n    params:\n      norm: bn,two\n",
    "primary.yaml": "defaults: [config, _self_]\nthreads: 2\n",
}
BAD = {
    "norm/key.yaml": ("name: gn\ngruops: 2\n", "no key norm.gruops; did you mean norm.groups?"),
    "norm/type.yaml": ("name: gn\ngroups: two\n", "norm.groups=two cannot be used|an integer >= 1"),
    "norm/range.yaml": ("name: bn\nmomentum: 0\n", "norm.momentum=0 cannot be used"),
    "norm/choice.yaml": ("name: batchnorm\n", "norm.name=batchnorm cannot be used|bn, derf, dyt"),
    "norm/nameless.yaml": ("groups: 2\n", "does not set the key name, which chooses the norm"),
    "norm/list.yaml": ("- gn\n", "contains no keys"),
    "norm/empty.yaml": ("", "does not set the key name, which chooses the norm"),
    "norm/yaml.yaml": ("name: gn\n groups: [2\n", "line 2 cannot be read"),
    "norm/header.yaml": ("# @author of this file\nname: gn\n", "cannot be read"),
    "regularization/node.yaml": ("l1: 1e-5\n", "# @package reg as the first line"),
    "experiment/node.yaml": ("epochs: 1\n", "# @package _global_ as the first line"),
    "experiment/target.yaml": (
        "# @package _global_\nhydra: {launcher: {_target_: os.system}}\n",
        "cannot set hydra.launcher",
    ),
    "experiment/folder.yaml": ("# @package _global_\nhydra: {sweep: {dir: x}}\n", "cannot set hydra.sweep.dir"),
    "experiment/swept.yaml": ("# @package _global_\nhydra: {sweeper: {params: {nrom: bn}}}\n", "no key nrom; did you"),
    "experiment/group.yaml": (
        "# @package _global_\nnorm: bn,gn\n",
        'norm is a group, and not a key|write: hydra: {sweeper: {params: {norm: "bn,gn"}}}',
    ),
    "experiment/list.yaml": ("# @package _global_\nnorm: [bn, gn]\n", '{params: {norm: "bn,gn"}}'),
    "experiment/dot.yaml": (
        "# @package _global_\ndata.limit: 500\n",
        "the key data.limit contains a dot|write: data: {limit: 500}",
    ),
    "experiment/value.yaml": ("# @package _global_\nepochs: 0\n", "epochs=0 cannot be used"),
}


@pytest.fixture
def mine(tmp_path, monkeypatch):
    """A user's folder of options, beside an empty current folder."""
    folder = tmp_path / "mine"
    for name, content in {**FILES, **{name: content for name, (content, _) in BAD.items()}}.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(content)
    (folder / "norm/bytes.yaml").write_bytes(b"\xff\xfe\x00")
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    return folder


def test_a_users_option_gives_the_job_of_its_values(run, mine):
    _, ours, _ = run(*SMALL, "plan=true", "norm=gn", "norm.groups=2")
    for there in (f"--config-dir={mine}", f"hydra.searchpath=[file://{mine}]"):
        status, output, errors = run(there, *SMALL, "plan=true", "-m", "norm=two,heir")  # two names of one job
        assert (status, output.splitlines()[:3]) == (0, ours.splitlines()[:3]), errors
    cells = 'sweep.cells=["norm=none","norm=glob(tw*) regularization=both"]'
    status, output, _ = run(there, *SMALL, "plan=true", cells, "optimizer=adam,fast")
    assert "4 jobs (varied keys: norm.name, " in output
    status, output, _ = run(there, *SMALL, "plan=true", "experiment=pairs")
    assert "2 jobs (varied keys: norm.name" in output
    status, output, _ = run(there, "--cfg", "job", "norm=two", "-p", "norm")
    values = [line for line in output.splitlines()[1:] if not line.endswith(": null")]  # null: keys of other norms
    assert values == ["name: gn", "eps: 1.0e-05", "groups: 2"]


def test_a_users_primary_configuration_is_used(run, mine):
    status, output, _ = run("-cd", str(mine), "-cn", "primary", "--cfg", "job", "-p", "threads")
    assert (status, output.strip()) == (0, "2")


def test_an_unknown_option_is_refused_with_all_known_ones(refused, mine):
    for way in (f"--config-dir={mine}", f"hydra.searchpath=[{mine}]"):
        message = refused(way, "optimizer=fats")
        known = "adam, adamw, fast, lion, muon, nadam, rmsprop, schedulefree, sgd"
        assert f"optimizer=fats is not known; did you mean fast?\n  allowed: {known}" in message
    assert "two," not in refused("norm=two")


@pytest.mark.parametrize("name", [*BAD, "norm/bytes.yaml"])
def test_a_wrong_option_file_is_named(refused, run, mine, name):
    words = BAD[name][1] if name in BAD else "cannot be read"
    group, option = name.removesuffix(".yaml").split("/")
    message = refused(f"--config-dir={mine}", f"{group}={option}")
    for part in [str(mine / name), *words.split("|")]:
        assert part in message
    if name == "norm/key.yaml":
        for word in ("norm=bn,key", 'sweep.cells=["norm=bn","norm=key"]'):
            status, _, errors = run(f"--config-dir={mine}", word)
            assert (status, str(mine / name) in errors) == (2, True)


def test_the_line_that_a_refused_preset_should_contain_chooses_the_options(run, refused, mine):
    fix = refused(f"--config-dir={mine}", "experiment=group").split("write: ")[1]
    (mine / "experiment/mended.yaml").write_text(f"# @package _global_\n{fix}\n")
    status, output, errors = run(f"--config-dir={mine}", "experiment=mended", "plan=true")
    assert (status, "2 jobs (varied keys: norm.name)" in output) == (0, True), errors


def test_an_option_with_a_name_of_the_package_is_refused(refused, typed, mine, tmp_path):
    (tmp_path / "other/norm").mkdir(parents=True)
    for name in ("bn", "two"):
        (tmp_path / f"other/norm/{name}.yaml").write_text("name: bn\n")
    assert "other/norm/bn.yaml is never read" in refused(f"--config-dir={tmp_path}/other", "norm=bn,gn")
    both = f"hydra.searchpath=[{mine},{tmp_path}/other]"
    assert f"Hydra finds {mine}/norm/two.yaml first" in refused(both, "norm=two")
    assert typed(f"--config-dir={mine}", f"hydra.searchpath=[{mine}]", "norm=two")


def test_a_refusal_of_a_users_option_needs_no_torch(quick_command, mine, tmp_path):
    done = quick_command(tmp_path, "src.train", f"--config-dir={mine}", "norm=tow")
    assert (done.returncode, "did you mean two?" in done.stderr) == (2, True), done.stderr


@pytest.mark.parametrize(
    ("line", "completions"),
    [
        ("normlab-train --config-dir={} norm=t", "norm=two norm=type"),
        ("normlab-train experiment=pairs -m --config-dir {} optimizer=", "fast"),
        ("python -m src.train 'hydra.searchpath=[file://{}]' -m norm=tw", "norm=two"),
        ("normlab-train 'hydra.searchpath=[file://{}/absent]' norm=g", "norm=gn"),
        ("normlab-train --bogus reg.l", "reg.l1= reg.l1_method= reg.l2= reg.label_smoothing="),
        ("normlab-train 'norm=b", ""),
    ],
)
def test_a_shell_completes_a_users_options(run, mine, monkeypatch, line, completions):
    monkeypatch.setenv("COMP_LINE", line.format(mine))
    status, output, errors = run("-sc", "query=bash")
    assert (status, errors) == (0, "")
    assert completions in output


@pytest.mark.parametrize("plan", ["plan=true", pytest.param("plan=false", marks=pytest.mark.slow)])
def test_the_readmes_example_of_a_users_option_runs(tmp_path, plan):
    text = (PROJECT / "README.md").read_text(encoding="utf-8")
    ((make, train),) = re.findall(r"^    (mkdir -p mine.*)\n    python (-m src\.train --config-dir.*)$", text, re.M)
    line = f"{make}; {sys.executable} {train} {' '.join(SMALL)} {plan}"
    done = subprocess.run(["sh", "-ec", line], cwd=tmp_path, env=clean_environment(), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    output = done.stdout if plan == "plan=true" else done.stderr
    assert "2 jobs (varied keys: norm.groups" in output
    assert " groups=2 " in output or plan == "plan=false"  # while it trains, a long name is cut
