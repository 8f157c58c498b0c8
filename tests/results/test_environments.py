"""Runs of other devices, versions and processors are compared, and every table says so."""

import io
import json

import pytest
from rich.console import Console

from src.errors.atlas import read_atlases, right_by_run
from src.report.columns import table_notes, table_rows
from src.report.comparison import Comparison
from src.report.facts import facts
from src.report.latex import latex
from src.report.printed_table import print_table
from src.report.report import Report
from src.report.table import as_frame, json_content
from src.results.environments import other_environments
from src.results.records import load_records
from src.verdict.verdicts import judge


@pytest.fixture
def records(world, six):
    found = load_records([six], world.multirun)
    for cell in found.cells:
        for job in cell.jobs:
            job.start["environment"].update({"torch": "2.14.0", "cpu": "EPYC", "cpu capability": "AVX512"})
    return found


def changed(records, cell, jobs, **environment):
    for job in records.cells[cell].jobs[:jobs]:
        job.start["environment"].update(environment)


def judged(world, six, records):
    return judge([six], records, right_by_run(read_atlases(records)))


def test_where_all_runs_agree_nothing_is_said(world, six, records):
    frame = as_frame(records)
    assert other_environments(records).words == ""
    assert frame["other environment"].tolist() == [0, 0]
    assert not [note for note in table_notes(records, frame) if "environment" in note]
    verdicts = judged(world, six, records)
    assert "environment" not in " ".join(verdicts.opening)
    assert [pair.across for pair in verdicts.pairs] == [False]


@pytest.mark.parametrize(
    ("jobs", "environment", "words"),
    [
        (1, {"torch": "2.13.0"}, "torch 2.13.0 in place of 2.14.0 (1 run)"),
        (2, {"cpu": "Xeon"}, "cpu Xeon in place of EPYC (2 runs)"),
        (1, {"MKL_CBWR": "COMPATIBLE"}, "MKL_CBWR COMPATIBLE in place of not set (1 run)"),
    ],
)
def test_runs_from_elsewhere_are_marked_in_every_form_of_the_table(world, six, records, jobs, environment, words):
    changed(records, 1, jobs, **environment)
    frame = as_frame(records)
    note = f"† trained in another environment than most: {jobs} of 6 runs: {words}"
    assert [row[0] for row in table_rows(records, frame).rows] == ["bn", "gn†"]
    assert f"{note}." in table_notes(records, frame)
    assert [row["other environment"] for row in json_content(frame)] == [0, jobs]
    console = Console(file=io.StringIO(), width=200, record=True)
    print_table(records, frame, console)
    assert note in console.export_text()
    assert b"{gn\\dag{}}" in latex(records, frame)


def test_pairs_whose_runs_of_a_seed_are_from_different_environments_are_compared_and_marked(world, six, records):
    paired = judged(world, six, records).pairs[0]
    changed(records, 1, 1, torch="2.13.0")
    verdicts = judged(world, six, records)
    (pair,) = verdicts.pairs
    assert pair.across
    assert (pair.difference, pair.p, pair.n) == (paired.difference, paired.p, 3)
    assert "1 pair compares runs of different environments (†)" in verdicts.opening[-1]
    report = Report([six], records, as_frame(records), [], verdicts, {}, [])
    shown = json.loads(json.dumps(Comparison(records, report).as_json()))
    assert [row["across environments"] for row in shown["pairs"]] == [True]


def test_a_device_counts_and_what_older_journals_do_not_record_does_not(records):
    changed(records, 1, 1)
    for job in records.cells[0].jobs:
        del job.start["environment"]["cpu capability"]
    assert other_environments(records).words == ""
    records.cells[0].jobs[0].start["device"] = "cuda"
    assert other_environments(records).words == "device cuda in place of cpu (1 run)"


def test_the_report_counts_the_runs_without_a_variable_too(six, records):
    changed(records, 1, 1, ONEDNN_MAX_CPU_ISA="AVX2")
    assert dict(facts([six], records).environment)["ONEDNN_MAX_CPU_ISA"] == "not set (5 runs), AVX2 (1 run)"
