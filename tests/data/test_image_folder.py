"""Folders of images in ImageFolder's layout, and the cache of their decoded images."""

import multiprocessing
import os
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from torchvision.datasets import ImageFolder

from src.bad_input import BadInput
from src.data import image_cache, image_folder
from src.data.image_folder import read_image_folder
from src.data.images import Images
from src.data.sources import load
from src.datasets import Folder
from tests.unprivileged import refusal_without_privileges

CLASSES = ("cat", "dog", "éléphant")
Fill = Callable[..., Path]


@pytest.fixture
def fill(tmp_path) -> Fill:
    def fill(name: str = "set", splits: tuple[str, ...] = ("train", "test"), *, grey: bool = False) -> Path:
        """Write two images of 12 x 10 pixels per class and split."""
        random = np.random.default_rng(len(name))
        for split in splits:
            for kind in CLASSES:
                folder = tmp_path / name / split / kind
                folder.mkdir(parents=True)
                for number in range(2):
                    pixels = random.integers(0, 256, (12, 10) if grey else (12, 10, 3), dtype=np.uint8)
                    Image.fromarray(pixels).save(folder / f"{number}.png")
        return tmp_path / name

    return fill


@pytest.fixture
def read(tmp_path) -> Callable[..., Images]:
    return lambda root, size=10, channels=None: read_image_folder(root, size, channels, tmp_path / "cache")


@pytest.fixture
def decoded(monkeypatch) -> list[Path]:
    """The paths of the images that are decoded."""
    paths = []
    original = image_folder.read_picture
    monkeypatch.setattr(
        image_folder, "read_picture", lambda path, *rest: (paths.append(path), original(path, *rest))[1]
    )
    return paths


def refusal(root: Path, tmp_path: Path, **settings: int) -> str:
    with pytest.raises(BadInput) as refused:
        read_image_folder(root, settings.get("size", 10), settings.get("channels"), tmp_path / "cache")
    assert len(str(refused.value).splitlines()) <= 3
    return str(refused.value)


@pytest.mark.parametrize("validation", ["", "val", "validation", "valid"])
def test_the_images_and_labels_are_those_of_torchvisions_image_folder(validation, fill, read):
    images = read(fill(splits=("train", "test", *([validation] if validation else []))))
    assert images.source.classes == CLASSES
    assert (images.source.channels, images.source.size) == (3, 10)
    splits = {"train": (images.train_images, images.train_labels), "test": (images.test_images, images.test_labels)}
    splits |= {validation: images.validation} if validation else {}
    assert images.source.validation == (6 if validation else 0)
    for split, (pixels, labels) in splits.items():
        expected = list(ImageFolder(Path(images.source.place) / split, lambda picture: np.asarray(picture)[1:11]))
        if split == "train":
            expected = [*expected[::2], *expected[1::2]]  # the classes take turns; each has two images
        assert labels.tolist() == [label for _, label in expected]
        assert all(
            np.array_equal(found.transpose(1, 2, 0), image) for found, (image, _) in zip(pixels, expected, strict=True)
        )


def test_images_are_grey_if_all_are_grey_or_on_request(fill, read):
    grey, colour = fill("grey", grey=True), fill("colour")
    assert (read(grey).source.channels, read(colour).source.channels) == (1, 3)
    assert np.array_equal(read(grey).train_images, read(grey, channels=1).train_images)
    assert read(grey, channels=3).train_images.shape == (6, 3, 10, 10)
    assert read(colour, channels=1).train_images.shape == (6, 1, 10, 10)
    shutil.copy(colour / "train" / "cat" / "0.png", grey / "test" / "dog")
    assert read(grey).source.channels == 3


def test_what_decides_the_digest(fill, read):
    root = fill()
    first = read(root).source
    shutil.copytree(root, root.parent / "copy")
    assert read(root.parent / "copy").source.digest == first.digest
    assert read(root, size=8).source.digest != first.digest
    (root / "train" / "dog" / "1.png").rename(root / "train" / "cat" / "2.png")  # the same images, another label
    assert read(root).source.digest != first.digest
    for split in ("train", "test"):
        (root.parent / "copy" / split / "dog").rename(root.parent / "copy" / split / "cow")
    assert read(root.parent / "copy").source.digest != first.digest


def test_the_second_time_no_image_is_decoded(fill, read, decoded):
    root = fill(splits=("train", "test", "val"))
    first = read(root)
    assert len(decoded) == 18
    second = read(root)
    assert len(decoded) == 18
    assert second.source == first.source
    assert np.array_equal(second.train_images, first.train_images)
    assert np.array_equal(second.validation[0], first.validation[0])


@pytest.mark.parametrize(
    "change",
    [
        lambda path: path.unlink(),
        lambda path: shutil.copy(path, path.with_name("new.png")),
        lambda path: path.rename(path.with_name("new.png")),
        lambda path: Image.new("RGB", (12, 10)).save(path),
        lambda path: keep_time(path, lambda: path.write_bytes(path.read_bytes()[:-1] + b"?")),
    ],
    ids=["removed", "added", "renamed", "edited", "edited with the same size and time"],
)
def test_a_changed_folder_is_read_again(change, fill, read, decoded):
    root = fill()
    read(root)
    decoded.clear()
    change(root / "train" / "dog" / "1.png")
    read(root)
    assert len(decoded) >= 11


def keep_time(path: Path, change: Callable[[], object]) -> None:
    status = path.stat()
    change()
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


@pytest.mark.parametrize("damage", ["cut", "flipped", "empty", "folder", "text"])
def test_a_damaged_cache_is_ignored_and_written_again(damage, fill, read, decoded, tmp_path):
    root = fill()
    first = read(root)
    (cache,) = (tmp_path / "cache").glob("*.npz")
    content = cache.read_bytes()
    flipped = bytearray(content)
    flipped[len(content) // 2] ^= 1
    if damage == "folder":
        cache.unlink()
        cache.mkdir()
    else:
        cache.write_bytes({"cut": content[:-100], "flipped": bytes(flipped), "empty": b"", "text": b"PK\3\4x"}[damage])
    decoded.clear()
    assert read(root).source == first.source
    assert len(decoded) == 12
    read(root)
    assert len(decoded) == (24 if damage == "folder" else 12)


def test_a_cache_that_cannot_be_written_is_reported_and_does_no_harm(fill, caplog, tmp_path):
    root, partial = fill(), tmp_path / "cache" / ".a.npz.999999999"  # a killed process left it
    partial.parent.mkdir()
    partial.touch()
    expected = read_image_folder(root, 10, None, tmp_path / "cache").source
    assert not partial.exists()
    assert "kept the decoded images (0 MB) in " in caplog.text
    (tmp_path / "file").touch()
    assert read_image_folder(root, 10, None, tmp_path / "file").source == expected
    assert f"decoded images are not kept, because {tmp_path}/file cannot be locked" in caplog.text
    assert read_image_folder(root, 10, None, Path("/dev/full/cache")).source == expected


def test_caches_that_nobody_used_for_long_are_removed(fill, tmp_path, monkeypatch):
    """Beyond the bound, the least recently used cache goes first; the newest one stays in any case."""
    root, folder = fill(), tmp_path / "cache"

    def caches_after_reading(size):
        read_image_folder(root, size, None, folder)
        return {path.name for path in folder.glob("*.npz")}

    first = caches_after_reading(8)
    both = caches_after_reading(9)
    for name in both:
        os.utime(folder / name, (0, 0))  # last used in 1970
    assert caches_after_reading(8) == both  # reading a cache removes nothing
    left = caches_after_reading(10)
    assert len(left) == 2
    assert left & both == first
    monkeypatch.setattr(image_cache, "MOST_BYTES", 1)
    (last,) = caches_after_reading(11) - left
    assert [path.name for path in folder.glob("*.npz")] == [last]
    assert len(list(folder.glob("*.lock"))) == 1
    assert image_cache.cache_bytes(folder) == (folder / last).stat().st_size


def test_a_full_disk_leaves_no_partial_cache(fill, caplog, tmp_path, monkeypatch):
    def fill_disk(file, **arrays):
        file.write(b"PK")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "savez", fill_disk)
    read_image_folder(fill(), 10, None, tmp_path / "cache")
    assert "decoded images are not kept (0 MB): [Errno 28] No space left on device" in caplog.text
    assert [path.suffix for path in (tmp_path / "cache").iterdir()] == [".lock"]


def test_two_processes_decode_once(fill, tmp_path):
    root, context = fill(), multiprocessing.get_context("fork")
    count = context.Value("i", 0)
    original = image_folder.read_picture

    def decode() -> None:
        def slow(path: Path, *rest: object) -> object:
            with count.get_lock():
                count.value += 1
            time.sleep(0.02)
            return original(path, *rest)

        image_folder.read_picture = slow
        read_image_folder(root, 10, None, tmp_path / "cache")

    processes = [context.Process(target=decode) for _ in range(2)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0, 0]
    assert count.value == 12


REFUSED = {
    "no test images": (lambda root: shutil.rmtree(root / "test"), "contains no folder test; it contains train"),
    "no layout": (lambda root: (root / "train").rename(root / "a"), "contains no folder train; it contains a and test"),
    "one class": (
        lambda root: [shutil.rmtree(root / "train" / name) for name in CLASSES[1:]],
        "train contains 1 class folder: cat",
    ),
    "no classes": (
        lambda root: [shutil.rmtree(root / "train" / name) for name in CLASSES],
        "train contains 0 class folders",
    ),
    "an empty class": (
        lambda root: [path.unlink() for path in (root / "train" / "dog").iterdir()],
        "train/dog contains no images",
    ),
    "no test image": (
        lambda root: [path.unlink() for path in (root / "test").rglob("*.png")],
        "test contains no images",
    ),
    "a class without a test image": (
        lambda root: [path.unlink() for path in (root / "test" / "dog").iterdir()],
        "test contains no images of dog",
    ),
    "classes without a folder in the test": (
        lambda root: [shutil.rmtree(root / "test" / name) for name in CLASSES[:2]],
        "test contains no images of cat and dog",
    ),
    "another class in the test": (
        lambda root: (root / "test" / "dog").rename(root / "test" / "wolf"),
        "test/wolf: {root}/train has no such class",
    ),
    "an image outside the classes": (
        lambda root: shutil.copy(root / "train" / "dog" / "0.png", root / "train"),
        "train contains 0.png outside the folders of the classes",
    ),
    "an unprintable name": (
        lambda root: (root / "train" / "dog").rename(root / "train" / "d\nog"),
        "contains a folder with the name 'd\\nog'",
    ),
    "a name that is not UTF-8": (
        lambda root: (root / "train" / "dog").rename(root / "train" / "d\udcff"),
        "contains a folder with the name 'd\\udcff'",
    ),
    "an empty file": (lambda root: (root / "test" / "dog" / "1.png").write_bytes(b""), "test/dog/1.png is empty"),
    "a damaged file": (
        lambda root: (root / "test" / "dog" / "1.png").write_bytes(b"x"),
        "test/dog/1.png is not an image",
    ),
    "a pipe": (lambda root: os.mkfifo(root / "test" / "dog" / "2.png"), "test/dog/2.png is not a regular file"),
    "a dangling link": (
        lambda root: (root / "test" / "dog" / "2.png").symlink_to("nowhere"),
        "test/dog/2.png cannot be read: No such file",
    ),
    "another format": (lambda root: (root / "test" / "dog" / "2.heic").touch(), "2.heic: normlab does not read"),
    "two validation folders": (
        lambda root: [(root / name).mkdir() for name in ("val", "valid")],
        "contains val and valid",
    ),
}


@pytest.mark.parametrize(("change", "message"), REFUSED.values(), ids=REFUSED)
def test_a_folder_that_cannot_be_used_is_refused(change, message, fill, tmp_path):
    root = fill()
    change(root)
    assert message.format(root=root) in refusal(root, tmp_path)


def test_all_images_that_cannot_be_used_are_counted(fill, tmp_path):
    root = fill()
    for path in (root / "train").glob("*/1.png"):
        path.write_bytes(b"x")
    message = refusal(root, tmp_path)
    assert "3 images cannot be used: train/cat/1.png, train/dog/1.png and train/éléphant/1.png: " in message
    assert f"{root}/train/cat/1.png is not an image" in message


def test_hidden_files_texts_and_subfolders_are_no_hindrance(fill, read):
    root = fill()
    for place in (root, root / "train", root / "train" / "dog"):
        (place / ".DS_Store").touch()
    (root / "train" / "dog" / "notes.txt").touch()
    (root / "train" / "dog" / "more").mkdir()
    shutil.copy(root / "train" / "dog" / "0.png", root / "train" / "dog" / "more" / "5.PNG")
    assert read(root).train_labels.tolist() == [0, 1, 2, 0, 1, 2, 1]


def test_advice_names_the_right_folder_or_format(fill, tmp_path):
    root = fill()
    for folder in (root.parent, root / "train"):
        assert refusal(folder, tmp_path).endswith(f"try: data.root={root}")
    assert "does not exist" in refusal(tmp_path / "none", tmp_path)
    (tmp_path / "set.zip").write_bytes(b"PK")
    assert f"try: unzip {tmp_path}/set.zip" in refusal(tmp_path / "set.zip", tmp_path)
    (tmp_path / "other" / "cifar-10-batches-py").mkdir(parents=True)
    assert f"data=cifar10 data.root={tmp_path}/other" in refusal(tmp_path / "other", tmp_path)


def test_images_that_do_not_fit_into_memory_are_refused_before_one_is_decoded(fill, tmp_path, decoded, monkeypatch):
    monkeypatch.setattr("src.data.memory.usable_memory", lambda: 1e7)
    message = refusal(fill(), tmp_path, size=1024)
    assert "has 0.0 GB of pixels; training takes 0.1 GB of memory: this machine has 0.0 GB" in message
    assert not decoded


def test_a_folder_that_may_not_be_read_is_refused_with_its_owner(fill, tmp_path):
    imports = "from src.datasets import Folder\nfrom src.data.sources import load"
    with tempfile.TemporaryDirectory() as place:  # other users cannot enter pytest's folders
        Path(place).chmod(0o755)
        root = Path(shutil.copytree(fill(), f"{place}/set"))
        (root / "train" / "dog").chmod(0)
        data = f"Folder(root={str(root)!r}, batch_size=1, validation=None, split_seed=0, size=10)"
        message = refusal_without_privileges(imports, f"load({data})")
        assert f"{root}/train/dog cannot be read: Permission denied (it belongs to {root.owner()}, mode" in message


def test_the_cache_is_in_the_users_cache_folder(fill, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "home"))
    load(Folder(root=str(fill()), batch_size=1, validation=None, split_seed=0, size=9))
    assert len(list((tmp_path / "home" / "normlab" / "images").glob("*.npz"))) == 1
