"""Lists for tests: rows sealed and signed with the sample keys, and a data directory that holds them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from gate_agent import list_install
from gate_agent.list_file import NotInstalled
from tests.wire import samples
from wire import feed, keyset
from wire.feed import Head, Part, Row, SegmentRef
from wire.messages import GateConfig

LIST_KEY_ID = 21
VENUE = samples.DOCUMENT.venue
KEY_SET = keyset.sign_key_set(samples.KEY_SET, (samples.ROOT,))
CONFIG = GateConfig(VENUE, samples.FEED_ID, ((LIST_KEY_ID, samples.LIST_KEY),), bytes(32), b"salt", KEY_SET)

SAMPLE_PARTS: tuple[tuple[Part, Sequence[Row]], ...] = (
    (Part.DOCUMENT, (samples.DOCUMENT,)),
    (Part.PASSES, samples.PASS_ROWS),
    (Part.NAMES, samples.NAME_ROWS),
    (Part.USES, samples.USE_ROWS),
)


@dataclass
class Feed:
    """A venue's feed as caches deliver it: the newest head and every segment by name."""

    head: bytes = b""
    segments: dict[bytes, bytes] = field(default_factory=dict)
    read: Head | None = None
    _nonces: int = 0

    def publish(
        self,
        version: int,
        parts: Sequence[tuple[Part, Sequence[Row]]] = SAMPLE_PARTS,
        deltas: Sequence[tuple[int, Part, Sequence[Row]]] = (),
        *,
        epoch: int = 1,
        snapshot_version: int | None = None,
        signed_at_ms: int = samples.NOW_MS,
        key_set_version: int = samples.KEY_SET.version,
        list_key_id: int = LIST_KEY_ID,
        list_key: bytes = samples.LIST_KEY,
        signer: tuple[int, bytes] = (samples.LIST_KEY_ID, samples.LIST),
        venue: int = VENUE,
    ) -> None:
        """Put a list in place; a delta is (version, part, rows)."""
        first = snapshot_version if snapshot_version is not None else (version if not deltas else version - len(deltas))
        head = Head(
            feed_id=samples.FEED_ID,
            venue=venue,
            epoch=epoch,
            version=version,
            snapshot_version=first,
            snapshot=tuple(self._seal(first, part, rows, list_key, list_key_id) for part, rows in parts),
            deltas=tuple(self._seal(at, part, rows, list_key, list_key_id) for at, part, rows in deltas),
            key_set_version=key_set_version,
            list_key_id=list_key_id,
            zone=samples.DOCUMENT.zone,
            signed_at_ms=signed_at_ms,
            not_after_ms=signed_at_ms + feed.HEAD_NOT_AFTER_MS,
        )
        self.read = head
        self.head = feed.sign_head(head, *signer)

    def install(self, data_dir: Path) -> Head | NotInstalled:
        """Give the list to a data directory without HTTP."""
        return list_install.install(data_dir, self.head, self.segments.__getitem__, samples.KEY_SET, CONFIG)

    def _seal(self, version: int, part: Part, rows: Sequence[Row], list_key: bytes, list_key_id: int) -> SegmentRef:
        self._nonces += 1
        nonce = self._nonces.to_bytes(feed.NONCE_BYTES, "big")
        segment = feed.seal_segment(part, rows, list_key, list_key_id, nonce)
        name = feed.segment_name(segment)
        self.segments[name] = segment
        return SegmentRef(name, version)
