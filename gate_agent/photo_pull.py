"""Holders' photos fetched in the background, after the list that names them, and deleted when it names them no more."""

from __future__ import annotations

import logging
import shutil
import threading
from collections.abc import Iterable
from itertools import islice
from pathlib import Path

from gate_agent.centre_client import Caller, trouble_of
from gate_agent.pass_list import PassListHolder
from gate_agent.photos import FOLDER
from gate_agent.sync_state import LinkTrouble, SyncState
from gate_agent.sync_store import SyncStore
from wire import photo

MAX_PHOTOS = 20_000
"""Of at most 20 kB each. Of a venue with more some are not shown."""
MIN_FREE_BYTES = 512 * 1024 * 1024
"""The disk keeps this much for entries and lists."""
PHOTOS_PER_TURN = 50
LOOK_EVERY_S = 5.0
BETWEEN_TURNS_S = 0.5
RETRY_S = 30.0

log = logging.getLogger(__name__)


class PhotoPull:
    """Keeps the folder at what the list in force names. Any of its files may be lost: it is fetched again."""

    def __init__(self, data_dir: Path, store: SyncStore, caller: Caller) -> None:
        self._folder = data_dir / FOLDER
        self._store = store
        self._caller = caller
        self._lists = PassListHolder(data_dir)
        self._settled: tuple[int, int] | None = None
        self._gone: set[bytes] = set()

    def run(self, stop: threading.Event) -> None:
        """Until `stop` is set. Nothing that fails here concerns anybody else."""
        pause_s = LOOK_EVERY_S
        while not stop.wait(pause_s):
            try:
                pause_s = self.turn()
            except Exception:  # whatever it was: lists and entries go on, and so do photos when it is over
                log.exception("photos were not looked after")
                pause_s = RETRY_S

    def turn(self) -> float:
        """Delete what is not wanted, fetch some of what is; the seconds to wait before the next turn."""
        held, state = self._lists.current(), self._store.read()
        if held is None or state.config is None or self._settled == (held.epoch, held.version):
            return LOOK_EVERY_S
        wanted, here = held.photos(MAX_PHOTOS), self._here()
        for name in here - wanted:
            self._path(name).unlink(missing_ok=True)
        missing = wanted - here - self._gone
        if missing and shutil.disk_usage(self._folder.parent).free < MIN_FREE_BYTES:
            log.warning("photos are not fetched: the disk is nearly full")
            return RETRY_S
        if not self._fetch(islice(missing, PHOTOS_PER_TURN), state):
            return RETRY_S
        if len(missing) > PHOTOS_PER_TURN:
            return BETWEEN_TURNS_S
        self._settled = (held.epoch, held.version)
        self._gone &= wanted
        return LOOK_EVERY_S

    def _fetch(self, names: Iterable[bytes], state: SyncState) -> bool:
        """Whether the centre, or the cache of its lists, answered for all of them."""
        assert state.config is not None and state.url is not None
        for name in names:
            path = f"/feed/photos/{name.hex()}"
            answer = self._caller.fetch(state.config.feed_url or state.url, path, photo.MAX_PHOTO_BYTES)
            if isinstance(answer, LinkTrouble):
                log.info("photos: %s: %s", answer.kind, answer.detail)
                return False
            if answer.status == 404:
                self._gone.add(name)  # a newer list will not name it
            elif answer.status != 200 or photo.photo_name(answer.body) != name:
                log.info("photos: %s", trouble_of(answer, "a photo").detail)
                return False
            else:
                self._keep(name, answer.body)
        return True

    def _keep(self, name: bytes, sealed: bytes) -> None:
        """Whole or not at all; what a power cut takes is fetched again."""
        self._folder.mkdir(mode=0o700, exist_ok=True)
        scratch = self._folder / "incoming"
        scratch.write_bytes(sealed)
        scratch.replace(self._path(name))

    def _here(self) -> set[bytes]:
        if not self._folder.is_dir():
            return set()
        names = (path.name for path in self._folder.iterdir())
        return {bytes.fromhex(name) for name in names if len(name) == 2 * photo.NAME_BYTES}

    def _path(self, name: bytes) -> Path:
        return self._folder / name.hex()
