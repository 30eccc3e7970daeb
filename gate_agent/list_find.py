"""Finding a pass by what a person says: its number, the last six digits, or an ID number, which stays nowhere."""

from __future__ import annotations

import re
import sqlite3
import threading
import unicodedata
from dataclasses import dataclass
from enum import StrEnum

from gate_agent.venue import LAST_DIGITS, ListedPass
from gate_agent.world import World
from wire import credential

MAX_TYPED_CHARACTERS = 32
FIND_WAIT_S = 3.0
"""How long a search waits for the one before it: one at a time, whoever asks."""
_TYPED = re.compile(rf"[0-9A-Z]{{{LAST_DIGITS},{MAX_TYPED_CHARACTERS}}}")


class NotSought(StrEnum):
    """Why nothing was looked for."""

    TOO_SHORT = "too_short"
    NO_LIST = "no_list"
    BUSY = "busy"
    TOO_LONG = "too_long"


@dataclass(frozen=True, slots=True)
class Found:
    """The passes that what was typed stands for; none is an answer too."""

    passes: tuple[ListedPass, ...]


class Finder:
    """Looks in the list held. Any thread may ask; lanes are not in its way."""

    def __init__(self) -> None:
        self._searching = threading.Lock()

    def find(self, typed: str, world: World) -> Found | NotSought:
        """What was typed is kept nowhere: an ID number is hashed with the venue's salt here and forgotten."""
        number = "".join(unicodedata.normalize("NFKC", typed).split()).replace("-", "").upper()
        if not _TYPED.fullmatch(number):
            return NotSought.TOO_SHORT
        if world.pass_list is None:
            return NotSought.NO_LIST
        if not self._searching.acquire(timeout=FIND_WAIT_S):
            return NotSought.BUSY
        try:
            found = tuple(world.pass_list.search_digits(number)) if number.isdigit() else ()
            return Found(found or (() if len(number) == LAST_DIGITS else _of_person(number, world)))
        except sqlite3.OperationalError:
            return NotSought.TOO_LONG
        finally:
            self._searching.release()


def _of_person(id_number: str, world: World) -> tuple[ListedPass, ...]:
    config, pass_list = world.sync.config, world.pass_list
    if config is None or pass_list is None:
        return ()
    person = credential.person_hash(id_number, config.deployment_salt)
    hashes = (credential.id_credential(key, person) for key in config.credential_keys)
    ids = dict.fromkeys(pass_id for one in hashes for pass_id in pass_list.passes_of_credential(one))
    return tuple(listed for pass_id in ids if (listed := pass_list.find(pass_id)) is not None)
