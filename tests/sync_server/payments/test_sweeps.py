"""Sweeps: the platform's money leaves one provider, is in transit, and arrives at the other, once."""

from __future__ import annotations

from uuid import UUID

import msgspec
import pytest
import sqlalchemy as sa

from sandbox_provider.faults import Fault, FaultKind
from sync_server.db import new_id
from sync_server.errors import NotAllowedError
from sync_server.ledger.accounts import Account
from sync_server.ledger.balances import balance
from sync_server.ledger.book import legs
from sync_server.notices.tables import notice
from sync_server.payments import abandoning, sweeps, transfers
from sync_server.payments.lacking import Suggestion, suggestions
from sync_server.payments.tables import external_transfer, transfer_attempt
from sync_server.people.identifying import Person
from tests.sync_server.conftest import Clock
from tests.sync_server.operators import employ
from tests.sync_server.sandbox import World, money_flaws

HOUR_MS = 3_600_000


@pytest.fixture
def cashier(world: World) -> Person:
    """Somebody of finance; and 5231 fen of the platform at Alipay."""
    world.buy()
    world.turn()
    return employ(world.centre, "cashier", "finance", "2001")


def sweep(world: World, who: Person, amount_fen: int = 3000) -> UUID:
    with world.centre.write() as connection:
        return sweeps.ask(connection, who, "ALIPAY", "HUIJINBAO", amount_fen, "combos", world.centre.now_ms())


def turn(world: World) -> None:
    transfers.move_due(world.centre, world.clients)
    sweeps.follow_sweeps(world.centre)
    transfers.move_due(world.centre, world.clients)


def booked(world: World) -> tuple[int, ...]:
    """At Alipay, in transit, at Huijinbao; and both books agree but for what is in transit."""
    with world.centre.read() as connection:
        assert money_flaws(connection) == []
        held = [balance(connection, Account(code)).posted_fen for code in ("1010", "1090", "1020")]
    theirs = [each.book.balances()["platform"] for each in (world.sandbox.provider, world.sandbox.huijinbao)]
    assert held[0] == theirs[0]
    assert held[2] <= theirs[1]
    return tuple(held)


def test_a_sweep_arrives_at_the_other_provider(world: World, cashier: Person) -> None:
    sweep(world, cashier)
    turn(world)
    assert booked(world) == (2231, 0, 3000)
    turn(world)
    assert booked(world) == (2231, 0, 3000)


def test_what_arrives_late_is_in_transit_until_then(world: World, cashier: Person, clock: Clock) -> None:
    world.sandbox.faults.add(Fault(FaultKind.LATE_ARRIVAL, "sweep_out", delay_ms=100_000))
    sweep(world, cashier)
    turn(world)
    assert booked(world) == (2231, 3000, 0)
    clock.pass_ms(HOUR_MS)
    turn(world)
    assert booked(world) == (2231, 0, 3000)


@pytest.mark.parametrize("kind", [FaultKind.REFUSED, FaultKind.INSUFFICIENT])
def test_an_arrival_that_was_refused_is_awaited_under_the_number_it_left_for(
    world: World, cashier: Person, clock: Clock, kind: FaultKind
) -> None:
    world.sandbox.faults.add(Fault(FaultKind.LATE_ARRIVAL, "sweep_out", delay_ms=100_000))
    world.sandbox.huijinbao.faults.add(Fault(kind, "sweep_in"))
    sweep(world, cashier)
    turn(world)
    assert booked(world) == (2231, 3000, 0)
    clock.pass_ms(HOUR_MS)
    turn(world)
    assert booked(world) == (2231, 0, 3000)
    with world.centre.read() as connection:
        arrivals = sa.select(transfer_attempt.c.n).join(external_transfer).where(external_transfer.c.kind == "SWEEP_IN")
        assert connection.scalars(arrivals).all() == [1]


def test_an_arrival_is_not_given_up(world: World, cashier: Person) -> None:
    sweep(world, cashier)
    transfers.move_due(world.centre, world.clients)
    assert sweeps.follow_sweeps(world.centre) == 1
    with world.centre.write() as connection, pytest.raises(NotAllowedError, match="awaited at the other"):
        arrival = sa.select(external_transfer.c.id).where(external_transfer.c.kind == "SWEEP_IN")
        abandoning.ask(connection, cashier, connection.scalars(arrival).one(), "?", world.centre.now_ms())


@pytest.mark.parametrize("kind", [FaultKind.LOST_ANSWER, FaultKind.LOST_REQUEST, FaultKind.DEFERRED])
@pytest.mark.parametrize("method", ["sweep_out", "sweep_in"])
def test_a_sweep_that_goes_wrong_on_the_way_arrives_once(
    world: World, cashier: Person, clock: Clock, kind: FaultKind, method: str
) -> None:
    provider = world.sandbox.provider if method == "sweep_out" else world.sandbox.huijinbao
    provider.faults.add(Fault(kind, method, delay_ms=1))
    sweep(world, cashier)
    for _ in range(4):
        turn(world)
        clock.pass_ms(HOUR_MS)
        for number in provider.book.due_deferred(clock.now_ms):
            provider.book.settle(number, clock.now_ms)
    assert booked(world) == (2231, 0, 3000)


def test_a_sweep_of_more_than_is_there_is_refused_with_what_is(world: World, cashier: Person) -> None:
    sweep(world, cashier, 3000)
    with pytest.raises(NotAllowedError, match="2231 fen are free at ALIPAY"):
        sweep(world, cashier, 2232)
    sweep(world, cashier, 2231)
    turn(world)
    assert booked(world) == (0, 0, 5231)
    with world.centre.write() as connection, pytest.raises(NotAllowedError, match="0 fen are free at ALIPAY"):
        sweeps.ask(connection, cashier, "ALIPAY", "HUIJINBAO", 1, "?", world.centre.now_ms())


def test_a_sweep_that_the_provider_has_no_money_for_waits_and_moves_nothing(world: World, cashier: Person) -> None:
    world.sandbox.play(FaultKind.INSUFFICIENT, "sweep_out")
    sweep(world, cashier)
    turn(world)
    assert booked(world) == (5231, 0, 0)
    with world.centre.read() as connection:
        kept = sa.select(external_transfer.c.state).where(external_transfer.c.kind.like("SWEEP%"))
        assert connection.scalars(kept).all() == ["INSUFFICIENT"]


def test_who_may_not_move_money_does_not(world: World, cashier: Person) -> None:
    with pytest.raises(NotAllowedError, match=r"money\.sweep"):
        sweep(world, Person(cashier.id, frozenset()))
    with world.centre.write() as connection, pytest.raises(NotAllowedError, match="from one provider to another"):
        sweeps.ask(connection, cashier, "ALIPAY", "ALIPAY", 1, "?", world.centre.now_ms())


def test_what_lacks_money_suggests_a_sweep(world: World, cashier: Person) -> None:
    with world.centre.read() as connection:
        assert suggestions(connection) == []
    order_id = new_id(world.centre.now_ms())
    ask_for(world, "FUND_BUY", "HUIJINBAO", order_id.hex, Account("1110", order_id), 4000)
    turn(world)
    with world.centre.read() as connection:
        assert suggestions(connection) == [Suggestion("ALIPAY", "HUIJINBAO", 4000, 4000)]
        told = connection.scalars(sa.select(notice.c.variables).where(notice.c.kind == "platform_balance")).all()
    assert [msgspec.json.decode(one)["advice"] for one in told] == ["从支付宝调拨40.00元"]
    sweep(world, cashier, 1000)
    turn(world)
    world.sandbox.play(FaultKind.INSUFFICIENT, "sweep_out")
    sweep(world, cashier, 4000)
    world.sandbox.play(FaultKind.INSUFFICIENT, "payout")
    ask_for(world, "PAYOUT", "ALIPAY", "venue", Account("5090"), 300)
    turn(world)
    with world.centre.read() as connection:
        lacking = sa.select(sa.func.sum(external_transfer.c.amount_fen)).where(
            external_transfer.c.state == "INSUFFICIENT", external_transfer.c.provider == "ALIPAY"
        )
        assert connection.scalar(lacking) == 4300 > balance(connection, Account("1010")).posted_fen
        assert suggestions(connection) == [Suggestion("ALIPAY", "HUIJINBAO", 3000, 0)], "no sweep for a sweep"


def ask_for(world: World, kind: str, provider: str, account: str, against: Account, amount_fen: int) -> None:
    """A movement out of the platform's account at a provider."""
    now_ms = world.centre.now_ms()
    subject_id = new_id(now_ms)
    clearing = Account("1010" if provider == "ALIPAY" else "1020")
    wanted = transfers.Request(
        kind=kind,
        subject_key=f"{kind.lower()}:{subject_id.hex}",
        subject_id=subject_id,
        provider=provider,
        party_id=None,
        account_ref=account,
        amount_fen=amount_fen,
        title="test",
        legs=legs((against, amount_fen), (clearing, -amount_fen)),
    )
    with world.centre.write() as connection:
        transfers.request(connection, [wanted], "test", now_ms)


PLANTED = [
    ("has not arrived at the other", external_transfer.delete().where(external_transfer.c.kind == "SWEEP_IN")),
    (
        "is what left, once",
        external_transfer.update().where(external_transfer.c.kind == "SWEEP_OUT").values(amount_fen=1),
    ),
    (
        "is what left, once",
        external_transfer.update().where(external_transfer.c.kind == "SWEEP_IN").values(subject_id=UUID(int=1)),
    ),
]


@pytest.mark.parametrize(("rule", "statement"), PLANTED, ids=range(len(PLANTED)))
def test_a_sweep_that_is_not_whole_is_named(
    world: World, cashier: Person, rule: str, statement: sa.sql.dml.UpdateBase
) -> None:
    sweep(world, cashier)
    turn(world)
    with world.centre.write() as connection:
        attempts = sa.select(external_transfer.c.id).where(external_transfer.c.kind == "SWEEP_IN")
        if isinstance(statement, sa.Delete):
            connection.execute(transfer_attempt.delete().where(transfer_attempt.c.transfer_id.in_(attempts)))
        connection.execute(statement)
        flaws = money_flaws(connection)
    assert [flaw for flaw in flaws if flaw.startswith("P12 (") and rule in flaw.split("):")[0]], flaws
