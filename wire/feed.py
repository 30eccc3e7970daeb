"""The list a venue's gates hold: a small signed head and encrypted segments that any cache may deliver (wire.md §5)."""

from __future__ import annotations

import hashlib
import struct
import zlib
from collections.abc import Iterable, Iterator, Sequence
from enum import IntEnum, StrEnum
from typing import Annotated
from zoneinfo import ZoneInfo

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from msgspec import UNSET, Meta, UnsetType

from wire import planes, signing
from wire.calendar import Calendar
from wire.credential import HASH_BYTES, CredentialKind
from wire.electronic_card import CodeShape
from wire.entitlement import PassStatus, Rule, Stop
from wire.keyset import KeySet
from wire.signing import Purpose, SealFlaw
from wire.unreadable import UNREADABLE

HEAD_KIND = "head"
HEAD_VERSION = 1
SEGMENT_VERSION = 1
HEAD_NOT_AFTER_MS = 72 * 3600 * 1000
FEED_ID_BYTES = 16
NONCE_BYTES = 12
LIST_KEY_BYTES = 32
HOLDER_KEY_BYTES = 33
PASSES_PER_SEGMENT = 5_000
"""About 64 kB as sent."""
MAX_SEGMENT_BYTES = 4 * 1024 * 1024
MAX_PLAIN_BYTES = 16 * 1024 * 1024
MAX_HEAD_BYTES = 1024 * 1024
DOCUMENT_VERSION = 2
"""Rises with every rule added: a gate that does not know a rule must not admit against it."""
MAX_PRODUCTS = 500
MAX_OFFLINE = 100_000
MAX_VENUES = 1_000


class SegmentFlaw(StrEnum):
    """Why a segment is refused; each leads to fetching it, or the snapshot, again."""

    WRONG_NAME = "wrong_name"
    MALFORMED = "malformed"
    NEEDS_UPDATE = "needs_update"
    WRONG_KEY = "wrong_key"
    BAD_DOCUMENT = "bad_document"


class Part(IntEnum):
    """What a segment's rows are."""

    PASSES = 1
    NAMES = 2
    USES = 3
    DOCUMENT = 4


class SegmentRef(msgspec.Struct, frozen=True, array_like=True):
    """A segment named by the SHA-256 of its bytes, and the feed version that holds once it is applied."""

    name: bytes
    version: int


class Head(msgspec.Struct, frozen=True, array_like=True):
    """Where a venue's list stands. Versions compare as (epoch, version); times UTC ms."""

    feed_id: bytes
    venue: int
    epoch: int
    version: int
    snapshot_version: int
    snapshot: tuple[SegmentRef, ...]
    deltas: tuple[SegmentRef, ...]
    key_set_version: int
    list_key_id: int
    zone: str
    signed_at_ms: int
    not_after_ms: int


class Credential(msgspec.Struct, frozen=True, array_like=True):
    """A keyed hash by which a card finds its pass."""

    kind: CredentialKind
    hash: bytes


class HolderKey(msgspec.Struct, frozen=True, array_like=True):
    """A phone that may draw rotating codes: generation u16 and compressed P-256 key."""

    generation: int
    public: bytes


class PassRow(msgspec.Struct, frozen=True, array_like=True):
    """One pass at this venue, whole: a later row with the same id replaces it and everything it carries."""

    pass_id: bytes
    product: int
    status: PassStatus
    not_before: int
    not_after: int
    lowest_issue: int
    credentials: tuple[Credential, ...] = ()
    holder_keys: tuple[HolderKey, ...] = ()
    static_again: bool = False
    """An operator turned the static form on again although a phone is registered (wire.md §3)."""


class NameRow(msgspec.Struct, frozen=True, array_like=True):
    """What the screens show of a pass; sent apart because it is most of the bytes."""

    pass_id: bytes
    ticket_number: str
    masked_name: str
    photo: bytes = b""
    """The name of the holder's photo (wire.photo); empty: there is none, or this venue shows none."""
    stop: Stop | None = None
    """Of a pass that is suspended or revoked. Left out of every other row, and by releases that do not know it."""


class Mark(msgspec.Struct, frozen=True, array_like=True):
    """Entries of this journal up to `seq` are in the row, so that the gate they come from does not count them twice."""

    device: bytes
    incarnation: bytes
    seq: int


class UseRow(msgspec.Struct, frozen=True, array_like=True):
    """Uses known to the centre: ever, the last day with any (days since 2020, venue's zone), and on that day.

    `in_month` and `in_year` count in the month and year of that day; `last_ms` is the newest use, where its time is
    known; `elsewhere` is how many other venues of a combo ticket were visited.
    """

    pass_id: bytes
    total: int
    day: int
    on_day: int
    marks: tuple[Mark, ...]
    in_month: int = 0
    in_year: int = 0
    last_ms: int | None = None
    elsewhere: int = 0


class CodePolicy(StrEnum):
    """Which form of the code a product takes; EITHER: the static one until a phone is registered (wire.md §3)."""

    ROTATING = "rotating"
    STATIC = "static"
    EITHER = "either"


class ProductDocument(msgspec.Struct, frozen=True, kw_only=True):
    """A product as this venue's gates treat it. Limits of unlisted tokens as wire.md §5."""

    number: Annotated[int, Meta(ge=0, lt=1 << 16)]
    kind: str
    name_zh: str
    name_en: str
    rule: Rule
    code_policy: CodePolicy = CodePolicy.EITHER
    venues: Annotated[int, Meta(ge=1, le=MAX_VENUES)] = 1
    """How many venues a combo ticket opens, this one included."""
    offline_limit: Annotated[int, Meta(ge=0, le=MAX_OFFLINE)] = 50
    max_unlisted_age_h: Annotated[int, Meta(ge=0)] = 24


class VenueDocument(msgspec.Struct, frozen=True, kw_only=True):
    """The venue, when it is open, and its products: the small document that every list carries."""

    version: int = DOCUMENT_VERSION
    venue: int
    name_zh: str
    name_en: str
    groups: tuple[int, ...]
    zone: str
    calendar: Calendar = Calendar()
    products: Annotated[tuple[ProductDocument, ...], Meta(max_length=MAX_PRODUCTS)]
    accepts_plain_card: bool = True
    electronic_card: CodeShape | UnsetType = UNSET
    """How the codes of electronic social-security cards look; not there at a venue that takes none."""

    def __post_init__(self) -> None:
        """Raises ValueError for a zone nobody knows and for two products of one number."""
        try:
            ZoneInfo(self.zone)
        except (KeyError, ValueError, OSError) as error:
            raise ValueError(f"there is no time zone {self.zone!r}") from error
        numbers = [product.number for product in self.products]
        if len(set(numbers)) < len(numbers):
            raise ValueError("two products bear the same number")


Row = PassRow | NameRow | UseRow | VenueDocument


def sign_head(head: Head, key_id: int, list_signing_key: bytes) -> bytes:
    """The head as gates fetch it."""
    return signing.seal(HEAD_KIND, HEAD_VERSION, key_id, list_signing_key, msgspec.msgpack.encode(head))


def read_head(data: bytes, keys: KeySet, feed_id: bytes) -> Head | SealFlaw:
    """The head, if a list key of the key set signed it for this feed. Its age is the caller's to judge."""
    if len(data) > MAX_HEAD_BYTES:
        return SealFlaw.MALFORMED
    sealed = signing.unseal(HEAD_KIND, HEAD_VERSION, data)
    if isinstance(sealed, SealFlaw):
        return sealed
    try:
        head = msgspec.msgpack.decode(sealed.payload, type=Head)
    except UNREADABLE:
        return SealFlaw.MALFORMED
    key = keys.find(Purpose.LIST, sealed.key_id, head.signed_at_ms)
    if key is None:
        return SealFlaw.UNKNOWN_KEY
    return head if sealed.is_by(key.public) and head.feed_id == feed_id else SealFlaw.FORGED


def segment_name(segment: bytes) -> bytes:
    """SHA-256 of the bytes as sent: the name under which caches keep them."""
    return hashlib.sha256(segment).digest()


# format 1 · venue list key's id 2 · nonce 12 · AES-256-GCM of zlib(part 1 · rows)
_SEGMENT = struct.Struct(f">BH{NONCE_BYTES}s")


def seal_segment(part: Part, rows: Sequence[Row], list_key: bytes, list_key_id: int, nonce: bytes) -> bytes:
    """A segment of one part. Passes are sorted by id; `nonce` (12 B) must never meet the same list key twice."""
    plain = pack_rows(part, rows)
    header = _SEGMENT.pack(SEGMENT_VERSION, list_key_id, nonce)
    return header + AESGCM(list_key).encrypt(nonce, _squeeze(part, plain), signing.prefix("segment", 1) + header)


def _squeeze(part: Part, plain: bytes) -> bytes:
    """In planes nothing repeats but runs, and each wants a code of its own, which zlib chooses by the block."""
    if part is not Part.PASSES:
        return zlib.compress(plain, 9)
    packing = zlib.compressobj(9, strategy=zlib.Z_RLE)
    blocks = [packing.compress(plane) + packing.flush(zlib.Z_BLOCK) for plane in _planes_of(plain)]
    return b"".join((*blocks, packing.flush()))


def pack_rows(part: Part, rows: Sequence[Row]) -> bytes:
    """What a segment holds before it is compressed and encrypted.

    Raises msgspec.ValidationError, which says where, for a document that no gate would take.
    """
    if part is Part.PASSES:
        return bytes([part]) + _pack_passes(rows)
    packed = msgspec.msgpack.encode(_names(rows) if part is Part.NAMES else rows)
    if part is Part.DOCUMENT:
        msgspec.msgpack.decode(packed, type=list[VenueDocument])
    return bytes([part]) + packed


def _names(rows: Sequence[Row]) -> list[object]:
    """As they are sent: only a pass that is stopped has a last field, so that it costs the others nothing."""
    names = (row for row in rows if isinstance(row, NameRow))
    return [(n.pass_id, n.ticket_number, n.masked_name, n.photo) if n.stop is None else n for n in names]


def open_segment(segment: bytes, name: bytes, list_keys: dict[int, bytes]) -> tuple[Part, list[Row]] | SegmentFlaw:
    """The rows of a segment whose bytes bear `name`; `list_keys` are the venue's keys by id."""
    if len(segment) > MAX_SEGMENT_BYTES or len(segment) < _SEGMENT.size:
        return SegmentFlaw.MALFORMED
    if segment_name(segment) != name:
        return SegmentFlaw.WRONG_NAME
    version, key_id, nonce = _SEGMENT.unpack_from(segment)
    if version != SEGMENT_VERSION:
        return SegmentFlaw.NEEDS_UPDATE
    if key_id not in list_keys:
        return SegmentFlaw.WRONG_KEY
    aad = signing.prefix("segment", 1) + segment[: _SEGMENT.size]
    try:
        packed = AESGCM(list_keys[key_id]).decrypt(nonce, segment[_SEGMENT.size :], aad)
    except InvalidTag:
        return SegmentFlaw.WRONG_KEY
    inflate = zlib.decompressobj()
    try:
        plain = inflate.decompress(packed, MAX_PLAIN_BYTES)
        if not inflate.eof:
            return SegmentFlaw.MALFORMED
        part = Part(plain[0])
        return (part, _unpack(part, plain[1:])) if part is not Part.DOCUMENT else _open_documents(plain[1:])
    except (*UNREADABLE, zlib.error, struct.error, ValueError, IndexError):
        return SegmentFlaw.MALFORMED


def _unpack(part: Part, body: bytes) -> list[Row]:
    if part is Part.PASSES:
        return list(_unpack_passes(body))
    if part is Part.NAMES:
        return list(msgspec.msgpack.decode(body, type=list[NameRow]))
    return list(msgspec.msgpack.decode(body, type=list[UseRow]))


class _Versioned(msgspec.Struct):
    version: int


def _open_documents(body: bytes) -> tuple[Part, list[Row]] | SegmentFlaw:
    if any(found.version != DOCUMENT_VERSION for found in msgspec.msgpack.decode(body, type=list[_Versioned])):
        return SegmentFlaw.NEEDS_UPDATE
    try:
        return Part.DOCUMENT, list(msgspec.msgpack.decode(body, type=list[VenueDocument]))
    except msgspec.ValidationError:
        return SegmentFlaw.BAD_DOCUMENT


_PASS = struct.Struct(">8sHB3s3sBBB")
_CREDENTIAL = struct.Struct(f">B{HASH_BYTES}s")
_HOLDER_KEY = struct.Struct(f">H{HOLDER_KEY_BYTES}s")
_COUNTS = struct.Struct(">III")
STATIC_AGAIN = 0x80
"""Of a row's status byte; the bits below are the status."""


def _pack_passes(rows: Iterable[Row]) -> bytes:
    passes = sorted((row for row in rows if isinstance(row, PassRow)), key=lambda row: row.pass_id)
    fixed = [
        _PASS.pack(
            row.pass_id,
            row.product,
            row.status | (STATIC_AGAIN if row.static_again else 0),
            row.not_before.to_bytes(3, "big"),
            row.not_after.to_bytes(3, "big"),
            row.lowest_issue,
            len(row.credentials),
            len(row.holder_keys),
        )
        for row in passes
    ]
    credentials = [_CREDENTIAL.pack(item.kind, item.hash) for row in passes for item in row.credentials]
    holder_keys = [_HOLDER_KEY.pack(item.generation, item.public) for row in passes for item in row.holder_keys]
    return (
        _COUNTS.pack(len(fixed), len(credentials), len(holder_keys))
        + planes.laid(b"".join(fixed), _PASS.size)
        + planes.laid(b"".join(credentials), _CREDENTIAL.size)
        + planes.laid(b"".join(holder_keys), _HOLDER_KEY.size)
    )


def _unpack_passes(body: bytes) -> Iterable[PassRow]:
    n_passes, n_credentials, n_holder_keys = _COUNTS.unpack_from(body)
    at_credentials = _COUNTS.size + n_passes * _PASS.size
    at_holder_keys = at_credentials + n_credentials * _CREDENTIAL.size
    if len(body) != at_holder_keys + n_holder_keys * _HOLDER_KEY.size:
        raise ValueError("a passes segment whose counts and length disagree")
    fixed = planes.rows(body[_COUNTS.size : at_credentials], _PASS.size)
    credentials = _CREDENTIAL.iter_unpack(planes.rows(body[at_credentials:at_holder_keys], _CREDENTIAL.size))
    holder_keys = _HOLDER_KEY.iter_unpack(planes.rows(body[at_holder_keys:], _HOLDER_KEY.size))
    for pass_id, product, status, not_before, not_after, lowest_issue, n_own, n_keys in _PASS.iter_unpack(fixed):
        yield PassRow(
            pass_id,
            product,
            PassStatus(status & ~STATIC_AGAIN),
            int.from_bytes(not_before, "big"),
            int.from_bytes(not_after, "big"),
            lowest_issue,
            tuple(Credential(CredentialKind(kind), value) for kind, value in _take(credentials, n_own)),
            tuple(HolderKey(generation, public) for generation, public in _take(holder_keys, n_keys)),
            bool(status & STATIC_AGAIN),
        )


def _take(items: Iterable[tuple[int, bytes]], count: int) -> list[tuple[int, bytes]]:
    taken = [item for _, item in zip(range(count), items, strict=False)]
    if len(taken) != count:
        raise ValueError("a passes segment with fewer credentials or keys than its rows say")
    return taken


def _planes_of(plain: bytes) -> Iterator[bytes]:
    """Plane by plane, and what stands before them."""
    counts, at = _COUNTS.unpack_from(plain, 1), 1 + _COUNTS.size
    yield plain[:at]
    for count, width in zip(counts, (_PASS.size, _CREDENTIAL.size, _HOLDER_KEY.size), strict=True):
        for _ in range(width):
            yield plain[at : at + count]
            at += count
