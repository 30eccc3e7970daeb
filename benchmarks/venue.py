"""A venue with as many passes as a benchmark asks for: keys, signed list, data directory, and tokens to show."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import ec

from gate_agent import list_install, sync_store, trusted_time
from gate_agent.sync_state import Enrolment, SyncView
from gate_agent.sync_store import SyncStore
from gate_agent.time_trust import SignedTime
from wire import feed, holder_proof, keyset, moments, signing, token
from wire.entitlement import PassStatus, Rule
from wire.feed import Part
from wire.keyset import KeySet, KeyState, PublicKey
from wire.messages import GateConfig
from wire.signing import Purpose
from wire.token import Claims, Scope

VENUE, PRODUCT = 3, 7
YEAR_MS = 365 * 86_400_000
ID_STEP = 0x9E3779B97F4A7C15  # odd: multiples of it modulo 2^64 never repeat and lie evenly
ROOT, PASS, LIST = (bytes([n]) * 32 for n in (1, 2, 3))
PHONE_PASS = 1
"""The pass with two phones, the only one."""
PHONES = [ec.derive_private_key(number, ec.SECP256R1()) for number in (5, 6)]
PHONE_KEYS = tuple(feed.HolderKey(n, holder_proof.public_key_of(phone)) for n, phone in enumerate(PHONES, start=1))


def pass_id(number: int) -> bytes:
    """The id of the pass with this number: all different, spread over all ids."""
    return (number * ID_STEP % 2**64).to_bytes(8, "big")


@dataclass(slots=True)
class Venue:
    """A data directory with a list of `passes` passes in force."""

    data_dir: Path
    passes: int
    now_ms: int = field(default_factory=lambda: time.time_ns() // 1_000_000)
    list_bytes: int = 0
    build_s: float = 0.0
    _snapshot: tuple[feed.SegmentRef, ...] = ()

    def key_set(self) -> KeySet:
        """One key per purpose, good for a year either way."""
        purposes = ((1, Purpose.PASS, PASS), (2, Purpose.LIST, LIST))
        dates = self.now_ms - YEAR_MS, self.now_ms + YEAR_MS
        keys = tuple(
            PublicKey(number, purpose, signing.public_key_of(private), *dates, KeyState.SIGNING)
            for number, purpose, private in purposes
        )
        return KeySet(1, self.now_ms, signing.public_key_of(ROOT), keys)

    def token(self, number: int) -> str:
        """The code of a pass."""
        minute = moments.minute_floor(self.now_ms)
        claims = Claims(pass_id(number), PRODUCT, Scope.VENUE, VENUE, minute - 1000, minute + 500_000, 1, 1)
        return token.sign_token(claims, 1, PASS)

    def install(self) -> None:
        """Make the data directory of an enrolled, approved box that holds the list."""
        keys = self.key_set()
        signed_keys = keyset.sign_key_set(keys, (ROOT,))
        config = GateConfig(VENUE, bytes(16), ((1, bytes(32)),), bytes(32), b"salt", signed_keys)
        enrolment = Enrolment("http://127.0.0.1:9", bytes(16), keys.root, signed_keys)
        sync_store.store_enrolment(self.data_dir, enrolment, bytes(32), config)
        clocks = trusted_time.clocks_of_this_machine()
        store = SyncStore(self.data_dir)
        store.keep_signed_time(SignedTime(self.now_ms, clocks.boot_ms(), clocks.boot_id))
        store.close()
        head = self._list()
        began = time.perf_counter()
        self.put_in_force(head)
        self.build_s = time.perf_counter() - began

    def put_in_force(self, head: bytes, nice: int = 0) -> None:
        """As sync does with a head it fetched; `nice`: so far back in the queue for the processor."""
        os.nice(nice)
        config = SyncView.open(self.data_dir).read().config
        assert config is not None
        segments = self.data_dir / "segments"
        installed = list_install.install(
            self.data_dir, head, lambda name: (segments / name.hex()).read_bytes(), self.key_set(), config
        )
        assert isinstance(installed, feed.Head), installed

    def changed(self, passes: int) -> bytes:
        """The head of the next version, in which so many passes all over the list may have been issued once more."""
        minute = moments.minute_floor(self.now_ms)
        ids = sorted(map(pass_id, range(0, self.passes, self.passes // passes)))[:passes]
        return self._head(2, tuple(self._keep(Part.PASSES, rows, 2) for rows in _pieces(ids, minute, 1)))

    def _list(self) -> bytes:
        minute = moments.minute_floor(self.now_ms)
        rule = Rule(per_day=1)
        product = feed.ProductDocument(number=PRODUCT, kind="PASS", name_zh="年票", name_en="Annual pass", rule=rule)
        document = feed.VenueDocument(
            venue=VENUE, name_zh="景区", name_en="Venue", groups=(), zone="Asia/Shanghai", products=(product,)
        )
        (self.data_dir / "segments").mkdir(parents=True)
        ids = sorted(map(pass_id, range(self.passes)))
        passes = (self._keep(Part.PASSES, rows, 1) for rows in _pieces(ids, minute, 0))
        self._snapshot = (self._keep(Part.DOCUMENT, (document,), 1), *passes)
        return self._head(1, ())

    def _keep(self, part: Part, rows: tuple[feed.Row, ...], version: int) -> feed.SegmentRef:
        segment = feed.seal_segment(part, rows, bytes(32), 1, os.urandom(feed.NONCE_BYTES))
        self.list_bytes += len(segment)
        name = feed.segment_name(segment)
        (self.data_dir / "segments" / name.hex()).write_bytes(segment)
        return feed.SegmentRef(name, version)

    def _head(self, version: int, deltas: tuple[feed.SegmentRef, ...]) -> bytes:
        head = feed.Head(
            *(bytes(16), VENUE, 1, version, 1, self._snapshot, deltas, 1, 1, "Asia/Shanghai"),
            *(self.now_ms, self.now_ms + feed.HEAD_NOT_AFTER_MS),
        )
        return feed.sign_head(head, 2, LIST)


def _pieces(ids: Sequence[bytes], minute: int, later_min: int) -> Iterator[tuple[feed.Row, ...]]:
    """Rows of these passes, as many as a segment holds at a time."""
    for first in range(0, len(ids), feed.PASSES_PER_SEGMENT):
        yield tuple(
            feed.PassRow(
                one,
                PRODUCT,
                PassStatus.ACTIVE,
                minute - 1000,
                minute + 500_000 + later_min,
                1,
                holder_keys=PHONE_KEYS if one == pass_id(PHONE_PASS) else (),
            )
            for one in ids[first : first + feed.PASSES_PER_SEGMENT]
        )
