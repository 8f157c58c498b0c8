"""Decode image files with Pillow, and bring them to one size."""

from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from src.bad_input import BadInput
from src.data.idx import Bytes
from src.data.refusals import COPY_AGAIN, unreadable_refusal

MOST_PIXELS = 89_478_485  # Pillow's limit, above which a small file may be made to fill the memory
EIGHT_BIT_MODES = ("1", "L", "LA", "P", "PA", "RGB", "RGBA")
# Pillow's names of the other modes.  Converting these images would lose information or guess colours.
OTHER_MODES = {
    "CMYK": "CMYK colours, which are for print",
    "I": "more than 8 bits per channel",
    "F": "floats as pixels",
}
WANTED = "8-bit grey, colour or palette images"


def read_picture(path: Path, size: int, mode: str) -> Bytes:
    """Return an image file as bytes: (size, size) for Pillow's mode `L` (grey), (size, size, 3) for `RGB`.

    The shorter side is resized to `size` pixels with Pillow's bicubic filter, which smooths while it shrinks.  Then the
    centre is cropped.  torchvision's Resize and CenterCrop do the same.  Photos are turned as their EXIF data say, and
    transparent pixels become white.  Raises BadInput, which names the path, if the image cannot be used.
    """
    try:
        with Image.open(path) as picture:
            problem = _find_problem(picture, size)
            if not problem:
                upright = ImageOps.exif_transpose(picture)
                return np.asarray(_crop_to_square(_without_transparency(upright).convert(mode), size))
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        problem = f"has more than {MOST_PIXELS / 1e6:.0f} million pixels"
    except UnidentifiedImageError as error:
        raise BadInput(f"{path} is not an image, or is damaged", WANTED, advice=COPY_AGAIN) from error
    except MemoryError:
        raise
    except Exception as error:  # Pillow raises errors of many kinds for damaged files
        if isinstance(error, OSError) and error.errno is not None:
            raise unreadable_refusal(path, error) from error
        raise BadInput(f"{path} is damaged: {error}", "an intact image", advice=COPY_AGAIN) from error
    raise BadInput(f"{path} {problem}", WANTED, advice="convert or remove the image")


def _find_problem(picture: Image.Image, size: int) -> str:
    """Return why an opened image, whose pixels are not decoded yet, cannot be used; an empty string if it can."""
    # A phone's MPO file is a JPEG with a second version of the same photo.
    if getattr(picture, "n_frames", 1) > 1 and picture.format != "MPO":
        return "is animated or has several pages"
    rawmodes = [str(tile[3]) for tile in getattr(picture, "tile", [])]
    has_16_bits = any(";16" in rawmode or (picture.format == "PPM" and "65535" in rawmode) for rawmode in rawmodes)
    if picture.mode.startswith("I;16") or has_16_bits:
        return "has 16 bits per channel"
    if picture.mode not in EIGHT_BIT_MODES:
        return f"has {OTHER_MODES.get(picture.mode, f'the mode {picture.mode}')}"
    if size**2 * max(picture.size) > MOST_PIXELS * min(picture.size):
        return f"is too narrow: {picture.width:,} x {picture.height:,} pixels"
    return ""


def _without_transparency(picture: Image.Image) -> Image.Image:
    """Return an image over a white background if it can be transparent; opaque pixels keep their values."""
    if not picture.has_transparency_data:
        return picture
    coloured = picture.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", picture.size, "white"), coloured).convert("RGB")


def _crop_to_square(picture: Image.Image, size: int) -> Image.Image:
    shorter = min(picture.size)
    width, height = (size * side // shorter for side in picture.size)
    if (width, height) != picture.size:
        picture = picture.resize((width, height), Image.Resampling.BICUBIC)
    left, top = round((width - size) / 2), round((height - size) / 2)
    return picture.crop((left, top, left + size, top + size))
