"""Checks PNG files for damage."""

import zlib
from pathlib import Path

from src.storage.stored import DamagedFile, read_stored

SIGNATURE = b"\x89PNG\r\n\x1a\n"
LARGEST_PICTURE = 50_000_000  # bytes; a picture of a job has about 100,000
LONGEST_SIDE = 20_000  # the largest allowed width and height in pixels


def picture_fault(path: Path) -> str:
    """Return the fault in a PNG file, or an empty string if each chunk has the right length and checksum.

    Format: https://www.w3.org/TR/png-3/#5Chunk-layout
    """
    try:
        content = read_stored(path, LARGEST_PICTURE)
    except DamagedFile as damaged:
        return damaged.reason
    if not content.startswith(SIGNATURE):
        return "is not a PNG picture"
    offset, chunk_type = len(SIGNATURE), b""
    while offset < len(content) and chunk_type != b"IEND":
        length, chunk_type = int.from_bytes(content[offset : offset + 4], "big"), content[offset + 4 : offset + 8]
        body = content[offset + 4 : offset + 8 + length]
        offset += 12 + length
        if content[offset - 4 : offset] != zlib.crc32(body).to_bytes(4, "big") or len(body) != 4 + length:
            return "is damaged"
        dimensions = int.from_bytes(body[4:8], "big"), int.from_bytes(body[8:12], "big")
        if chunk_type == b"IHDR" and not all(0 < side <= LONGEST_SIDE for side in dimensions):
            return f"has an impossible size: {dimensions[0]:,} x {dimensions[1]:,} pixels"
    return "" if chunk_type == b"IEND" and offset == len(content) else "is cut off"
