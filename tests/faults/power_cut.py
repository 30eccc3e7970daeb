"""What a power cut leaves of files: whatever was synced, and any part of what was not (record and replay).

The medium keeps a change for sure once the file it is in was synced, a name once its folder was. Of later changes any
may be there and any may be missing, in any order, torn at sectors or pages; names come in order within a folder, as
file systems with a log keep them. A card that lies says "synced" and keeps the newest changes to itself.
"""

from __future__ import annotations

import os
import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path

from tests.faults.disk import Change, Kind

SECTOR_BYTES, PAGE_BYTES = 512, 4096
LIAR_KEEPS = 60
"""Changes of a file that a lying card may lose although it called them synced."""


class Fate(Enum):
    """What becomes of changes that were not synced."""

    LOST = "lost"
    KEPT = "kept"
    NEWEST_ONLY = "newest only"
    SECTORS = "sectors"
    PAGES = "pages"


@dataclass(eq=False, slots=True)
class _File:
    sure: bytearray = field(default_factory=bytearray)
    unsure: list[tuple[int, bytes | None]] = field(default_factory=list)  # offset and data; None: cut to that size

    def sync(self, keep_back: int) -> None:
        settled = len(self.unsure) - keep_back
        for change in self.unsure[: max(0, settled)]:
            _apply(self.sure, *change)
        del self.unsure[: max(0, settled)]

    def after(self, fate: Fate, chance: random.Random) -> bytes:
        if fate is Fate.LOST or not self.unsure:
            return bytes(self.sure)
        image = bytearray(self.sure)
        chosen = self.unsure[-1:] if fate is Fate.NEWEST_ONLY else self.unsure
        for offset, data in chosen:
            if fate in (Fate.KEPT, Fate.NEWEST_ONLY):
                _apply(image, offset, data)
            else:
                _apply_torn(image, offset, data, SECTOR_BYTES if fate is Fate.SECTORS else PAGE_BYTES, chance)
        return bytes(image)


Names = dict[str, _File]
Step = tuple[tuple[str, _File | None], ...]


class Medium:
    """The files below one folder while they change; `crash` is what a power cut at this moment leaves."""

    def __init__(self, root: Path, before: Mapping[str, bytes], *, lies: bool = False) -> None:
        self._root = str(root)
        self._keep_back = LIAR_KEEPS if lies else 0
        self._names: Names = {f"{root}/{name}": _File(bytearray(data)) for name, data in before.items()}
        self._sure: Names = dict(self._names)
        self._unsure: dict[str, list[Step]] = {}  # by folder
        self._open: dict[tuple[int, int], _File | str] = {}

    def take(self, change: Change) -> None:
        """The next change."""
        if change.kind is Kind.OPEN:
            self._open[change.process, change.fd] = self._opened(change.path, change.flags)
        elif change.kind is Kind.SYNC:
            self._sync(self._open[change.process, change.fd])
        elif change.kind in (Kind.WRITE, Kind.TRUNCATE):
            file = self._open[change.process, change.fd]
            assert isinstance(file, _File)
            file.unsure.append((change.offset, change.data if change.kind is Kind.WRITE else None))
        elif change.kind is Kind.RENAME:
            self._name(change.path, (change.path, None), (change.other, self._names[change.path]))
        elif change.kind is Kind.UNLINK:
            self._name(change.path, (change.path, None))

    def crash(self, fate: Fate, chance: random.Random) -> dict[str, bytes]:
        """The files by their names below the root. Folders are there as soon as they are made."""
        names = dict(self._sure)
        for steps in self._unsure.values():
            count = len(steps)
            if fate is Fate.LOST:
                count = 0
            elif fate in (Fate.SECTORS, Fate.PAGES):
                count = chance.randint(0, count)
            _rename(names, steps[:count])
        return {name[len(self._root) + 1 :]: file.after(fate, chance) for name, file in names.items()}

    def _opened(self, path: str, flags: int) -> _File | str:
        if Path(path).is_dir():
            return path
        file = self._names.get(path)
        if file is None:
            assert flags & os.O_CREAT, path
            file = _File()
            self._name(path, (path, file))
        elif flags & os.O_TRUNC:
            file.unsure.append((0, None))
        return file

    def _name(self, path: str, *step: tuple[str, _File | None]) -> None:
        folder = str(Path(path).parent)
        assert all(str(Path(name).parent) == folder for name, _ in step), "files are renamed within their folder"
        self._unsure.setdefault(folder, []).append(step)
        _rename(self._names, [step])

    def _sync(self, what: _File | str) -> None:
        if isinstance(what, _File):
            what.sync(self._keep_back)
        else:
            _rename(self._sure, self._unsure.pop(what, []))


def _rename(names: Names, steps: list[Step]) -> None:
    for step in steps:
        for name, file in step:
            if file is None:
                names.pop(name, None)
            else:
                names[name] = file


def _apply(image: bytearray, offset: int, data: bytes | None) -> None:
    if data is None:
        del image[offset:]
        image.extend(bytes(offset - len(image)))
        return
    image.extend(bytes(max(0, offset - len(image))))
    image[offset : offset + len(data)] = data


def _apply_torn(image: bytearray, offset: int, data: bytes | None, unit: int, chance: random.Random) -> None:
    """Each sector, or page, that the change touches is as before or as after it."""
    if data is None:
        if chance.random() < 0.5:
            _apply(image, offset, None)
        return
    at = 0
    while at < len(data):
        end = min(len(data), at + unit - (offset + at) % unit)
        if chance.random() < 0.5:
            _apply(image, offset + at, data[at:end])
        at = end
