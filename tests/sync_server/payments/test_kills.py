"""Processes that die while a provider is asked to move money: afterwards both books agree, line by line."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from uuid import UUID

import pytest
import sqlalchemy as sa

from sandbox_provider.faults import Fault, FaultKind
from sync_server.centre import Centre
from sync_server.db import new_id
from sync_server.ledger.accounts import Account
from sync_server.ledger.balances import balance
from sync_server.ledger.book import legs
from sync_server.payments import sweeps, top_ups, transfers
from sync_server.payments.provider import Answer, Instruction, Provider
from sync_server.payments.providers import CLEARING
from sync_server.payments.states import OPEN, STOPPED
from sync_server.payments.tables import (
    AT_THE_CASHIER,
    COMING_IN,
    TRANSFER_KINDS,
    external_transfer,
    transfer_attempt,
)
from sync_server.people.identifying import Person
from tests.sync_server.conftest import Clock
from tests.sync_server.operators import employ
from tests.sync_server.sandbox import World, money_flaws
from tests.sync_server.silent_provider import SilentProvider

HOUR_MS = 3_600_000
FAULTS = (FaultKind.LOST_ANSWER, FaultKind.LOST_REQUEST, FaultKind.NONSENSE, FaultKind.SYSTEM_ERROR, FaultKind.REFUSED)
DEATHS = 500
LIVES_A_ROUND = 2
ROUNDS_A_DEATH = 5  # no more: whoever lives on has nothing to do
MOMENTS = 6  # a call has three, or five where the number has to be sent again; one process makes several calls


ASKED = {"CHARGE", "COLLECT", "TOP_UP", "PAYOUT", "REFUND", "FUND_BUY", "FUND_SELL", "FUND_CLOSE", "SWEEP_OUT"}
"""The arrival of a sweep is not: the provider that sends it tells of it."""
OF_WHAT_IT_IS_FOR = ("every transaction is of a known kind", "what was lost is what two persons wrote off")


class Killed(BaseException):
    """The process ends here: nothing after it runs, nothing catches it."""


@dataclass
class Life:
    """A process that has so many moments to live, of those between an attempt's commit and its answer's application:
    before the provider hears of it, before its answer is heard, and before that is written down.
    """

    left: int
    now_ms: Callable[[], int]
    said: Instruction | None = None
    """What the provider has answered, and is not written down yet, or is asked now."""

    def spend(self) -> None:
        self.left -= 1
        if self.left <= 0:
            raise Killed

    def look_at_clock(self) -> int:
        """The first look after an answer is that of the transaction which applies it."""
        if self.said is not None:
            self.spend()
            self.said = None
        return self.now_ms()


@dataclass
class Mortal(SilentProvider):
    """A client in such a process."""

    real: Provider
    life: Life

    def send(self, instruction: Instruction) -> Answer:
        return self._spoken(self.real.send, instruction)

    def query(self, instruction: Instruction) -> Answer:
        return self._spoken(self.real.query, instruction)

    def cancel(self, instruction: Instruction) -> Answer:
        return self._spoken(self.real.cancel, instruction)

    def _spoken(self, say: Callable[[Instruction], Answer], instruction: Instruction) -> Answer:
        self.life.said = instruction
        self.life.spend()
        answer = say(instruction)
        self.life.spend()
        return answer


class Movements:
    """Every kind of movement, asked for at random, by processes that die at random."""

    def __init__(self, world: World, clock: Clock, chance: random.Random) -> None:
        self.world, self.clock, self.chance = world, clock, chance
        self.cashier: Person = employ(world.centre, "cashier", "finance", "2001")
        self.funds: dict[UUID, int] = {}
        self.deaths: Counter[str] = Counter()
        for _ in range(20):
            world.buy()
        world.turn()
        self.ask_sweep(40_000)
        self.settle()

    def ask(self) -> None:
        """One movement more."""
        if self.chance.random() < 0.2:
            self.world.buy()
        else:
            ways = (self.ask_payout, self.ask_refund, self.ask_sweep, self.ask_fund, self.ask_visitor, self.ask_top_up)
            self.chance.choice(ways)()

    def ask_payout(self) -> None:
        self.request("PAYOUT", "ALIPAY", "venue", Account("5090"), 40)

    def ask_refund(self) -> None:
        succeeded = sa.select(transfer_attempt.c.out_no).join(
            external_transfer, external_transfer.c.id == transfer_attempt.c.transfer_id
        )
        charged = succeeded.where(external_transfer.c.kind == "CHARGE", transfer_attempt.c.state == "SUCCEEDED")
        with self.world.centre.read() as connection:
            original = self.chance.choice(connection.scalars(charged).all())
        self.request("REFUND", "ALIPAY", None, Account("5090"), 1, original)

    def ask_visitor(self) -> None:
        """To pay at the cashier."""
        self.request("COLLECT", "ALIPAY", None, Account("5090"), 30, expires_at_ms=self.clock.now_ms + 2 * HOUR_MS)

    def ask_top_up(self) -> None:
        with self.world.centre.write() as connection:
            top_ups.begin(connection, self.world.distributor, 70, "test", self.clock.now_ms)

    def pay_at_the_cashier(self) -> None:
        """Some do, with what they see there; others never come."""
        book = self.world.sandbox.book
        for out_no in open_numbers(self.world, AT_THE_CASHIER):
            if self.chance.random() < 0.5 and book.find(out_no) is not None:
                book.settle(out_no, self.clock.now_ms)

    def ask_sweep(self, fen: int = 100) -> None:
        with self.world.centre.write() as connection:
            sweeps.ask(connection, self.cashier, "ALIPAY", "HUIJINBAO", fen, "test", self.clock.now_ms)

    def ask_fund(self) -> None:
        """Buy a fund of 100, or sell or close the first one."""
        order_id = next(iter(self.funds), None)
        if order_id is None or self.chance.random() < 0.4:
            order_id = new_id(self.clock.now_ms)
            self.funds[order_id] = 100
            self.request("FUND_BUY", "HUIJINBAO", order_id.hex, Account("1110", order_id), 100)
        elif self.funds[order_id] > 40:
            self.funds[order_id] -= 30
            self.request("FUND_SELL", "HUIJINBAO", order_id.hex, Account("1110", order_id), 30)
        else:
            left_fen = self.funds.pop(order_id)
            yield_fen = self.chance.randrange(-5, 6)
            self.world.sandbox.huijinbao.book.set_fund_yield("platform", order_id.hex, yield_fen, self.clock.now_ms)
            self.request("FUND_CLOSE", "HUIJINBAO", order_id.hex, Account("1110", order_id), left_fen)

    def request(
        self,
        kind: str,
        provider: str,
        account: str | None,
        against: Account,
        fen: int,
        original: str | None = None,
        expires_at_ms: int | None = None,
    ) -> None:
        ours_fen = fen if kind in COMING_IN else -fen
        subject_id = new_id(self.clock.now_ms)
        wanted = transfers.Request(
            kind=kind,
            subject_key=f"test:{subject_id.hex}",
            subject_id=subject_id,
            provider=provider,
            party_id=None,
            account_ref=account,
            amount_fen=fen,
            title="kills",
            legs=legs((CLEARING[provider], ours_fen), (against, -ours_fen)),
            original_out_no=original,
            expires_at_ms=expires_at_ms,
        )
        with self.world.centre.write() as connection:
            transfers.request(connection, [wanted], "test", self.clock.now_ms)

    def live(self, moments: int) -> None:
        """A worker that dies at such a moment: its attempt is committed, what became of it is not."""
        life = Life(moments, self.clock)
        world = self.world
        name = self.chance.choice(sorted(world.clients))  # of two, most died at the one that is asked first
        clients = {name: Mortal(world.clients[name], life)}
        mortal = Centre(world.centre.settings, world.centre.engine, world.centre.secrets, life.look_at_clock)
        try:
            transfers.move_due(mortal, clients)
            sweeps.follow_sweeps(mortal)
        except Killed:
            assert life.said is not None
            assert life.said.out_no in open_numbers(world, TRANSFER_KINDS)
            self.deaths[life.said.kind] += 1

    def settle(self) -> None:
        """Workers that live, and a person who resumes what lacked money, until nothing is under way.

        What nobody paid at the cashier in time is given up.
        """
        at_cashier = external_transfer.c.kind.in_(AT_THE_CASHIER)
        ids = sa.select(external_transfer.c.id)
        lacking = ids.where(external_transfer.c.state == "INSUFFICIENT", ~at_cashier)
        unpaid = ids.where(external_transfer.c.state.in_(STOPPED), at_cashier)
        for _ in range(6):
            self.clock.pass_ms(HOUR_MS)
            with self.world.centre.write() as connection:
                for transfer_id in connection.scalars(lacking).all():
                    transfers.begin_again(connection, transfer_id, self.clock.now_ms)
            transfers.move_due(self.world.centre, self.world.clients)
            sweeps.follow_sweeps(self.world.centre)
        with self.world.centre.write() as connection:
            for transfer_id in connection.scalars(unpaid).all():
                transfers.abandon(connection, transfer_id, "nobody paid", "test", self.clock.now_ms)

    def round(self) -> None:
        """Movements are asked for, something goes wrong at the provider, processes die."""
        for _ in range(self.chance.randrange(1, 4)):
            self.ask()
        if self.chance.random() < 0.5:
            provider = self.chance.choice((self.world.sandbox.provider, self.world.sandbox.huijinbao))
            provider.faults.add(Fault(self.chance.choice(FAULTS), "*"))
        for _ in range(LIVES_A_ROUND):
            self.live(self.chance.randrange(1, MOMENTS))
            self.pay_at_the_cashier()
            self.clock.pass_ms(self.chance.choice((0, 61_000, HOUR_MS)))


def open_numbers(world: World, kinds: Sequence[str]) -> list[str]:
    """The numbers at the provider of what is committed and has no answer, or waits to be paid."""
    query = (
        sa.select(transfer_attempt.c.out_no)
        .join(external_transfer, external_transfer.c.id == transfer_attempt.c.transfer_id)
        .where(transfer_attempt.c.state.in_(OPEN), external_transfer.c.kind.in_(kinds))
    )
    with world.centre.read() as connection:
        return list(connection.scalars(query))


Line = tuple[str, str | None, str | None, int]


def lines_of(world: World) -> tuple[list[Line], list[Line]]:
    """Ours and theirs: at whom, the number, their number, the amount as our account saw it."""
    theirs: list[Line] = []
    for name, provider in (("ALIPAY", world.sandbox.provider), ("HUIJINBAO", world.sandbox.huijinbao)):
        lines = provider.book.statement("platform", 0, 1 << 60)
        theirs += [
            (name, str(line["out_no"]), str(line["provider_ref"]), int(str(line["amount_fen"]))) for line in lines
        ]
    query = (
        sa.select(external_transfer, transfer_attempt.c.out_no, transfer_attempt.c.state.label("became"))
        .join(transfer_attempt, external_transfer.c.id == transfer_attempt.c.transfer_id)
        .where(transfer_attempt.c.state == "SUCCEEDED")
    )
    ours: list[Line] = []
    with world.centre.read() as connection:
        for row in connection.execute(query):
            came_fen = row.amount_fen + row.yield_fen
            fen = came_fen if row.kind in COMING_IN else -row.amount_fen
            ours.append((row.provider, row.out_no, row.provider_ref, fen))
    return sorted(ours, key=str), sorted(theirs, key=str)


def flaws(connection: sa.Connection) -> list[str]:
    """What `check` finds, but that most movements here are for nothing that was sold or lost."""
    return [flaw for flaw in money_flaws(connection) if not any(rule in flaw for rule in OF_WHAT_IT_IS_FOR)]


def held(world: World) -> dict[str, tuple[int, int]]:
    """What we think that each provider holds for us, and what it does."""
    theirs = {"ALIPAY": world.sandbox.provider, "HUIJINBAO": world.sandbox.huijinbao}
    with world.centre.read() as connection:
        return {
            name: (balance(connection, CLEARING[name]).posted_fen, provider.book.balances()["platform"])
            for name, provider in theirs.items()
        }


@pytest.mark.slow("money")
def test_killed_around_calls_to_providers_the_books_agree_line_by_line(
    world: World, clock: Clock, times: Callable[[int], int]
) -> None:
    seed = random.randrange(1 << 32)
    movements = Movements(world, clock, random.Random(seed))
    wanted = times(DEATHS)
    for n in range(wanted * ROUNDS_A_DEATH):
        if movements.deaths.total() >= wanted:
            break
        movements.round()
        if n % 10 == 9:
            movements.settle()
    assert movements.deaths.total() >= wanted, seed
    if wanted == DEATHS:
        assert movements.deaths.keys() >= ASKED, seed
    movements.settle()
    ours, theirs = lines_of(world)
    assert ours == theirs, seed
    assert all(we_fen == they_fen for we_fen, they_fen in held(world).values()), (seed, held(world))
    with world.centre.read() as connection:
        under_way = sa.select(external_transfer.c.kind, external_transfer.c.state).where(
            external_transfer.c.state.in_(("CREATED", "SENT", "UNKNOWN", "DEFINITE_FAIL"))
        )
        assert connection.execute(under_way).all() == [], seed
        assert flaws(connection) == [], seed


def test_a_fresh_number_for_every_try_is_caught_by_the_other_book(
    world: World, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The mistake that money.md §0.8 is about: ours balances, and the same payout was made twice."""
    made = transfers._instruction
    tries = iter(range(1_000_000))

    def fresh(row: sa.Row[tuple[object, ...]], out_no: str) -> Instruction:
        told = made(row, out_no)
        return Instruction(told.kind, f"{out_no}x{next(tries)}", told.account_ref, told.amount_fen, told.title)

    world.buy()
    world.turn()
    movements = Movements(world, clock, random.Random(1))
    monkeypatch.setattr(transfers, "_instruction", fresh)
    movements.ask_payout()
    world.sandbox.play(FaultKind.LOST_ANSWER, "payout")
    movements.settle()
    with world.centre.read() as connection:
        assert not [flaw for flaw in money_flaws(connection) if "I1 " in flaw]
    assert lines_of(world)[0] != lines_of(world)[1]
    we_fen, they_fen = held(world)["ALIPAY"]
    assert we_fen == they_fen + 40
