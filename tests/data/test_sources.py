"""torchvision really downloads its datasets, from a local server that has small ones in their place."""

import gzip
import hashlib
import http.server
import io
import pickle
import socket
import tarfile
import threading
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pytest
import scipy.io
from torchvision import datasets

from src.bad_input import BadInput
from src.data.downloads import EMNIST_CLASSES, SYSTEM_FOLDERS
from src.data.idx_folder import PUBLISHED
from src.data.idx_names import FILES
from src.data.images import Images
from src.data.sources import load
from src.data.synthetic import make_images
from src.datasets import DATASETS, Synthetic
from tests.data.conftest import to_idx

# torchvision unpacks tar files without a filter, and Python 3.12 and 3.13 warn about it.
pytestmark = pytest.mark.filterwarnings("ignore:Python 3.14 will, by default, filter:DeprecationWarning")

CLASSES = ["plane", "car"]
DEBIANS = Path("/usr/share/datasets/fashion-mnist")


@dataclass
class Site:
    """A server's files by path, and the paths that were requested."""

    address: str = ""
    files: dict[str, bytes] = field(default_factory=dict)
    requested: list[str] = field(default_factory=list)


@pytest.fixture
def site(monkeypatch) -> Iterator[Site]:
    site = Site()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            site.requested.append(self.path)
            content = site.files.get(self.path)
            self.send_response(200 if content is not None else 404)
            self.send_header("Content-Length", str(len(content or b"")))
            self.end_headers()
            self.wfile.write(content or b"")

        def log_message(self, *words):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        site.address = f"http://127.0.0.1:{server.server_port}/"
        monkeypatch.setenv("no_proxy", "*")
        yield site
        server.shutdown()
        thread.join()


@pytest.fixture
def closed_address() -> str:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{free.getsockname()[1]}/"


def md5(content: bytes) -> str:
    return hashlib.md5(content).hexdigest()


def serve_idx(site: Site, dataset: type, idx_set: dict[str, bytes], monkeypatch) -> None:
    packed = {f"{name}.gz": gzip.compress(content, mtime=0) for name, content in idx_set.items()}
    site.files = {f"/{name}": content for name, content in packed.items()}
    monkeypatch.setattr(dataset, "mirrors", [site.address])
    monkeypatch.setattr(dataset, "resources", [(name, md5(content)) for name, content in packed.items()])
    monkeypatch.setitem(PUBLISHED, dataset.__name__, tuple(md5(packed[f"{name}.gz"]) for name in FILES))


def serve_cifar(site: Site, monkeypatch, dataset: type = datasets.CIFAR10) -> tuple[np.ndarray, np.ndarray]:
    """Serve six training images in two batches and two test images; return images (N, 3, 32, 32) and labels."""
    labels_name = "labels" if dataset is datasets.CIFAR10 else "fine_labels"
    pixels = np.random.default_rng(1).integers(0, 256, (8, 3, 32, 32)).astype(np.uint8)
    labels = np.arange(8) % 2
    parts = {"data_batch_1": slice(0, 3), "data_batch_2": slice(3, 6), "test_batch": slice(6, 8)}
    members = {
        name: pickle.dumps({"data": pixels[part].reshape(-1, 3072), labels_name: labels[part].tolist()})
        for name, part in parts.items()
    } | {"batches.meta": pickle.dumps({dataset.meta["key"]: CLASSES})}
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w:gz") as tar:
        for name, content in members.items():
            entry = tarfile.TarInfo(f"{dataset.base_folder}/{name}")
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
    site.files = {"/cifar.tar.gz": archive.getvalue()}
    hashed = [[name, md5(content)] for name, content in members.items()]
    monkeypatch.setattr(dataset, "url", f"{site.address}cifar.tar.gz")
    monkeypatch.setattr(dataset, "tgz_md5", md5(archive.getvalue()))
    monkeypatch.setattr(dataset, "train_list", hashed[:2])
    monkeypatch.setattr(dataset, "test_list", hashed[2:3])
    monkeypatch.setattr(dataset, "meta", dataset.meta | {"filename": "batches.meta", "md5": hashed[3][1]})
    return pixels, labels


def serve_svhn(site: Site, monkeypatch) -> tuple[np.ndarray, np.ndarray]:
    """Serve six training images and four test images; return images (N, 3, 32, 32) and digits."""
    pixels = np.random.default_rng(1).integers(0, 256, (10, 3, 32, 32)).astype(np.uint8)
    digits = np.array([0, 1, 9, 5, 0, 3, 0, 2, 4, 8])
    split_list = {}
    for split, part in (("train", slice(0, 6)), ("test", slice(6, 10))):
        file, name = io.BytesIO(), f"{split}_32x32.mat"
        labels = np.where(digits[part] == 0, 10, digits[part])[:, None]  # SVHN gives the digit 0 the label 10
        scipy.io.savemat(file, {"X": pixels[part].transpose(2, 3, 1, 0), "y": labels.astype(np.uint8)})
        site.files[f"/{name}"] = file.getvalue()
        split_list[split] = [f"{site.address}{name}", name, md5(file.getvalue())]
    monkeypatch.setattr(datasets.SVHN, "split_list", split_list)
    return pixels, digits


def serve_emnist(site: Site, monkeypatch) -> dict[str, dict[str, np.ndarray]]:
    """Serve EMNIST's archive of six small datasets; return the arrays of each dataset by file name."""
    random, sets = np.random.default_rng(1), {}
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as zipped:
        for split, classes in EMNIST_CLASSES.items():
            first = int(split == "letters")
            sets[split] = {}
            for part, count in (("train", len(classes)), ("test", 5)):
                images = random.integers(0, 256, (count, 28, 28)).astype(np.uint8)
                sets[split] |= {f"{part}-images-idx3": images, f"{part}-labels-idx1": np.arange(count) + first}
            for name, array in sets[split].items():
                zipped.writestr(f"gzip/emnist-{split}-{name}-ubyte.gz", gzip.compress(to_idx(array), mtime=0))
    site.files = {"/gzip.zip": archive.getvalue()}
    monkeypatch.setattr(datasets.EMNIST, "url", f"{site.address}gzip.zip")
    monkeypatch.setattr(datasets.EMNIST, "md5", md5(archive.getvalue()))
    return sets


def load_again(name: str, root: Path | None, **keys: str) -> Images:
    """Read a dataset again: loading another one first removes it from memory."""
    load(Synthetic("synthetic", 1, 1, 0, None, 0.0, 0, 2, 1, 28, 1, 1, 0.0))
    return load(DATASETS[name](root=root and str(root), batch_size=1, validation=1, split_seed=0, **keys))


def refusal(name: str, root: Path | None) -> str:
    with pytest.raises(BadInput) as refused:
        load_again(name, root, **({"emnist_split": "letters"} if name == "emnist" else {}))
    assert len(str(refused.value).splitlines()) <= 3
    return str(refused.value)


@pytest.mark.parametrize(("name", "dataset"), [("fashion_mnist", datasets.FashionMNIST), ("kmnist", datasets.KMNIST)])
def test_fashion_mnist_and_kmnist_are_downloaded_once(name, dataset, tmp_path, site, idx_set, monkeypatch):
    serve_idx(site, dataset, idx_set, monkeypatch)
    first = load_again(name, tmp_path / "data")
    expected = np.frombuffer(idx_set["train-images-idx3-ubyte"], np.uint8, offset=16).reshape(30, 1, 28, 28)
    assert np.array_equal(first.train_images, expected)
    assert first.test_labels.tolist() == [*range(10), 0, 1]
    assert len(first.source.classes) == 10
    assert site.requested

    site.requested.clear()
    assert load_again(name, tmp_path / "data").source == first.source
    assert not site.requested


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("name", ["fashion_mnist", "kmnist"])
def test_another_dataset_in_mnists_format_is_refused(name, packed, tmp_path, idx_set, monkeypatch, closed_address):
    for dataset in (datasets.FashionMNIST, datasets.KMNIST):
        monkeypatch.setattr(dataset, "mirrors", [closed_address])
    for file, content in idx_set.items():
        (tmp_path / (file + ".gz" * packed)).write_bytes(gzip.compress(content) if packed else content)
    known_unpacked = packed or name == "fashion_mnist"  # for KMNIST, only digests of packed files are published
    assert ("is not the published" if known_unpacked else "could not be downloaded") in refusal(name, tmp_path)
    assert len(list(tmp_path.iterdir())) == 4


def test_debians_fashion_mnist_is_the_published_one(tmp_path):
    if not DEBIANS.is_dir():
        pytest.skip("dataset-fashion-mnist is not installed: the digests of Fashion-MNIST are NOT tested")
    published = dict(datasets.FashionMNIST.resources)
    for name in FILES:
        packed = (DEBIANS / f"{name}.gz").read_bytes()
        time = 1504176606 if name.startswith("train") else 1504176627
        header = b"\x1f\x8b\x08\x08" + time.to_bytes(4, "little") + b"\x00\x03" + name.encode() + b"\0"
        assert md5(header + packed[10:]) == published[f"{name}.gz"]  # Debian's header has ten bytes and no name
        (tmp_path / name).write_bytes(gzip.decompress(packed))
    source = load_again("fashion_mnist", DEBIANS).source
    assert (source.train, source.test, source.classes[0]) == (60_000, 10_000, "T-shirt")
    assert load_again("fashion_mnist", tmp_path).source.digest == source.digest


def test_debians_fashion_mnist_is_found_without_a_root(tmp_path, lay_out, idx_set, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setitem(SYSTEM_FOLDERS, "FashionMNIST", lay_out(tmp_path / "system", packed=True))
    digests = tuple(hashlib.sha256(idx_set[name]).hexdigest() for name in FILES)
    monkeypatch.setitem(PUBLISHED, "FashionMNIST", digests)
    installed = load_again("fashion_mnist", None).source
    assert installed.place == str(tmp_path / "system")
    lay_out(tmp_path / "cache" / "normlab" / "FashionMNIST" / "raw")
    downloaded = load_again("fashion_mnist", None).source
    assert downloaded == replace(installed, place=str(tmp_path / "cache" / "normlab"))


@pytest.mark.parametrize("name", ["fashion_mnist", "kmnist", "emnist", "cifar10", "cifar100", "svhn"])
def test_a_folder_of_images_is_not_downloaded_into(name, tmp_path):
    for split in ("train", "test"):
        (tmp_path / split / "cat").mkdir(parents=True)
    assert refusal(name, tmp_path).endswith(f"write: data=folder data.root={tmp_path}")
    assert len(list(tmp_path.iterdir())) == 2


@pytest.mark.parametrize("name", ["fashion_mnist", "kmnist", "cifar10"])
def test_a_file_in_place_of_the_download_folder_is_refused(name, tmp_path, closed_address, monkeypatch):
    for dataset in (datasets.FashionMNIST, datasets.KMNIST):
        monkeypatch.setattr(dataset, "mirrors", [closed_address])
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to("nowhere")
    for root in (tmp_path / "file", tmp_path / "link"):
        message = refusal(name, root)
        assert f"data.root={root} is " in message
        assert "could not be downloaded" not in message


def test_a_published_dataset_in_a_folder_below_is_suggested_and_not_downloaded(tmp_path, lay_out):
    lay_out(tmp_path / "datasets" / "fashion-mnist")
    message = refusal("fashion_mnist", tmp_path / "datasets")
    assert message.splitlines()[-1] == f"  write: data.root={tmp_path}/datasets/fashion-mnist"


@pytest.mark.parametrize("name", ["mnist", "idx", "cifar10"])
def test_a_folder_name_that_is_not_utf8_is_refused(name, tmp_path, monkeypatch):
    root = tmp_path / "bad\udcff"  # Python's form of a byte that is not UTF-8
    root.mkdir()
    assert f"data.root={tmp_path}/bad\\xff: its name is not UTF-8" in refusal(name, root)
    monkeypatch.chdir(root)
    assert "its name is not UTF-8" in refusal(name, Path("set"))


@pytest.mark.parametrize(("name", "dataset"), [("cifar10", datasets.CIFAR10), ("cifar100", datasets.CIFAR100)])
def test_cifar_is_downloaded_once(name, dataset, tmp_path, site, monkeypatch):
    pixels, labels = serve_cifar(site, monkeypatch, dataset)
    first = load_again(name, tmp_path / "data")
    assert np.array_equal(first.train_images, pixels[:6])
    assert np.array_equal(first.test_images, pixels[6:])
    assert first.train_labels.tolist() == labels[:6].tolist()
    assert first.source.classes == tuple(CLASSES)
    assert (first.source.channels, first.source.size, first.source.train, first.source.test) == (3, 32, 6, 2)

    site.requested.clear()
    assert load_again(name, tmp_path / "data").source == first.source
    assert not site.requested


def test_svhn_is_downloaded_once_with_the_label_0_for_the_digit_0(tmp_path, site, monkeypatch):
    pixels, digits = serve_svhn(site, monkeypatch)
    first = load_again("svhn", tmp_path / "data")
    assert np.array_equal(first.train_images, pixels[:6])
    assert np.array_equal(first.test_images, pixels[6:])
    assert [*first.train_labels, *first.test_labels] == digits.tolist()
    assert first.source.classes == tuple("0123456789")
    site.requested.clear()
    assert load_again("svhn", tmp_path / "data").source == first.source
    assert not site.requested
    damaged = tmp_path / "data" / "test_32x32.mat"
    damaged.write_bytes(damaged.read_bytes()[:-1] + b"?")
    assert load_again("svhn", tmp_path / "data").source == first.source
    assert set(site.requested) == {"/test_32x32.mat"}


def test_emnists_six_datasets_are_upright_and_their_labels_start_at_0(tmp_path, site, monkeypatch):
    sets = serve_emnist(site, monkeypatch)
    assert set(EMNIST_CLASSES) == set(datasets.EMNIST.splits)
    for split, arrays in sets.items():
        images = load_again("emnist", tmp_path / "data", emnist_split=split)
        assert np.array_equal(images.train_images[:, 0], arrays["train-images-idx3"].transpose(0, 2, 1))
        assert np.array_equal(images.test_images[:, 0], arrays["test-images-idx3"].transpose(0, 2, 1))
        assert images.train_labels.tolist() == list(range(len(images.source.classes)))
        published = datasets.EMNIST.classes_split_dict[split]
        assert images.source.classes == tuple(name for name in published if name != "N/A")
    assert site.requested == ["/gzip.zip"] * 2  # torchvision first asks for redirections


def test_a_changed_archive_of_emnist_is_refused(tmp_path, site, monkeypatch):
    serve_emnist(site, monkeypatch)
    site.files["/gzip.zip"] += b"?"
    assert "corrupted" in refusal("emnist", tmp_path / "data")


def test_the_default_folder_is_in_the_users_cache(tmp_path, site, idx_set, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    serve_idx(site, datasets.KMNIST, idx_set, monkeypatch)
    assert load_again("kmnist", None).source.place == str(tmp_path / "cache" / "normlab")


@pytest.mark.parametrize("name", ["fashion_mnist", "kmnist", "emnist", "cifar10", "cifar100", "svhn"])
@pytest.mark.parametrize("there_before", [False, True])
def test_without_a_network_the_refusal_is_short_and_nothing_is_left(
    there_before, name, tmp_path, closed_address, monkeypatch
):
    monkeypatch.setenv("no_proxy", "*")
    for dataset in (datasets.FashionMNIST, datasets.KMNIST):
        monkeypatch.setattr(dataset, "mirrors", [closed_address])
    monkeypatch.setattr(datasets.CIFAR10, "url", f"{closed_address}cifar.tar.gz")
    monkeypatch.setattr(datasets.CIFAR100, "url", f"{closed_address}cifar.tar.gz")
    monkeypatch.setattr(datasets.EMNIST, "url", f"{closed_address}gzip.zip")
    unreachable = {split: [closed_address, *file[1:]] for split, file in datasets.SVHN.split_list.items()}
    monkeypatch.setattr(datasets.SVHN, "split_list", unreachable)
    root = tmp_path / "data"
    if there_before:
        root.mkdir()
    message = refusal(name, root)
    assert "could not be downloaded" in message
    assert "Connection refused" in message
    assert sorted(tmp_path.rglob("*")) == ([root] if there_before else [])


def test_files_that_cannot_be_read_are_kept(tmp_path, site, monkeypatch):
    serve_cifar(site, monkeypatch)
    load_again("cifar10", tmp_path / "data")
    before = sorted(tmp_path.rglob("*"))

    def deny(dataset):
        raise PermissionError(13, "Permission denied", str(tmp_path / "data" / "cifar-10-batches-py"))

    monkeypatch.setattr(datasets.CIFAR10, "_check_integrity", deny)
    assert "cifar-10-batches-py cannot be read: Permission denied" in refusal("cifar10", tmp_path / "data")
    assert sorted(tmp_path.rglob("*")) == before


def test_a_partial_download_is_refused_and_the_next_one_works(tmp_path, site, idx_set, monkeypatch):
    serve_idx(site, datasets.KMNIST, idx_set, monkeypatch)
    whole = site.files["/t10k-labels-idx1-ubyte.gz"]
    site.files["/t10k-labels-idx1-ubyte.gz"] = whole[:20]
    assert "corrupted" in refusal("kmnist", tmp_path / "data")
    site.files["/t10k-labels-idx1-ubyte.gz"] = whole
    assert load_again("kmnist", tmp_path / "data").source.test == 12


def test_a_damaged_cifar_file_is_unpacked_again(tmp_path, site, monkeypatch):
    serve_cifar(site, monkeypatch)
    first = load_again("cifar10", tmp_path)
    batch = tmp_path / "cifar-10-batches-py" / "data_batch_2"
    batch.write_bytes(batch.read_bytes()[:-1] + b"?")
    assert load_again("cifar10", tmp_path).source == first.source


@pytest.mark.parametrize("packed", [False, True])
def test_packed_and_plain_files_have_the_same_digest(packed, tmp_path, lay_out):
    plain = load_again("idx", lay_out(tmp_path / "plain"))
    other = load_again("idx", lay_out(tmp_path / "other", packed=packed))
    assert other.source.digest == plain.source.digest
    assert other.source.classes == tuple("0123456789")
    assert (other.source.train, other.source.test) == (30, 12)


def test_one_changed_pixel_changes_the_digest(tmp_path, lay_out, idx_set):
    content = idx_set["t10k-images-idx3-ubyte"]
    changed = lay_out(tmp_path / "b", t10k_images=content[:-1] + bytes([content[-1] ^ 1]))
    assert load_again("idx", lay_out(tmp_path / "a")).source.digest != load_again("idx", changed).source.digest


def test_synthetic_images_are_reproducible():
    np.random.seed(0)
    images, labels = make_images(20, 4, 3, 32, 0.5, stream="train")
    np.random.seed(1)
    again, labels_again = make_images(20, 4, 3, 32, 0.5, stream="train")
    assert np.array_equal(images, again)
    assert np.array_equal(labels, labels_again)
    assert (images.shape, images.dtype) == ((20, 3, 32, 32), np.uint8)


def test_synthetic_images_are_computed_in_blocks(monkeypatch):
    whole = make_images(20, 4, 3, 32, 0.5, stream="train")
    monkeypatch.setattr("src.data.synthetic.BLOCK", 7)
    blocks = make_images(20, 4, 3, 32, 0.5, stream="train")
    assert all(map(np.array_equal, whole, blocks))


def test_synthetic_images_that_do_not_fit_into_memory_are_refused():
    with pytest.raises(BadInput, match=r"data.size=1024 has 31,488\.7 GB of pixels; training takes"):
        load(Synthetic("synthetic", 1, 1, 0, None, 0.0, 0, 2, 3, 1024, 10**7, 10**4, 0.0))


def test_synthetic_test_images_are_new_images_of_the_same_classes():
    train, train_labels = make_images(100, 4, 1, 28, 0.5, stream="train")
    test, test_labels = make_images(100, 4, 1, 28, 0.5, stream="test")
    assert not any((train == image).all(axis=(1, 2, 3)).any() for image in test)
    means = np.stack([train[train_labels == k].mean(axis=0) for k in range(4)])
    distances = ((test[:, None] - means) ** 2).sum(axis=(2, 3, 4))
    assert (distances.argmin(axis=1) == test_labels).mean() > 0.9


@pytest.mark.parametrize(
    "change", [{"classes": 5}, {"channels": 3}, {"size": 32}, {"images": 21}, {"test_images": 9}, {"noise": 0.4}]
)
def test_every_setting_of_the_synthetic_dataset_changes_its_digest(change):
    def digest(**changes):
        settings = {"classes": 4, "channels": 1, "size": 28, "images": 20, "test_images": 8, "noise": 0.5} | changes
        return load(Synthetic(batch_size=1, validation=1, split_seed=0, **settings)).source.digest

    assert digest(**change) != digest()
