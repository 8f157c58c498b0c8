from src.runs.folder import JobFolder


def test_an_empty_folder_is_an_unfinished_job(tmp_path):
    job = JobFolder(tmp_path / "job")
    assert not job.finished
    assert job.result() is None
    assert job.records() == []


def test_a_result_makes_a_job_finished(world):
    job = JobFolder(world.multirun / "jobs" / world.finish(world.configuration(), {7: 0.9}).folder)
    assert job.finished
    assert job.result()["metrics"]["test/errors"] == 1
