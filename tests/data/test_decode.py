"""Image files of many kinds: brought to one size as torchvision does, or refused with the path."""

import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from torchvision.transforms import v2

from src.bad_input import BadInput
from src.data.decode import read_picture

RANDOM = np.random.default_rng(4)
COLOUR = RANDOM.integers(0, 256, (20, 30, 3), dtype=np.uint8)
GREY = COLOUR[..., 0]


def saved(path: Path, pixels: np.ndarray | Image.Image, **options: object) -> Path:
    picture = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)
    picture.save(path, **options)
    return path


def png(path: Path, width: int, height: int, depth: int, colour_type: int, rows: bytes) -> Path:
    """Write a PNG by hand, because Pillow writes neither 16-bit colours nor headers without pixels."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", width, height, depth, colour_type, 0, 0, 0)
    parts = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + parts)
    return path


def refusal(path: Path) -> str:
    with pytest.raises(BadInput) as refused:
        read_picture(path, 32, "RGB")
    assert str(path) in str(refused.value).splitlines()[0]
    assert len(str(refused.value).splitlines()) <= 3
    return str(refused.value)


@pytest.mark.parametrize("shape", [(32, 32), (20, 30), (30, 20), (64, 64), (33, 97), (100, 41), (1, 5), (7, 7)])
@pytest.mark.parametrize("size", [28, 32, 47])
def test_resizing_and_cropping_equal_torchvisions(shape, size, tmp_path):
    pixels = RANDOM.integers(0, 256, (*shape, 3), dtype=np.uint8)
    path = saved(tmp_path / "a.png", pixels)
    for mode in ("RGB", "L"):
        reference = v2.Compose([v2.Resize(size, v2.InterpolationMode.BICUBIC), v2.CenterCrop(size)])
        expected = np.asarray(reference(Image.fromarray(pixels).convert(mode)))
        assert np.array_equal(read_picture(path, size, mode), expected)


@pytest.mark.parametrize(
    "convert",
    [
        lambda picture: picture.convert("P"),
        lambda picture: picture.convert("L"),
        lambda picture: picture.convert("1"),
        lambda picture: picture.convert("RGBA"),
        lambda picture: picture.convert("LA"),
    ],
    ids=["palette", "grey", "black and white", "opaque", "opaque grey"],
)
def test_palettes_grey_and_opaque_images_keep_their_values(convert, tmp_path):
    picture = convert(Image.fromarray(COLOUR[:16, :16]))
    path = saved(tmp_path / "a.png", picture)
    assert np.array_equal(read_picture(path, 16, "RGB"), np.asarray(picture.convert("RGB")))


def test_transparent_pixels_become_white(tmp_path):
    pixels = np.dstack([COLOUR[:16, :16], np.full((16, 16), 255, dtype=np.uint8)])
    pixels[:8, :, 3] = 0
    pixels[8, :, 3] = 128
    found = read_picture(saved(tmp_path / "a.png", pixels), 16, "RGB")
    assert (found[:8] == 255).all()
    assert np.abs(found[8] - (pixels[8, :, :3] * 128.0 + 255 * 127) / 255).max() <= 1
    assert np.array_equal(found[9:], pixels[9:, :, :3])
    palette = Image.fromarray(COLOUR[:16, :16]).convert("P")
    saved(tmp_path / "b.png", palette, transparency=palette.getpixel((3, 5)))
    assert (read_picture(tmp_path / "b.png", 16, "RGB")[5, 3] == 255).all()


def test_photos_are_turned_upright(tmp_path):
    path = saved(
        tmp_path / "a.png",
        COLOUR[:16, :16],
        exif=b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0",
    )
    assert np.array_equal(read_picture(path, 16, "RGB"), np.rot90(COLOUR[:16, :16], -1))


def test_the_first_of_a_phones_two_pictures_is_read(tmp_path):
    pictures = [Image.new("RGB", (16, 16), colour) for colour in ("red", "blue")]
    path = saved(tmp_path / "a.jpg", pictures[0], format="MPO", save_all=True, append_images=pictures[1:])
    assert read_picture(path, 16, "RGB")[8, 8].tolist() == pytest.approx([255, 0, 0], abs=3)


REFUSED: dict[str, tuple[Callable[[Path], Path], str]] = {
    "cmyk": (lambda folder: saved(folder / "a.jpg", Image.fromarray(COLOUR).convert("CMYK")), "has CMYK colours"),
    "16-bit grey": (lambda folder: saved(folder / "a.png", GREY.astype(np.uint16) * 256), "has 16 bits per channel"),
    "16-bit colour": (
        lambda folder: png(folder / "a.png", 4, 2, 16, 2, b"\0" + bytes(range(24)) + b"\0" + bytes(24)),
        "has 16 bits per channel",
    ),
    "32-bit": (lambda folder: saved(folder / "a.tif", GREY.astype(np.int32)), "more than 8 bits per channel"),
    "floats": (lambda folder: saved(folder / "a.tif", GREY.astype(np.float32)), "has floats as pixels"),
    "lab": (lambda folder: saved(folder / "a.tif", Image.new("LAB", (9, 9))), "has the mode LAB"),
    "animated": (
        lambda folder: saved(
            folder / "a.gif", Image.fromarray(GREY), save_all=True, append_images=[Image.fromarray(GREY[::-1])]
        ),
        "is animated",
    ),
    "pages": (
        lambda folder: saved(
            folder / "a.tif", Image.fromarray(GREY), save_all=True, append_images=[Image.fromarray(GREY[::-1])]
        ),
        "has several pages",
    ),
    "bomb": (lambda folder: png(folder / "a.png", 12_000, 12_000, 8, 2, b""), "has more than 89 million pixels"),
    "huge bomb": (lambda folder: png(folder / "a.png", 60_000, 60_000, 8, 2, b""), "has more than 89 million pixels"),
    "narrow": (lambda folder: png(folder / "a.png", 1, 1_000_000, 8, 0, b""), "is too narrow: 1 x 1,000,000 pixels"),
    "truncated": (lambda folder: cut(saved(folder / "a.jpg", COLOUR), 0.7), "is damaged: "),
    "truncated png": (lambda folder: cut(saved(folder / "a.png", COLOUR), 0.7), "is damaged: "),
    "a web page": (lambda folder: written(folder / "a.jpg", b"<html>not found</html>"), "is not an image"),
    "a header alone": (lambda folder: written(folder / "a.png", b"\x89PNG\r\n\x1a\n"), "is not an image"),
    "a zip archive": (lambda folder: written(folder / "a.png", b"PK\x03\x04" + bytes(100)), "is not an image"),
    "missing": (lambda folder: folder / "a.png", "cannot be read: No such file"),
}


def cut(path: Path, share: float) -> Path:
    content = path.read_bytes()
    return written(path, content[: int(share * len(content))])


def written(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


@pytest.mark.parametrize(("make", "message"), REFUSED.values(), ids=REFUSED)
def test_an_image_that_cannot_be_used_is_refused_with_its_path(make, message, tmp_path):
    assert message in refusal(make(tmp_path))
