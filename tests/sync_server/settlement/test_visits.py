"""Visits with annual passes: for nothing, for a tariff, for a share of a month's pool; to the fen, once."""

from __future__ import annotations

import json
from uuid import UUID

import pytest
import requests
import sqlalchemy as sa
from click.testing import CliRunner

from sync_server.approvals.tables import approval
from sync_server.bulk import insert_missing
from sync_server.catalog.tables import product_item, product_version_price, visit_tariff
from sync_server.checks import flaws_of
from sync_server.db import new_id
from sync_server.errors import NotAllowedError
from sync_server.gates import registry
from sync_server.gates.tables import device, incarnation
from sync_server.issuance.tables import issued_pass
from sync_server.orders.tables import ticket
from sync_server.parties.parties import NewParty, add_party
from sync_server.parties.tables import party
from sync_server.people.identifying import Person
from sync_server.redemptions.counting import count_admissions
from sync_server.redemptions.journal import entry_row
from sync_server.redemptions.tables import entry, redemption
from sync_server.second_person import deeds
from sync_server.settlement import pools, visit_terms
from sync_server.settlement.months import SHUT_AFTER_MS, Month, month_named, month_of
from sync_server.settlement.tables import clawback, payout_adjustment, payout_line
from sync_server.statements.rows import lines_between
from tests.sync_server.command_line import command
from tests.sync_server.conftest import Clock
from tests.sync_server.operators import PASSWORD, employ, two_of_finance
from tests.sync_server.orders.test_closing import a_pass, cashier
from tests.sync_server.reconciliation.telling import Opened
from tests.sync_server.sandbox import World
from tests.sync_server.settlement.test_expiring import HOUR_MS, assert_books_agree, posted
from wire import moments
from wire.messages import ClockTrust, Entry, EntryKind

DAY_MS = 24 * HOUR_MS
PASS_ID = b"pass0001"
Two = tuple[Person, Person]


def a_pass_in_use(world: World, clock: Clock) -> UUID:
    """Bought, paid for, and issued as `issuance` does it, without its token."""
    order_id = a_pass(world)
    world.turn()
    requests.post(cashier(world), timeout=5)
    clock.pass_ms(60_000)
    world.turn()
    now = moments.minute_floor(clock.now_ms)
    with world.centre.write() as connection:
        ticket_id = connection.scalars(sa.select(ticket.c.id).where(ticket.c.order_id == order_id)).one()
        named = {"id": PASS_ID, "number": "N1", "ticket_id": ticket_id, "product_id": world.annual}
        state = {"status": "ACTIVE", "issue": 1, "issued_at_ms": clock.now_ms, "id_number_due": False}
        connection.execute(issued_pass.insert().values(**named, **state, not_before=now, not_after=now + 365 * 1440))
    return order_id


def visit(world: World, venue_id: UUID | None = None, *, given_back: bool = False) -> bytes:
    """A visit with that pass, as `redemptions.ingest` writes it."""
    venue_id, now_ms = venue_id or world.venue, world.centre.now_ms()
    redemption_id = new_id(now_ms).bytes
    seq = int.from_bytes(redemption_id[8:], "big") >> 2
    device_id = venue_id.bytes
    journal = {"device_id": device_id, "incarnation": bytes(8), "venue_id": venue_id, "occurred_at_ms": now_ms}
    told = {**journal, "hash": bytes(32), "body": b"", "lane": 1, "presentation": 1, "received_at_ms": now_ms}
    gate = {"id": device_id, "venue_id": venue_id, "name": "G1", "public_key": device_id * 2, "state": "active"}
    gate |= {"reads_id_numbers": False, "software": "test", "enrolled_at_ms": now_ms}
    row = {**journal, "id": redemption_id, "outcome": "PASS_VISIT", "pass_id": PASS_ID, "recorded_at_ms": now_ms}
    with world.centre.write() as connection:
        insert_missing(connection, device, [gate])
        connection.execute(entry.insert().values(**told, seq=seq, kind=int(EntryKind.INTENT)))
        connection.execute(entry.insert().values(**told, seq=seq + 1, kind=int(EntryKind.PASSED), ref_seq=seq))
        if given_back:
            connection.execute(entry.insert().values(**told, seq=seq + 2, kind=int(EntryKind.RETURNED), ref_seq=seq))
        connection.execute(redemption.insert().values(**row, seq=seq))
    return redemption_id


def settle(world: World, two: Two, how: str, tariff_fen: int | None = None) -> None:
    now_ms = world.centre.now_ms()
    with world.centre.write() as connection:
        if tariff_fen is None:
            visit_terms.settle(connection, two[0], 2, how, "agreed", now_ms)
        else:
            asked = visit_terms.ask(connection, two[0], 2, {world.venue: tariff_fen}, "agreed", now_ms)
            visit_terms.confirm(connection, two[1], asked, now_ms)


def share_pool(world: World, two: Two, month: Month, amount_fen: int = 1000) -> list[pools.PoolShare]:
    now_ms = world.centre.now_ms()
    with world.centre.write() as connection:
        asked = pools.ask(connection, two[0], 2, month, amount_fen, "agreed", now_ms)
        return pools.confirm(connection, two[1], asked, now_ms)


def due(world: World) -> int:
    with world.centre.read() as connection:
        left = sa.select(sa.func.count()).select_from(redemption).where(redemption.c.cleared_at_ms.is_(None))
        return connection.scalar(left) or 0


def test_by_default_a_visit_costs_nothing_and_is_not_looked_at_again(world: World, clock: Clock) -> None:
    a_pass_in_use(world, clock)
    before = posted(world)
    visit(world)
    assert due(world) == 1
    world.turn()
    assert (due(world), posted(world)) == (0, before)
    settle(world, two_of_finance(world.centre), "PER_VISIT", 600)
    world.turn()
    assert posted(world) == before  # what was cleared for nothing stays so
    assert_books_agree(world)


def test_a_tariff_is_paid_for_each_visit_but_for_those_given_back(world: World, clock: Clock) -> None:
    a_pass_in_use(world, clock)
    settle(world, two_of_finance(world.centre), "PER_VISIT", 600)
    before = posted(world)
    for given_back in (False, False, True):
        visit(world, given_back=given_back)
    for _ in range(2):
        world.turn()
    assert posted(world) == {**before, "1010": before["1010"] - 2 * 596, "4020": -8, "5040": 1200}
    assert world.sandbox.book.balances()["venue"] == 2 * 596
    with world.centre.read() as connection:
        lines = connection.execute(sa.select(payout_line)).all()
    assert [(line.kind, line.item_id, line.net_fen) for line in lines] == [("VISIT", None, 596)] * 2
    assert due(world) == 0
    assert_books_agree(world)


@pytest.mark.parametrize("mode", ["PER_REDEMPTION", "DAILY"])
def test_a_visit_that_is_given_back_after_it_was_paid_is_kept_back_of_what_comes_next(
    world: World, clock: Clock, mode: str
) -> None:
    """Twice given back is given back once; what was sealed stays as it was."""
    a_pass_in_use(world, clock)
    settle(world, two_of_finance(world.centre), "PER_VISIT", 600)
    with world.centre.write() as connection:
        connection.execute(party.update().where(party.c.id == world.venue).values(payout_mode=mode))
    before = posted(world)
    visits_made = [visit(world) for _ in range(3)]
    world.turn()
    for times in range(2):
        give_back(world, visits_made[0], times)
        assert due(world) == 1
        world.turn()
    assert due(world) == 0
    visit(world)
    world.turn()
    clock.pass_ms(DAY_MS)
    world.turn()
    assert posted(world) == {**before, "1010": before["1010"] - 3 * 596, "4020": -12, "5040": 1800}
    assert world.sandbox.book.balances()["venue"] == 3 * 596
    with world.centre.read() as connection:
        (owed,) = connection.execute(sa.select(clawback)).all()
        lines = list(lines_between(connection, "VENUE", world.venue, 0, clock.now_ms + 1))
    assert (owed.redemption_id, owed.owed_fen, owed.netted_fen) == (visits_made[0], 596, 596)
    (returned,) = [line for line in lines if line.txn_key.startswith("returned:")]
    assert (returned.price_fen, returned.fee_fen, returned.owed_fen) == (-600, -4, -596)
    assert_books_agree(world)


def give_back(world: World, redemption_id: bytes, times_before: int = 0) -> None:
    """As `redemptions.ingest` takes it in from the gate of `visit`."""
    now_ms = world.centre.now_ms()
    with world.centre.write() as connection:
        made = connection.execute(sa.select(redemption).where(redemption.c.id == redemption_id)).one()
        gate = registry.find_device(connection, made.device_id)
        assert gate is not None
        seq = made.seq + 2 + times_before
        told = Entry(seq, EntryKind.RETURNED, now_ms, ClockTrust.TRUSTED, 0, 1, 1, 1, ref_seq=made.seq)
        connection.execute(entry.insert().values(entry_row(gate, bytes(8), told, b"", bytes(32), now_ms)))
        count_admissions(connection, world.centre, gate, bytes(8), [told], seq - 1, now_ms)


def test_a_visit_of_a_frozen_journal_waits(world: World, clock: Clock) -> None:
    a_pass_in_use(world, clock)
    settle(world, two_of_finance(world.centre), "PER_VISIT", 600)
    visit(world)
    freeze(world)
    world.turn()
    assert due(world) == 1


def freeze(world: World) -> None:
    """The journal of the gate of `visit` is believed no more."""
    tell_all(world, world.venue, world.centre.now_ms())
    with world.centre.write() as connection:
        connection.execute(incarnation.update().values(frozen_cause="FORKED"))


def tell_all(world: World, venue_id: UUID, until_ms: int) -> None:
    """The gate of `visit` has told what it did until then."""
    times = {"first_seen_ms": 0, "last_seen_ms": until_ms}
    journal = {"device_id": venue_id.bytes, "incarnation": bytes(8), "through_seq": 9, "highest_seq": 9}
    with world.centre.write() as connection:
        insert_missing(connection, incarnation, [{**journal, **times}])
        mine = incarnation.update().where(incarnation.c.device_id == venue_id.bytes)
        connection.execute(mine.values(synced_through_ms=until_ms))


@pytest.mark.parametrize("why", ["paid", "frozen"])
def test_a_pool_counts_no_visit_that_was_paid_already_or_is_not_believed(world: World, clock: Clock, why: str) -> None:
    two = two_of_finance(world.centre)
    a_pass_in_use(world, clock)
    if why == "paid":
        settle(world, two, "PER_VISIT", 600)
    visit(world)
    world.turn()
    settle(world, two, "POOL")
    if why == "frozen":
        freeze(world)
    month = month_of(clock.now_ms, world.centre.settings.zone)
    clock.pass_ms(month.ends_ms + SHUT_AFTER_MS - clock.now_ms)
    tell_all(world, world.venue, clock.now_ms)
    with pytest.raises(NotAllowedError, match="nobody visited"):
        share_pool(world, two, month)


def test_a_visit_that_a_pool_was_shared_for_is_paid_no_tariff_besides(world: World, clock: Clock) -> None:
    """The worker had not come to it when the month's pool was booked; one that was given back is as it was."""
    two = two_of_finance(world.centre)
    a_pass_in_use(world, clock)
    settle(world, two, "POOL")
    visit(world)
    visit(world, given_back=True)
    month = month_of(clock.now_ms, world.centre.settings.zone)
    clock.pass_ms(month.ends_ms + SHUT_AFTER_MS - clock.now_ms)
    tell_all(world, world.venue, clock.now_ms)
    share_pool(world, two, month)
    assert due(world) == 1
    settle(world, two, "PER_VISIT", 600)
    world.turn()
    assert (posted(world)["5040"], due(world)) == (1000, 0)
    assert_books_agree(world)


def test_settling_visits_needs_a_person_a_reason_and_what_belongs_to_it(world: World) -> None:
    finance, _ = two_of_finance(world.centre)
    outsider = employ(world.centre, "zhao", "operations")
    for who, number, how, reason, match in (
        (outsider, 2, "POOL", "agreed", "permission"),
        (finance, 2, "POOL", "", "reason"),
        (finance, 1, "POOL", "agreed", "by redemption"),
        (finance, 2, "PER_VISIT", "agreed", "needs a tariff"),
    ):
        with pytest.raises(NotAllowedError, match=match), world.centre.write() as connection:
            visit_terms.settle(connection, who, number, how, reason, 0)
    for who, number, tariffs, reason, match in (
        (outsider, 2, {world.venue: 600}, "agreed", "permission"),
        (finance, 2, {world.venue: 600}, "", "reason"),
        (finance, 1, {world.venue: 600}, "agreed", "by redemption"),
        (finance, 2, {world.venue: 0}, "agreed", "needs a tariff"),
        (finance, 2, {world.distributor: 600}, "agreed", "does not open"),
    ):
        with pytest.raises(NotAllowedError, match=match), world.centre.write() as connection:
            visit_terms.ask(connection, who, number, tariffs, reason, 0)


def test_what_pays_out_of_the_platforms_money_two_persons_agree_to(world: World, clock: Clock) -> None:
    two = two_of_finance(world.centre)
    a_pass_in_use(world, clock)

    def run(*arguments: str) -> UUID:
        who = ("--organisation", "1000", "--account", "qian", "--password-stdin", "--reason", "agreed")
        said = CliRunner().invoke(
            command("visits"), [*arguments, *who], obj=Opened(world.centre), input=f"{PASSWORD}\n"
        )
        return UUID(json.loads(said.stdout)["request"])

    def confirm(request_id: UUID) -> str:
        with pytest.raises(NotAllowedError, match="two persons"), world.centre.write() as connection:
            deeds.confirm(connection, two[0], request_id, clock())
        with world.centre.write() as connection:
            return deeds.confirm(connection, two[1], request_id, clock()).does

    asked = run("settle", "2", "PER_VISIT", "--tariff", "1", "600")
    visit(world)
    world.turn()
    assert posted(world).get("5040", 0) == 0  # as before, until somebody agrees
    assert confirm(asked) == "each visit with product 2 costs 6.00 yuan at venue 1, of what is cleared from then on"
    visit(world)
    world.turn()
    assert posted(world)["5040"] == 600
    settle(world, two, "POOL")
    month = month_of(clock.now_ms, world.centre.settings.zone)
    clock.pass_ms(month.ends_ms + SHUT_AFTER_MS - clock.now_ms)
    tell_all(world, world.venue, clock.now_ms)
    asked = run("pool", "2", month.name, "1000")
    assert posted(world)["5040"] == 600
    shared = f"10.00 yuan, the pool of product 2 for {month.name}, are shared by visits: venue 1 gets 10.00 for 1"
    assert confirm(asked) == shared
    assert posted(world)["5040"] == 1600
    assert_books_agree(world)
    nobodys = {"product_id": world.annual, "venue_id": world.venue, "tariff_fen": 1}
    mine = approval.c.id == asked
    for word in (visit_tariff.insert().values(nobodys), approval.update().where(mine).values(act="x")):
        with world.centre.write() as connection:
            connection.execute(word)
            assert any("by the word of two persons" in flaw for flaw in flaws_of(connection))
            connection.execute(visit_tariff.delete())


def test_a_pool_is_shared_by_visits_once_the_month_is_over_and_once(world: World, clock: Clock) -> None:
    two = two_of_finance(world.centre)
    with world.centre.write() as connection:
        venue = NewParty("VENUE", "2002", "古城", "Old town", "venue-2")
        second = add_party(connection, venue, "Asia/Shanghai", clock.now_ms)
        opened = {"product_id": world.annual, "venue_id": second, "venue_price_fen": 0}
        connection.execute(product_item.insert().values(opened))
        connection.execute(product_version_price.insert().values(version=1, **opened))
    world.sandbox.book.top_up("venue-2", 0)
    a_pass_in_use(world, clock)
    settle(world, two, "POOL")
    before = posted(world)
    for venue_id in (world.venue, world.venue):
        visit(world, venue_id)
    given_back_late = visit(world, second)
    visit(world, second, given_back=True)
    world.turn()
    assert (due(world), posted(world)) == (0, before)
    month = month_of(clock.now_ms, world.centre.settings.zone)
    clock.pass_ms(month.ends_ms + SHUT_AFTER_MS - 1 - clock.now_ms)
    with pytest.raises(NotAllowedError, match="not over for 10 minutes"):
        share_pool(world, two, month)
    clock.pass_ms(1)
    visit(world, second)  # of the next month
    give_back(world, given_back_late)  # then, too: as if the centre had heard of it after it booked
    tell_all(world, second, month.ends_ms + HOUR_MS)
    with pytest.raises(NotAllowedError, match=r"gates of venues \[1\] may still bring"):
        share_pool(world, two, month)
    tell_all(world, world.venue, month.ends_ms + HOUR_MS)
    with pytest.raises(NotAllowedError, match="nobody visited"):
        share_pool(world, two, month_named("2026-08", world.centre.settings.zone))
    with pytest.raises(NotAllowedError, match="a pool holds 1 to"):
        share_pool(world, two, month, 0)
    shares = share_pool(world, two, month)
    assert [(share.venue, share.visits, share.gross_fen) for share in shares] == [(1, 2, 667), (2, 1, 333)]
    with pytest.raises(NotAllowedError, match="already"):
        share_pool(world, two, month)
    for _ in range(2):
        world.turn()
    assert posted(world) == {**before, "1010": before["1010"] - 996, "4020": -4, "5040": 1000}
    assert world.sandbox.book.balances()["venue"] == 663
    assert world.sandbox.book.balances()["venue-2"] == 333
    with world.centre.read() as connection:
        kinds = connection.scalars(sa.select(payout_adjustment.c.kind)).all()
        lines = list(lines_between(connection, "VENUE", second, 0, clock.now_ms + 1))
    assert kinds == ["POOL", "POOL"]
    share, paid = lines
    assert share.txn_key.startswith("pool:")
    assert (share.payout_number, share.provider_ref) == (paid.payout_number, paid.provider_ref) != (None, None)
    assert_books_agree(world)


def test_months_are_those_of_the_zone() -> None:
    december = month_named("2026-12", "Asia/Shanghai")
    assert month_of(december.ends_ms, "Asia/Shanghai").name == "2027-01"
    assert month_of(december.ends_ms - 1, "Asia/Shanghai") == december
    assert december.ends_ms - december.begins_ms == 31 * DAY_MS
    with pytest.raises(NotAllowedError, match="2026-10"):
        month_named("October", "Asia/Shanghai")
