import errno
import os
import resource
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from src.runs.journal import Journal, read_journal, stamp
from src.storage.files import flush_folder_to_disk, remove_partial_files, write_atomic, write_json

PROJECT = Path(__file__).parents[2]


def test_write_atomic_creates_and_replaces_a_file(tmp_path):
    for content in (b"old", b"", b"new and longer"):
        write_atomic(tmp_path / "file", content)
        assert (tmp_path / "file").read_bytes() == content
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize("call", ["os.fsync", "Path.replace"])
def test_a_process_killed_before_the_rename_leaves_the_old_file(call, tmp_path):
    path = tmp_path / "file"
    write_atomic(path, b"old")
    code = f"""
import os, signal, sys
from pathlib import Path
from src.storage.files import remove_partial_files, write_atomic
{call} = lambda *arguments, **options: os.kill(os.getpid(), signal.SIGKILL)
write_atomic(Path(sys.argv[1]), b"new")
"""
    done = subprocess.run([sys.executable, "-B", "-c", code, str(path)], cwd=PROJECT)
    assert done.returncode == -signal.SIGKILL
    assert path.read_bytes() == b"old"


def test_a_full_disk_leaves_the_old_file_and_no_other(tmp_path):
    path = tmp_path / "file"
    write_atomic(path, b"old")
    code = f"""
import resource, sys
from pathlib import Path
from src.storage.files import remove_partial_files, write_atomic
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, {resource.getrlimit(resource.RLIMIT_FSIZE)[1]}))
try:
    write_atomic(Path(sys.argv[1]), bytes(2000))
except OSError as error:
    sys.exit(str(error))
"""
    done = subprocess.run([sys.executable, "-B", "-c", code, str(path)], cwd=PROJECT, capture_output=True, text=True)
    assert f"too large: '{path}'" in done.stderr
    assert path.read_bytes() == b"old"
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize("reason", [errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP])
def test_a_file_system_without_fsync_is_still_written_to(reason, tmp_path, monkeypatch):
    """CIFS, VirtualBox and WSL shares raise these errors for a folder, some FUSE for a file."""
    fail_at(monkeypatch, "fsync", reason)
    write_atomic(tmp_path / "file", b"content")
    assert (tmp_path / "file").read_bytes() == b"content"
    with Journal(tmp_path / "journal.jsonl") as journal:
        journal.append(stamp("stop", status="FAILED", error="no reason"))
    assert len(read_journal(tmp_path / "journal.jsonl")) == 1


@pytest.mark.parametrize("reason", [errno.EIO, errno.ENOSPC, errno.EDQUOT])
def test_a_failing_fsync_is_an_error(reason, tmp_path, monkeypatch):
    fail_at(monkeypatch, "fsync", reason)
    with pytest.raises(OSError, match=os.strerror(reason)):
        write_atomic(tmp_path / "file", b"content")
    assert not list(tmp_path.iterdir())
    with pytest.raises(OSError, match=os.strerror(reason)):
        flush_folder_to_disk(tmp_path)


def fail_at(monkeypatch, call: str, reason: int) -> None:
    def fail(*arguments, **options):
        raise OSError(reason, os.strerror(reason))

    monkeypatch.setattr(os, call, fail)


def test_a_folder_that_cannot_be_opened_is_not_flushed(tmp_path, monkeypatch):
    write_atomic(tmp_path / "file", b"content")
    fail_at(monkeypatch, "open", errno.EISDIR)
    flush_folder_to_disk(tmp_path)
    fail_at(monkeypatch, "open", errno.EMFILE)
    with pytest.raises(OSError, match="Too many open files"):
        flush_folder_to_disk(tmp_path)


@pytest.mark.parametrize("name", ["x" * 255, "\N{GRINNING FACE}" * 63, "ü" * 127])
def test_the_longest_allowed_file_name_can_be_written(name, tmp_path):
    write_atomic(tmp_path / name, b"content")
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_the_temporary_name_is_short_enough_for_an_encrypted_folder(tmp_path, monkeypatch):
    """Ecryptfs allows file names of 143 bytes."""
    seen = []
    replace = Path.replace

    def listen(self, target):
        seen.append(self.name)
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", listen)
    write_atomic(tmp_path / ("\N{GRINNING FACE}" * 35), b"content")
    assert len(os.fsencode(seen[0])) <= 143


@pytest.mark.parametrize("value", [float("nan"), float("inf"), {"loss": float("-inf")}])
def test_values_that_are_not_json_are_refused_and_leave_no_file(value, tmp_path):
    with pytest.raises(ValueError, match="JSON"):
        write_json(tmp_path / "file", value)
    assert not list(tmp_path.iterdir())


def test_partial_files_of_a_killed_process_are_removed(tmp_path):
    (tmp_path / ".result.json.123").write_bytes(b"par")
    (tmp_path / "journal.jsonl").write_bytes(b"whole")
    remove_partial_files(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["journal.jsonl"]


def test_hidden_files_of_other_programs_stay(tmp_path):
    (tmp_path / ".ipynb_checkpoints").mkdir()
    (tmp_path / ".folder.7").mkdir()
    for name in (".DS_Store", ".nfs000123", ".journal.jsonl.swp"):
        (tmp_path / name).touch()
    before = sorted(tmp_path.iterdir())
    remove_partial_files(tmp_path)
    assert sorted(tmp_path.iterdir()) == before


def test_partial_files_of_a_living_process_stay_in_a_shared_folder(tmp_path):
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as living:
        names = [f".table.csv.{living.pid}", f".table.csv.{os.getpid()}", ".table.csv.999999999"]
        for name in names:
            (tmp_path / name).touch()
        remove_partial_files(tmp_path, shared=True)
        living.communicate(b"\n")
    assert [path.name for path in tmp_path.iterdir()] == names[:1]
