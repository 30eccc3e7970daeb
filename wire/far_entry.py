"""An entry of an earlier journal of the gate, named so that the centre finds it (wire.md §6; gate_agent.succession)."""

from __future__ import annotations

from typing import NamedTuple

from wire.messages import COUNTING, INCARNATION_BYTES, Entry, EntryKind

FAR_ENTRY_BYTES = INCARNATION_BYTES + 8
NAMES_FAR = COUNTING | {EntryKind.RETURNED}
"""What is said of an intent that may be in an earlier journal: somebody passed after all, or staff gave it back."""


class FarEntry(NamedTuple):
    """In the journal at hand it stands with a number of 0 or less, which means nothing to anybody else."""

    incarnation: bytes
    seq: int

    def evidence(self) -> bytes:
        """What an entry says of it (16 B): the incarnation, and its number there as u64."""
        return self.incarnation + self.seq.to_bytes(8, "big")


def far_entry(entry: Entry) -> FarEntry | None:
    """The intent of an earlier journal that an entry speaks of; None: it is of its own journal, or not said."""
    told = entry.evidence or b""
    if entry.kind not in NAMES_FAR or len(told) != FAR_ENTRY_BYTES or (entry.ref_seq or 0) > 0:
        return None
    return FarEntry(told[:INCARNATION_BYTES], int.from_bytes(told[INCARNATION_BYTES:], "big"))
