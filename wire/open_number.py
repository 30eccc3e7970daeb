"""Numbers to which a later release may add: whoever does not know one keeps it as it is."""

from __future__ import annotations

from enum import IntEnum
from typing import Self

MAX_OPEN_NUMBER = 255
UNKNOWN = "UNKNOWN_"
"""How numbers of later releases are named: `UNKNOWN_12`."""


class OpenNumber(IntEnum):
    """An enumeration that is not closed.

    So a journal that a newer release wrote in is read, verified, sent and written on after a rollback.
    """

    @classmethod
    def _missing_(cls, value: object) -> Self | None:
        if not isinstance(value, int) or not 0 <= value <= MAX_OPEN_NUMBER:
            return None
        unknown = int.__new__(cls, value)
        unknown._name_, unknown._value_ = f"{UNKNOWN}{value}", value
        return unknown

    @property
    def is_known(self) -> bool:
        """Whether this release has a name for it."""
        return not self._name_.startswith(UNKNOWN)
