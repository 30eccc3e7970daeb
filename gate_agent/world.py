"""What the gate knows at one moment: the time, the list, the centre's keys. Taken once for each presentation."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime

from gate_agent.pass_list import PassList, PassListHolder
from gate_agent.sync_state import SyncState, SyncView
from gate_agent.time_trust import Evidence, Now
from gate_agent.trusted_time import Clocks, TrustedTime
from gate_agent.uses import Today
from gate_agent.venue import Venue
from wire import moments
from wire.electronic_card import CodeShape
from wire.keyset import KeySet
from wire.token import Place

NO_KEYS = KeySet(version=0, issued_at_ms=0, root=b"", keys=())
NO_VENUE = 0
BOOT_CHARACTERS = 8
"""How much of the machine's boot id the journal keeps with each entry."""
LOOK_AGAIN_MS = 50
"""Files are not looked at more often than this, so that refusing garbage costs a fraction of one signature check."""


@dataclass(frozen=True, slots=True)
class World:
    """Works before anything is enrolled: no list, no keys, and so nothing is admitted."""

    now: Now
    pass_list: PassList | None
    sync: SyncState
    boot: str
    spare_key: bytes

    @property
    def stranger_key(self) -> bytes:
        """What codes that are not ours are hashed with: the venue's key, before enrolment one of this run alone."""
        return self.spare_key if self.sync.config is None else self.sync.config.credential_key

    @property
    def keys(self) -> KeySet:
        """The centre's keys; none before enrolment."""
        return self.sync.key_set or NO_KEYS

    @property
    def place(self) -> Place:
        """The venue and its groups."""
        return Place(self.sync.venue or NO_VENUE) if self.venue is None else self.venue.place

    @property
    def venue(self) -> Venue | None:
        """The rules that hold here, or None before the first list."""
        return None if self.pass_list is None else self.pass_list.venue

    @property
    def card_shape(self) -> CodeShape | None:
        """How codes of electronic cards look here; None where the venue takes none."""
        return None if self.venue is None else self.venue.card_shape

    @property
    def products(self) -> frozenset[int] | None:
        """The products the list describes, or None before the first list."""
        return None if self.venue is None else self.venue.products

    @property
    def list_version(self) -> tuple[int, int]:
        """Epoch and version of the list held; zeros for none."""
        return (0, 0) if self.pass_list is None else (self.pass_list.epoch, self.pass_list.version)

    @property
    def today(self) -> Today:
        """The venue's day, as far as it is known."""
        now = self.now
        if now.at_ms is None or self.venue is None:
            return Today(self.boot, None, None, now.monotonic_ms)
        at = datetime.fromtimestamp(now.at_ms / 1000, self.venue.zone)
        midnight = at.replace(hour=0, minute=0, second=0, microsecond=0)
        since_ms = now.at_ms - round(midnight.timestamp() * 1000)
        day = (at.date() - moments.EPOCH).days
        return Today(self.boot, day, now.monotonic_ms - since_ms, now.monotonic_ms, now.at_ms)


class WorldView:
    """Looks at clock, list and sync.db; any thread may ask. `time` is the agent's clock, which takes `written_ms`."""

    def __init__(
        self,
        clocks: Clocks,
        lists: PassListHolder,
        sync: SyncView,
        spare_key: bytes,
        written_ms: Callable[[], int | None] = lambda: None,
    ) -> None:
        self._clocks = clocks
        self._lists = lists
        self._sync = sync
        self._boot = clocks.boot_id[:BOOT_CHARACTERS]
        self._spare_key = spare_key
        self._held: tuple[PassList | None, SyncState] = (None, sync.read())
        self._look_again_ms = 0
        self.time = TrustedTime(self._evidence, clocks, written_ms)

    def _evidence(self) -> Evidence:
        """What sync has learnt; where its file was lost, the head of the list held still gives a floor."""
        held, evidence = self._held[0], self._held[1].evidence
        if held is None or evidence.floor_ms is not None:
            return evidence
        return replace(evidence, floor_ms=held.head.signed_at_ms)

    def look(self) -> World:
        """The world now; list and keys as they were at most LOOK_AGAIN_MS ago."""
        boot_ms = self._clocks.boot_ms()
        if boot_ms >= self._look_again_ms:
            self._held = (self._lists.current(), self._sync.read())
            self._look_again_ms = boot_ms + LOOK_AGAIN_MS  # not before: what could not be read is not known
        return World(self.time.now(), *self._held, self._boot, self._spare_key)
