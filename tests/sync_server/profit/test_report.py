"""The profit report is the ledger to the fen; partners get their shares of it, and two persons say one was paid."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import date
from typing import Any
from uuid import UUID

import click
import pytest
import sqlalchemy as sa
from click.testing import CliRunner

from sandbox_provider.faults import Fault, FaultKind
from sync_server.catalog.products import find_product
from sync_server.centre import Centre
from sync_server.db import new_id
from sync_server.errors import NotAllowedError, NotFoundError
from sync_server.ledger import book
from sync_server.orders.tables import ticket
from sync_server.parties.parties import NewParty, add_party
from sync_server.parties.tables import party, venue
from sync_server.payments import vouchers
from sync_server.payments.vouchers import Voucher
from sync_server.people.identifying import Person
from sync_server.profit import sharing
from sync_server.profit.commands import COMMANDS
from sync_server.profit.report import PARTS, Month, OrderProfit, month_of, profit_of, total_of
from sync_server.profit.tables import profit_payment
from sync_server.redemptions import decisions
from sync_server.second_person.commands import request as request_commands
from sync_server.settlement import clawing_back, refunding
from sync_server.settlement.months import SHUT_AFTER_MS
from tests.sync_server.combo_world import ComboWorld
from tests.sync_server.conftest import Clock
from tests.sync_server.operators import PASSWORD, employ
from tests.sync_server.sandbox import Sandbox, money_flaws
from tests.sync_server.settlement.test_honouring import lost

HOLD_MS = 72 * 3_600_000

DAY_MS = 24 * 3_600_000
ZONE = "Asia/Shanghai"
SEPTEMBER, OCTOBER = month_of("2026-09", ZONE), month_of("2026-10", ZONE)


@pytest.fixture
def combos(any_centre: Centre, sandbox: Sandbox) -> Iterator[ComboWorld]:
    made = ComboWorld(any_centre, sandbox)
    yield made
    made.close()


def example(world: ComboWorld, clock: Clock) -> UUID:
    """The combo of money.md: bought and visited on 21 September, closed on 22 October; a single ticket beside it."""
    of_the_single = world.venue
    order_id = world.buy_combo()
    for _ in range(3):
        world.turn()
    world.sandbox.huijinbao.book.set_fund_yield("platform", world.number(order_id), 87, clock.now_ms)
    for place in "AB":
        world.visit(order_id, place)
    single = world.buy()
    for _ in range(2):
        world.turn()
    world.venue = of_the_single  # the combo's visits were elsewhere
    world.enter(world.items(single)[0])
    world.turn()
    clock.pass_ms(31 * DAY_MS)
    for _ in range(4):
        world.turn()
    return order_id


def reported(world: ComboWorld, month: Month) -> list[OrderProfit]:
    with world.centre.read() as connection:
        return profit_of(connection, month)


def test_each_month_has_what_was_booked_in_it(combos: ComboWorld, clock: Clock) -> None:
    order_id = example(combos, clock)
    (first,), (second,) = reported(combos, SEPTEMBER), reported(combos, OCTOBER)
    number = combos.number(order_id)
    assert (first.order_number, first.product_number, first.dist_price_fen) == (number, combos.combo, 11_000)
    assert (first.charge_fee_fen, first.payout_fee_fen, first.margin_fen, first.profit_fen) == (66, 48, 0, 114)
    assert (second.order_number, second.margin_fen, second.yield_fen, second.profit_fen) == (number, 800, 87, 887)
    assert first.profit_fen + second.profit_fen == 1001  # all the cash that is left of it
    assert reported(combos, month_of("2026-08", ZONE)) == reported(combos, month_of("2026-11", ZONE)) == []


def test_the_totals_are_the_ledgers(combos: ComboWorld, clock: Clock) -> None:
    combos.buy_combo(3)
    for _ in range(3):
        combos.turn()
    clock.pass_ms(31 * DAY_MS)
    other = combos.buy_combo(2)
    for _ in range(3):
        combos.turn()
    combos.sandbox.huijinbao.book.set_fund_yield("platform", combos.number(other), -70, clock.now_ms)
    for place in "ABC":
        combos.visit(other, place, 1)
    combos.visit(other, "A", 2)
    for _ in range(3):
        combos.turn()
    clock.pass_ms(31 * DAY_MS)
    for _ in range(4):
        combos.turn()
    months = [month_of(name, ZONE) for name in ("2026-09", "2026-10", "2026-11")]
    totals = [total_of(reported(combos, month)) for month in months]
    ledger = combos.posted()
    for code, part in PARTS.items():
        assert sum(total[part] for total in totals) == -ledger.get(code, 0), code
    assert sum(total["loss_fen"] for total in totals) == -70
    assert sum(total["profit_fen"] for total in totals) == ledger["1020"]


def test_a_correction_counts_where_it_is_booked(combos: ComboWorld, clock: Clock) -> None:
    order_id = example(combos, clock)
    with combos.centre.write() as connection:
        book.reverse(connection, f"margin:{order_id.hex}", clock.now_ms, "test", clock.now_ms)
    (october,) = reported(combos, OCTOBER)
    assert (october.margin_fen, october.yield_fen) == (0, 87)
    assert reported(combos, SEPTEMBER)[0].profit_fen == 114


def test_what_was_given_back_or_charged_back_is_no_profit(combos: ComboWorld, clock: Clock) -> None:
    """Two visits are refunded after their payouts, one before and one after the order's end; a late entry is borne."""
    one, other = (employ(combos.centre, name, "finance") for name in ("qian", "sun"))

    def claw_back(place: str) -> None:
        with combos.centre.write() as connection:
            at = connection.scalars(sa.select(venue.c.number).where(venue.c.id == combos.places[place])).one()
            asked = clawing_back.ask(connection, one, number, at, "closed", clock.now_ms)
            clawing_back.confirm(connection, other, asked, clock.now_ms)

    def turns() -> None:
        for _ in range(3):
            combos.turn()
            with combos.centre.read() as connection:
                assert money_flaws(connection) == []

    combos.bring_capital(100_000)
    order_id = combos.buy_combo()
    with combos.centre.write() as connection:
        number = connection.scalars(sa.select(ticket.c.number).where(ticket.c.order_id == order_id)).one()
        connection.execute(party.update().where(party.c.id == combos.agency).values(late_liability="DISTRIBUTOR"))
    turns()
    combos.visit(order_id, "A")
    turns()
    claw_back("A")
    combos.visit(order_id, "B")
    with combos.centre.write() as connection:
        refunding.ask(connection, number, "ill", clock.now_ms, "test")
    combos.sandbox.huijinbao.faults.add(Fault(FaultKind.REFUSED, "fund_close", 1, 0))
    clock.pass_ms(HOLD_MS)
    turns()
    assert combos.state(order_id) == "COMPLETED"
    assert combos.balance("1110", order_id)
    combos.venue = combos.places["C"]
    late = lost(combos, combos.item(order_id, "C"), "LATE")
    with combos.centre.write() as connection:
        decisions.honour(connection, one, late, "cut off", clock.now_ms)
    turns()
    claw_back("B")  # its fund is still open
    clock.pass_ms(24 * 3_600_000)
    turns()
    (row,) = reported(combos, SEPTEMBER)
    ledger = combos.posted()
    assert {part: getattr(row, part) for part in PARTS.values()} == {
        part: -ledger.get(code, 0) for code, part in PARTS.items()
    }
    assert (row.charge_fee_fen, row.payout_fee_fen, row.margin_fen, row.honoured_fen) == (66, 12, 0, 0)


class Partners:
    """Two partners of the combo, and two persons of the platform's finance."""

    def __init__(self, world: ComboWorld) -> None:
        self.world, centre = world, world.centre
        self.finance, self.other = (employ(centre, name, "finance") for name in ("qian", "sun"))
        with centre.write() as connection:
            self.ids = [
                add_party(connection, NewParty("PARTNER", number, number, number, number), ZONE, centre.now_ms())
                for number in ("4001", "4002")
            ]
            self.product: UUID = find_product(connection, world.combo).id

    def do(self, act: Any, who: Person, *arguments: Any) -> Any:
        with self.world.centre.write() as connection:
            return act(connection, who, *arguments, self.world.centre.now_ms())


def test_partners_get_their_shares_of_a_month_once(combos: ComboWorld, clock: Clock) -> None:
    partners = Partners(combos)
    first, second = partners.ids
    for partner, bps in ((first, 3_000), (second, 9_000), (first, 3_333)):
        wanted = (partners.finance, partners.product, partner, bps, "协议")
        if bps == 9_000:
            with pytest.raises(NotAllowedError, match="3000 of 10000"):
                partners.do(sharing.agree, *wanted)
        else:
            partners.do(sharing.agree, *wanted)
    partners.do(sharing.agree, partners.finance, partners.product, second, 3_333, "协议")
    example(combos, clock)
    with pytest.raises(NotAllowedError, match="not over"):
        partners.do(sharing.allocate, partners.finance, OCTOBER)
    clock.pass_ms(OCTOBER.until_ms + SHUT_AFTER_MS - 1 - clock.now_ms)
    with pytest.raises(NotAllowedError, match="10 minutes"):
        partners.do(sharing.allocate, partners.finance, OCTOBER)
    clock.pass_ms(1)
    shares = dict(partners.do(sharing.allocate, partners.finance, OCTOBER))
    assert sorted(shares.values()) == [295, 296]  # of 887: 295.6 each, 295.7 to the platform
    assert combos.posted()["3010"] == 591
    assert {partner: -combos.balance("2410", partner) for partner in partners.ids} == shares
    with pytest.raises(NotAllowedError, match="already"):
        partners.do(sharing.allocate, partners.finance, OCTOBER)
    with combos.centre.read() as connection:
        assert money_flaws(connection) == []


def test_two_persons_say_that_a_share_was_paid(combos: ComboWorld, clock: Clock) -> None:
    partners = Partners(combos)
    partner, other = partners.ids
    partners.do(sharing.agree, partners.finance, partners.product, partner, 5_000, "协议")
    example(combos, clock)
    clock.pass_ms(31 * DAY_MS)
    partners.do(sharing.allocate, partners.finance, OCTOBER)
    paid = ("2026-10", partner, "1030", Voucher("工商银行", date(2026, 10, 20), "付字第7号"), "十月")
    asked = partners.do(sharing.ask_to_pay, partners.finance, *paid)
    with pytest.raises(NotAllowedError, match="two persons"):
        partners.do(sharing.confirm_payment, partners.finance, asked)
    assert combos.balance("2410", partner) == -444
    partners.do(sharing.confirm_payment, partners.other, asked)
    assert (combos.balance("2410", partner), combos.balance("1030")) == (0, -444)
    with combos.centre.write() as connection:
        assert money_flaws(connection) == []
        connection.execute(profit_payment.update().values(booked_at_ms=None))
        assert [flaw for flaw in money_flaws(connection) if "a partner is owed" in flaw and "party 4001" in flaw]
        connection.execute(profit_payment.update().values(booked_at_ms=clock.now_ms))
        with pytest.raises(NotAllowedError, match="is booked already, as profit:2026-10"):
            vouchers.keep(connection, new_id(clock.now_ms), paid[3], clock.now_ms)
    with pytest.raises(NotAllowedError, match="paid already"):
        partners.do(sharing.ask_to_pay, partners.finance, *paid)
    with pytest.raises(NotFoundError, match="nothing of 2026-10"):
        partners.do(sharing.ask_to_pay, partners.finance, "2026-10", other, *paid[2:])
    with combos.centre.read() as connection:
        assert money_flaws(connection) == []


def test_a_loss_is_shared_with_nobody(combos: ComboWorld, clock: Clock) -> None:
    partners = Partners(combos)
    partners.do(sharing.agree, partners.finance, partners.product, partners.ids[0], 5_000, "协议")
    order_id = combos.buy_combo()
    for _ in range(3):
        combos.turn()
    clock.pass_ms(31 * DAY_MS)
    combos.sandbox.huijinbao.book.set_fund_yield("platform", combos.number(order_id), -50, clock.now_ms)
    for _ in range(4):
        combos.turn()
    (row,) = reported(combos, OCTOBER)
    assert row.profit_fen == -50
    clock.pass_ms(31 * DAY_MS)
    assert partners.do(sharing.allocate, partners.finance, OCTOBER) == []


def test_nobody_else_shares_out(combos: ComboWorld) -> None:
    partners = Partners(combos)
    stranger = employ(combos.centre, "zhou", "operations")
    for act, arguments in (
        (sharing.agree, (partners.product, partners.ids[0], 1, "协议")),
        (sharing.allocate, (month_of("2026-08", ZONE),)),
    ):
        with pytest.raises(NotAllowedError, match=r"profit\.share"):
            partners.do(act, stranger, *arguments)
    with pytest.raises(NotAllowedError, match="for a partner"):
        partners.do(sharing.agree, partners.finance, partners.product, combos.agency, 1, "协议")
    with pytest.raises(NotAllowedError, match="only the profit of combos"):
        partners.do(sharing.agree, partners.finance, combos.single, partners.ids[0], 1, "协议")


@pytest.mark.parametrize("name", ["2026", "2026-13", "十月", ""])
def test_what_is_no_month_is_refused(name: str) -> None:
    with pytest.raises(NotAllowedError, match="not a month"):
        month_of(name, ZONE)


def test_a_year_ends_with_december() -> None:
    assert month_of("2026-12", ZONE).until_ms == month_of("2027-01", ZONE).since_ms


@pytest.mark.slow
def test_by_commands(centre: Centre, sandbox: Sandbox, clock: Clock) -> None:
    combos = ComboWorld(centre, sandbox)
    partners = Partners(combos)
    assert partners.ids

    def run(*arguments: str, who: str | None = None, group: click.Command = COMMANDS[0]) -> dict[str, Any]:
        proof = ("--organisation", "1000", "--account", who, "--password-stdin") if who else ()
        done = CliRunner().invoke(group, (*arguments, *proof), obj=lambda: centre, input=PASSWORD + "\n")
        assert done.exit_code == 0, (done.output, done.exception)
        told: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
        return told

    run("share", str(combos.combo), "4001", "--bps", "5000", "--reason", "协议", who="qian")
    example(combos, clock)
    assert run("report", "2026-10")["profit_fen"] == 887
    assert run("report", "2026-10", "--product", "1")["orders"] == 0
    clock.pass_ms(31 * DAY_MS)
    assert run("allocate", "2026-10", who="qian") == {"month": "2026-10", "shares": {"4001": 444}}
    paid = ("--bank", "工商银行", "--paid-on", "2026-10-20", "--voucher", "7")
    asked = run("pay", "2026-10", "4001", *paid, "--reason", "十月", who="qian")
    done = run("confirm", asked["request"], who="sun", group=request_commands)["done"]
    assert done == (
        "4.44 yuan, the share of 4001 (4001) in the profit of 2026-10, count as paid"
        " from 1030 bank, off-line remittances (工商银行, voucher 7 of 2026-10-20)"
    )
    combos.close()
