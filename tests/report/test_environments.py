"""Every form of the table marks the runs that were trained in another environment than most."""

import io
import json

import pytest
from rich.console import Console

from src.errors.atlas import correct_by_run, read_atlases
from src.report.facts import collect_facts
from src.report.latex import latex_table
from src.report.report import Report
from src.report.table import json_content, setting_columns, table_frame, table_notes
from src.report.terminal import print_table
from src.results.results import load_results
from src.verdict.verdicts import judge
from tests.environments import write_environments


@pytest.fixture
def load(world, six):
    def loaded(**changes):
        write_environments(world, six, {3: changes})  # of gn s0
        return load_results([six], world.multirun)

    return loaded


def judged(six, results):
    return judge([six], results, correct_by_run(read_atlases(results)))


def test_equal_environments_are_not_mentioned(six, load):
    results = load()
    frame = table_frame(results)
    assert frame["other environment"].tolist() == [0, 0]
    assert not [note for note in table_notes(results, frame) if "environment" in note]
    verdicts = judged(six, results)
    assert "environment" not in " ".join(verdicts.opening)
    assert [pair.across for pair in verdicts.pairs] == [False]


def test_runs_from_another_environment_are_marked_in_every_form_of_the_table(load):
    results = load(torch="2.13.0")
    frame = table_frame(results)
    note = "† 1 of 6 runs used a different environment from most runs: torch 2.13.0 instead of 2.14.0 (1 run)."
    assert setting_columns(results, frame)[0].texts == ["bn", "gn†"]
    assert note in table_notes(results, frame)
    assert [row["other environment"] for row in json_content(frame)] == [0, 1]
    console = Console(file=io.StringIO(), width=200, record=True)
    print_table(results, frame, console)
    assert note in console.export_text()
    assert b"{gn\\dag{}}" in latex_table(results, frame)


def test_pairs_whose_runs_of_a_seed_are_from_different_environments_are_compared_and_marked(six, load):
    paired = judged(six, load()).pairs[0]
    results = load(torch="2.13.0")
    verdicts = judged(six, results)
    (pair,) = verdicts.pairs
    assert pair.across
    assert (pair.difference, pair.p, pair.n) == (paired.difference, paired.p, 3)
    assert "1 pair compares runs of different environments (†)" in verdicts.opening[-1]
    report = Report([six], results, table_frame(results), [], verdicts, {}, [])
    shown = json.loads(json.dumps(report.as_json()))
    assert [row["across environments"] for row in shown["pairs"]] == [True]


def test_the_report_counts_the_runs_without_a_variable_too(six, load):
    found = collect_facts([six], load(ONEDNN_MAX_CPU_ISA="AVX2")).environment
    assert dict(found)["ONEDNN_MAX_CPU_ISA"] == "not set (5 runs), AVX2 (1 run)"
