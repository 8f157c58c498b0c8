"""The frames hold the journals' and the results' own values."""

import json

import pytest

from src.results.grid import averaged_keys, balanced_runs
from src.results.results import load_results
from src.runs.journal import read_journal


def test_a_row_holds_the_settings_and_the_numbers_of_its_run(world, six):
    results = load_results([six], world.multirun)
    for row, job in zip(results.runs.to_dict("records"), six.jobs, strict=True):
        folder = job.folder_in(world.multirun).path
        stored = json.loads((folder / "result.json").read_text())
        start, ready = read_journal(folder / "journal.jsonl")[:2]
        assert {name: row[name] for name in stored["metrics"]} == stored["metrics"]
        assert (row["seconds/train"], row["seconds/total"]) == (stored["seconds"]["train"], stored["seconds"]["total"])
        assert (row["job"], row["cell_key"], row["parameters"]) == (job.key, ready["cell"], ready["parameters"])
        assert (row["folder"], row["code"], row["dataset"]) == (str(folder), start["code"], ready["source"]["digest"])
        assert row["dataset_name"] == f"synthetic {ready['source']['digest'][:8]}"
        settings = {"norm.name": start["config"]["norm"]["name"], "data.batch_size": 8, "data.root": None, "epochs": 3}
        assert {name: row[name] for name in settings} == settings
    assert list(results.sources) == [results.runs["dataset"][0]]
    assert list(results.jobs) == results.runs["run"].tolist()


def test_an_epoch_holds_the_numbers_of_its_journal_record(world, six):
    epochs = load_results([six], world.multirun).epochs
    assert epochs["run"].unique().tolist() == [f"{norm} s{seed}" for norm in ("bn", "gn") for seed in range(3)]
    rows = iter(epochs.drop(columns=["run", "cell", "seed"]).to_dict("records"))
    for job in six.jobs:
        for record in read_journal(job.folder_in(world.multirun).journal)[2:]:
            assert next(rows) == {"epoch": record["epoch"], **record["metrics"]}
    assert next(rows, None) is None


def test_a_setting_that_some_runs_lack_keeps_its_integers(world):
    jobs = [world.finish(world.configuration(norm), {}) for norm in ("bn", "gn")]
    runs = load_results([world.sweep(jobs)], world.multirun).runs
    assert [(type(value), value) for value in runs["norm.groups"]] == [(type(None), None), (int, 4)]


def test_no_finished_run_gives_empty_frames_with_all_columns(world, six):
    whole = load_results([six], world.multirun)
    empty = load_results([world.sweep([world.plan(world.configuration("ln"))])], world.multirun)
    assert (len(empty.runs), len(empty.epochs)) == (0, 0)
    assert list(empty.runs) == list(whole.runs)
    assert list(empty.epochs) == list(whole.epochs)


@pytest.fixture
def grid(world):
    """Two norms at three strengths of L2; the run of gn at 1e-4 is missing."""
    jobs = [
        world.finish(world.configuration(norm, l2=l2), {})
        for norm in ("bn", "gn")
        for l2 in (0.0, 1e-4, 1e-3)
        if (norm, l2) != ("gn", 1e-4)
    ]
    return load_results([world.sweep(jobs)], world.multirun).runs


def test_a_mean_is_taken_over_the_settings_that_exist_everywhere(grid):
    kept = balanced_runs(grid, ["reg.l2"], ["norm.name"])
    assert kept[["norm.name", "reg.l2"]].values.tolist() == [["bn", 0.0], ["bn", 1e-3], ["gn", 0.0], ["gn", 1e-3]]
    assert len(balanced_runs(grid, ["reg.l2"], [])) == 5


def test_a_key_with_one_value_at_each_combination_is_not_averaged_over(grid):
    assert averaged_keys(grid, ["reg.l2", "norm.groups", "epochs"], ["norm.name"]) == ["reg.l2"]
    assert averaged_keys(grid, ["reg.l2"], ["norm.name", "reg.l2"]) == []
