"""One of everything the contract carries, from fixed keys and fixed chance: what vectors.json pins byte by byte."""

from __future__ import annotations

import msgspec
from cryptography.hazmat.primitives.asymmetric import ec

from wire import (
    credential,
    electronic_card,
    envelope,
    feed,
    heartbeat,
    holder_proof,
    invitation,
    keyset,
    messages,
    photo,
    presentation,
    signing,
    stranger,
    token,
)
from wire.calendar import Calendar, Closure, DayRange, Hours
from wire.credential import CredentialKind
from wire.entitlement import PassStatus, Rule, Stop, StopCause
from wire.heartbeat import AgentState, AlarmHealth, DeviceHealth, LaneHealth
from wire.keyset import KeySet, KeyState, PublicKey
from wire.messages import ClockTrust, Entry, EntryKind, Outcome, Presentation
from wire.reasons import Reason
from wire.redeem import REDEEM_FORMAT, Redeem, RedeemAnswer, ShownCard, encode_redeem, request_digest, sign_answer
from wire.signing import Purpose
from wire.token import Claims, Scope

NOW_MS = 1_795_000_000_000  # 2026-11-18
YEAR_MS = 365 * 86_400_000
ROOT, PASS, LIST, SERVICE, DEVICE = (bytes([n]) * 32 for n in range(1, 6))
PASS_KEY_ID, LIST_KEY_ID, SERVICE_KEY_ID = 11, 12, 13
LIST_KEY = bytes(range(32))
DEVICE_ID = bytes(range(16))
INCARNATION = bytes(range(8))
FEED_ID = bytes(range(16, 32))
PASS_ID = bytes.fromhex("a1b2c3d4e5f60718")
CLAIMS = Claims(PASS_ID, 7, Scope.VENUE, 3, 3_600_000, 4_100_000, 1, 42)
HOLDER = ec.derive_private_key(12345, ec.SECP256R1())
STEP = NOW_MS // presentation.STEP_MS
PROOF = bytes.fromhex(  # HOLDER's for PASS_ID, generation 1 and STEP; every signing makes another one
    "cac57e1d0891cbcaebc52dcb91d4f92b8a07b3a14791dee83f6194205766c472"
    "7f8b303abc6e68b58d5ddff8b0490e6dbdb16fccc54a8bed168b3a0f1d440292"
)


def public_key(key_id: int, purpose: Purpose, private: bytes, state: KeyState = KeyState.SIGNING) -> PublicKey:
    """A key of the sample centre, good for two years around NOW_MS."""
    return PublicKey(key_id, purpose, signing.public_key_of(private), NOW_MS - YEAR_MS, NOW_MS + YEAR_MS, state)


KEY_SET = KeySet(
    version=5,
    issued_at_ms=NOW_MS,
    root=signing.public_key_of(ROOT),
    keys=(
        public_key(PASS_KEY_ID, Purpose.PASS, PASS),
        public_key(LIST_KEY_ID, Purpose.LIST, LIST),
        public_key(SERVICE_KEY_ID, Purpose.SERVICE, SERVICE),
    ),
)

CONFIG = messages.GateConfig(3, FEED_ID, ((21, LIST_KEY),), bytes(32), b"salt", keyset.sign_key_set(KEY_SET, (ROOT,)))

PASS_ROWS = (
    feed.PassRow(
        PASS_ID,
        7,
        PassStatus.ACTIVE,
        3_600_000,
        4_100_000,
        1,
        (feed.Credential(CredentialKind.CARD_NUMBER, bytes(range(16))),),
        (feed.HolderKey(1, holder_proof.public_key_of(HOLDER)),),
        static_again=True,
    ),
    feed.PassRow(bytes(8), 8, PassStatus.REVOKED, 3_600_000, 3_700_000, 2),
)
PHOTO = photo.seal_photo(b"a picture", PASS_ID, 21, LIST_KEY, bytes(12))
PHOTO_KEYS = photo.PhotoKeys(DEVICE_ID, bytes(16), ((21, LIST_KEY),))
NAME_ROWS = (
    feed.NameRow(PASS_ID, "2026111800000017", "李*花", photo.photo_name(PHOTO)),
    feed.NameRow(b"stopped.", "2026111800000018", "周*明", stop=Stop(StopCause.LOST, 3_617_000)),
)
USE_ROWS = (feed.UseRow(PASS_ID, 3, 2513, 1, (feed.Mark(DEVICE_ID, INCARNATION, 9),), 2, 3, NOW_MS, 1),)
DOCUMENT = feed.VenueDocument(
    venue=3,
    name_zh="汴河虹桥景区",
    name_en="Rainbow Bridge",
    groups=(1,),
    zone="Asia/Shanghai",
    products=(
        feed.ProductDocument(
            number=7, kind="PASS", name_zh="汴京旅游年票", name_en="Bianjing annual pass", rule=Rule(per_day=1)
        ),
    ),
)
FULL_DOCUMENT = msgspec.structs.replace(
    DOCUMENT,
    calendar=Calendar(
        hours=(Hours(8 * 60, 17 * 60 + 30), Hours(9 * 60, 12 * 60, 0b001_1111, 2500, 2520)),
        closed_days=(DayRange(2513, 2514, "设备检修"),),
        closures=(Closure(3_618_000, None, "大风"),),
    ),
    products=(
        feed.ProductDocument(
            number=8,
            kind="COMBO",
            name_zh="汴河五景联票",
            name_en="Five sights",
            rule=Rule(
                per_day=2, per_month=4, per_year=12, total=20, gap_min=30, leave_first=True, party=3, needs_card=True,
                slots=(Hours(9 * 60, 11 * 60, 0b001_1111),),
                blackout=(DayRange(2465, 2471), DayRange(0, 11_650, "周末", 0b110_0000)),
            ),
            code_policy=feed.CodePolicy.ROTATING,
            venues=5,
        ),
    ),
    electronic_card=electronic_card.CodeShape(
        prefix="SSC1", shortest=28, longest=40, characters=electronic_card.Characters.ALPHANUMERIC
    ),
)  # fmt: skip
"""Everything a document can say."""

ENTRIES = (
    Entry(
        1, EntryKind.INTENT, NOW_MS, ClockTrust.TRUSTED, 123_456, 1, 42, 1,
        Presentation.STATIC, PASS_ID, bytes(range(8)),
    ),
    Entry(
        2, EntryKind.PASSED, NOW_MS + 1800, ClockTrust.TRUSTED, 125_256, 1, 42, 1,
        pass_id=PASS_ID, ref_seq=1,
    ),
    Entry(
        3, EntryKind.REFUSED, NOW_MS + 9000, ClockTrust.HELD, 132_456, 1, 42, 2,
        Presentation.STATIC, PASS_ID, reason="used_up",
    ),
)  # fmt: skip

QUESTION = electronic_card.encode_question("SSC1ABCDEFGHIJKLMNOPQRSTUVWX", bytes(range(16)))
ANSWER = electronic_card.Answer(
    DEVICE_ID,
    electronic_card.digest_of(QUESTION),
    electronic_card.Finding.FOUND,
    ((CredentialKind.ID_NUMBER, bytes(range(16))),),
)


HEARTBEAT = heartbeat.Heartbeat(
    heartbeat.HEARTBEAT_FORMAT,
    AgentState.RUNNING,
    (LaneHealth(1, "open", "entry"), LaneHealth(2, "out_of_order", "exit", "turnstile")),
    (DeviceHealth(1, "scanner"), DeviceHealth(1, "relay"), DeviceHealth(2, "relay", "no answer")),
    (AlarmHealth("turnstile", 2, NOW_MS), AlarmHealth("under_voltage", 0, NOW_MS)),
    ClockTrust.TRUSTED, NOW_MS, 41, 56, True, NOW_MS - 60_000, "unreachable", 1, 3,
)  # fmt: skip
"""Everything a gate can tell of itself."""


def batch() -> messages.Batch:
    """The three entries as one batch from the start of a journal."""
    bodies = tuple(messages.encode_entry(entry) for entry in ENTRIES)
    running = messages.FIRST_HASH
    for body in bodies:
        running = messages.entry_hash(running, body)
    return messages.Batch(
        messages.BATCH_FORMAT, DEVICE_ID, INCARNATION, 1, messages.FIRST_HASH, running, bodies, 1, 42, 5, 0, "0.2.0"
    )


def following_batch() -> messages.Batch:
    """A batch that says everything that may be said: of the journal before, of an earlier receipt, and its end."""
    first = batch()
    return msgspec.structs.replace(
        first,
        echo=messages.batch_digest(messages.encode_batch(first)),
        complete_seq=3,
        supersedes=messages.Superseded(INCARNATION[::-1], 99, bytes(range(32))),
        closing=True,
        health=heartbeat.encode_heartbeat(HEARTBEAT),
    )


def head(segments: tuple[bytes, ...]) -> feed.Head:
    """A head over whole segments."""
    refs = tuple(feed.SegmentRef(feed.segment_name(segment), 42) for segment in segments)
    return feed.Head(FEED_ID, 3, 1, 42, 42, refs, (), 5, 21, "Asia/Shanghai", NOW_MS, NOW_MS + feed.HEAD_NOT_AFTER_MS)


REDEEM = Redeem(REDEEM_FORMAT, bytes(range(16)), token.sign_token(CLAIMS, PASS_KEY_ID, PASS), 3, "李芳")
REDEEM_CARD = Redeem(REDEEM_FORMAT, bytes(16), ShownCard(1, CredentialKind.CARD_NUMBER, "A12345678", "410200"))
ADMITTED = RedeemAnswer(DEVICE_ID, request_digest(encode_redeem(REDEEM)), 1, NOW_MS, None, 1, 0, PASS_ID, 7, "李*花")
NOT_ADMITTED = RedeemAnswer(DEVICE_ID, request_digest(encode_redeem(REDEEM_CARD)), 3, NOW_MS, Reason.CARD_UNKNOWN)


def exact_bytes() -> dict[str, str]:
    """Everything of the contract that has exactly one encoding, by name, as hex or text."""
    segment = feed.seal_segment(feed.Part.NAMES, NAME_ROWS, LIST_KEY, 21, bytes(12))
    body = messages.encode_batch(batch())
    receipt = messages.Receipt(DEVICE_ID, INCARNATION, 3, messages.batch_digest(body), ((1, Outcome.PASS_VISIT),))
    binding = presentation.bind_holder(CLAIMS, PASS_KEY_ID, PASS, 1, holder_proof.public_key_of(HOLDER))
    return {
        "token.static": token.sign_token(CLAIMS, PASS_KEY_ID, PASS),
        "token.evidence": token.evidence_of(token.sign_token(CLAIMS, PASS_KEY_ID, PASS)).hex(),
        "rotating.holder_key": holder_proof.public_key_of(HOLDER).hex(),
        "rotating.holder_message": presentation.holder_message(PASS_ID, 1, STEP).hex(),
        "rotating.binding": binding.hex(),
        "rotating.short_of_zero_proof": presentation.short_text(PASS_ID, STEP, bytes(64)),
        "rotating.short": presentation.short_text(PASS_ID, STEP, PROOF),
        "rotating.full": presentation.full_text(binding, STEP, PROOF),
        "rotating.evidence": presentation.ShortCode(PASS_ID, STEP, PROOF).evidence.hex(),
        "keyset": keyset.sign_key_set(KEY_SET, (ROOT,)).hex(),
        "entry.intent": messages.encode_entry(ENTRIES[0]).hex(),
        "entry.passed": messages.encode_entry(ENTRIES[1]).hex(),
        "entry.refused": messages.encode_entry(ENTRIES[2]).hex(),
        "entry.hash_of_first": messages.entry_hash(messages.FIRST_HASH, messages.encode_entry(ENTRIES[0])).hex(),
        "entry.redemption_id": messages.redemption_id(DEVICE_ID, INCARNATION, 1).hex(),
        "entry.stranger": stranger.stranger_evidence("https://example.com/pay", bytes(32)).hex(),
        "batch": body.hex(),
        "batch.following": messages.encode_batch(following_batch()).hex(),
        "receipt": messages.sign_receipt(receipt, SERVICE_KEY_ID, SERVICE).hex(),
        "redeem": encode_redeem(REDEEM).hex(),
        "redeem.card": encode_redeem(REDEEM_CARD).hex(),
        "redeem.admitted": sign_answer(ADMITTED, SERVICE_KEY_ID, SERVICE).hex(),
        "redeem.refused": sign_answer(NOT_ADMITTED, SERVICE_KEY_ID, SERVICE).hex(),
        "config": messages.sign_config(CONFIG, DEVICE_ID, SERVICE_KEY_ID, SERVICE).hex(),
        "head": feed.sign_head(head((segment,)), LIST_KEY_ID, LIST).hex(),
        "segment.plain.passes": feed.pack_rows(feed.Part.PASSES, PASS_ROWS).hex(),
        "segment.plain.names": feed.pack_rows(feed.Part.NAMES, NAME_ROWS).hex(),
        "segment.plain.uses": feed.pack_rows(feed.Part.USES, USE_ROWS).hex(),
        "segment.plain.document": feed.pack_rows(feed.Part.DOCUMENT, (DOCUMENT,)).hex(),
        "segment.plain.document.full": feed.pack_rows(feed.Part.DOCUMENT, (FULL_DOCUMENT,)).hex(),
        "request.signature": envelope.sign_request(
            DEVICE, DEVICE_ID, "POST", "/device/v1/entries?a=1", b"body", NOW_MS, bytes(16)
        )[envelope.SIGNATURE_HEADER],
        "reply.clock": envelope.sign_time(NOW_MS, bytes(16), SERVICE_KEY_ID, SERVICE),
        "credential.id_number": credential.id_credential(
            bytes(32), credential.person_hash("11010519491231002x", b"salt")
        ).hex(),
        "electronic_card.question": QUESTION.hex(),
        "electronic_card.answer": electronic_card.sign_answer(ANSWER, SERVICE_KEY_ID, SERVICE).hex(),
        "photo": PHOTO.hex(),
        "photo.keys": photo.sign_photo_keys(PHOTO_KEYS, SERVICE_KEY_ID, SERVICE).hex(),
        "credential.card": credential.card_credential(bytes(32), "410200", "A12345678").hex(),
        "heartbeat": heartbeat.encode_heartbeat(HEARTBEAT).hex(),
        "enrolment.code": messages.make_enrolment_code(bytes(range(10)), signing.public_key_of(ROOT)).text(),
        "enrolment.invitation": invitation.invitation_text(
            "https://gates.example", bytes(range(10)), signing.public_key_of(ROOT), b"a certificate"
        ),
    }
