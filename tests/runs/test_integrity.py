"""A finished job whose files are harmed is named or used as it was, and never a reason to fail."""

import io
import random
import shutil
import time
from collections import Counter

import numpy as np
import pytest
from rich.console import Console

from src.bad_input import BadInput
from src.errors.atlas import read_atlases, right_by_run
from src.errors.atlas_words import sentences
from src.report.comparison import compare
from src.report.table import as_frame, json_content
from src.report.terminal import problems
from src.results.results import load_results
from src.results.weights import weight_frame
from src.runs.folder import ARTIFACTS, FinishedJob, JobFolder
from src.runs.integrity import job_fault
from src.runs.journal import encode, read_journal
from src.runs.manifests import choose_sweeps
from src.runs.predictions import load_predictions
from src.runs.stored import Harmed, read_stored
from src.sweep.pace import seen_in
from src.verdict.verdicts import judge
from tests import harms


@pytest.fixture
def folder(world):
    job = world.finish(world.configuration(), {7: 0.9})
    return JobFolder(world.multirun / "jobs" / job.folder), job.key


def test_a_whole_job_has_no_fault(folder):
    job, key = folder
    assert job_fault(job, key) == ""
    assert job_fault(JobFolder(job.path.with_name("nothing-there")), key) == ""


def test_fields_that_a_later_version_adds_are_no_fault(folder):
    job, key = folder
    records = read_journal(job.journal)
    for record in [*records, records[0]["config"], records[1]["source"]]:
        record["added later"] = {"a": [None, 1e300]}
    records.insert(2, {"kind": "a later kind", "time": 1})
    job.journal.write_bytes(b"".join(map(encode, records)))
    assert job_fault(job, key) == ""


@pytest.mark.parametrize("name", ARTIFACTS)
@pytest.mark.parametrize("harm", [harms.remove, harms.replace])
def test_every_file_must_be_there_and_regular(folder, name, harm):
    job, key = folder
    harm(job.path / name, random.Random(1))
    assert str(job.path / name) in job_fault(job, key)


def test_a_pipe_is_not_waited_for_and_a_folder_is_no_file(tmp_path):
    for number in range(8):
        path = tmp_path / f"{number}"
        path.write_text("")
        harms.replace(path, random.Random(number))
        with pytest.raises((Harmed, FileNotFoundError)):
            read_stored(path)
    (tmp_path / "large").write_bytes(bytes(11))
    with pytest.raises(Harmed, match="has 11 bytes, and can need 10 at most"):
        read_stored(tmp_path / "large", 10)


def test_an_array_that_claims_terabytes_takes_no_memory(folder):
    job, key = folder
    path = job.path / "predictions.npz"
    harms.lie(path, "probabilities", (10**12, 10))
    with pytest.raises(Harmed, match="holds less than it says of probabilities"):
        load_predictions(path)
    assert "predictions.npz holds less than it says" in job_fault(job, key)


def test_a_job_that_claims_a_million_million_images_is_left_out(world, folder):
    job, _ = folder
    records = read_journal(job.journal)
    records[1]["source"]["test"] = 10**12
    job.journal.write_bytes(b"".join(map(encode, records)))
    (found,) = load_results([world.sweep([world.plan(world.configuration())])], world.multirun).unfinished
    assert (
        found.reason
        == f"{job.journal} line 2 has a source that has test=1000000000000, not an integer from 1 to 100000000"
    )


def cases(world, number: int, seed: int) -> Counter[str]:
    """Plant harm by harm, read everything as the commands do, and count what became of the jobs."""
    wrong = ({1: 0.9}, {2: 0.9, 3: 0.8}, {4: 0.9, 5: 0.8, 6: 0.7})
    jobs = [world.finish(world.configuration(norm), wrong[n]) for n, norm in enumerate(("bn", "gn", "ln"))]
    failed = world.fail(world.configuration("in"), "FAILED", "Diverged: in epoch 1")
    sweep = world.sweep([*jobs, failed])
    (sweep.folder(world.multirun) / "verdict.txt").write_text("bn has the highest test accuracy.\n")
    before = {job.label: numbers(job.at(world.multirun)) for job in jobs}
    whole = world.multirun.with_name("whole")
    shutil.copytree(world.multirun, whole)
    counted: Counter[str] = Counter()
    for case in range(number):
        chance = random.Random(f"{seed} {case}")
        path, harm = harms.plant(world.multirun, chance)
        where = f"{harm} of {path.relative_to(world.multirun)}, case {seed} {case}"
        counted[harm] += 1
        counted["; " + became(world.multirun, jobs, before, where)] += 1
        harms.restore(world.multirun, whole)
    return counted


BECAME = {"; refused by name", "; named", "; compared as before"}


def became(multirun, jobs, before, where) -> str:
    """Read a folder as compare, train and sync do, and say what became of its jobs."""
    try:
        sweeps = choose_sweeps(multirun, [])
    except BadInput as refusal:
        return "refused by name" if "manifest.json" in str(refusal) else f"{refusal}, {where}"
    seen_in(multirun / "jobs", [job.folder for job in jobs])
    records = load_results(sweeps, multirun)
    compared = records.jobs
    named = [job.label for job in records.unfinished]
    assert len(compared) + len(named) == len({job.key for job in sweeps[0].jobs}), where
    atlases = read_atlases(records)
    unreadable = [problem for atlas in atlases for problem in atlas.unreadable]
    said = "\n".join([*problems(records), *(line for atlas in atlases for line in sentences(atlas))])
    said.encode()
    assert all(label in said for label in named), where
    for problem in unreadable:
        assert problem in said, where
    faults = [job_fault(job.at(multirun), job.key) for job in sweeps[0].jobs if not job.label.startswith("in ")]
    [job_fault(job.at(multirun), job.key) for job in sweeps[0].jobs]
    told = len([job for job in records.unfinished if job.state == "harmed"]) + len(records.incomplete) + len(unreadable)
    assert bool(told) == any(faults), f"{where}: the commands do not agree: {faults}: {said}"
    if not told and len(named) == 1:
        verdicts = judge(sweeps, records, right_by_run(atlases))
        json_content(as_frame(records, verdicts.letters))
        weight_frame(records.runs)
        for job in jobs:
            # A value of the right type and range under a new checksum is a forgery, which no check can tell.
            if not where.startswith("retype") and job.at(multirun) in [found.folder for found in compared.values()]:
                assert numbers(job.at(multirun)) == before[job.label], f"{where}: other numbers, and nobody says so"
        return "compared as before"
    return "named"


def numbers(job: JobFolder) -> str:
    """What is compared of a job."""
    done = FinishedJob(job)
    metrics = [record["metrics"] for record in done.epochs]
    return repr(
        (done.result["metrics"], metrics, done.leaves, load_predictions(job.path / "predictions.npz").wrong.sum())
    )


def test_whatever_is_harmed_each_job_is_compared_or_named(world):
    counted = cases(world, 60, 1)
    assert {what for what in counted if what.startswith(";")} <= BECAME
    assert counted["; named"] > 25
    assert counted["; refused by name"] > 3


@pytest.mark.slow
def test_a_thousand_harms_leave_each_job_compared_or_named(world):
    began = time.monotonic()
    counted = cases(world, 1000, 2)
    print(f"{time.monotonic() - began:.0f} s: {dict(sorted(counted.items()))}")
    assert {what for what in counted if what.startswith(";")} <= BECAME
    assert counted["; named"] > 500


@pytest.mark.slow
def test_a_whole_comparison_is_made_of_what_is_left(world, six, tmp_path):
    whole = world.multirun.with_name("whole")
    shutil.copytree(world.multirun, whole)
    for case in range(12):
        path, _ = harms.plant(world.multirun / "jobs", random.Random(case))
        console = Console(file=io.StringIO(), width=500, record=True)
        _, report = compare([six], world.multirun, tmp_path / "out", console)
        told = console.export_text()
        assert report is not None
        assert str(path) in told or "harmed" not in told, path
        harms.restore(world.multirun, whole)


def test_predictions_of_another_job_are_not_taken_for_its_own(world, folder):
    job, key = folder
    other = world.finish(world.configuration("gn"), {1: 0.9, 2: 0.9})
    shutil.copy(world.multirun / "jobs" / other.folder / "predictions.npz", job.path)
    assert job_fault(job, key) == f"{job.path / 'predictions.npz'} holds 2 errors, and the result 1"
    assert np.count_nonzero(load_predictions(job.path / "predictions.npz").wrong) == 2
