from src.runs.folder import JobFolder
from src.runs.journal import Journal, stamp
from src.runs.known_folders import KnownFolders


def test_without_a_jobs_folder_no_job_is_known(tmp_path):
    assert KnownFolders(tmp_path / "nowhere").folder_names == []


def test_a_renamed_folder_is_found_by_the_jobs_key(tmp_path):
    mine, other = "a" * 64, "b" * 64
    for name in ("bn_s0-aaaaaaaa", "bn_s0-bbbbbbbb"):
        (tmp_path / "jobs" / name).mkdir(parents=True)
    known = KnownFolders(tmp_path)
    assert known.find_folder(mine) == JobFolder(tmp_path / "jobs" / "bn_s0-aaaaaaaa")
    assert known.find_folder(other) == JobFolder(tmp_path / "jobs" / "bn_s0-bbbbbbbb")
    assert known.find_folder("c" * 64) is None


def test_a_job_with_the_same_first_digits_is_not_confused(tmp_path):
    folder = tmp_path / "jobs" / "bn_s0-aaaaaaaa"
    folder.mkdir(parents=True)
    with Journal(folder / "journal.jsonl") as journal:
        journal.append(stamp("start"))
        journal.append(stamp("ready", job="a" * 8 + "0" * 56))
    assert KnownFolders(tmp_path).find_folder("a" * 64) is None
