"""What stands beside a statement's amounts: a bank's voucher, the balance, the provider's number; never another's."""

from __future__ import annotations

from datetime import date
from uuid import UUID

from sandbox_provider.faults import FaultKind
from sync_server.payments import top_ups
from sync_server.payments.vouchers import Voucher
from sync_server.settlement import clawing_back, refunding
from sync_server.statements.beside import BALANCE
from sync_server.statements.rows import StatementLine, lines_between
from tests.sync_server.conftest import Clock
from tests.sync_server.operators import two_of_finance
from tests.sync_server.orders.test_prepaid import set_prepaid
from tests.sync_server.reconciliation.telling import DAY_MS, sell_and_pay
from tests.sync_server.sandbox import World
from tests.sync_server.settlement.test_debts import two_visits_refunded
from tests.sync_server.settlement.test_late_entries import number_of
from tests.sync_server.settlement.test_repaying import confirm, repaid

HOLD_MS = 72 * 3_600_000

VOUCHER = Voucher("工商银行开封支行", date(2026, 9, 21), "20260921-0008")


def lines(world: World, kind: str, party_id: UUID) -> dict[str, StatementLine]:
    """All lines of a party by the words of their ledger keys, without the ids."""
    with world.centre.read() as connection:
        found = list(lines_between(connection, kind, party_id, 0, world.centre.now_ms() + 1))
    return {":".join(part for part in line.txn_key.split(":") if len(part) < 32): line for line in found}


def test_what_a_balance_paid_says_so_and_what_a_bank_paid_has_its_voucher(world: World, clock: Clock) -> None:
    two = two_of_finance(world.centre)
    set_prepaid(world)
    with world.centre.write() as connection:
        asked = top_ups.ask(connection, two[0], world.distributor, 10_000, VOUCHER, "paid in", clock.now_ms)
        top_ups.confirm(connection, two[1], asked, clock.now_ms)
    order_id = world.buy()
    world.turn()
    with world.centre.write() as connection:
        refunding.ask(connection, number_of(world, order_id), "ill", clock.now_ms, "test")
    clock.pass_ms(HOLD_MS)
    world.turn()
    found = lines(world, "DISTRIBUTOR", world.distributor)
    references = {words: line.provider_ref for words, line in found.items()}
    assert references == {"topup": VOUCHER.number, "charge": BALANCE, "expire": BALANCE, "refund": BALANCE}
    pair = [found[words] for words in ("expire", "refund")]
    assert all(line.order_number and line.ticket_number for line in pair)


def test_what_is_owed_for_a_ticket_has_the_number_of_its_refund(world: World, clock: Clock) -> None:
    order_id = world.buy()
    world.turn()
    with world.centre.write() as connection:
        refunding.ask(connection, number_of(world, order_id), "ill", clock.now_ms, "test")
    clock.pass_ms(HOLD_MS)
    world.sandbox.play(FaultKind.REFUSED, "refund")
    world.turn()
    assert lines(world, "DISTRIBUTOR", world.distributor)["expire"].provider_ref is None
    clock.pass_ms(DAY_MS)
    world.turn()
    found = lines(world, "DISTRIBUTOR", world.distributor)
    assert found["expire"].provider_ref == found["refund"].provider_ref
    assert found["refund"].provider_ref not in {None, found["charge"].provider_ref}


def test_what_a_venue_paid_by_bank_has_its_voucher(world: World, clock: Clock) -> None:
    two = two_of_finance(world.centre)
    two_visits_refunded(world, clock, two)
    confirm(world, two[1], repaid(world, two[0], 100, VOUCHER))
    assert lines(world, "VENUE", world.venue)["repaid"].provider_ref == VOUCHER.number


def test_a_distributor_is_not_told_how_its_venues_were_paid(world: World, clock: Clock) -> None:
    two = two_of_finance(world.centre)
    sell_and_pay(world)
    world.sandbox.book.top_up("platform", 10_000)
    with world.centre.read() as connection:
        ticket = lines_between(connection, "VENUE", world.venue, 0, clock.now_ms + 1)
        number = next(line.ticket_number for line in ticket if line.ticket_number)
    with world.centre.write() as connection:
        asked = clawing_back.ask(connection, two[0], str(number), 1, "closed", clock.now_ms)
        clawing_back.confirm(connection, two[1], asked, clock.now_ms)
    clock.pass_ms(DAY_MS)
    world.turn()
    found = lines(world, "DISTRIBUTOR", world.distributor)
    assert {line.payout_number for line in found.values()} == {None}
    back = found["clawback:refund"]
    assert found["clawback"].provider_ref == back.provider_ref
    assert (back.moved_fen, back.order_number) == (5200, found["charge"].order_number)
    assert back.provider_ref not in {None, *(line.provider_ref for line in lines(world, "VENUE", world.venue).values())}
