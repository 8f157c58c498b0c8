import json
from dataclasses import replace

from src.results.results import load_results
from src.runs.journal import stamp
from src.runs.manifests import choose_sweeps
from src.storage.lock import job_lock
from tests.unprivileged import refusal_without_privileges


def cells(results):
    return results.runs["cell"].unique().tolist()


def test_jobs_that_differ_only_by_seed_form_a_cell(world, six):
    results = load_results([six], world.multirun)
    assert results.varies == ("norm.name",)
    assert results.runs[["cell", "seed"]].values.tolist() == [
        [norm, seed] for norm in ("bn", "gn") for seed in range(3)
    ]
    assert results.runs["run"].tolist() == [f"{norm} s{seed}" for norm in ("bn", "gn") for seed in range(3)]
    assert results.unfinished == ()


def test_cells_are_named_by_what_varies(world):
    jobs = [world.finish(world.configuration(norm, l1=l1), {}) for norm in ("gn", "bn") for l1 in (0.0, 1e-5)]
    results = load_results([world.sweep(jobs)], world.multirun)
    assert results.varies == ("norm.name", "reg.l1")
    assert cells(results) == ["gn l1=0", "gn l1=1e-05", "bn l1=0", "bn l1=1e-05"]


def test_the_same_configuration_on_other_data_is_another_cell_with_another_name(world):
    config = world.configuration()
    jobs = [world.finish(config, {})]
    journal = next(world.multirun.glob("jobs/*/journal.jsonl"))
    other = world.configuration(seed=1)
    jobs.append(world.finish(other, {}))
    from src.runs.journal import encode_record, read_journal

    second = next(path for path in world.multirun.glob("jobs/*/journal.jsonl") if path != journal)
    records = read_journal(second)
    records[1]["cell"] = "f" * 64  # what another digest gives
    second.write_bytes(b"".join(map(encode_record, records)))
    found = cells(load_results([world.sweep(jobs)], world.multirun))
    assert len(found) == 2
    assert "bn ffffff" in found


def test_a_job_of_two_sweeps_counts_once(world, six):
    part = world.sweep(six.jobs[:2])
    assert len(load_results([part, six], world.multirun).runs) == 6


def test_unfinished_jobs_are_listed_with_their_reason(world):
    done = world.finish(world.configuration(), {})
    failed = world.fail(world.configuration("gn"), "FAILED", "Diverged: in epoch 1")
    planned = world.plan(world.configuration("ln"))
    _, journal = world.start(world.configuration("in"))
    with journal:
        journal.append(stamp("epoch", epoch=1, metrics={}))
    running = world.plan(world.configuration("in"))
    results = load_results([world.sweep([done, failed, planned, running])], world.multirun)
    log = world.multirun / "jobs" / failed.folder / "train.log"
    assert [(job.state, job.label, job.reason) for job in results.unfinished] == [
        ("failed", failed.label, f"Diverged: in epoch 1; see {log}"),
        ("not finished", planned.label, "not started"),
        ("not finished", running.label, "no result; its journal has 1 epoch"),
    ]
    assert len(results.runs) == 1


def damaged_jobs(world, count):
    jobs = [world.finish(world.configuration(seed=seed), {}) for seed in range(count)]
    return jobs, [world.multirun / "jobs" / job.folder for job in jobs]


def test_a_job_that_is_being_trained_is_still_running(world):
    config = world.configuration("gn")
    folder, journal = world.start(config)
    with journal:
        pass
    sweep = world.sweep([world.plan(config)])
    with job_lock(folder):
        (job,) = load_results([sweep], world.multirun).unfinished
    assert job.reason == "still running; its journal has 0 epochs"
    (job,) = load_results([sweep], world.multirun).unfinished
    assert job.reason == "no result; its journal has 0 epochs"


def test_each_damaged_job_is_listed_with_its_file_and_fault(world):
    jobs, folders = damaged_jobs(world, 6)
    (folders[0] / "result.json").write_text("{")
    (folders[1] / "journal.jsonl").write_bytes(b"")
    whole = (folders[2] / "journal.jsonl").read_bytes()
    (folders[2] / "journal.jsonl").write_bytes(whole[:-30])  # its last epoch is torn
    (folders[3] / "journal.jsonl").write_bytes((folders[5] / "journal.jsonl").read_bytes())
    (folders[4] / "journal.jsonl").unlink()
    (folders[4] / "journal.jsonl").mkdir()
    results = load_results([world.sweep(jobs)], world.multirun)
    assert [(job.state, job.label) for job in results.unfinished] == [("damaged", job.label) for job in jobs[:5]]
    assert [job.reason for job in results.unfinished] == [
        f"{folders[0] / 'result.json'} is not JSON",
        f"{folders[1] / 'journal.jsonl'} lacks its start record",
        f"{folders[2] / 'journal.jsonl'} line 5 is damaged",
        f"{folders[3] / 'journal.jsonl'} belongs to another job",
        f"{folders[4] / 'journal.jsonl'} is not a regular file",
    ]
    assert len(results.runs) == 1


def test_a_job_with_other_damaged_files_is_compared_and_listed(world):
    jobs, folders = damaged_jobs(world, 3)
    (folders[0] / "misclassified.png").unlink()
    (folders[1] / "weights.safetensors").write_bytes(b"\x10" + bytes(30))
    results = load_results([world.sweep(jobs)], world.multirun)
    assert [job.reason for job in results.incomplete] == [
        f"{folders[0] / 'misclassified.png'} is missing; the run is still compared",
        f"{folders[1] / 'weights.safetensors'} is not a complete safetensors file; the run is still compared",
    ]
    assert results.unfinished == ()
    assert len(results.runs) == 3


def test_another_users_file_is_listed_with_its_owner_and_the_other_jobs_are_compared(world, tmp_path):
    jobs, folders = damaged_jobs(world, 4)
    world.sweep(jobs)
    folders[0].chmod(0o700)
    (folders[1] / "journal.jsonl").chmod(0o600)
    (folders[2] / "predictions.npz").chmod(0o600)
    for folder in (tmp_path, *tmp_path.parents[:2]):  # pytest's own are closed to others
        folder.chmod(0o755)
    told = refusal_without_privileges(
        "import encodings.cp437\n"  # of zipfile, which imports it late
        "from pathlib import Path\n"
        "from src.errors.atlas import read_atlases\n"
        "from src.results.results import load_results\n"
        "from src.runs.manifests import choose_sweeps\n"
        f"multirun = Path({str(world.multirun)!r})\n"
        "def reasons():\n"
        "    results = load_results(choose_sweeps(multirun, []), multirun)\n"
        "    (atlas,) = read_atlases(results)\n"
        "    return [*(f'{job.state}: {job.reason}' for job in results.unfinished), *atlas.unreadable_reasons]",
        "sys.exit(chr(10).join(reasons()))",
    ).splitlines()
    owner = folders[0].owner()
    refused = "you may not read {0}, {1} belongs to {2}; ask {2} to run chmod -R a+rX {3}"
    assert told == [
        f"not readable: {refused.format(folders[0] / 'result.json', f'because {folders[0]}', owner, folders[0])}",
        f"not readable: {refused.format(folders[1] / 'journal.jsonl', 'which', owner, folders[1])}",
        refused.format(folders[2] / "predictions.npz", "which", owner, folders[2]),
    ]
    (world.multirun / "sweeps").chmod(0o700)
    told = refusal_without_privileges(
        "from pathlib import Path\nfrom src.runs.manifests import choose_sweeps",
        f"choose_sweeps(Path({str(world.multirun)!r}), [])",
    )
    assert f"you may not read {world.multirun / 'sweeps'}, which belongs to {owner}" in told


def test_a_key_is_shown_even_if_only_one_value_has_finished(world):
    jobs = [world.finish(world.configuration(norm, seed), {}) for norm in ("bn", "gn") for seed in (0, 1)]
    for norm in ("bn", "gn"):
        diverging = world.configuration(norm)
        diverging.optimizer.lr = 1e30
        jobs.append(world.fail(diverging, "FAILED", "Diverged: in epoch 1"))
    varies = ["norm.name", "optimizer.lr", "tracking.gone", "seed"]
    sweep = replace(world.sweep(jobs), varies=varies)
    results = load_results([sweep], world.multirun)
    assert results.varies == ("norm.name", "optimizer.lr")
    assert cells(results) == ["bn lr=0.02", "gn lr=0.02"]
    assert len(results.unfinished) == 2


def test_a_key_that_differs_only_between_sweeps_comes_after_the_norm(world):
    sweeps = [
        replace(world.sweep([world.finish(world.configuration("gn", l1=l1), {})]), varies=varies)
        for l1, varies in ((0.0, ["optimizer.lr", "seed"]), (1e-5, ["norm.name"]))
    ]
    assert load_results(sweeps, world.multirun).varies == ("norm.name", "reg.l1", "optimizer.lr")


def test_a_renamed_folder_is_found_by_its_key(world):
    job = world.finish(world.configuration(), {})
    folder = world.multirun / "jobs" / job.folder
    folder.rename(folder.with_name(f"renamed-{job.key[:8]}"))
    sweep = world.sweep([job])
    sweep.write(world.multirun)
    for ids in ([], [sweep.id]):
        assert len(load_results(choose_sweeps(world.multirun, ids), world.multirun).runs) == 1


def test_a_job_from_before_a_key_was_added_is_compared_with_later_ones(world):
    from src.runs.journal import encode_record, read_journal

    jobs = [world.finish(world.configuration(norm), {}) for norm in ("bn", "gn")]
    path = world.multirun / "jobs" / jobs[0].folder / "journal.jsonl"
    records = read_journal(path)
    del records[0]["config"]["reg"]["label_smoothing"]
    records[0]["config"]["reg"]["gone"] = 3
    path.write_bytes(b"".join(map(encode_record, records)))
    assert load_results([world.sweep(jobs)], world.multirun).varies == ("norm.name",)


def test_manifests_are_read_as_written(world, six):
    stored = json.loads((six.folder(world.multirun) / "manifest.json").read_text())
    assert [job["key"] for job in stored["jobs"]] == [job.key for job in six.jobs]


def test_a_job_that_an_engine_refused_points_to_its_log(world):
    job = world.plan(world.configuration())
    log = job.folder_in(world.multirun).log
    log.parent.mkdir(parents=True)
    log.write_text("not taken: sbatch: error\n")
    (unfinished,) = load_results([world.sweep([job])], world.multirun).unfinished
    assert unfinished.reason == f"ended before it wrote to its journal; see {log}"
