"""Datasets are found under all names that publishers use; other folders are refused with advice."""

import gzip
import os
import shlex
import shutil
import socket
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from src.bad_input import BadInput
from src.data.idx_names import FILES
from src.data.images import Images
from src.data.sources import load
from src.options import IDX

EMNIST_SPLITS = ("balanced", "byclass", "bymerge", "digits", "letters", "mnist")


def images_of(root: Path) -> Images:
    return load(IDX(root=str(root), batch_size=1, validation=1, split_seed=0))


def refusal(root: Path) -> list[str]:
    """Return the three lines of a refusal: what, allowed, write."""
    with pytest.raises(BadInput) as refused:
        images_of(root)
    lines = str(refused.value).splitlines()
    assert len(lines) <= 3
    return [*lines, "", ""][:3]


def renamed(folder: Path, rename: Callable[[str], str]) -> Path:
    for path in list(folder.iterdir()):
        path.rename(folder / rename(path.name))
    return folder


def emnist(split: str) -> Callable[[str], str]:
    return lambda name: f"emnist-{split}-{name.replace('t10k', 'test')}"


@pytest.mark.parametrize(
    "rename",
    [lambda name: name.replace("-idx", ".idx"), str.upper, lambda name: name.replace("t10k", "test")],
    ids=["dots", "capitals", "test"],
)
@pytest.mark.parametrize("packed", [False, True])
def test_other_file_names_give_the_same_dataset(rename, packed, tmp_path, lay_out):
    usual = images_of(lay_out(tmp_path / "usual")).source.digest
    assert images_of(renamed(lay_out(tmp_path / "set", packed=packed), rename)).source.digest == usual


def test_mnists_file_names_are_preferred(tmp_path, lay_out, idx_set):
    for name in FILES:
        dotted = lay_out(tmp_path / name, packed=True) / name.replace("-idx", ".idx")
        dotted.write_bytes(b"another file")
        (dotted.parent / f"._{name}").write_bytes(b"written by macOS on other disks")
        assert images_of(dotted.parent).source.train == 30


@pytest.mark.parametrize("packed", [False, True])
def test_emnist_is_read_by_its_file_names_and_transposed(packed, tmp_path, lay_out):
    plain = images_of(lay_out(tmp_path / "plain"))
    for split in EMNIST_SPLITS:
        found = images_of(renamed(lay_out(tmp_path / split, packed=packed), emnist(split)))
        assert np.array_equal(found.train_images, plain.train_images.transpose(0, 1, 3, 2))
        assert np.array_equal(found.test_labels, plain.test_labels)
        assert found.source.digest != plain.source.digest  # jobs on transposed images are other jobs
        assert found.train_images.flags.c_contiguous


def test_several_emnist_splits_in_a_folder_are_refused_with_a_command_that_separates_them(tmp_path, lay_out):
    both = renamed(lay_out(tmp_path / "both"), emnist("letters"))
    for path in renamed(lay_out(tmp_path / "more"), emnist("digits")).iterdir():
        path.rename(both / path.name)
    what, allowed, write = refusal(both)
    assert what.endswith("contains 2 datasets: emnist-digits, emnist-letters")
    subprocess.run(write.removeprefix("  write: "), shell=True, check=True)
    assert f"data.root={both}/emnist-digits " in allowed
    assert images_of(both / "emnist-digits").source.train == 30
    assert images_of(both).source.train == 30


def test_a_dataset_in_a_nearby_folder_is_suggested(tmp_path, lay_out):
    whole = lay_out(tmp_path / "a b" / "FashionMNIST" / "raw")
    (whole / "notes").mkdir()
    (tmp_path / "link").symlink_to(whole / FILES[0])
    for root in (tmp_path / "a b", whole / "notes", whole / FILES[0], tmp_path / "link"):
        what, _, write = refusal(root)
        assert f"data.root={root} " in what
        (word,) = shlex.split(write.removeprefix("  write: "))
        assert images_of(Path(word.removeprefix("data.root=").strip('"'))).source.train == 30


def test_an_incomplete_dataset_is_refused_with_the_missing_files(tmp_path, lay_out):
    folder = lay_out(tmp_path / "set")
    for name in FILES[2:]:
        (folder / name).unlink()
    what, _, _ = refusal(folder)
    assert what.endswith(f": {FILES[2]} and {FILES[3]} are missing; the folder contains {FILES[0]}, {FILES[1]}")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (os.mkfifo, "is a pipe"),
        (os.mkdir, "is a folder"),
        (lambda path: path.symlink_to("/dev/zero"), "is a device"),
        (lambda path: path.symlink_to("nowhere"), "is a link to nowhere, which does not exist"),
        (lambda path: path.symlink_to(path.name), f"is a link to {FILES[2]}, which does not exist"),
    ],
    ids=["pipe", "folder", "device", "dangling link", "link to itself"],
)
def test_pipes_folders_devices_and_links_are_refused_without_opening_them(make, message, tmp_path, lay_out):
    path = lay_out(tmp_path / "set") / FILES[2]
    path.unlink()
    make(path)
    assert refusal(tmp_path / "set")[0] == f"normlab: {path} {message}"
    root = tmp_path / "root" / FILES[2]
    root.parent.mkdir()
    make(root)
    if not root.is_dir():
        assert refusal(root)[0] == f"normlab: data.root={root} {message}"


def test_a_socket_is_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # a socket's path may have 107 characters
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("socket")
        assert refusal(tmp_path / "socket")[0].endswith("is a socket")


@pytest.mark.parametrize(
    ("names", "message", "write"),
    [
        (["cifar-10-python.tar.gz"], "CIFAR-10", "data=cifar10 data.root={root}"),
        (["cifar-10-batches-py/data_batch_1"], "CIFAR-10", "data=cifar10 data.root={root}"),
        (["data_batch_1", "test_batch"], "CIFAR-10", "data=cifar10 data.root={parent}"),
        (["mnist.npz"], "Keras", "data=mnist"),
        (["mnist/train-00000-of-00001.parquet"], "Hugging Face", "numpy"),
        (["archive.zip"], "zip archive", "unzip {root}/archive.zip -d {root}"),
        (["set.tgz"], "tar archive", "tar -xf {root}/set.tgz -C {root}"),
        (["mnist_train.csv", "mnist_test.csv"], "mnist_test.csv is a table", "numpy"),
        (["train/0/1.png", "train/0/2.png"], "picture", "write data=folder data.root={root}"),
        (["cifar-100-python/train"], "CIFAR-100", "data=cifar100 data.root={root}"),
        (["set.npz"], "NumPy arrays", "data=npz data.root={root}/set.npz"),
        (["notes", "b", "c", "d", "e", "f"], "other files: b, c, d, e and 2 others", ""),
        ([], "is empty", ""),
    ],
)
def test_folders_of_other_formats_are_refused_with_advice(names, message, write, tmp_path):
    for name in names:
        (tmp_path / "set" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "set" / name).write_bytes(b"x")
    (tmp_path / "set").mkdir(exist_ok=True)
    what, allowed, advice = refusal(tmp_path / "set")
    assert message in what
    assert FILES[0] in allowed
    assert write.format(root=tmp_path / "set", parent=tmp_path) in advice


@pytest.mark.parametrize(
    ("content", "message", "write"),
    [
        (b"", "is empty", "download it again"),
        (b"\n<!DOCTYPE html>\n<html><head>", "is a web page", "download"),
        (b"<html>", "is a web page", "download"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:4d\n", "Git LFS", "git -C {0} lfs pull"),
        (b"PK\x03\x04", "is a zip archive", "unzip {1} -d {0}"),
        (gzip.compress(b"\0\0\x08\x03", mtime=0), "is packed twice with gzip", "gunzip"),
        (b"\x93NUMPY", "is a NumPy array", "numpy"),
    ],
)
@pytest.mark.parametrize("packed", [False, True])
def test_files_of_other_formats_are_refused_with_advice(packed, content, message, write, tmp_path, lay_out):
    if content.startswith(b"\x1f\x8b") and not packed:
        pytest.skip("packed once it is read")
    lay_out(tmp_path / "set", packed=packed, t10k_images=content)
    what, allowed, advice = refusal(tmp_path / "set")
    path = tmp_path / "set" / (FILES[2] + ".gz" * packed)
    assert f"{path} " in what
    assert message in what
    assert "an IDX file of images" in allowed
    assert write.format(path.parent, path) in advice


def test_the_advice_for_an_array_makes_a_readable_file(tmp_path, lay_out, pack):
    columns = np.arange(12 * 8).reshape(12, 8) % 10
    labels = bytes([0, 0, 12, 2]) + np.array(columns.shape, ">u4").tobytes() + columns.astype(">i4").tobytes()
    folder = lay_out(tmp_path / "set", t10k_labels=labels)
    what, _, write = refusal(folder)
    assert "contains 32-bit integers with 2 axes" in what
    recipe = write[write.index("bytes(") :]
    (folder / FILES[3]).write_bytes(eval(recipe, {"numpy": np, "a": columns[:, 0]}))
    assert images_of(folder).test_labels.tolist() == columns[:, 0].tolist()


def test_the_search_of_a_large_tree_is_limited(tmp_path, lay_out):
    for number in range(300):
        (tmp_path / f"{number:03}" / "deep").mkdir(parents=True)
    shutil.move(lay_out(tmp_path / "x"), tmp_path / "299" / "set")
    assert "contains other files: 000, 001" in refusal(tmp_path)[0]
