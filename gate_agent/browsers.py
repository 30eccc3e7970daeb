"""browsers/: the tablets' browsers that were paired with this box, a file each, so that forgetting one is removing it.

A file is named after the SHA-256 of the browser's cookie, which is kept nowhere here.
"""

from __future__ import annotations

import hashlib
import os
import secrets
from pathlib import Path

import msgspec

NAME = "browsers"
BROWSERS_LIMIT = 32
MAX_NAME_CHARACTERS = 32
TOKEN_BYTES = 32
MAX_TOKEN_CHARACTERS = 64
_HASH_CHARACTERS = 64
_MAX_FILE_BYTES = 4096


class BrowsersError(Exception):
    """A wish that cannot be met; a sentence that says what to do."""


class Browser(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One paired browser. `by`: the supervisor who let it be paired."""

    name: str
    paired_at_ms: int
    by: str


def find(data_dir: Path, token: str) -> Browser | None:
    """The browser with this cookie; None when it is not paired, or not any more."""
    return _read(data_dir / NAME / _hash(token)) if 0 < len(token) <= MAX_TOKEN_CHARACTERS else None


def every(data_dir: Path) -> list[Browser]:
    """All of them, those paired first first."""
    return sorted(_all(data_dir).values(), key=lambda browser: (browser.paired_at_ms, browser.name))


def add(data_dir: Path, browser: Browser) -> str:
    """The cookie of a browser that is paired from now on, in place of one of the same name. OSError: the disk."""
    folder, token = data_dir / NAME, secrets.token_urlsafe(TOKEN_BYTES)
    before, path = _all(data_dir), folder / _hash(token)
    folder.mkdir(mode=0o700, exist_ok=True)
    building = path.with_suffix(".new")
    with os.fdopen(os.open(building, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(msgspec.json.encode(browser))
        file.flush()
        os.fsync(file.fileno())
    building.replace(path)
    for earlier, other in before.items():
        if other.name == browser.name:
            earlier.unlink(missing_ok=True)
    _settle(folder)
    return token


def forget(data_dir: Path, name: str) -> None:
    """This browser may do nothing any more, from its next request on. Raises BrowsersError."""
    found = [path for path, browser in _all(data_dir).items() if browser.name == name]
    if not found:
        raise BrowsersError(f"no browser called {name} is paired here; staff browsers shows them all")
    for path in found:
        path.unlink(missing_ok=True)
    _settle(data_dir / NAME)


def _all(data_dir: Path) -> dict[Path, Browser]:
    try:
        paths = [path for path in (data_dir / NAME).iterdir() if len(path.name) == _HASH_CHARACTERS]
    except FileNotFoundError:
        return {}
    return {path: browser for path in paths if (browser := _read(path)) is not None}


def _read(path: Path) -> Browser | None:
    """None also for a file that is damaged: its browser has to be paired again."""
    try:
        with path.open("rb") as file:
            return msgspec.json.decode(file.read(_MAX_FILE_BYTES), type=Browser)
    except (OSError, ValueError):  # msgspec's complaints are ValueErrors
        return None


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


def _settle(folder: Path) -> None:
    opened = os.open(folder, os.O_RDONLY)
    os.fsync(opened)
    os.close(opened)
