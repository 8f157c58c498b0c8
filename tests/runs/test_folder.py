from src.runs.files import write_json
from src.runs.folder import JobFolder, PlannedJob, Sweep, find_job, read_sweep
from src.runs.journal import Journal, stamp


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


def test_a_job_is_found_by_its_key_whatever_it_is_called(tmp_path):
    mine, other = "a" * 64, "b" * 64
    for name in ("bn_s0-aaaaaaaa", "bn_s0-bbbbbbbb"):
        (tmp_path / "jobs" / name).mkdir(parents=True)
    assert find_job(tmp_path, mine) == JobFolder(tmp_path / "jobs" / "bn_s0-aaaaaaaa")
    assert find_job(tmp_path, other) == JobFolder(tmp_path / "jobs" / "bn_s0-bbbbbbbb")
    assert find_job(tmp_path, "c" * 64) is None


def test_another_job_whose_key_begins_alike_is_not_taken_for_it(tmp_path):
    folder = tmp_path / "jobs" / "bn_s0-aaaaaaaa"
    folder.mkdir(parents=True)
    with Journal(folder / "journal.jsonl") as journal:
        journal.append(stamp("start"))
        journal.append(stamp("ready", job="a" * 8 + "0" * 56))
    assert find_job(tmp_path, "a" * 64) is None
