"""A venue without a centre, for tests: passes, their codes and cards, and a data directory as sync leaves it."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from zoneinfo import ZoneInfo

import msgspec
from cryptography.hazmat.primitives.asymmetric import ec
from msgspec import UNSET, UnsetType

from gate_agent import trusted_time
from gate_agent.recognition import credentials
from gate_agent.sync_state import Enrolment
from gate_agent.sync_store import SyncStore, store_enrolment
from gate_agent.time_trust import SignedTime
from hardware.card_reader import CardRead
from tests.gate_agent import lists
from tests.gate_agent.phones import Phone
from tests.wire import samples
from wire import feed, moments, signing, token
from wire.calendar import Calendar
from wire.electronic_card import CodeShape
from wire.entitlement import PassStatus, Rule, Stop
from wire.feed import Credential, Mark, NameRow, Part, PassRow, ProductDocument, UseRow
from wire.photo import photo_name
from wire.token import Claims, Scope

DAY_MIN = 24 * 60
NOW_MS = samples.NOW_MS
NOW_MINUTE = moments.minute_floor(NOW_MS)
VERSION = 42
ANNUAL, SINGLE, TWICE = 7, 8, 9
"""Products: once a day for a year; once in all; twice a day."""
STRANGE = 99
"""A product the list does not describe."""
ZONE = ZoneInfo(samples.DOCUMENT.zone)
PRODUCTS = (
    ProductDocument(number=ANNUAL, kind="PASS", name_zh="汴京旅游年票", name_en="Annual pass", rule=Rule(per_day=1)),
    ProductDocument(
        number=SINGLE, kind="SINGLE", name_zh="虹桥单票", name_en="Single ticket", rule=Rule(per_day=None, total=1),
        offline_limit=2,
    ),
    ProductDocument(number=TWICE, kind="PASS", name_zh="双次年票", name_en="Twice a day", rule=Rule(per_day=2)),
)  # fmt: skip


ALWAYS_OPEN = Calendar()


@dataclass(frozen=True)
class Ticket:
    """One pass and what its holder shows."""

    claims: Claims
    text: str
    card: CardRead

    @property
    def pass_id(self) -> bytes:
        """Of its claims."""
        return self.claims.pass_id


@dataclass
class Venue:
    """Everything the list of one venue says; `settle` writes it into a data directory."""

    accepts_plain_card: bool = True
    electronic_card: CodeShape | UnsetType = UNSET
    calendar: Calendar = ALWAYS_OPEN
    passes: dict[bytes, PassRow] = field(default_factory=dict)
    uses: dict[bytes, UseRow] = field(default_factory=dict)
    photos: dict[bytes, bytes] = field(default_factory=dict)
    """Photos as sent, by pass."""
    stops: dict[bytes, Stop] = field(default_factory=dict)
    """Why passes are suspended or revoked."""
    feed: lists.Feed = field(default_factory=lists.Feed)
    products: tuple[ProductDocument, ...] = PRODUCTS
    _issued: int = 0

    def issue(
        self,
        product: int = ANNUAL,
        *,
        status: PassStatus = PassStatus.ACTIVE,
        not_before: int = NOW_MINUTE - 30 * DAY_MIN,
        not_after: int = NOW_MINUTE + 300 * DAY_MIN,
        lowest_issue: int = 1,
        listed: bool = True,
        scope: int = lists.VENUE,
        scope_kind: Scope = Scope.VENUE,
        issued_version: int = VERSION,
        signer: bytes = samples.PASS,
        key_id: int = samples.PASS_KEY_ID,
        card: CardRead | None = None,
    ) -> Ticket:
        """A new pass with its code and its card; without a `card` one of its own, known by both numbers."""
        self._issued += 1
        pass_id = self._issued.to_bytes(8, "big")
        claims = Claims(pass_id, product, scope_kind, scope, not_before, not_after, 1, issued_version)
        card = card or CardRead("410200", f"A{self._issued:08}", f"{self._issued:016}")
        if listed:
            hashed = tuple(
                Credential(kind, value)
                for kind, value in credentials(card, lists.CONFIG.credential_keys, lists.CONFIG.deployment_salt)
            )
            self.passes[pass_id] = PassRow(pass_id, product, status, not_before, not_after, lowest_issue, hashed)
        return Ticket(claims, token.sign_token(claims, key_id, signer), card)

    def phone(self, ticket: Ticket, generation: int = 1, *, listed: bool = True) -> Phone:
        """A phone that draws codes for a pass; the centre has registered it, and the list says so if `listed`."""
        one = Phone(ticket.claims, generation, ec.generate_private_key(ec.SECP256R1()))
        if listed:
            row = self.passes[ticket.pass_id]
            self.passes[ticket.pass_id] = msgspec.structs.replace(row, holder_keys=(*row.holder_keys, one.key))
        return one

    def used(
        self, ticket: Ticket, total: int, on_day: int = 0, marks: Sequence[Mark] = (), now_ms: int = NOW_MS
    ) -> None:
        """The centre knows of uses, `on_day` of them on the day of `now_ms`."""
        today = moments.day_number(now_ms, ZONE)
        self.uses[ticket.pass_id] = UseRow(ticket.pass_id, total, today, on_day, tuple(marks))

    def publish(self, signed_at_ms: int = NOW_MS, version: int = VERSION) -> None:
        """Sign the list as it is now."""
        document = msgspec.structs.replace(
            samples.DOCUMENT,
            products=self.products,
            calendar=self.calendar,
            accepts_plain_card=self.accepts_plain_card,
            electronic_card=self.electronic_card,
        )
        photos = {pass_id: photo_name(sealed) for pass_id, sealed in self.photos.items()}
        names = [
            NameRow(
                pass_id,
                f"20261118{int.from_bytes(pass_id, 'big'):08}",
                "李*花",
                photos.get(pass_id, b""),
                self.stops.get(pass_id),
            )
            for pass_id in self.passes
        ]
        parts: list[tuple[Part, Sequence[feed.Row]]] = [
            (Part.DOCUMENT, (document,)),
            (Part.PASSES, tuple(self.passes.values())),
            (Part.NAMES, names),
            (Part.USES, tuple(self.uses.values())),
        ]
        self.feed.publish(version, parts, signed_at_ms=signed_at_ms)

    def settle(self, data_dir: Path, *, signed_at_ms: int = NOW_MS, knows_time: bool = True) -> None:
        """Make `data_dir` that of an approved gate which holds the list; its clock says NOW_MS from here on."""
        enrol(data_dir)
        self.publish(signed_at_ms)
        assert isinstance(self.feed.install(data_dir), feed.Head)
        if knows_time:
            set_time(data_dir)

    def unlisted(self, ticket: Ticket, issued_version: int) -> Ticket:
        """The same pass as if it had been signed after `issued_version`, and not in the list."""
        self.passes.pop(ticket.pass_id, None)
        claims = replace(ticket.claims, issued_version=issued_version)
        return Ticket(claims, token.sign_token(claims, samples.PASS_KEY_ID, samples.PASS), ticket.card)


def enrol(data_dir: Path) -> None:
    """Make `data_dir` that of an approved gate without a list."""
    root = signing.public_key_of(samples.ROOT)
    enrolment = Enrolment("http://127.0.0.1:9", samples.DEVICE_ID, root, lists.KEY_SET)
    store_enrolment(data_dir, enrolment, samples.DEVICE, lists.CONFIG)


def set_time(data_dir: Path, now_ms: int = NOW_MS) -> None:
    """As if the centre had just signed `now_ms` as the time."""
    clocks = trusted_time.clocks_of_this_machine()
    with closing(SyncStore(data_dir)) as store:
        store.keep_signed_time(SignedTime(now_ms, clocks.boot_ms(), clocks.boot_id))


def bad_codes(venue: Venue) -> dict[str, str]:
    """Every code that must not open."""
    good = venue.issue().text
    at = len(good) - 40
    return {
        "forged": venue.issue(signer=bytes(32)).text,
        "unknown key": venue.issue(key_id=77).text,
        "cut": good[:-3],
        "re-encoded": good.lower(),
        "one character": good[:at] + ("A" if good[at] != "A" else "B") + good[at + 1 :],
        "wrong venue": venue.issue(scope=lists.VENUE + 1).text,
        "strange product": venue.issue(STRANGE).text,
        "expired": venue.issue(not_after=NOW_MINUTE).text,
        "early": venue.issue(not_before=NOW_MINUTE + 1).text,
        "not listed": venue.issue(listed=False).text,
        "replaced": venue.issue(lowest_issue=2).text,
        "revoked": venue.issue(status=PassStatus.REVOKED).text,
        "suspended": venue.issue(status=PassStatus.SUSPENDED).text,
        "not bound": venue.issue(status=PassStatus.NOT_BOUND).text,
        "link": "https://pay.example/secret-of-a-visitor",
        "empty": "",
    }
