"""What gates and centre say to each other: entries, batches, receipts, enrolment (wire.md §6, §7)."""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass
from enum import IntEnum, StrEnum
from typing import Literal

import msgspec

from wire import signing
from wire.keyset import KeySet, read_chain
from wire.open_number import OpenNumber
from wire.signing import Purpose, SealFlaw
from wire.unreadable import UNREADABLE

BATCH_FORMAT = 1
RECEIPT_KIND = "receipt"
RECEIPT_VERSION = 1
CONFIG_KIND = "config"
CONFIG_VERSION = 1
MAX_BATCH_ENTRIES = 500
MAX_BATCH_BYTES = 1024 * 1024
MAX_ENTRY_BYTES = 2048
MAX_WORD_CHARACTERS = 200
HASH_BYTES = 32
INCARNATION_BYTES = 8
DEVICE_BYTES = 16
FIRST_HASH = bytes(HASH_BYTES)
"""What stands before the first entry of an incarnation."""


class EntryKind(OpenNumber):
    """What happened at a lane. Exactly one outcome (passed … unresolved) ends an intent."""

    INTENT = 1
    PASSED = 2
    PASSED_ASSUMED = 3
    ANNULLED = 4
    PASSED_LATE = 5
    UNRESOLVED = 6
    REFUSED = 7
    RETURNED = 8
    MANUAL = 9
    SHIFT = 10
    EVENT = 11


COUNTING = frozenset({EntryKind.PASSED, EntryKind.PASSED_ASSUMED, EntryKind.PASSED_LATE, EntryKind.UNRESOLVED})
"""The outcomes after which somebody is, or may be, inside."""
CLOSING = frozenset({EntryKind.PASSED, EntryKind.PASSED_ASSUMED, EntryKind.ANNULLED, EntryKind.UNRESOLVED})
"""The outcomes of which exactly one ends an intent; `passed_late` may follow an annulment."""


class Outcome(IntEnum):
    """How the centre classifies an entry: the only vocabulary. An entry that happened is never refused."""

    CLAIMED = 1
    PASS_VISIT = 2
    REPEAT = 3
    RETURNED = 4
    CONFLICT = 5
    LATE = 6
    UNPROVEN = 7
    UNKNOWN_PASS = 8
    IMPLAUSIBLE = 9


class Presentation(OpenNumber):
    """How a pass was shown."""

    NONE = 0
    STATIC = 1
    SHORT = 2
    FULL = 3
    CARD = 4
    COUNTER = 5
    ELECTRONIC_CARD = 6


class ClockTrust(OpenNumber):
    """How far the gate believed its own clock (gate.md, Clock)."""

    UNKNOWN = 0
    HELD = 1
    TRUSTED = 2


class Entry(msgspec.Struct, frozen=True, array_like=True, omit_defaults=True):
    """One line of a gate's journal. Times UTC ms; `ref_seq` is the intent an outcome belongs to.

    `evidence`: static code, first 8 B of SHA-256(token); rotating code, step u32 ‖ holder signature 64 B (see
    `presentation.proves`); card or electronic card, auth level 1 B (0 none, 1 psam, 2 hsm, 3: its platform by way of
    the centre) ‖ credential kind 1 B ‖ hash 16 B; a refused code that is not ours, see `wire.stranger`; an entry
    that speaks of one in an earlier journal, see `wire.far_entry`. `reason` is a wire.reasons.Reason or an event's
    name; `who` is a staff member.
    """

    seq: int
    kind: EntryKind
    device_at_ms: int
    trust: ClockTrust
    monotonic_ms: int
    list_epoch: int
    list_version: int
    lane: int
    presentation: Presentation = Presentation.NONE
    pass_id: bytes | None = None
    evidence: bytes | None = None
    ref_seq: int | None = None
    reason: str | None = None
    who: str | None = None


_entry_decoder = msgspec.msgpack.Decoder(Entry)
_encoder = msgspec.msgpack.Encoder()


def encode_entry(entry: Entry) -> bytes:
    """The exact bytes that the journal stores, hashes and sends."""
    return _encoder.encode(entry)


def decode_entry(body: bytes | msgspec.Raw) -> Entry:
    """Raises what `wire.unreadable` lists for bytes that are no entry."""
    return _entry_decoder.decode(body)


def entry_with(body: bytes, **changes: object) -> bytes:
    """The entry with other values in some fields; all else stays as it is, also what only a later release knows."""
    entry, fields = decode_entry(body), msgspec.msgpack.decode(body)
    for at, name in enumerate(Entry.__struct_fields__):
        if changes.get(name, getattr(entry, name)) != getattr(entry, name):
            fields[at] = changes[name]
    return _encoder.encode(fields)


def entry_hash(previous_hash: bytes, body: bytes) -> bytes:
    """The chain: SHA-256 of the hash before it and the stored bytes."""
    return hashlib.sha256(previous_hash + body).digest()


def redemption_id(device: bytes, incarnation: bytes, seq: int) -> bytes:
    """The id (16 B) an entry has everywhere, made without asking anybody."""
    return hashlib.sha256(device + incarnation + seq.to_bytes(8, "big")).digest()[:16]


class BatchFlaw(StrEnum):
    """Why a batch is not taken; nothing of it is stored then."""

    MALFORMED = "malformed"
    NEEDS_UPDATE = "needs_update"
    TOO_LARGE = "too_large"
    NOT_CONTIGUOUS = "not_contiguous"
    BROKEN_CHAIN = "broken_chain"


class Superseded(msgspec.Struct, frozen=True, array_like=True):
    """The journal that a fresh one follows: how far it is known to reach, and the hash there, empty when not known."""

    incarnation: bytes
    last_seq: int
    head: bytes = b""


LOST: Literal["lost"] = "lost"
"""In place of `Superseded`: there was a journal before, and nothing is left that says which."""


class Batch(msgspec.Struct, frozen=True, array_like=True):
    """Up to 500 entries of one incarnation in order, or none (a sign of life). `entries` are the stored bytes.

    `previous_hash` is the chain's hash before the first entry, `last_hash` after the last; `waiting` counts entries
    not yet acknowledged after these. `echo` is the digest of an earlier batch whose receipt came: every entry that the
    gate made before that receipt was given lies at or before `complete_seq`, with its outcome. `supersedes` None: the
    first journal of its gate. `closing`: with the last of these entries the journal ends for good. `health`: see
    `wire.heartbeat`, empty when nothing new is told.
    """

    format: int
    device: bytes
    incarnation: bytes
    first_seq: int
    previous_hash: bytes
    last_hash: bytes
    entries: tuple[bytes, ...]
    held_epoch: int
    held_version: int
    key_set_version: int
    waiting: int
    software: str
    echo: bytes | None = None
    complete_seq: int = 0
    supersedes: Superseded | Literal["lost"] | None = None
    closing: bool = False
    health: bytes = b""


class _Formatted(msgspec.Struct, array_like=True):
    """The beginning of a batch of any format; what follows it is passed over."""

    format: int


def encode_batch(batch: Batch) -> bytes:
    """The body as signed and digested; it is sent gzipped."""
    return _encoder.encode(batch)


def batch_digest(body: bytes) -> bytes:
    """What a receipt names: SHA-256 of the body before gzip."""
    return hashlib.sha256(body).digest()


@dataclass(frozen=True, slots=True)
class ReadBatch:
    """A batch whose chain holds, with its entries decoded and the hash after each."""

    batch: Batch
    entries: tuple[Entry, ...]
    hashes: tuple[bytes, ...]


def read_batch(body: bytes) -> ReadBatch | BatchFlaw:
    """Decode a batch and walk its chain. NEEDS_UPDATE also for entries of a kind that could not be counted here."""
    if len(body) > MAX_BATCH_BYTES:
        return BatchFlaw.TOO_LARGE
    try:
        if msgspec.msgpack.decode(body, type=_Formatted).format != BATCH_FORMAT:
            return BatchFlaw.NEEDS_UPDATE
        batch = msgspec.msgpack.decode(body, type=Batch)
        if len(batch.entries) > MAX_BATCH_ENTRIES or any(len(raw) > MAX_ENTRY_BYTES for raw in batch.entries):
            return BatchFlaw.TOO_LARGE
        entries = tuple(decode_entry(raw) for raw in batch.entries)
    except UNREADABLE:
        return BatchFlaw.MALFORMED
    sizes = (len(batch.device), len(batch.incarnation), len(batch.previous_hash), len(batch.last_hash))
    if sizes != (DEVICE_BYTES, INCARNATION_BYTES, HASH_BYTES, HASH_BYTES):
        return BatchFlaw.MALFORMED
    if isinstance(batch.supersedes, Superseded) and len(batch.supersedes.incarnation) != INCARNATION_BYTES:
        return BatchFlaw.MALFORMED
    if not all(entry.kind.is_known and entry.trust.is_known and entry.presentation.is_known for entry in entries):
        return BatchFlaw.NEEDS_UPDATE
    hashes: list[bytes] = []
    running = batch.previous_hash
    for offset, (raw, entry) in enumerate(zip(batch.entries, entries, strict=True)):
        if entry.seq != batch.first_seq + offset or entry.seq < 1:
            return BatchFlaw.NOT_CONTIGUOUS
        running = entry_hash(running, raw)
        hashes.append(running)
    if running != batch.last_hash:
        return BatchFlaw.BROKEN_CHAIN
    return ReadBatch(batch, entries, tuple(hashes))


class Receipt(msgspec.Struct, frozen=True, array_like=True):
    """What the centre holds for good: the highest contiguous seq of an incarnation, and how it took each entry.

    `through_hash` is the chain's hash at `through_seq`, empty from a centre that does not tell. `forked_seq`: from this
    entry of the batch on the centre holds another history of the journal (0: it does not), and counts that one.
    """

    device: bytes
    incarnation: bytes
    through_seq: int
    batch_digest: bytes
    verdicts: tuple[tuple[int, Outcome], ...]
    through_hash: bytes = b""
    forked_seq: int = 0


def sign_receipt(receipt: Receipt, key_id: int, service_key: bytes) -> bytes:
    """The receipt as a gate keeps it."""
    return signing.seal(RECEIPT_KIND, RECEIPT_VERSION, key_id, service_key, _encoder.encode(receipt))


def read_receipt(data: bytes, keys: KeySet, now_ms: int | None) -> Receipt | SealFlaw:
    """The receipt, if a service key signed it. Only such a one moves a cursor: captive portals answer 200."""
    sealed = signing.unseal(RECEIPT_KIND, RECEIPT_VERSION, data)
    if isinstance(sealed, SealFlaw):
        return sealed
    key = keys.find(Purpose.SERVICE, sealed.key_id, now_ms)
    if key is None:
        return SealFlaw.UNKNOWN_KEY
    if not sealed.is_by(key.public):
        return SealFlaw.FORGED
    try:
        return msgspec.msgpack.decode(sealed.payload, type=Receipt)
    except UNREADABLE:
        return SealFlaw.MALFORMED


# Enrolment: ten secret bytes and five of the root key's fingerprint, so that a typed code also pins the centre.
ENROLMENT_SECRET_BYTES = 10
_ROOT_CHECK_BYTES = 5


@dataclass(frozen=True, slots=True)
class EnrolmentCode:
    """A one-time code for one venue: what the admin shows and a person types, as 24 characters in groups of four.

    `root_check` is the beginning of the root key's fingerprint: typed, five bytes; scanned, all of it.
    """

    secret: bytes
    root_check: bytes

    def text(self) -> str:
        """E.g. "MFRG-GZDF-…"."""
        letters = base64.b32encode(self.secret + self.root_check[:_ROOT_CHECK_BYTES]).decode("ascii")
        return "-".join(letters[i : i + 4] for i in range(0, len(letters), 4))

    def pins(self, root_public: bytes) -> bool:
        """Whether this is the root key that the code was made for."""
        return signing.fingerprint(root_public)[: len(self.root_check)] == self.root_check


def make_enrolment_code(secret: bytes, root_public: bytes) -> EnrolmentCode:
    """A code from ten fresh random bytes."""
    return EnrolmentCode(secret, signing.fingerprint(root_public)[:_ROOT_CHECK_BYTES])


def read_enrolment_code(text: str) -> EnrolmentCode | None:
    """The code a person typed, in any case and grouping; None if it is no such code."""
    letters = "".join(text.upper().replace("-", " ").split())
    try:
        raw = base64.b32decode(letters)
    except ValueError:
        return None
    if len(raw) != ENROLMENT_SECRET_BYTES + _ROOT_CHECK_BYTES:
        return None
    return EnrolmentCode(raw[:ENROLMENT_SECRET_BYTES], raw[ENROLMENT_SECRET_BYTES:])


class EnrolRequest(msgspec.Struct, frozen=True, array_like=True):
    """POST /device/v1/enrol: the code's secret, the key the box just made, and what it calls itself."""

    secret: bytes
    public_key: bytes
    software: str
    name: str


class EnrolReply(msgspec.Struct, frozen=True, array_like=True):
    """The device's id and the key set; the gate believes it only if the typed code pins its root key."""

    device: bytes
    key_set: bytes


class GateConfig(msgspec.Struct, frozen=True, array_like=True):
    """GET /device/v1/config: what an approved gate needs to read its list. Secret; only over signed requests.

    It travels sealed for one device, so that nobody in between can hand a gate another venue's. `earlier_key_sets` are
    those by which the root key changed, oldest first, so that a gate that was cut off meanwhile walks from the root it
    has pinned to that of `key_set`. `older_credential_keys`: parts of the list may still rest on them. `feed_url`:
    where the list is to be fetched, the address of a cache or a CDN; empty: at the centre itself.
    """

    venue: int
    feed_id: bytes
    list_keys: tuple[tuple[int, bytes], ...]
    credential_key: bytes
    deployment_salt: bytes
    key_set: bytes
    earlier_key_sets: tuple[bytes, ...] = ()
    older_credential_keys: tuple[bytes, ...] = ()
    feed_url: str = ""

    @property
    def credential_keys(self) -> tuple[bytes, ...]:
        """The keys under which the list may know a card, newest first."""
        return (self.credential_key, *self.older_credential_keys)


def sign_config(config: GateConfig, device: bytes, key_id: int, service_key: bytes) -> bytes:
    """The configuration as this device gets it."""
    return signing.seal(CONFIG_KIND, CONFIG_VERSION, key_id, service_key, device + _encoder.encode(config))


def read_config(data: bytes, device: bytes, pinned_root: bytes) -> tuple[GateConfig, KeySet] | SealFlaw:
    """The configuration and its key set, if the pinned root signed the key set and a service key of it sealed this."""
    sealed = signing.unseal(CONFIG_KIND, CONFIG_VERSION, data)
    if isinstance(sealed, SealFlaw):
        return sealed
    try:
        config = msgspec.msgpack.decode(sealed.payload[DEVICE_BYTES:], type=GateConfig)
    except UNREADABLE:
        return SealFlaw.MALFORMED
    key_set = read_chain((*config.earlier_key_sets, config.key_set), pinned_root)
    if isinstance(key_set, SealFlaw):
        return key_set
    key = key_set.find(Purpose.SERVICE, sealed.key_id, None)
    if key is None:
        return SealFlaw.UNKNOWN_KEY
    is_ours = sealed.is_by(key.public) and sealed.payload[:DEVICE_BYTES] == device
    return (config, key_set) if is_ours else SealFlaw.FORGED
