"""A damaged file makes no command fail: its job is reported, or compared with the same numbers as before."""

import io
import random
import shutil
import time
from collections import Counter

import numpy as np
import pytest
from rich.console import Console

from src.bad_input import BadInput
from src.errors.atlas import correct_by_run, read_atlases
from src.errors.atlas_words import error_sentences
from src.report.comparison import compare_runs
from src.report.facts import problem_lines
from src.report.table import json_content, table_frame
from src.results.results import load_results
from src.results.weights import weight_frame
from src.runs.folder import ARTIFACTS, FinishedJob, JobFolder
from src.runs.integrity import job_fault
from src.runs.journal import encode_record, read_journal
from src.runs.manifests import choose_sweeps
from src.runs.predictions import load_predictions
from src.storage.stored import DamagedFile, read_stored
from src.sweep.pace import read_timings
from src.verdict.verdicts import judge
from tests import damage


@pytest.fixture
def folder(world):
    job = world.finish(world.configuration(), {7: 0.9})
    return JobFolder(world.multirun / "jobs" / job.folder), job.key


def test_an_undamaged_job_has_no_fault(folder):
    job, key = folder
    assert job_fault(job, key) == ""
    assert job_fault(JobFolder(job.path.with_name("nothing-there")), key) == ""


def test_fields_of_a_later_version_are_ignored(folder):
    job, key = folder
    records = read_journal(job.journal)
    for record in [*records, records[0]["config"], records[1]["source"]]:
        record["added later"] = {"a": [None, 1e300]}
    records.insert(2, {"kind": "a later kind", "time": 1})
    job.journal.write_bytes(b"".join(map(encode_record, records)))
    assert job_fault(job, key) == ""


@pytest.mark.parametrize("name", ARTIFACTS)
@pytest.mark.parametrize("harm", [damage.remove, damage.replace])
def test_every_file_must_exist_and_be_regular(folder, name, harm):
    job, key = folder
    harm(job.path / name, random.Random(1))
    assert str(job.path / name) in job_fault(job, key)


def test_pipes_folders_links_and_large_files_are_refused_at_once(tmp_path):
    for number in range(8):
        path = tmp_path / f"{number}"
        path.write_text("")
        damage.replace(path, random.Random(number))
        with pytest.raises((DamagedFile, FileNotFoundError)):
            read_stored(path)
    (tmp_path / "large").write_bytes(bytes(11))
    with pytest.raises(DamagedFile, match="has 11 bytes; at most 10 are expected"):
        read_stored(tmp_path / "large", 10)


def test_an_array_that_claims_terabytes_is_refused_before_memory_is_taken(folder):
    job, key = folder
    path = job.path / "predictions.npz"
    damage.lie(path, "probabilities", (10**12, 10))
    with pytest.raises(DamagedFile, match="contains less data for probabilities than its header says"):
        load_predictions(path)
    assert "predictions.npz contains less data for probabilities" in job_fault(job, key)


@pytest.mark.parametrize(("field", "count", "least"), [("test", 10**12, 1), ("validation", -1, 0)])
def test_a_job_with_an_impossible_number_of_images_is_not_compared(field, count, least, world, folder):
    job, _ = folder
    records = read_journal(job.journal)
    records[1]["source"][field] = count
    job.journal.write_bytes(b"".join(map(encode_record, records)))
    (found,) = load_results([world.sweep([world.plan(world.configuration())])], world.multirun).unfinished
    assert (
        found.reason
        == f"{job.journal} line 2 has a source that has {field}={count}, not an integer from {least} to 100000000"
    )


def cases(world, number: int, seed: int) -> Counter[str]:
    """Damage one file after another, read everything like the commands, and count the outcomes."""
    wrong = ({1: 0.9}, {2: 0.9, 3: 0.8}, {4: 0.9, 5: 0.8, 6: 0.7})
    jobs = [world.finish(world.configuration(norm), wrong[n]) for n, norm in enumerate(("bn", "gn", "ln"))]
    failed = world.fail(world.configuration("in"), "FAILED", "Diverged: in epoch 1")
    sweep = world.sweep([*jobs, failed])
    (sweep.folder(world.multirun) / "verdict.txt").write_text("bn has the highest test accuracy.\n")
    before = {job.label: numbers(job.folder_in(world.multirun)) for job in jobs}
    whole = world.multirun.with_name("whole")
    shutil.copytree(world.multirun, whole)
    counted: Counter[str] = Counter()
    for case in range(number):
        chance = random.Random(f"{seed} {case}")
        path, harm = damage.plant(world.multirun, chance)
        where = f"{harm} of {path.relative_to(world.multirun)}, case {seed} {case}"
        counted[harm] += 1
        counted["; " + outcome(world.multirun, jobs, before, where)] += 1
        damage.restore(world.multirun, whole)
    return counted


OUTCOMES = {"; refused", "; reported", "; compared as before"}


def outcome(multirun, jobs, before, where) -> str:
    """Read a folder like compare, train and sync, and return the outcome for its jobs."""
    try:
        sweeps = choose_sweeps(multirun, [])
    except BadInput as refusal:
        return "refused" if "manifest.json" in str(refusal) else f"{refusal}, {where}"
    read_timings(multirun / "jobs", [job.folder for job in jobs])
    records = load_results(sweeps, multirun)
    compared = records.jobs
    named = [job.label for job in records.unfinished]
    assert len(compared) + len(named) == len({job.key for job in sweeps[0].jobs}), where
    atlases = read_atlases(records)
    unreadable = [problem for atlas in atlases for problem in atlas.unreadable_reasons]
    said = "\n".join([*problem_lines(records), *(line for atlas in atlases for line in error_sentences(atlas))])
    said.encode()
    assert all(label in said for label in named), where
    for problem in unreadable:
        assert problem in said, where
    faults = [job_fault(job.folder_in(multirun), job.key) for job in sweeps[0].jobs if not job.label.startswith("in ")]
    [job_fault(job.folder_in(multirun), job.key) for job in sweeps[0].jobs]
    reported = (
        len([job for job in records.unfinished if job.state == "damaged"]) + len(records.incomplete) + len(unreadable)
    )
    assert bool(reported) == any(faults), f"{where}: the commands disagree: {faults}: {said}"
    if not reported and len(named) == 1:
        verdicts = judge(sweeps, records, correct_by_run(atlases))
        json_content(table_frame(records, verdicts))
        weight_frame(records.runs)
        for job in jobs:
            # No check detects a plausible value with a new checksum.
            folder = job.folder_in(multirun)
            if not where.startswith("retype") and folder in [found.folder for found in compared.values()]:
                assert numbers(folder) == before[job.label], f"{where}: other numbers without a report"
        return "compared as before"
    return "reported"


def numbers(job: JobFolder) -> str:
    """Return the numbers of a job that are compared."""
    done = FinishedJob(job)
    metrics = [record["metrics"] for record in done.epochs]
    return repr(
        (done.result["metrics"], metrics, done.settings, load_predictions(job.path / "predictions.npz").wrong.sum())
    )


def test_after_any_damage_each_job_is_compared_or_reported(world):
    counted = cases(world, 60, 1)
    assert {what for what in counted if what.startswith(";")} <= OUTCOMES
    assert counted["; reported"] > 25
    assert counted["; refused"] > 3


@pytest.mark.slow
def test_after_a_thousand_damages_each_job_is_compared_or_reported(world):
    began = time.monotonic()
    counted = cases(world, 1000, 2)
    print(f"{time.monotonic() - began:.0f} s: {dict(sorted(counted.items()))}")
    assert {what for what in counted if what.startswith(";")} <= OUTCOMES
    assert counted["; reported"] > 500


@pytest.mark.slow
def test_a_damaged_file_does_not_stop_a_whole_comparison(world, six, tmp_path):
    whole = world.multirun.with_name("whole")
    shutil.copytree(world.multirun, whole)
    for case in range(12):
        path, _ = damage.plant(world.multirun / "jobs", random.Random(case))
        console = Console(file=io.StringIO(), width=500, record=True)
        _, report, _ = compare_runs([six], world.multirun, tmp_path / "out", console)
        told = console.export_text()
        assert report is not None
        assert str(path) in told or "damaged" not in told, path
        damage.restore(world.multirun, whole)


def test_predictions_of_another_job_are_a_fault(world, folder):
    job, key = folder
    other = world.finish(world.configuration("gn"), {1: 0.9, 2: 0.9})
    shutil.copy(world.multirun / "jobs" / other.folder / "predictions.npz", job.path)
    assert job_fault(job, key) == f"{job.path / 'predictions.npz'} contains 2 errors, but the result has 1"
    assert np.count_nonzero(load_predictions(job.path / "predictions.npz").wrong) == 2
