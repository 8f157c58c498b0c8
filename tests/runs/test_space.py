"""An output folder without rights or room is found before anything is made in it."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from src.bad_input import BadInput
from src.runs.space import JOB, SWEEP, check_space
from tests.conftest import files_below, python
from tests.unprivileged import refusal_without_privileges

PROJECT = Path(__file__).parents[2]
SMALL = 4 * 2**20  # bytes

Mount = Callable[[str], Path]


@pytest.fixture
def mount(tmp_path) -> Iterator[Mount]:
    """`mount("size=4m")` is a folder that is a disk of its own, mounted with these options."""
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


def test_a_folder_with_room_is_left_as_it_was(tmp_path):
    check_space(tmp_path, 3)
    check_space(tmp_path / "not" / "yet", 3)
    assert files_below(tmp_path) == []


def test_a_file_in_the_way_is_named(tmp_path):
    (tmp_path / "multirun").touch()
    for folder in (tmp_path / "multirun", tmp_path / "multirun" / "jobs"):
        with pytest.raises(BadInput, match="multirun is in the way"):
            check_space(folder, 1)


def test_a_small_disk_has_room_for_so_many_jobs_and_no_more(mount):
    disk = mount(f"size={SMALL}")
    check_space(disk, 0)  # all are finished: nothing but the table is written
    with pytest.raises(BadInput) as refused:
        check_space(disk / "multirun", 1)
    assert str(refused.value).splitlines()[0] == f"normlab: 4 MB are free in {disk}; 1 jobs leave about 12 MB"
    assert files_below(disk) == []

    disk = mount(f"size={SWEEP + 10 * JOB + 2**20}")
    check_space(disk, 10)
    with pytest.raises(BadInput, match="11 jobs leave about"):
        check_space(disk, 11)


def test_a_disk_without_any_room_is_found_by_writing(mount):
    disk = mount(f"size={SMALL}")
    (disk / "filler").write_bytes(bytes(SMALL - os.statvfs(disk).f_frsize))
    with pytest.raises(BadInput, match=r"free in|nothing can be written"):
        check_space(disk, 1)
    with (disk / "filler").open("ab") as filler:
        filler.write(bytes(os.statvfs(disk).f_bfree * os.statvfs(disk).f_frsize))
    with pytest.raises(BadInput, match="nothing can be written"):
        check_space(disk, 0)


def test_a_read_only_disk_is_found_by_writing(mount):
    with pytest.raises(BadInput, match="Read-only file system"):
        check_space(mount("ro") / "multirun", 1)


@pytest.mark.parametrize("tracking", ["sqlite", "none"])
@pytest.mark.parametrize(("options", "words"), [("size=4m", "MB are free in"), ("ro", "nothing can be written to")])
def test_the_command_is_refused_on_such_a_disk_and_leaves_nothing(mount, options, words, tracking):
    disk = mount(options)
    done = python(disk, "-m", "src.train", "epochs=1", "data.limit=128", f"tracking={tracking}")
    assert done.returncode == 2, done.stderr
    assert len(done.stderr.strip().splitlines()) <= 3
    assert words in done.stderr
    assert str(disk) in done.stderr
    assert files_below(disk) == []


def test_a_folder_of_somebody_else_is_found_by_writing(tmp_path):
    """Root gives its rights up once all is imported: it may write everywhere."""
    (tmp_path / "theirs").mkdir(mode=0o755)
    for folder in (tmp_path, *tmp_path.parents):
        if not folder.stat().st_mode & 0o001:
            folder.chmod(folder.stat().st_mode | 0o011)  # what pytest makes is closed to others
    (tmp_path / "theirs").chmod(0o555)
    told = refusal_without_privileges(
        "from pathlib import Path\nfrom src.runs.space import check_space",
        f"check_space(Path({str(tmp_path / 'theirs' / 'multirun')!r}), 1)",
    )
    assert told.splitlines() == [
        f"normlab: nothing can be written to {tmp_path / 'theirs'}: Permission denied",
        "  allowed: a current folder to write in",
    ]
