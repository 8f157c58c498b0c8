import gzip
import hashlib
import math
import os
import re
import shutil
import subprocess
import sys
import tempfile
import tracemalloc
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from src.bad_input import BadInput
from src.data.idx import Bytes, read_idx
from src.data.idx_names import FILES, find_dataset_files
from src.data.images import Images
from src.data.memory import MEMORY
from src.data.sources import EMBEDDED_MNIST, describe, load
from src.datasets import DATASETS, MNIST
from tests.unprivileged import refusal_without_privileges

PROJECT = Path(__file__).parents[2]
PICTURES = np.arange(3 * 4 * 5).reshape(3, 4, 5)


def read(path: Path, axes: int = 3) -> Bytes:
    return read_idx(path, axes)[1]


def images_of(root: Path, name: str = "idx") -> Images:
    return load(DATASETS[name](root=str(root), batch_size=1, validation=1, split_seed=0))


def refusal(root: Path, name: str = "idx") -> str:
    with pytest.raises(BadInput) as refused:
        images_of(root, name)
    assert len(str(refused.value).splitlines()) <= 3
    return str(refused.value)


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("layout", ["", "MNIST/raw", "raw"])
def test_a_file_is_found_in_the_folder_and_in_torchvisions_layout(layout, packed, tmp_path, lay_out):
    place = lay_out(tmp_path / "set" / layout, packed=packed)
    assert find_dataset_files(tmp_path / "set", "MNIST")[0] == tuple(place / (name + ".gz" * packed) for name in FILES)


def test_a_plain_file_is_preferred_to_a_packed_one(tmp_path):
    for name in FILES:
        (tmp_path / name).touch()
        (tmp_path / f"{name}.gz").touch()
    assert find_dataset_files(tmp_path, "MNIST")[0] == tuple(tmp_path / name for name in FILES)
    assert find_dataset_files(tmp_path, "MNIST", packed=True)[0] == tuple(tmp_path / f"{name}.gz" for name in FILES)


@pytest.mark.parametrize("name", ["images", "images.gz"])
def test_values_keep_their_shape_and_order(name, tmp_path, pack):
    path = tmp_path / name
    path.write_bytes(gzip.compress(pack(PICTURES)) if path.suffix else pack(PICTURES))
    assert np.array_equal(read(path), PICTURES)


def test_labels_have_one_axis(tmp_path, pack):
    (tmp_path / "labels").write_bytes(pack(np.array([3, 1, 255])))
    assert read(tmp_path / "labels", axes=1).tolist() == [3, 1, 255]


@pytest.mark.parametrize("packed", [False, True])
def test_a_file_cut_at_any_length_is_refused(packed, tmp_path, pack):
    path = tmp_path / ("images.gz" if packed else "images")
    whole = gzip.compress(pack(PICTURES)) if packed else pack(PICTURES)
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        with pytest.raises(BadInput, match=re.escape(str(path))) as refused:
            read(path)
        assert len(str(refused.value).splitlines()) <= 3, length


def test_no_flipped_bit_of_a_packed_file_changes_a_value_unnoticed(tmp_path, pack):
    path = tmp_path / "images.gz"
    whole = gzip.compress(pack(PICTURES), mtime=0)
    refused = 0
    for bit in range(8 * len(whole)):
        damaged = bytearray(whole)
        damaged[bit // 8] ^= 1 << bit % 8
        path.write_bytes(damaged)
        try:
            assert np.array_equal(read(path), PICTURES), bit  # a header bit without effect on the content
        except BadInput:
            refused += 1
    assert refused > 0.9 * 8 * (len(whole) - 10)


@pytest.mark.parametrize(
    ("start", "message"),
    [
        (b"", "is empty"),
        (b"\x89PNG", "is a PNG picture"),
        (b"junk", "starts with 6a756e6b"),
        (b"\0\0\x0d\x03", "32-bit floats with 3 axes"),
        (b"\0\0\x08\x01", "unsigned bytes with 1 axis"),
        (b"\0\0\x0c\x02", "32-bit integers with 2 axes .* QMNIST"),
    ],
)
def test_other_formats_are_recognised_by_their_first_bytes(start, message, tmp_path, pack):
    (tmp_path / "images").write_bytes(start and start + pack(PICTURES)[4:])
    with pytest.raises(BadInput, match=message) as refused:
        read(tmp_path / "images")
    assert "unsigned bytes with 3 axes (00000803)" in str(refused.value)


@pytest.mark.parametrize("change", [b"\0", b"more"])
def test_extra_bytes_at_the_end_are_refused(change, tmp_path, pack):
    (tmp_path / "images").write_bytes(pack(PICTURES) + change)
    with pytest.raises(BadInput, match=f"has {76 + len(change)} bytes"):
        read(tmp_path / "images")


def test_the_content_and_not_the_name_tells_a_packed_file(tmp_path, pack):
    (tmp_path / "images.gz").write_bytes(pack(PICTURES))
    (tmp_path / "images").write_bytes(gzip.compress(pack(PICTURES)))
    assert np.array_equal(read(tmp_path / "images.gz"), PICTURES)
    assert np.array_equal(read(tmp_path / "images"), PICTURES)


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("shape", [(2**20, 2**20, 36), (2**32 - 1, 2**32 - 1, 2**32 - 1), (1, 28, 10**9)])
def test_a_header_that_claims_too_much_is_refused_before_memory_is_taken(shape, packed, tmp_path, pack):
    content = pack(PICTURES)[:4] + b"".join(length.to_bytes(4, "big") for length in shape)
    (tmp_path / "images").write_bytes(gzip.compress(content) if packed else content)
    message = without_memory(lambda: read(tmp_path / "images"))
    assert re.search(r"has \d+( packed)? bytes", message)
    assert f"{16 + math.prod(shape):,}" in message


@pytest.mark.parametrize("size", [2**20, 2**27])
def test_a_file_that_unpacks_to_more_than_its_header_says_is_not_unpacked(size, tmp_path, pack):
    packer = zlib.compressobj(wbits=31)
    parts = [packer.compress(pack(PICTURES)), *(packer.compress(bytes(2**20)) for _ in range(size // 2**20))]
    (tmp_path / "images").write_bytes(b"".join([*parts, packer.flush()]))
    assert "means 76 bytes" in without_memory(lambda: read(tmp_path / "images"))


def test_a_sparse_file_of_terabytes_is_refused_by_its_size(tmp_path, pack):
    for name, content in (("images", pack(PICTURES)), ("images.gz", gzip.compress(pack(PICTURES)))):
        (tmp_path / name).write_bytes(content)
        os.truncate(tmp_path / name, 2**42)
        assert "4,398,046,511,104" in without_memory(lambda name=name: read(tmp_path / name))


def test_a_dataset_too_large_for_the_memory_is_refused_with_its_size(tmp_path, pack):
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    images = memory // MEMORY // 784 + 10
    (tmp_path / "images").write_bytes(pack(PICTURES)[:4] + b"".join(n.to_bytes(4, "big") for n in (images, 28, 28)))
    os.truncate(tmp_path / "images", 16 + 784 * images)
    message = without_memory(lambda: read(tmp_path / "images"))
    assert f"training takes {MEMORY * 784 * images / 1e9:,.1f} GB of memory" in message


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="how much a process has is read from /proc")
def test_a_memory_limit_of_the_process_is_reported(tmp_path, pack):
    images = 200_000
    path = tmp_path / "images"
    path.write_bytes(pack(PICTURES)[:4] + b"".join(length.to_bytes(4, "big") for length in (images, 28, 28)))
    os.truncate(path, 16 + 784 * images)
    code = f"""
import resource
from pathlib import Path
from src.data.idx import read_idx
from src.bad_input import BadInput
used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + 10**8, used + 10**8))
try:
    read_idx(Path({str(path)!r}), 3)
except BadInput as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=PROJECT, capture_output=True, text=True)
    assert "takes 0.5 GB of memory: this process may not use more" in done.stdout, done.stderr


def without_memory(read_it: Callable[[], object]) -> str:
    """Return the refusal of a call that must take less than 1 MB of memory."""
    tracemalloc.start()
    try:
        with pytest.raises(BadInput) as refused:
            read_it()
        assert tracemalloc.get_traced_memory()[1] < 2**20
    finally:
        tracemalloc.stop()
    assert len(str(refused.value).splitlines()) <= 3
    return str(refused.value)


def test_a_missing_folder_and_a_missing_file_are_named(tmp_path, lay_out):
    assert f"data.root={tmp_path}/none: no such folder" in refusal(tmp_path / "none")
    assert refusal(tmp_path / ("x" * 300))
    (lay_out(tmp_path / "set") / FILES[3]).unlink()
    assert f"{FILES[3]} is missing" in refusal(tmp_path / "set")


@pytest.mark.parametrize(
    ("changed", "shape", "message"),
    [
        ("train_labels", (29,), "30 training images and 29 labels"),
        ("t10k_images", (13, 28, 28), "13 test images and 12 labels"),
        ("train_images", (0, 28, 28), "0 training images and 30 labels"),
        ("t10k_images", (12, 32, 32), "the same shape for training and test"),
        ("train_images", (30, 28, 27), "square images"),
    ],
)
def test_files_with_different_sizes_are_refused(changed, shape, message, tmp_path, lay_out, pack):
    lay_out(tmp_path / "set", **{changed: pack(np.zeros(shape))})
    assert message in refusal(tmp_path / "set")


def test_a_test_label_without_training_images_is_refused(tmp_path, lay_out, pack):
    lay_out(tmp_path / "set", t10k_labels=pack(np.full(12, 10)))
    assert "label 10" in refusal(tmp_path / "set")


@pytest.mark.parametrize("layout", ["", "MNIST/raw"])
def test_files_other_than_the_published_mnist_are_refused_with_advice(layout, tmp_path, lay_out):
    lay_out(tmp_path / "set" / layout)
    message = refusal(tmp_path / "set", "mnist")
    assert "is not the published MNIST file" in message
    advice = re.search(r"data=idx data\.root=(\S+)", message)
    assert advice
    assert images_of(Path(advice[1])).source.train == 30


def test_the_embedded_mnist_is_the_published_one():
    stated = re.findall(r"^\| (\S+) \| [\d,]+ \| ([0-9a-f]{64}) \|$", (EMBEDDED_MNIST / "README.md").read_text(), re.M)
    assert stated == [
        (name, hashlib.sha256(gzip.decompress((EMBEDDED_MNIST / f"{name}.gz").read_bytes())).hexdigest())
        for name in FILES
    ]


def test_the_description_of_the_embedded_mnist_fits_its_files():
    data = MNIST(batch_size=1, validation=1, split_seed=0)
    images = load(data)
    assert images.train_images.shape == (60_000, 1, 28, 28)
    assert images.test_images.shape == (10_000, 1, 28, 28)
    assert np.bincount(images.train_labels).tolist() == [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
    assert np.bincount(images.test_labels).tolist() == [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
    assert describe(data) == images.source


def test_one_changed_label_of_mnist_is_refused(tmp_path):
    for name in FILES:
        (tmp_path / f"{name}.gz").symlink_to(EMBEDDED_MNIST / f"{name}.gz")
    labels = bytearray(gzip.decompress((EMBEDDED_MNIST / f"{FILES[3]}.gz").read_bytes()))
    labels[-1] ^= 1
    (tmp_path / FILES[3]).write_bytes(labels)
    assert f"{tmp_path / FILES[3]} is not the published MNIST file" in refusal(tmp_path, "mnist")


@pytest.mark.parametrize("closed", ["file", "folder", "parent"])
def test_missing_permission_is_refused_with_the_owner(closed, lay_out):
    place = Path(tempfile.mkdtemp())  # other users cannot enter pytest's folders
    try:
        place.chmod(0o755)
        root = lay_out(place / "parent" / "set")
        (root / FILES[0] if closed == "file" else root if closed == "folder" else root.parent).chmod(0)
        message = load_without_privileges(root)
        assert message.startswith("normlab: ")
        assert str(root) in message
        whose = {"file": "it", "folder": "it", "parent": str(root.parent)}[closed]
        assert f"Permission denied ({whose} belongs to {root.owner()}, mode 000)" in message
        assert len(message.splitlines()) <= 3
    finally:
        (place / "parent").chmod(0o755)
        root.chmod(0o755)
        shutil.rmtree(place)


def load_without_privileges(root: Path) -> str:
    """Return the refusal that a user without root's rights gets."""
    data = f"IDX(root={str(root)!r}, batch_size=1, validation=1, split_seed=0)"
    return refusal_without_privileges(
        "from src.datasets import IDX\nfrom src.data.sources import load", f"load({data})"
    )
