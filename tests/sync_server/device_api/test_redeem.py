"""The on-line check over HTTP: every presentation, every reason, once per request, and nothing special afterwards."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import sqlalchemy as sa
from flask import has_request_context

from sync_server.catalog.products import find_product
from sync_server.catalog.rules import set_rule
from sync_server.centre import Centre
from sync_server.checks import flaws_of
from sync_server.db import is_sqlite
from sync_server.gates import registry
from sync_server.gates.watermarks import complete_through_ms
from sync_server.issuance.credentials import bind_card, bind_id_numbers
from sync_server.issuance.passes import change_status
from sync_server.orders.tables import item_claim
from sync_server.parties.calendars import close, reopen
from sync_server.redemptions.online import ANSWER_KEPT_MS, drop_old_answers
from sync_server.redemptions.rulebook import KEPT_MS
from sync_server.redemptions.tables import redeem_answer
from sync_server.redemptions.uses import count_uses
from tests.sync_server.device_api.box import Box, error, town_keys
from tests.sync_server.device_api.handheld import Handheld, journal, outcomes
from tests.sync_server.town import HOLDER, START_MS, Gate, Town
from wire.calendar import EVERY_DAY, LAST_DAY, DayRange
from wire.credential import CredentialKind
from wire.entitlement import Rule
from wire.messages import FIRST_HASH, EntryKind, decode_entry, entry_hash
from wire.reasons import Reason
from wire.redeem import MAX_REDEEM_BYTES, REDEEM_FORMAT, Redeem, RedeemAnswer, ShownCard, encode_redeem, read_answer
from wire.signing import SealFlaw

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS + 60_000  # an annual pass begins on a whole minute


@contextmanager
def statements(centre: Centre) -> Iterator[list[str]]:
    """What requests send to the database meanwhile, but for the beginning and end of transactions."""
    seen: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_rest: object) -> None:
        if has_request_context() and not statement.startswith("BEGIN"):
            seen.append(statement)

    sa.event.listen(centre.engine, "before_cursor_execute", note)
    yield seen
    sa.event.remove(centre.engine, "before_cursor_execute", note)


def test_a_ticket_is_admitted_once_and_is_an_entry_like_any_other(town: Town, device: Handheld) -> None:
    [sold] = town.sell("single")
    first = device.show(sold.token, lane=3, who="李")
    assert (first.reason, first.seq, first.remaining, first.persons) == (None, 1, 0, 1)
    assert (first.pass_id, first.product, first.at_ms) == (sold.pass_id, town.products["single"], START_MS)
    second = device.show(sold.token)
    assert (second.reason, second.seq, second.remaining, second.persons) == (Reason.USED_UP, 3, 0, 0)
    assert outcomes(town) == [(1, "CLAIMED")]
    running, kinds = FIRST_HASH, []
    for row in journal(town):
        running = entry_hash(running, row.body)
        assert row.hash == running
        kinds.append(decode_entry(row.body).kind)
    assert kinds == [EntryKind.INTENT, EntryKind.PASSED_ASSUMED, EntryKind.REFUSED]
    assert (journal(town)[0].lane, decode_entry(journal(town)[0].body).who) == (3, "李")
    assert count_uses(town.centre) == 1, "the gates are told"
    with town.centre.read() as connection:
        waited_for = complete_through_ms(connection, town.venues["bridge"], town.clock.now_ms)
        assert waited_for == town.clock.now_ms, "what the centre wrote itself keeps no money waiting"
        assert flaws_of(connection) == []


def test_the_same_request_again_gets_the_same_answer_and_counts_nothing(town: Town, device: Handheld) -> None:
    [sold] = town.sell("single")
    asked = encode_redeem(Redeem(REDEEM_FORMAT, bytes(16), sold.token))
    first = device.ask("POST", "/device/v1/redeem", asked)
    town.clock.pass_ms(60_000)
    again = device.ask("POST", "/device/v1/redeem", asked)
    assert (again.status_code, again.data) == (200, first.data)
    assert len(journal(town)) == 2
    other = encode_redeem(Redeem(REDEEM_FORMAT, bytes(16), "GATE:ELSE"))
    assert error(device.ask("POST", "/device/v1/redeem", other)) == (409, "id_reused")
    assert len(journal(town)) == 2
    another = Handheld(device.http, town, town.gate(name="G2"))
    assert another.show(sold.token, request_id=0).reason is Reason.USED_UP, "an id is the caller's own"


def test_an_annual_pass_visits_as_often_a_day_as_its_product_allows(town: Town, device: Handheld) -> None:
    [sold] = town.sell("annual", holders=[HOLDER])
    assert device.show(sold.token).reason is Reason.NOT_YET_ACTIVE
    town.clock.pass_ms(DAY_MS)
    shown = [device.show(sold.token) for _ in range(4)]
    assert [one.reason for one in shown] == [None, None, None, Reason.USED_UP]
    assert {(one.name, one.remaining) for one in shown} == {("李*花", None)}
    town.clock.pass_ms(DAY_MS)
    assert device.show(sold.token).reason is None
    assert {outcome for _, outcome in outcomes(town)} == {"PASS_VISIT"}


@pytest.mark.slow
def test_what_gates_reported_counts_here_and_what_they_gave_back_does_not(town: Town, device: Handheld) -> None:
    [sold] = town.sell("double")
    gate = town.gate(name="G2")
    gate.admit(sold, START_MS)
    assert device.http is not None
    sender = Box(device.http, town, gate)
    assert sender.send(gate.batch()).status_code == 200
    town.clock.pass_ms(DAY_MS)
    second = device.show(sold.token)
    assert (second.reason, second.remaining) == (None, 0)
    assert device.show(sold.token).reason is Reason.USED_UP
    gate.write(EntryKind.RETURNED, town.clock.now_ms, ref_seq=1, who="李")
    assert sender.send(gate.batch(3)).status_code == 200
    town.clock.pass_ms(DAY_MS)
    assert device.show(sold.token).reason is None
    assert sorted(outcome for _, outcome in outcomes(town)) == ["CLAIMED", "REPEAT", "RETURNED"]
    with town.centre.read() as connection:
        assert flaws_of(connection) == []


def test_what_is_wrong_with_a_code_is_told_by_the_closed_list(town: Town, device: Handheld) -> None:
    [sold, other] = town.sell("single", 2)
    forged = sold.token[:-1] + ("A" if sold.token[-1] != "A" else "B")
    assert device.show("https://example.com/").reason is Reason.NOT_OURS
    assert device.show("GATE:1").reason is Reason.MALFORMED
    assert device.show(forged).reason in (Reason.FORGED, Reason.MALFORMED)
    assert all(row.pass_id is None for row in journal(town)), "nothing is said of a pass that was not proven"
    with town.centre.write() as connection:
        change_status(connection, sold.number, "suspend", "lost", town.clock.now_ms, "test")
    answer = device.show(sold.token)
    assert (answer.reason, answer.pass_id) == (Reason.SUSPENDED, sold.pass_id)
    elsewhere = Handheld(device.http, town, town.gate("park"))
    assert elsewhere.show(other.token).reason is Reason.WRONG_VENUE
    town.clock.pass_ms(9 * DAY_MS)
    assert device.show(other.token).reason is Reason.EXPIRED
    assert outcomes(town) == []


def test_a_refunded_ticket_is_revoked(town: Town, device: Handheld) -> None:
    [sold] = town.sell("single")
    with town.centre.write() as connection:
        item = connection.execute(sa.text("SELECT item_id FROM entitlement")).scalar_one()
        row = {"item_id": item, "kind": "REFUND", "ref": "requested", "at": START_MS}
        connection.execute(sa.text("INSERT INTO item_claim VALUES (:item_id, :kind, :ref, :at, :at)"), row)
    assert device.show(sold.token).reason is Reason.REVOKED
    assert outcomes(town) == []


def test_a_rule_and_a_closure_hold_here_as_at_the_gates(town: Town, device: Handheld) -> None:
    [double] = town.sell("double")
    with town.centre.write() as connection:
        product_id = find_product(connection, town.products["double"]).id
        rule = Rule(per_day=None, total=2, blackout=(DayRange(0, LAST_DAY, "", EVERY_DAY & ~0b11),))
        set_rule(connection, product_id, rule, town.clock.now_ms, "test")
        closure_id = close(connection, town.venues["bridge"], "大风", town.clock.now_ms, "test")
    assert device.show(double.token).reason is Reason.VENUE_CLOSED
    with town.centre.write() as connection:
        reopen(connection, closure_id, town.clock.now_ms, "test")
    town.clock.pass_ms(KEPT_MS)
    assert device.show(double.token).reason is None  # a Monday
    town.clock.pass_ms(2 * DAY_MS)
    assert device.show(double.token).reason is Reason.BLACKOUT
    assert outcomes(town) == [(2, "CLAIMED")]


@pytest.mark.parametrize("undone", ["exit_annulled", "exit_unresolved"])
def test_who_is_not_known_to_have_left_is_inside(town: Town, device: Handheld, undone: str) -> None:
    [sold] = town.sell("double")
    with town.centre.write() as connection:
        product_id = find_product(connection, town.products["double"]).id
        set_rule(connection, product_id, Rule(per_day=None, total=2, leave_first=True), town.clock.now_ms, "test")
    gate = town.gate(name="G2")
    sender = Box(device.http, town, gate)

    def tell(word: str) -> None:
        town.clock.pass_ms(60_000)
        seq = gate.write(EntryKind.EVENT, town.clock.now_ms, reason=word, pass_id=sold.pass_id)
        assert sender.send(gate.batch(seq)).status_code == 200

    assert device.show(sold.token).reason is None
    tell("exit")
    tell(undone)
    assert device.show(sold.token).reason is Reason.ALREADY_INSIDE
    tell("exit")
    assert device.show(sold.token).reason is None


@pytest.mark.slow
def test_a_card_is_found_by_what_its_reader_read(town: Town, device: Handheld) -> None:
    centre = town.centre
    [sold] = town.sell("annual", holders=[HOLDER])
    town.clock.pass_ms(DAY_MS)
    assert bind_id_numbers(centre) == 1
    with centre.write() as connection:
        bind_card(connection, centre.secrets, sold.number, "410200", "A12345678", centre.now_ms(), "test")
    assert device.show(ShownCard(0, CredentialKind.CARD_NUMBER, "a12345678", "410200")).reason is None
    assert device.show(ShownCard(1, CredentialKind.ID_NUMBER, HOLDER.id_number or "")).reason is None
    stranger = device.show(ShownCard(0, CredentialKind.CARD_NUMBER, "A00000000", "410200"))
    assert (stranger.reason, stranger.pass_id) == (Reason.CARD_UNKNOWN, None)
    assert [outcome for _, outcome in outcomes(town)] == ["PASS_VISIT", "PASS_VISIT"]
    evidence = decode_entry(journal(town)[0].body).evidence
    assert evidence is not None and evidence[:2] == b"\0\2" and len(evidence) == 18


def test_a_card_says_nothing_of_passes_of_other_venues(town: Town, device: Handheld) -> None:
    [sold] = town.sell("single")
    with town.centre.write() as connection:
        bind_card(connection, town.centre.secrets, sold.number, "41", "A1", town.clock.now_ms, "test")
    answer = Handheld(device.http, town, town.gate("park", "H2")).show(
        ShownCard(2, CredentialKind.CARD_NUMBER, "A1", "41")
    )
    assert (answer.reason, answer.pass_id, answer.product) == (Reason.CARD_UNKNOWN, None, None)
    assert [row.pass_id for row in journal(town)] == [None]


def test_six_statements_whatever_is_shown(town: Town, device: Handheld) -> None:
    singles, doubles = town.sell("single", 2), town.sell("double")
    [annual] = town.sell("annual", holders=[HOLDER])
    with town.centre.write() as connection:
        bind_card(connection, town.centre.secrets, singles[1].number, "41", "A1", town.clock.now_ms, "test")
    town.clock.pass_ms(DAY_MS)
    device.show("nothing of ours")  # begins the journal and opens the rulebook
    card = ShownCard(0, CredentialKind.CARD_NUMBER, "A1", "41")
    shown: list[str | ShownCard] = [
        singles[0].token,
        singles[0].token,
        doubles[0].token,
        annual.token,
        card,
        "nothing of ours",
    ]
    counts = []
    for one in shown:
        with statements(town.centre) as seen:
            device.show(one)
        counts.append(len(seen))
        assert max(statement.count("%") for statement in seen) <= 50, "psycopg would read it anew each time"
    on_sqlite = is_sqlite(town.centre.engine)
    assert counts == ([6, 5, 6, 5, 6, 5] if on_sqlite else [3, 4, 3, 3, 3, 4])
    town.clock.pass_ms(DAY_MS)
    device.show("nothing of ours")
    for most in (5 if on_sqlite else 3, 2):  # it is claimed already; it is answered already
        with statements(town.centre) as seen:
            device.show(doubles[0].token, request_id=7)
        assert len(seen) == most, seen


def test_what_is_no_such_request_is_not_written_down(town: Town, device: Handheld) -> None:
    def ask(body: bytes, **changed: Any) -> tuple[int, str]:
        return error(device.ask("POST", "/device/v1/redeem", body, **changed))

    good = encode_redeem(Redeem(REDEEM_FORMAT, bytes(16), "GATE:1"))
    assert ask(b"") == (400, "malformed")
    assert ask(b"\x91" * 300) == (400, "malformed")
    assert ask(encode_redeem(Redeem(REDEEM_FORMAT + 1, bytes(16), "GATE:1"))) == (400, "needs_update")
    assert ask(encode_redeem(Redeem(REDEEM_FORMAT, bytes(15), "GATE:1"))) == (400, "malformed")
    assert ask(bytes(MAX_REDEEM_BYTES + 1))[0] == 413
    assert ask(good, signed_body=b"another") == (401, "forged")
    assert ask(good, device_id=bytes(16)) == (401, "unknown_device")
    assert journal(town) == []


def test_a_revoked_device_is_refused_at_once(town: Town, device: Handheld) -> None:
    [sold] = town.sell("single")
    assert device.show("nothing of ours").reason is Reason.NOT_OURS
    with town.centre.write() as connection:
        registry.revoke(connection, device.gate.device.id, "stolen", town.clock.now_ms, "test")
    body = encode_redeem(Redeem(REDEEM_FORMAT, bytes(16), sold.token))
    assert error(device.ask("POST", "/device/v1/redeem", body)) == (403, "revoked")
    town.clock.pass_ms(KEPT_MS)
    assert error(device.ask("POST", "/device/v1/redeem", body)) == (403, "revoked")
    assert outcomes(town) == []
    with town.centre.read() as connection:
        assert connection.execute(sa.select(item_claim)).all() == []


def test_nobody_sends_the_journal_that_the_centre_keeps(town: Town, device: Handheld) -> None:
    gate: Gate = town.gate(name="G2")
    gate.incarnation = b"redeemed"
    gate.write(EntryKind.EVENT, START_MS, reason="exit")
    assert error(Box(device.http, town, gate).send(gate.batch())) == (403, "wrong_journal")


def test_an_answer_is_believed_by_the_device_that_asked_and_for_that_request(town: Town, device: Handheld) -> None:
    body = encode_redeem(Redeem(REDEEM_FORMAT, bytes(16), "nothing of ours"))
    data = device.ask("POST", "/device/v1/redeem", body).data
    keys, mine = town_keys(town), device.gate.device.id
    assert isinstance(read_answer(data, mine, body, keys, START_MS), RedeemAnswer)
    assert read_answer(data, bytes(16), body, keys, START_MS) is SealFlaw.FORGED
    assert read_answer(data, mine, body + b"x", keys, START_MS) is SealFlaw.FORGED
    assert read_answer(data[:-1] + b"x", mine, body, keys, START_MS) is SealFlaw.FORGED


def test_answers_are_forgotten_after_a_week(town: Town, device: Handheld) -> None:
    device.show("nothing of ours")
    town.clock.pass_ms(ANSWER_KEPT_MS)
    assert drop_old_answers(town.centre) == 0
    town.clock.pass_ms(1)
    assert drop_old_answers(town.centre) == 1
    with town.centre.read() as connection:
        assert connection.execute(sa.select(redeem_answer)).all() == []
