"""`load_runs` in a real notebook kernel, and the runs that it chooses."""

import nbformat
import pytest
from nbclient import NotebookClient
from nbformat import v4

from src.bad_input import BadInput
from src.results import load_runs

NOTEBOOK = (
    "from src.results import load_runs\n"
    "runs, epochs = load_runs('multirun')\n"
    "import sys\n"
    "print(sorted({'torch', 'hydra', 'mlflow'} & {*sys.modules}))",
    "print(runs.groupby('norm.name')['test/accuracy'].mean().round(4).to_dict())",
    "epochs.pivot_table('val/accuracy', 'epoch', 'cell').plot();",
)


def test_a_notebook_groups_the_runs_and_plots_their_curves(world, six):
    notebook = v4.new_notebook(cells=[v4.new_code_cell(source) for source in NOTEBOOK])
    NotebookClient(notebook, timeout=60, resources={"metadata": {"path": str(world.multirun.parent)}}).execute()
    nbformat.validate(notebook)
    first, second, third = (cell.outputs for cell in notebook.cells)
    assert first[0].text == "[]\n"
    assert second[0].text == "{'bn': 0.9633, 'gn': 0.9333}\n"
    assert third[0].data["image/png"]


def test_all_sweeps_are_read_in_the_order_of_their_commands_and_a_shared_job_once(world, six):
    later = world.sweep([six.jobs[0], world.finish(world.configuration("ln"), {})], started=2)
    runs, epochs = load_runs(world.multirun)
    assert runs["run"].tolist() == ["bn s0", "bn s1", "bn s2", "gn s0", "gn s1", "gn s2", "ln s0"]
    assert epochs["run"].value_counts().tolist() == [3] * 7
    assert load_runs(str(world.multirun), sweep=later.id[:4]).runs["run"].tolist() == ["bn s0", "ln s0"]
    assert len(load_runs(world.multirun, sweep=[six.id[:8], later.id]).runs) == 7


def test_one_warning_counts_the_runs_that_are_left_out(world, six):
    (six.jobs[0].folder_in(world.multirun).path / "result.json").write_text("{")
    world.sweep([world.plan(world.configuration("ln", seed)) for seed in range(2)], started=2)
    with pytest.warns(UserWarning, match="^3 of 8 runs left out: 1 damaged and 2 not finished$") as warnings:
        runs, _ = load_runs(world.multirun)
    assert len(runs) == 5
    assert len(warnings) == 1
    assert warnings[0].filename == __file__


def test_a_folder_without_sweeps_and_an_unknown_sweep_are_refused(world, six, tmp_path):
    with pytest.raises(BadInput, match=f"{tmp_path} is not a multirun folder"):
        load_runs(tmp_path)
    with pytest.raises(BadInput, match="--sweep zz"):
        load_runs(world.multirun, sweep="zz")
