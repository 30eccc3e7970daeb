"""What lies in the inboxes, what an operator's decision does to the money, and when a venue is worth a look."""

from __future__ import annotations

import json
from typing import Any

import pytest
import sqlalchemy as sa
from click.testing import CliRunner, Result
from cryptography.hazmat.primitives.asymmetric import ec

from sync_server.audit.tables import event_log
from sync_server.centre import Centre, Opener
from sync_server.checks import flaws_of
from sync_server.errors import NotAllowedError, NotFoundError
from sync_server.issuance.holder_keys import register
from sync_server.redemptions import decisions, inboxes, shares
from sync_server.redemptions.commands import inbox as command
from sync_server.redemptions.inboxes import Inbox, Liability, Page, Wanted
from sync_server.redemptions.shares import Unusual, What, unusual_shares
from sync_server.redemptions.tables import redemption
from sync_server.settlement.clearing import clear_redemptions
from sync_server.settlement.tables import payout_line
from tests.sync_server.redemptions.test_outcomes import claims, outcomes
from tests.sync_server.town import HOLDER, START_MS, Gate, Sold, Town, build_town
from wire import holder_proof, presentation
from wire.messages import ClockTrust, EntryKind, Outcome, Presentation, redemption_id

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
NOON_MS = START_MS + 2 * HOUR_MS


@pytest.fixture
def town(any_centre: Centre) -> Town:
    return build_town(any_centre)


def look(town: Town, **wanted: Any) -> Page:
    with town.centre.read() as connection:
        return inboxes.look(connection, Wanted(**wanted))


def id_of(gate: Gate, seq: int) -> bytes:
    return redemption_id(gate.device.id, gate.incarnation, seq)


def accept(town: Town, entry_id: bytes) -> Outcome:
    with town.centre.write() as connection:
        return decisions.accept(connection, entry_id, "seen on the camera", town.clock.now_ms, "周敏")


def reject(town: Town, entry_id: bytes) -> None:
    with town.centre.write() as connection:
        decisions.reject(connection, entry_id, "nobody there", town.clock.now_ms, "周敏")


def holds(town: Town) -> None:
    with town.centre.read() as connection:
        assert flaws_of(connection) == []


def lines_paid(town: Town) -> list[int]:
    clear_redemptions(town.centre)
    with town.centre.read() as connection:
        return list(connection.scalars(sa.select(payout_line.c.net_fen)))


def unproven(town: Town, gate: Gate, sold: Sold, at_ms: int = NOON_MS) -> bytes:
    seq = gate.admit(sold, at_ms, evidence=None)
    return id_of(gate, seq)


def test_a_conflict_shows_both_sides(town: Town) -> None:
    [sold] = town.sell("single")
    one, other = town.gate(name="G1"), town.gate(name="G2")
    one.admit(sold, NOON_MS, list_version=41, lane=2)
    other.admit(sold, NOON_MS + 60_000, list_version=40, trust=ClockTrust.HELD)
    town.clock.pass_ms(3 * HOUR_MS)
    town.upload(one)
    town.upload(other)
    [row] = look(town).rows
    assert (row.inbox, row.cause, row.venue, row.pass_number) == (Inbox.CONFLICT, None, 1, sold.number)
    assert (row.venue_name, row.venue_price_fen, row.ended_as, row.liability) == (
        "虹桥",
        5_000,
        "REDEEM",
        Liability.VENUE,
    )
    assert (row.side.gate, row.side.lane, row.side.at_ms, row.side.clock) == ("G2", 1, NOON_MS + 60_000, "HELD")
    assert (row.side.list_held, row.side.presentation, row.decided) == ((1, 40), "STATIC", None)
    assert row.side.evidence == row.others[0].evidence is not None
    assert [(side.gate, side.lane, side.list_held, side.outcome) for side in row.others] == [
        ("G1", 2, (1, 41), "CLAIMED")
    ]


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "liability"), [("REFUND", Liability.DISTRIBUTOR), ("FORFEIT", Liability.PLATFORM)])
def test_who_bears_an_entry_that_came_too_late(town: Town, kind: str, liability: Liability) -> None:
    [sold] = town.sell("single")
    with town.centre.write() as connection:
        item = connection.execute(sa.text("SELECT item_id FROM entitlement")).scalar_one()
        values = {"item_id": item, "kind": kind, "at": NOON_MS}
        connection.execute(sa.text("INSERT INTO item_claim VALUES (:item_id, :kind, 'expired', :at, :at)"), values)
    gate = town.gate()
    gate.admit(sold, NOON_MS)
    town.clock.pass_ms(3 * HOUR_MS)
    town.upload(gate)
    [row] = look(town, inbox=Inbox.CONFLICT).rows
    assert (row.side.outcome, row.ended_as, row.liability) == ("LATE", kind, liability)
    assert row.others == ()
    assert look(town, inbox=Inbox.UNPROVEN).rows == []


def test_a_code_shown_at_two_gates_within_its_15_seconds_is_a_copy(town: Town) -> None:
    [sold] = town.sell("annual", holders=[HOLDER])
    phone = ec.generate_private_key(ec.SECP256R1())
    with town.centre.write() as connection:
        public = holder_proof.public_key_of(phone)
        generation = register(connection, sold.number, public, town.clock.now_ms, "test")
    at_ms = START_MS + 2 * DAY_MS
    bridge, park = town.gate("bridge", "G1"), town.gate("park", "G2")
    for gate, later_ms in ((bridge, 0), (park, 4_000), (bridge, HOUR_MS)):
        step = presentation.step_at(at_ms + (HOUR_MS if later_ms == HOUR_MS else 0))
        proof = holder_proof.sign(phone, presentation.holder_message(sold.pass_id, generation, step))
        shown: dict[str, Any] = {"presentation": Presentation.SHORT, "evidence": step.to_bytes(4, "big") + proof}
        gate.admit(sold, at_ms + later_ms, **shown)
    town.clock.now_ms = at_ms + 2 * HOUR_MS
    town.upload(bridge)
    assert look(town).rows == []
    town.upload(park)
    rows = look(town).rows
    assert {(row.side.gate, row.copied, row.inbox) for row in rows} == {
        ("G1", True, Inbox.CONFLICT),
        ("G2", True, Inbox.CONFLICT),
    }
    assert [[side.gate for side in row.others] for row in rows if row.side.gate == "G1"] == [["G2"]]
    assert {outcome for outcome, _ in outcomes(town).values()} == {"PASS_VISIT"}
    reject(town, rows[0].side.redemption_id)
    assert len(look(town).rows) == 1


def test_what_cannot_be_true_and_what_nobody_issued(town: Town) -> None:
    [sold] = town.sell("single")
    gate = town.gate("park")
    gate.admit(sold, NOON_MS)
    gate.admit(sold._replace(pass_id=b"stranger"), NOON_MS)
    town.clock.pass_ms(3 * HOUR_MS)
    town.upload(gate)
    rows = look(town, inbox=Inbox.IMPLAUSIBLE).rows
    assert {(row.side.outcome, row.cause, row.pass_number) for row in rows} == {
        ("IMPLAUSIBLE", "wrong_venue", sold.number),
        ("UNKNOWN_PASS", None, None),
    }
    with pytest.raises(NotAllowedError, match="IMPLAUSIBLE: only one without proof"):
        accept(town, id_of(gate, 1))
    reject(town, id_of(gate, 1))
    assert {row.decided for row in look(town, decided=None).rows} == {None, "REJECTED"}


def test_an_entry_accepted_counts_and_is_paid_like_any_other(town: Town) -> None:
    [sold] = town.sell("single")
    gate = town.gate()
    waiting = unproven(town, gate, sold)
    town.clock.pass_ms(3 * HOUR_MS)
    town.upload(gate)
    assert lines_paid(town) == []
    [row] = look(town, inbox=Inbox.UNPROVEN).rows
    assert (row.side.redemption_id, row.cause) == (waiting, "no_evidence")
    assert accept(town, waiting) is Outcome.CLAIMED
    assert [(claim.kind, claim.ref, claim.at_ms) for claim in claims(town)] == [("REDEEM", waiting.hex(), NOON_MS)]
    assert len(lines_paid(town)) == 1
    assert look(town, inbox=Inbox.UNPROVEN).rows == []
    [row] = look(town, inbox=Inbox.UNPROVEN, decided=True).rows
    assert (row.side.outcome, row.decided, row.decided_by, row.decision_reason) == (
        "CLAIMED",
        "ACCEPTED",
        "周敏",
        "seen on the camera",
    )
    with town.centre.read() as connection:
        [logged] = connection.execute(sa.select(event_log).where(event_log.c.action == "redemption.accept")).all()
    assert (logged.actor, logged.subject) == ("周敏", f"redemption:{waiting.hex()}")
    assert json.loads(logged.detail) == {"reason": "seen on the camera", "outcome": "CLAIMED"}
    holds(town)


def test_an_entry_accepted_after_another_was_counted_is_a_conflict(town: Town) -> None:
    [sold] = town.sell("single")
    gate = town.gate()
    waiting = unproven(town, gate, sold)
    gate.admit(sold, NOON_MS + HOUR_MS)
    town.clock.pass_ms(4 * HOUR_MS)
    town.upload(gate)
    assert accept(town, waiting) is Outcome.CONFLICT
    assert len(claims(town)) == 1 and len(lines_paid(town)) == 1
    holds(town)


def test_after_staff_gave_the_right_back_an_accepted_entry_is_returned(town: Town) -> None:
    [sold] = town.sell("single")
    gate = town.gate()
    seq = gate.admit(sold, NOON_MS)
    gate.write(EntryKind.RETURNED, NOON_MS + 60_000, ref_seq=seq, who="李")
    waiting = unproven(town, gate, sold, NOON_MS + HOUR_MS)
    town.clock.pass_ms(4 * HOUR_MS)
    town.upload(gate)
    assert accept(town, waiting) is Outcome.RETURNED
    assert len(lines_paid(town)) == 1
    holds(town)


@pytest.mark.slow
def test_a_visit_of_an_annual_pass_is_accepted_without_money(town: Town) -> None:
    [sold] = town.sell("annual", holders=[HOLDER])
    gate = town.gate()
    seq = gate.write(EntryKind.MANUAL, START_MS + 2 * DAY_MS, pass_id=sold.pass_id, who="李", reason="camera broken")
    town.clock.now_ms = START_MS + 3 * DAY_MS
    town.upload(gate)
    [row] = look(town).rows
    assert (row.side.who, row.side.reason, row.cause, row.holder) == ("李", "camera broken", "manual", "李*花")
    assert accept(town, id_of(gate, seq)) is Outcome.PASS_VISIT
    assert claims(town) == [] and lines_paid(town) == []
    holds(town)


def test_what_is_decided_stays_decided(town: Town) -> None:
    [sold] = town.sell("single")
    gate = town.gate()
    waiting = unproven(town, gate, sold)
    nameless = id_of(gate, gate.write(EntryKind.MANUAL, NOON_MS, who="李", reason="school class"))
    town.clock.pass_ms(3 * HOUR_MS)
    town.upload(gate)
    with pytest.raises(NotAllowedError, match="names no pass"):
        accept(town, nameless)
    with pytest.raises(NotAllowedError, match="reason of 1 to 200"), town.centre.write() as connection:
        decisions.reject(connection, waiting, "  ", town.clock.now_ms, "周敏")
    reject(town, waiting)
    for decide in (accept, reject):
        with pytest.raises(NotAllowedError, match="周敏 has decided on this entry already: REJECTED, nobody there"):
            decide(town, waiting)
    with pytest.raises(NotFoundError):
        reject(town, bytes(16))
    assert outcomes(town)[gate.device.id, 1] == ("UNPROVEN", "no_evidence")
    town.upload(gate)
    assert claims(town) == []


def test_pages_follow_one_another(town: Town) -> None:
    sold = town.sell("single", 5)
    gate = town.gate()
    for one in sold:
        unproven(town, gate, one)
    town.clock.pass_ms(3 * HOUR_MS)
    for seq in range(1, 11, 2):
        town.upload(gate, seq, seq + 1)
        town.clock.pass_ms(1_000)
    first = look(town, limit=2)
    second = look(town, limit=2, before=first.next)
    third = look(town, limit=2, before=second.next)
    assert [len(page.rows) for page in (first, second, third)] == [2, 2, 1]
    assert third.next is None
    seen = [row.side.received_at_ms for page in (first, second, third) for row in page.rows]
    assert seen == sorted(seen, reverse=True) and len(set(seen)) == 5
    assert look(town, venue_number=2).rows == []


def test_a_page_is_two_statements(town: Town) -> None:
    sold = town.sell("single", 4)
    one, other = town.gate(name="G1"), town.gate(name="G2")
    for each in sold:
        one.admit(each, NOON_MS)
        other.admit(each, NOON_MS + 60_000)
    town.clock.pass_ms(3 * HOUR_MS)
    town.upload(one)
    town.upload(other)
    seen: list[str] = []
    sa.event.listen(
        town.centre.engine, "before_cursor_execute", lambda _c, _cursor, statement, *_rest: seen.append(statement)
    )
    assert len(look(town).rows) == 4
    assert len([statement for statement in seen if not statement.startswith("BEGIN")]) == 2


def run(town: Town, *arguments: str) -> Result:
    return CliRunner().invoke(command, arguments, obj=_opened(town))


def _opened(town: Town) -> Opener:
    class Opened(Opener):
        def __call__(self) -> Centre:
            return town.centre

    return Opened(lambda: town.centre.settings)


def test_the_commands(town: Town) -> None:
    sold = town.sell("single", 3)
    gate = town.gate()
    ids = [unproven(town, gate, one) for one in sold]
    town.clock.pass_ms(3 * HOUR_MS)
    town.upload(gate)
    first = [json.loads(line) for line in run(town, "list", "--limit", "2").output.splitlines()]
    assert [set(line) == {"next"} for line in first] == [False, False, True]
    second = run(town, "list", "--limit", "2", "--before", first[-1]["next"]).output.splitlines()
    told = [*first[:2], *map(json.loads, second)]
    assert {line["id"] for line in told} == {one.hex() for one in ids}
    assert told[0]["liability"] == "venue" and told[0]["list_held"] == [1, 1]
    done = run(town, "decide", ids[0].hex()[:12], "accept", "--reason", "seen")
    assert json.loads(done.output) == {"id": ids[0].hex(), "decided": "accept", "outcome": "CLAIMED"}
    done = run(town, "decide", ids[1].hex(), "reject", "--reason", "not seen")
    assert json.loads(done.output)["outcome"] is None
    assert len(run(town, "list", "--state", "decided", "--inbox", "unproven").output.splitlines()) == 2
    assert isinstance(run(town, "decide", "abc", "reject", "--reason", "x").exception, NotFoundError)
    assert isinstance(run(town, "decide", ids[0].hex(), "accept", "--reason", "x").exception, NotAllowedError)
    assert isinstance(run(town, "list", "--before", "x").exception, NotAllowedError)
    assert run(town, "alarms").output == ""


def entries_of_a_day(town: Town, ago: int, entries: int, unproven_ones: int, venue: str = "bridge") -> None:
    """Redemptions of one span of 24 hours, as the tables keep them."""
    now_ms = town.clock.now_ms
    rows = [
        {
            "id": bytes([ago, venue == "park"]) + number.to_bytes(14, "big"),
            "outcome": "UNPROVEN" if number < unproven_ones else "PASS_VISIT",
            "cause": "no_evidence" if number < unproven_ones else None,
            "venue_id": town.venues[venue],
            "device_id": bytes(16),
            "incarnation": bytes([ago, venue == "park"] + [0] * 6),
            "seq": number + 1,
            "occurred_at_ms": now_ms - ago * DAY_MS - number,
            "recorded_at_ms": now_ms,
        }
        for number in range(entries)
    ]
    with town.centre.write() as connection:
        connection.execute(redemption.insert(), rows)


def unusual(town: Town) -> list[Unusual]:
    with town.centre.read() as connection:
        return unusual_shares(connection, town.clock.now_ms)


def test_a_venue_whose_entries_lack_proof_more_often_than_they_used_to(town: Town) -> None:
    town.clock.pass_ms(60 * DAY_MS)
    for ago in range(1, 8):
        entries_of_a_day(town, ago, 50, 1)
        entries_of_a_day(town, ago, 50, 10, "park")
    entries_of_a_day(town, 0, 40, 4)
    entries_of_a_day(town, 0, 40, 12, "park")
    assert unusual(town) == [Unusual(1, What.UNPROVEN, 0.1, 0.02, 40)]
    entries_of_a_day(town, shares.DAYS_BEFORE + 1, 30, 30)
    assert len(unusual(town)) == 1


def test_a_few_entries_or_a_few_days_say_nothing(town: Town) -> None:
    town.clock.pass_ms(60 * DAY_MS)
    for ago in range(1, shares.FEWEST_DAYS):
        entries_of_a_day(town, ago, 50, 0)
    entries_of_a_day(town, 0, 50, 50)
    assert unusual(town) == []
    entries_of_a_day(town, shares.FEWEST_DAYS, 50, 0)
    assert len(unusual(town)) == 1
    for ago in range(1, 4):
        entries_of_a_day(town, ago, 50, 0, "park")
    entries_of_a_day(town, 0, shares.FEWEST_ENTRIES - 1, 19, "park")
    assert len(unusual(town)) == 1


def test_a_venue_that_enters_many_tickets_in_their_last_hour(town: Town) -> None:
    sold = town.sell("single", 100)
    gate = town.gate()
    with town.centre.read() as connection:
        until = connection.execute(sa.text("SELECT MIN(not_after) FROM pass WHERE id = :id"), {"id": sold[0].pass_id})
        ends_ms = 1_577_836_800_000 + until.scalar_one() * 60_000
    for day in range(4):
        for one in sold[day * 20 : day * 20 + 20]:
            gate.admit(one, ends_ms - (5 - day) * DAY_MS)
    for one in sold[80:]:
        gate.admit(one, ends_ms - HOUR_MS // 2)
    town.clock.now_ms = ends_ms - HOUR_MS // 4
    town.upload(gate, 1, 200)
    assert unusual(town) == [Unusual(1, What.LAST_HOUR, 1.0, 0.0, 20)]
