from src.runs.files import write_json
from src.runs.folder import JobFolder, PlannedJob, Sweep, read_sweep


def test_an_empty_folder_is_an_unfinished_job(tmp_path):
    job = JobFolder(tmp_path / "job")
    assert not job.finished
    assert job.result() is None
    assert job.records() == []


def test_a_result_makes_a_job_finished(tmp_path):
    write_json(tmp_path / "result.json", {"metrics": {"test/errors": 3}})
    job = JobFolder(tmp_path)
    assert job.finished
    assert job.result() == {"metrics": {"test/errors": 3}}


def test_a_manifest_comes_back_as_it_was(tmp_path):
    jobs = [PlannedJob(f"{n:064x}", f"bn_s{n}-{n:08x}", f"bn s{n}", "bn", {"norm.name": "bn"}) for n in range(2)]
    sweep = Sweep("f" * 64, "python -m src.train -m seed=0,1", 1_700_000_000_000, ["seed"], jobs)
    sweep.write(tmp_path)
    assert read_sweep(tmp_path / "sweeps" / "ffffffff" / "manifest.json") == sweep
