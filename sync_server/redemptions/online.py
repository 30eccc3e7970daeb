"""The on-line check: one presentation judged, written down as a gate would have, and counted, in one transaction.

The entries go into a journal that the centre keeps for the device (`gates.journals.KEPT_HERE`), so that uses,
settlement, inboxes and exports see nothing special. Six statements: numbers and locks, everything known, entries,
claim, redemption, answer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy import bindparam
from sqlalchemy.engine import Connection

from sync_server.centre import Centre
from sync_server.db import insert_new
from sync_server.gates import registry
from sync_server.gates.journals import KEPT_HERE, lock_journal
from sync_server.gates.registry import Device
from sync_server.gates.tables import device as device_table
from sync_server.gates.tables import incarnation
from sync_server.issuance.tables import issued_pass
from sync_server.keys.pairs import SigningKey
from sync_server.orders.tables import item_claim
from sync_server.redemptions.admissions import Admission
from sync_server.redemptions.bulk import insert_missing
from sync_server.redemptions.cases import Case, answer_of, entries_of, judge_shown, known_of
from sync_server.redemptions.counting import Judged, judge_admission, redemption_row
from sync_server.redemptions.deciding import OnItem
from sync_server.redemptions.journal import entry_row
from sync_server.redemptions.judge import next_outcome
from sync_server.redemptions.rulebook import Rulebook, VenueRules
from sync_server.redemptions.shown import Shown, read_shown
from sync_server.redemptions.standing import find, is_meant, meant
from sync_server.redemptions.tables import entry, redeem_answer, redemption
from wire.messages import FIRST_HASH, Entry, Outcome, encode_entry, entry_hash
from wire.redeem import Redeem, RedeemFlaw, request_digest, sign_answer

ANSWER_KEPT_MS = 7 * 86_400_000
MAX_DROPPED_ANSWERS = 10_000
MAX_TRIES = 3
"""An item may be refunded, and a first journal begun, between a try and its claim; not often."""
ENTRIES_OF_ADMISSION = 2


class _Undone(Exception):
    """Nothing of this try is to stay; `answer` was given before, None: try again."""

    def __init__(self, answer: bytes | RedeemFlaw | None = None) -> None:
        super().__init__()
        self.answer = answer


def redeem(
    centre: Centre, rulebook: Rulebook, device: Device, asked: Redeem, body: bytes, signer: SigningKey
) -> bytes | RedeemFlaw | None:
    """The sealed answer; the same request again gets the same. None: the device may not ask any more."""
    rules = rulebook.venue(device.venue_id)
    for _ in range(MAX_TRIES):
        now_ms = centre.now_ms()
        shown = read_shown(asked.shown, rulebook.keys, rules, now_ms)
        check = _Check(centre, device, rules, asked, shown, now_ms)
        try:
            with centre.write() as connection:
                last_seq = check.take_numbers(connection)
                if last_seq is not None:
                    return check.answer(connection, last_seq, body, signer)
                if not _begin_journal(connection, device, now_ms):
                    return None
        except _Undone as undone:
            if undone.answer is not None:
                return undone.answer
    raise RuntimeError(f"an on-line check did not get through in {MAX_TRIES} tries")


def drop_old_answers(centre: Centre) -> int:
    """Worker step: forget answers that nobody asks for again; how many."""
    with centre.write() as connection:
        old = sa.select(redeem_answer.c.device_id, redeem_answer.c.request_id).where(
            redeem_answer.c.given_at_ms < centre.now_ms() - ANSWER_KEPT_MS
        )
        key = sa.tuple_(redeem_answer.c.device_id, redeem_answer.c.request_id)
        return connection.execute(redeem_answer.delete().where(key.in_(old.limit(MAX_DROPPED_ANSWERS)))).rowcount


def _numbers(by_card: bool) -> sa.Update:
    """Two numbers of the device's journal, which is locked by it, and the passes that are meant are too.

    Whoever counts an entry of one of them waits for the end of this check, and this check for whoever came first.
    """
    mine = sa.and_(incarnation.c.device_id == bindparam("device"), incarnation.c.incarnation == KEPT_HERE)
    active = sa.exists().where(
        device_table.c.id == bindparam("device"),
        device_table.c.state == "active",
        device_table.c.venue_id == bindparam("venue"),
    )
    passes = sa.select(issued_pass.c.id).where(is_meant(by_card)).order_by(issued_pass.c.id)
    locked = passes.with_for_update(key_share=True).subquery("locked")
    all_locked = sa.select(sa.func.count()).select_from(locked).scalar_subquery() >= 0
    taken = incarnation.update().where(mine, active, all_locked)
    return taken.values(
        through_seq=incarnation.c.through_seq + ENTRIES_OF_ADMISSION,
        highest_seq=incarnation.c.highest_seq + ENTRIES_OF_ADMISSION,
        last_seen_ms=bindparam("now_ms"),
    ).returning(incarnation.c.through_seq)


_NUMBERS = {by_card: _numbers(by_card) for by_card in (False, True)}
_ONE_BACK = (
    incarnation.update()
    .where(incarnation.c.device_id == bindparam("device"), incarnation.c.incarnation == KEPT_HERE)
    .values(through_seq=incarnation.c.through_seq - 1, highest_seq=incarnation.c.highest_seq - 1)
)


def _begin_journal(connection: Connection, device: Device, now_ms: int) -> bool:
    """Make the journal of a device's first on-line check; False when the registry does not let it act."""
    found = registry.find_device(connection, device.id)
    if found is None or found.state != "active" or found.venue_id != device.venue_id:
        return False
    lock_journal(connection, device.id, KEPT_HERE, now_ms)
    return True


@dataclass(frozen=True)
class _Check:
    centre: Centre
    device: Device
    rules: VenueRules
    asked: Redeem
    shown: Shown
    now_ms: int

    def take_numbers(self, connection: Connection) -> int | None:
        """The number of the last entry so far; None without a journal, or for a device that may not act."""
        parameters = {
            "device": self.device.id,
            "venue": self.device.venue_id,
            "now_ms": self.now_ms,
            **meant(self.centre, self.shown),
        }
        statement = _NUMBERS[self.shown.card is not None]
        through: int | None = connection.execute(statement, parameters).scalar_one_or_none()
        return None if through is None else through - ENTRIES_OF_ADMISSION

    def answer(self, connection: Connection, last_seq: int, body: bytes, signer: SigningKey) -> bytes:
        """Judge, write down, count, and keep the answer."""
        journal = (KEPT_HERE, last_seq)
        found = find(
            connection, self.centre, self.device, journal, self.asked.request_id, self.shown, self.rules, self.now_ms
        )
        digest = request_digest(body)
        if found.answer is not None:
            raise _Undone(found.answer if found.answered_digest == digest else RedeemFlaw.ID_REUSED)
        case = judge_shown(self.asked.shown, self.shown, found.passes, self.rules, self.now_ms)
        entries = entries_of(case, self.asked, self.rules, last_seq + 1, self.now_ms)
        if case.reason is not None:
            connection.execute(_ONE_BACK, {"device": self.device.id})  # a refusal is one entry
        self.write_down(connection, entries, found.head or FIRST_HASH)
        if case.reason is None:
            self.count(connection, case, entries[0])
        told = answer_of(case, self.rules, self.device.id, digest, last_seq + 1, self.now_ms)
        said = sign_answer(told, signer.id, signer.private)
        row = {
            "device_id": self.device.id,
            "request_id": self.asked.request_id,
            "request_digest": digest,
            "body": said,
            "given_at_ms": self.now_ms,
        }
        insert_new(redeem_answer, ["device_id", "request_id"], [row], connection)
        return said

    def write_down(self, connection: Connection, entries: Sequence[Entry], head: bytes) -> None:
        """Append to the journal, hashed onto what is there."""
        rows = []
        for one in entries:
            body = encode_entry(one)
            head = entry_hash(head, body)
            rows.append(entry_row(self.device, KEPT_HERE, one, body, head, self.now_ms))
        insert_missing(connection, entry, rows)

    def count(self, connection: Connection, case: Case, intent: Entry) -> None:
        """The redemption of an admission, classified as a batch's."""
        judged = judge_admission(self.device.id, KEPT_HERE, Admission(intent, self.now_ms), known_of(case, intent))
        outcome = judged.verdict.outcome
        if outcome is None:
            assert case.standing is not None and case.standing.item is not None, "else the verdict stands"
            outcome = self._claim(connection, case.standing.item, judged, case.standing.product)
        row = redemption_row(self.device, KEPT_HERE, judged, outcome, self.now_ms)
        insert_missing(connection, redemption, [row])

    def _claim(self, connection: Connection, item: OnItem, judged: Judged, product: int) -> Outcome:
        if item.claim_kind is not None:
            allowed = self.rules.products[product].rule.total
            return next_outcome(allowed, item.repeats, item.returned, item.given_back)
        claim: dict[str, Any] = {
            "item_id": item.id,
            "kind": "REDEEM",
            "ref": judged.id.hex(),
            "at_ms": judged.at_ms,
            "recorded_at_ms": self.now_ms,
        }
        if insert_missing(connection, item_claim, [claim]) == 0:
            raise _Undone  # refunded meanwhile
        return Outcome.CLAIMED
