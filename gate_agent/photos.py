"""Holders' photos as the staff screen shows them: encrypted on the disk, the keys in this process's memory alone."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from pathlib import Path

from gate_agent.asking import Asker
from gate_agent.sync_state import LinkTrouble
from wire import photo
from wire.signing import SealFlaw

FOLDER = "photos"
"""Filled and emptied by sync (photo_pull)."""
KEYS_PATH = "/device/v1/photo-keys"
LOOK_S = 0.2  # well below what the agent waits for its threads when it stops
ASK_AGAIN_S = 30.0

log = logging.getLogger(__name__)


class Photos:
    """Any thread may ask. `came` is called when photos can be shown that could not be before."""

    def __init__(self, data_dir: Path, asker: Asker, came: Callable[[], None] = lambda: None) -> None:
        self._folder = data_dir / FOLDER
        self._asker = asker
        self._came = came
        self._keys: dict[int, bytes] = {}
        self._lacking = threading.Event()

    def find(self, pass_id: bytes, name: bytes) -> bytes | None:
        """The JPEG of a pass's holder; None while it is not here, or cannot be opened yet."""
        if len(name) != photo.NAME_BYTES:
            return None
        try:
            with (self._folder / name.hex()).open("rb") as file:
                sealed = file.read(photo.MAX_PHOTO_BYTES + 1)
        except OSError:  # not fetched yet, or a card that fails: the screen does without
            return None
        if photo.key_id_of(sealed) not in self._keys:
            self._lacking.set()
        return photo.open_photo(sealed, name, pass_id, self._keys)

    def keep_keys(self, stop: threading.Event) -> None:
        """Ask for the keys when a photo needs one that is not known; again after a while, until they come."""
        while not stop.is_set():
            if self._lacking.wait(LOOK_S):
                self._lacking.clear()
                if self.ask():
                    self._came()
                stop.wait(ASK_AGAIN_S)

    def ask(self) -> bool:
        """Whether the centre told the keys. What it tells now is all that holds: old keys open nothing any more."""
        told = self._asker.ask("GET", KEYS_PATH, photo.MAX_KEYS_BYTES, what="what opens the photos")
        if isinstance(told, LinkTrouble):
            log.info("photos cannot be opened: %s: %s", told.kind, told.detail)
            return False
        keys = photo.read_photo_keys(told.body, told.keys, told.device, told.nonce)
        if isinstance(keys, SealFlaw):
            log.warning("photos cannot be opened: the keys that came are %s", keys)
            return False
        self._keys = keys
        return True
