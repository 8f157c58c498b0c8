"""Every form of the table marks the runs that were trained in another environment than most."""

import io
from dataclasses import replace

import pytest
from rich.console import Console

from src.report.facts import collect_facts
from src.report.latex import latex_table
from src.report.table import json_content, setting_columns, table_notes
from src.report.terminal import print_table
from src.results.results import load_results
from src.verdict.verdicts import judge
from tests.environments import write_environments
from tests.report.test_table import frame_of
from tests.world import configuration


@pytest.fixture
def load(world, six):
    def loaded(**changes):
        write_environments(world, six, {3: changes})  # of gn s0
        return load_results([six], world.multirun)

    return loaded


def test_equal_environments_are_not_mentioned(load):
    results = load()
    frame = frame_of(results)
    assert frame["other environment"].tolist() == [0, 0]
    assert not [note for note in table_notes(results, frame) if "environment" in note]


def test_runs_from_another_environment_are_marked_in_every_form_of_the_table(load):
    results = load(torch="2.13.0")
    frame = frame_of(results)
    note = "† 1 of 6 runs used a different environment from most runs: torch 2.13.0 instead of 2.14.0 (1 run)."
    assert setting_columns(results, frame)[0].texts == ["bn", "gn†"]
    assert note in table_notes(results, frame)
    assert [row["other environment"] for row in json_content(frame)] == [0, 1]
    console = Console(file=io.StringIO(), width=200, record=True)
    print_table(results, frame, console)
    assert note in console.export_text()
    assert b"{gn\\dag{}}" in latex_table(results, frame)


def test_runs_from_another_environment_are_compared_like_all_others(six, load):
    plain, other = (judge([six], results, {}) for results in (load(), load(torch="2.13.0")))
    assert other.contrasts == plain.contrasts
    assert other.best == plain.best


def test_the_report_counts_the_runs_without_a_variable_too(six, load):
    found = collect_facts([six], load(ONEDNN_MAX_CPU_ISA="AVX2")).environment
    assert dict(found)["ONEDNN_MAX_CPU_ISA"] == "not set (5 runs), AVX2 (1 run)"


def test_the_report_says_how_many_labels_the_noise_changed(world):
    jobs = []
    for norm in ("bn", "gn"):
        config = configuration(norm)
        config.data = replace(config.data, label_noise=0.25)
        jobs.append(world.finish(config, {}))
    (_, noise) = collect_facts([world.sweep(jobs)], load_results([world.sweep(jobs)], world.multirun)).data
    assert noise[0] == "synthetic, data.label_noise=0.25 data.noise_seed=0"
    assert noise[1] == "7 training labels changed, and no other labels"
