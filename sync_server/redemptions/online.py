"""The on-line check: one presentation judged, written down as a gate would have, and counted, in one transaction.

The entries go into a journal that the centre keeps for the device (`gates.journals.KEPT_HERE`), so that uses,
settlement, inboxes and exports see nothing special. Six statements at most: numbers and locks, everything known, then
entries, answer, claim and redemption (these four by one on PostgreSQL).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import sqlalchemy as sa
from sqlalchemy import bindparam
from sqlalchemy.engine import Connection

from sync_server.bulk import Part, Value, insert_few
from sync_server.centre import Centre
from sync_server.commits import SharedCommits
from sync_server.gates import registry
from sync_server.gates.journals import KEPT_HERE, lock_journal
from sync_server.gates.registry import Device
from sync_server.gates.tables import device as device_table
from sync_server.gates.tables import incarnation
from sync_server.issuance.tables import issued_pass
from sync_server.keys.pairs import SigningKey
from sync_server.orders.tables import item_claim
from sync_server.redemptions.admissions import Admission
from sync_server.redemptions.cases import Case, answer_of, entries_of, judge_shown, known_of
from sync_server.redemptions.counting import Judged, judge_admission, mark_copies, redemption_row
from sync_server.redemptions.deciding import OnItem
from sync_server.redemptions.journal import entry_row
from sync_server.redemptions.judge import next_outcome, step_shown
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
    centre: Centre,
    commits: SharedCommits,
    rulebook: Rulebook,
    device: Device,
    asked: Redeem,
    body: bytes,
    signer: SigningKey,
) -> bytes | RedeemFlaw | None:
    """The sealed answer; the same request again gets the same. None: the device may not ask any more."""
    rules = rulebook.venue(device.venue_id)
    for _ in range(MAX_TRIES):
        now_ms = centre.now_ms()
        shown = read_shown(asked.shown, rulebook.keys, rules, now_ms)
        check = _Check(centre, device, rules, asked, shown, now_ms)
        answer: bytes | RedeemFlaw | None
        try:
            answer = commits.run(partial(check.answer, body=body, signer=signer))
        except _Undone as undone:
            answer = undone.answer
        if answer is not None:
            return answer
        with centre.write() as connection:
            if not _may_go_on(connection, device, now_ms):
                return None
    raise RuntimeError(f"an on-line check did not get through in {MAX_TRIES} tries")


def drop_old_answers(centre: Centre) -> int:
    """Worker step: forget answers that nobody asks for again; how many."""
    old = sa.select(redeem_answer.c.device_id, redeem_answer.c.request_id).where(
        redeem_answer.c.given_at_ms < centre.now_ms() - ANSWER_KEPT_MS
    )
    if not centre.finds(old):
        return 0
    with centre.write() as connection:
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


def _may_go_on(connection: Connection, device: Device, now_ms: int) -> bool:
    """Whether the registry lets the device act; its journal is there then."""
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

    def answer(self, connection: Connection, body: bytes, signer: SigningKey) -> bytes | None:
        """Judge, write down, count, and keep the answer; None without a journal, or for a device that may not act."""
        parameters = {
            "device": self.device.id,
            "venue": self.device.venue_id,
            "now_ms": self.now_ms,
            **meant(self.centre, self.shown),
        }
        numbers = connection.execute(_NUMBERS[self.shown.card is not None], parameters)
        through: int | None = numbers.scalar_one_or_none()
        if through is None:
            return None
        last_seq = through - ENTRIES_OF_ADMISSION
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
        told = answer_of(case, self.rules, self.device.id, digest, last_seq + 1, self.now_ms)
        said = sign_answer(told, signer.id, signer.private)
        kept: dict[str, Value] = {
            "device_id": self.device.id,
            "request_id": self.asked.request_id,
            "request_digest": digest,
            "body": said,
            "given_at_ms": self.now_ms,
        }
        parts: list[Part] = [(entry, self.written(entries, found.head or FIRST_HASH)), (redeem_answer, [kept])]
        if case.reason is None:
            parts += self.counted(case, entries[0])
        for (table, rows), inserted in zip(parts, insert_few(connection, parts), strict=True):
            if inserted < len(rows):
                assert table is item_claim, f"the journal is locked: table {table.name} has no other row of this check"
                raise _Undone  # refunded meanwhile
        if case.reason is None and case.standing is not None and case.standing.shown_elsewhere:
            mark_copies(connection, {(case.standing.pass_id, step_shown(entries[0]))})
        return said

    def written(self, entries: Sequence[Entry], head: bytes) -> list[dict[str, Value]]:
        """The entries as rows, hashed onto what is there."""
        rows = []
        for one in entries:
            body = encode_entry(one)
            head = entry_hash(head, body)
            rows.append(entry_row(self.device, KEPT_HERE, one, body, head, self.now_ms))
        return rows

    def counted(self, case: Case, intent: Entry) -> list[Part]:
        """The redemption of an admission, classified as a batch's, and the claim where it is the first on its item."""
        judged = judge_admission(self.device.id, Admission(KEPT_HERE, intent, self.now_ms), known_of(case, intent))
        outcome, parts = judged.verdict.outcome, list[Part]()
        if outcome is None:
            standing = case.standing
            assert standing is not None and standing.item is not None, "else the verdict stands"
            item = standing.item
            if item.claim_kind is None:
                outcome = Outcome.CLAIMED
                parts.append((item_claim, [_claim(item, judged, self.now_ms)]))
            else:
                allowed = self.rules.products[standing.product].rule.total
                outcome = next_outcome(allowed, item.repeats, item.returned, item.given_back)
        parts.append((redemption, [redemption_row(self.device, judged, outcome, self.now_ms)]))
        return parts


def _claim(item: OnItem, judged: Judged, now_ms: int) -> dict[str, Value]:
    return {
        "item_id": item.id,
        "kind": "REDEEM",
        "ref": judged.id.hex(),
        "at_ms": judged.at_ms,
        "recorded_at_ms": now_ms,
    }
