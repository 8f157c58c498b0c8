"""Check PNG files."""

import zlib
from pathlib import Path

from src.storage.stored import Damaged, read_stored

SIGNATURE = b"\x89PNG\r\n\x1a\n"
LARGEST_PICTURE = 50_000_000  # bytes; ours have 100,000
LONGEST_SIDE = 20_000  # pixels


def picture_fault(path: Path) -> str:
    """Return the fault in a PNG file, or an empty string; checks the length and checksum of each chunk.

    Format: https://www.w3.org/TR/png-3/#5Chunk-layout
    """
    try:
        content = read_stored(path, LARGEST_PICTURE)
    except Damaged as damaged:
        return damaged.reason
    if not content.startswith(SIGNATURE):
        return "is not a PNG picture"
    place, kind = len(SIGNATURE), b""
    while place < len(content) and kind != b"IEND":
        length, kind = int.from_bytes(content[place : place + 4], "big"), content[place + 4 : place + 8]
        body = content[place + 4 : place + 8 + length]
        place += 12 + length
        if content[place - 4 : place] != zlib.crc32(body).to_bytes(4, "big") or len(body) != 4 + length:
            return "is damaged"
        sides = int.from_bytes(body[4:8], "big"), int.from_bytes(body[8:12], "big")
        if kind == b"IHDR" and not all(0 < side <= LONGEST_SIDE for side in sides):
            return f"claims {sides[0]:,} x {sides[1]:,} pixels"
    return "" if kind == b"IEND" and place == len(content) else "is cut off"
