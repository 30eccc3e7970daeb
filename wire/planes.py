"""Fixed rows, laid byte plane by byte plane: all first bytes, all second bytes, … (pure).

Sorted ids and repeating dates then compress to about half, and a plane is one slice with a stride, so packing costs
nothing in Python.
"""

from __future__ import annotations


def laid(rows: bytes, width: int) -> bytes:
    """Rows of `width` bytes each, as planes."""
    return b"".join(rows[offset::width] for offset in range(width))


def rows(planes: bytes, width: int) -> bytes:
    """The rows again."""
    count = len(planes) // width
    told = bytearray(len(planes))
    for offset in range(width):
        told[offset::width] = planes[offset * count : (offset + 1) * count]
    return bytes(told)
