from src.runs.files import write_json
from src.runs.folder import JobFolder


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
