import logging
import threading

from src.storage.log import job_log


def test_jobs_in_threads_write_to_their_own_logs(tmp_path):
    turns = threading.Barrier(2, timeout=10)

    def train(name):
        with job_log(tmp_path / name, resume=False):
            turns.wait()
            logging.getLogger("job").info("job %s", name)
            turns.wait()

    threads = [threading.Thread(target=train, args=(name,)) for name in ("a", "b")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for name in ("a", "b"):
        (line,) = (tmp_path / name).read_text().splitlines()
        assert line.endswith(f"INFO job {name}")
