"""Output folders without permission or room are refused before anything is created."""

import errno
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from src.bad_input import BadInput
from src.storage.space import BYTES_PER_SWEEP, FOLDERS, check_space, free_bytes, job_bytes
from tests.conftest import files_below, python
from tests.unprivileged import refusal_without_privileges

PROJECT = Path(__file__).parents[2]
SMALL = 4 * 2**20  # bytes
JOB = job_bytes(test_images=10_000, classes=10)

Mount = Callable[[str], Path]


@pytest.fixture
def mount(tmp_path) -> Iterator[Mount]:
    """`mount("size=4m")` returns a folder that is a separate disk, mounted with these options."""
    made: list[Path] = []

    def mounted(options: str) -> Path:
        folder = tmp_path / f"disk{len(made)}"
        folder.mkdir()
        done = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", options, "tmpfs", folder], capture_output=True, check=False
        )
        if done.returncode:
            pytest.skip(f"nothing may be mounted here: a full or read-only disk is NOT tested: {done.stderr.decode()}")
        made.append(folder)
        return folder

    if os.geteuid() != 0 or not sys.platform.startswith("linux"):
        pytest.skip("only root may mount, on Linux: a full or read-only disk is NOT tested")
    yield mounted
    for folder in made:
        subprocess.run(["umount", folder], check=True)


def test_checking_a_folder_with_room_changes_nothing(tmp_path):
    check_space(tmp_path, [JOB] * 3)
    check_space(tmp_path / "not" / "yet", [JOB] * 3)
    assert files_below(tmp_path) == []


def test_a_file_in_the_way_is_refused_with_its_path(tmp_path):
    (tmp_path / "multirun").touch()
    for folder in (tmp_path / "multirun", tmp_path / "multirun" / "jobs"):
        with pytest.raises(BadInput, match="multirun is in the way"):
            check_space(folder, [JOB])


@pytest.mark.parametrize("name", ["multirun", *(f"multirun/{name}" for name in FOLDERS), "multirun/jobs/a-job"])
def test_the_refusal_of_anything_in_the_way_has_a_command_that_helps(name, tmp_path):
    inside = [tmp_path / "multirun" / "jobs" / "a-job"]
    place = tmp_path / name
    place.parent.mkdir(parents=True, exist_ok=True)
    for make, what in (
        (lambda: place.touch(), "it is not a folder"),
        (lambda: place.symlink_to("a file"), "it is not a folder"),
        (lambda: place.symlink_to("no where/at all"), f"it is a link to {place.parent}/no where/at all, which does"),
    ):
        (place.parent / "a file").touch()
        make()
        with pytest.raises(BadInput) as refused:
            check_space(tmp_path / "multirun", [JOB], inside)
        message, _, write = str(refused.value).splitlines()
        assert message.startswith(f"normlab: {place} is in the way: {what}")
        subprocess.run(write.removeprefix("  write: "), shell=True, check=True)
        check_space(tmp_path / "multirun", [JOB], inside)
        place.unlink(missing_ok=True)


def test_a_folder_on_another_disk_is_checked_there(mount):
    disk = mount(f"size={SMALL}")
    for name in ("jobs", "sweeps"):
        other = disk.parent / name / "multirun"
        other.mkdir(parents=True)
        (other / name).symlink_to(mount("ro"))
        with pytest.raises(BadInput, match=r"multirun/\w+ is not writable: Read-only"):
            check_space(other, [])
    full = disk.parent / "full"
    full.mkdir()
    (full / "jobs").symlink_to(disk)
    with pytest.raises(BadInput, match="has 4 MB free"):
        check_space(full, [JOB])


def test_unknown_free_space_is_not_refused(tmp_path, monkeypatch):
    """Some FUSE file systems report 0 of 0 bytes, or do not support the call."""
    unknown = shutil.disk_usage(tmp_path)._replace(total=0, used=0, free=0)
    monkeypatch.setattr(shutil, "disk_usage", lambda place: unknown)
    check_space(tmp_path, [JOB] * 5)
    assert free_bytes(tmp_path) is None

    def fail(place):
        raise OSError(errno.ENOSYS, "Function not implemented")

    monkeypatch.setattr(shutil, "disk_usage", fail)
    check_space(tmp_path, [JOB] * 5)


def test_a_deleted_current_folder_is_refused(tmp_path, monkeypatch):
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    with pytest.raises(BadInput, match="the current folder was deleted"):
        check_space(Path("multirun"), [JOB])


@pytest.fixture(scope="module")
def shim(tmp_path_factory) -> str:
    """A library that makes fsync fail for folders (FAIL_FSYNC) or every flock fail (FAIL_FLOCK)."""
    if shutil.which("gcc") is None or not sys.platform.startswith("linux"):
        pytest.skip("no gcc: the command is NOT tested on a file system without fsync or flock")
    folder = tmp_path_factory.mktemp("shim")
    (folder / "shim.c").write_text(SHIM)
    subprocess.run(["gcc", "-shared", "-fPIC", "-o", "shim.so", "shim.c", "-ldl"], cwd=folder, check=True)
    return str(folder / "shim.so")


SHIM = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>

int fsync(int file) {
    struct stat is;
    if (getenv("FAIL_FSYNC") && !fstat(file, &is) && S_ISDIR(is.st_mode)) return errno = EINVAL, -1;
    return ((int (*)(int))dlsym(RTLD_NEXT, "fsync"))(file);
}

int flock(int file, int kind) {
    if (getenv("FAIL_FLOCK")) return errno = ENOLCK, -1;
    return ((int (*)(int, int))dlsym(RTLD_NEXT, "flock"))(file, kind);
}
"""
SMALLEST = ("data=synthetic", "data.images=200", "data.test_images=50", "data.validation=50", "epochs=1")


def test_the_command_works_on_a_file_system_that_cannot_flush_folders(shim, tmp_path):
    done = python(
        tmp_path, "-m", "src.train", *SMALLEST, "tracking=none", "hydra/launcher=basic", LD_PRELOAD=shim, FAIL_FSYNC="1"
    )
    assert done.returncode == 0, done.stderr
    (result,) = (tmp_path / "multirun" / "jobs").glob("*/result.json")
    assert json.loads(result.read_bytes())["metrics"]


def test_the_command_is_refused_without_locks_and_leaves_nothing(shim, tmp_path):
    done = python(tmp_path, "-m", "src.train", *SMALLEST, LD_PRELOAD=shim, FAIL_FLOCK="1")
    assert done.returncode == 2
    assert done.stderr.startswith(f"normlab: {tmp_path} has no file locks")
    assert len(done.stderr.splitlines()) == 3
    assert files_below(tmp_path) == []


def test_a_dangling_link_is_refused_before_the_database_is_created(command, tmp_path):
    (tmp_path / "multirun").symlink_to("elsewhere")
    done = command("src.train", *SMALLEST)
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1] == f"  write: mkdir -p {tmp_path}/elsewhere"
    assert files_below(tmp_path) == ["multirun"]


def test_a_small_disk_is_refused_from_one_job_too_many(mount):
    disk = mount(f"size={SMALL}")
    check_space(disk, [])  # all jobs are finished: the comparison needs little room
    with pytest.raises(BadInput) as refused:
        check_space(disk / "multirun", [JOB])
    assert str(refused.value).splitlines()[0] == f"normlab: {disk} has 4 MB free, but 1 job may need 12 MB"
    assert files_below(disk) == []

    disk = mount(f"size={BYTES_PER_SWEEP + 10 * JOB + 2**20}")
    check_space(disk, [JOB] * 10)
    with pytest.raises(BadInput, match="11 jobs may need 31 MB"):
        check_space(disk, [JOB] * 11)


def test_a_full_disk_is_refused(mount):
    disk = mount(f"size={SMALL}")
    (disk / "filler").write_bytes(bytes(SMALL - os.statvfs(disk).f_frsize))
    with pytest.raises(BadInput, match=r"MB free|is not writable"):
        check_space(disk, [JOB])
    with (disk / "filler").open("ab") as filler:
        filler.write(bytes(os.statvfs(disk).f_bfree * os.statvfs(disk).f_frsize))
    with pytest.raises(BadInput, match="is not writable"):
        check_space(disk, [])


def test_a_read_only_disk_is_refused(mount):
    with pytest.raises(BadInput, match="Read-only file system"):
        check_space(mount("ro") / "multirun", [JOB])


@pytest.mark.parametrize(("options", "words"), [("size=4m", "MB free"), ("ro", "is not writable")])
def test_the_command_is_refused_on_a_small_or_read_only_disk_and_leaves_nothing(forked, mount, options, words):
    disk = mount(options)
    done = forked.command(disk, "src.train", "epochs=1", "data.limit=128")
    assert done.returncode == 2, done.stderr
    assert len(done.stderr.strip().splitlines()) <= 3
    assert words in done.stderr
    assert str(disk) in done.stderr
    assert files_below(disk) == []


def test_another_users_folder_is_refused(tmp_path):
    """Root drops its rights after the imports, since root may write anywhere."""
    (tmp_path / "theirs").mkdir(mode=0o755)
    for folder in (tmp_path, *tmp_path.parents):
        if not folder.stat().st_mode & 0o001:
            folder.chmod(folder.stat().st_mode | 0o011)  # other users cannot enter pytest's folders
    (tmp_path / "theirs").chmod(0o555)
    message = refusal_without_privileges(
        "from pathlib import Path\nfrom src.storage.space import check_space",
        f"check_space(Path({str(tmp_path / 'theirs' / 'multirun')!r}), 1)",
    )
    assert message.splitlines() == [
        f"normlab: {tmp_path / 'theirs'} is not writable: Permission denied",
        "  allowed: a current folder that you may write to",
    ]
