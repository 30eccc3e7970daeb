"""A list put in force by sync: verified, then its file swapped in, or the one in force brought up to date in place."""

from __future__ import annotations

import fcntl
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

from gate_agent import list_file
from gate_agent.disk import fsync
from gate_agent.list_file import ListFlaw, NotInstalled
from gate_agent.pass_list import CURRENT, FOLDER, Origin, PassList, name_in_force
from wire import feed
from wire.feed import Head
from wire.keyset import KeySet
from wire.messages import GateConfig
from wire.signing import SealFlaw

BUILDING, LOCK = "building", "lock"
IN_PLACE_BYTES = 16_384
"""A delta up to this (some 500 rows) goes into the live file; of a larger one nearly every row dirties another page."""
OUTGROWN_ROWS = 100_000
OUTGROWN_SHARE = 0.5
"""A file is built anew from the next snapshot when deltas have brought more rows than both of these allow."""
FILE_KEPT_MS = 45 * 86_400_000
"""And when it is older by the centre's time: passes that ended weeks ago leave it only so."""
RENEW_AFTER_MS = 60_000
"""How much younger a head of the same version must be to be written down: a card wears out by writing."""


def install(
    data_dir: Path, head: bytes, segments: Callable[[bytes], bytes], keys: KeySet, config: GateConfig
) -> Head | NotInstalled:
    """Verify a list and put it in force; `segments` gives the bytes that bear a name. NotInstalled changes nothing.

    Deltas are applied to the file in force, a snapshot is built beside it. A head of the version held brings its newer
    time, and perhaps another snapshot for a file that has outgrown its own. Whatever `segments` raises leaves the list
    held in force. Two processes do it one after the other.
    """
    folder = data_dir / FOLDER
    folder.mkdir(mode=0o700, exist_ok=True)
    with (folder / LOCK).open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        return _install(data_dir, head, segments, keys, config)


def _install(
    data_dir: Path, head: bytes, segments: Callable[[bytes], bytes], keys: KeySet, config: GateConfig
) -> Head | NotInstalled:
    read = feed.read_head(head, keys, config.feed_id)
    if isinstance(read, SealFlaw):
        return NotInstalled("head", read)
    if read.venue != config.venue:
        return NotInstalled("list", ListFlaw.WRONG_VENUE)
    held = PassList.open(data_dir)
    if held is not None and held.head.feed_id == read.feed_id:
        if (read.epoch, read.version) < (held.epoch, held.version):
            return NotInstalled("list", ListFlaw.ROLLED_BACK)
        if (read.epoch, read.version) == (held.epoch, held.version):
            if read.signed_at_ms - held.head.signed_at_ms >= RENEW_AFTER_MS:
                _renew_head(held.path, read)
            if not _is_outgrown(held.origin, read):
                return read
    if not _is_whole(read):
        return NotInstalled("list", ListFlaw.GAP)
    list_keys = dict(config.list_keys)
    folder = data_dir / FOLDER
    if held is not None and held.version != read.version and _goes_on_from(held.head, read):
        fresh = [ref for ref in read.deltas if ref.version > held.version]
        if sum(len(segments(ref.name)) for ref in fresh) <= IN_PLACE_BYTES:
            refused = list_file.apply(held.path, fresh, read, segments, list_keys)
            if refused is None:
                _point(folder, held.path.name)
            return refused or read
        list_file.copy(held.path, folder / BUILDING)
        refused = list_file.apply_beside(folder / BUILDING, fresh, read, segments, list_keys)
    else:
        refused = list_file.build(folder / BUILDING, read, segments, list_keys)
    if refused is not None:
        list_file.remove(folder / BUILDING)
        return refused
    _put_in_force(folder, f"{read.epoch}-{read.version}.db")
    return read


def _goes_on_from(held: Head, head: Head) -> bool:
    """Whether the deltas alone lead from the list held to the head's."""
    same = (held.feed_id, held.epoch) == (head.feed_id, head.epoch)
    return same and held.version >= head.snapshot_version


def _is_outgrown(origin: Origin, head: Head) -> bool:
    """Whether the file is to be built anew from a newer snapshot, now that there is nothing else to do."""
    if head.snapshot_version <= origin.snapshot_version:
        return False
    allowed_rows = max(OUTGROWN_ROWS, OUTGROWN_SHARE * origin.built_rows)
    return origin.brought_rows > allowed_rows or head.signed_at_ms - origin.signed_at_ms > FILE_KEPT_MS


def _is_whole(head: Head) -> bool:
    """Whether snapshot and deltas lead to the version the head claims, each delta after the one before it."""
    versions = [head.snapshot_version, *(delta.version for delta in head.deltas)]
    rising = all(earlier <= later for earlier, later in pairwise(versions))
    return bool(head.snapshot) and rising and versions[-1] == head.version


def _put_in_force(folder: Path, name: str) -> None:
    """Swap: the built file under its name, then the name file, each on disk before the next step; the older ones go."""
    before = name_in_force(folder)
    list_file.remove(folder / name)
    (folder / BUILDING).rename(folder / name)
    fsync(folder)
    _point(folder, name)
    for path in folder.glob("*.db"):
        if path.name not in (name, before):
            list_file.remove(path)


def _renew_head(path: Path, head: Head) -> None:
    """The same list, seen alive later: the name file tells readers to look again."""
    list_file.renew_head(path, head)
    _point(path.parent, path.name)


def _point(folder: Path, name: str) -> None:
    scratch = folder / f"{CURRENT}.new"
    scratch.write_text(name, encoding="ascii")
    fsync(scratch)
    scratch.replace(folder / CURRENT)
    fsync(folder)
