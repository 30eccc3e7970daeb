"""Every state of an item × every event, on real tables: what is in the machine happens, all else changes nothing."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import pytest
import sqlalchemy as sa

from sync_server.centre import Centre
from sync_server.db import new_id
from sync_server.errors import NotAllowedError
from sync_server.issuance import binding
from sync_server.issuance.issuing import issue_paid_orders
from sync_server.issuance.pass_states import DATED, MOVES, PASS, STORED, derived
from sync_server.keys.key_set import create_first
from sync_server.orders import paying, placing
from sync_server.orders.claims import Claim, claim_items, claims_of
from sync_server.orders.holders import Holder
from sync_server.orders.progress import take_payments
from sync_server.orders.tables import item_claim, order_item, refund_hold, ticket
from sync_server.payments import abandoning, transfers
from sync_server.payments.provider import Answer, Instruction, Refused, StatementLine, Succeeded, Waiting, day_of
from sync_server.payments.tables import external_transfer
from sync_server.people.identifying import Person
from sync_server.reconciliation import undoing
from sync_server.reconciliation.reconciling import reconcile
from sync_server.reconciliation.statements_in import take_in
from sync_server.reconciliation.tables import recon_case
from sync_server.settlement import clawing_back, debts, refunding
from sync_server.settlement.clearing import clear_redemptions
from sync_server.settlement.expiring import expire_items
from sync_server.settlement.item_states import ITEM, MONEY_WORDS, USAGE_WORDS, first_list, refund_status, second_list
from sync_server.settlement.item_status import statuses_of
from sync_server.settlement.paying_again import pay_again
from sync_server.settlement.payout_states import EVENTS, PAYOUT
from sync_server.settlement.payouts import follow_transfers
from sync_server.settlement.tables import payout, payout_line
from tests.sync_server.conftest import Clock
from tests.sync_server.operators import two_of_finance
from tests.sync_server.sandbox import Sandbox, World, money_flaws
from tests.sync_server.silent_provider import SilentProvider

WEEK_MS = 7 * 24 * 3_600_000

# money.md §2.3, written down by hand a second time: "<from> > <event> > <to>"
LEGAL = """
INACTIVE HELD > bind > READY HELD
INACTIVE HELD > redeem > USED DUE
READY HELD > redeem > USED DUE
INACTIVE HELD hold > redeem > USED DUE
READY HELD hold > redeem > USED DUE
INACTIVE HELD > expire > EXPIRED REFUND_DUE
READY HELD > expire > EXPIRED REFUND_DUE
INACTIVE HELD hold > expire > EXPIRED REFUND_DUE
READY HELD hold > expire > EXPIRED REFUND_DUE
INACTIVE HELD > forfeit > EXPIRED FORFEIT
READY HELD > forfeit > EXPIRED FORFEIT
INACTIVE HELD hold > forfeit > EXPIRED REFUND_DUE
READY HELD hold > forfeit > EXPIRED REFUND_DUE
INACTIVE HELD > refund_asked > INACTIVE HELD hold
READY HELD > refund_asked > READY HELD hold
INACTIVE HELD hold > refund_confirmed > CANCELLED REFUND_DUE
READY HELD hold > refund_confirmed > CANCELLED REFUND_DUE
USED DUE > payout_sent > USED SETTLING
USED DUE > payout_failed > USED SETTLE_FAILED
USED SETTLING > payout_failed > USED SETTLE_FAILED
USED SETTLING > payout_ok > USED SETTLED
USED SETTLE_FAILED > payout_ok > USED SETTLED
USED SETTLE_FAILED > payout_again > USED DUE
USED SETTLED > payout_undone > USED SETTLE_FAILED
USED SETTLED > clawed_back > USED SETTLED clawback
USED DUE clawback > payout_sent > USED SETTLING clawback
USED DUE clawback > payout_failed > USED SETTLE_FAILED clawback
USED SETTLING clawback > payout_failed > USED SETTLE_FAILED clawback
USED SETTLING clawback > payout_ok > USED SETTLED clawback
USED SETTLE_FAILED clawback > payout_ok > USED SETTLED clawback
USED SETTLE_FAILED clawback > payout_again > USED DUE clawback
USED SETTLED clawback > payout_undone > USED SETTLE_FAILED clawback
EXPIRED REFUND_DUE > refund_sent > EXPIRED REFUNDING
EXPIRED REFUND_DUE > refund_failed > EXPIRED REFUND_FAILED
EXPIRED REFUNDING > refund_failed > EXPIRED REFUND_FAILED
EXPIRED REFUNDING > refund_ok > EXPIRED REFUNDED
EXPIRED REFUND_FAILED > refund_ok > EXPIRED REFUNDED
EXPIRED REFUNDED > refund_undone > EXPIRED REFUND_FAILED
CANCELLED REFUND_DUE > refund_sent > CANCELLED REFUNDING
CANCELLED REFUND_DUE > refund_failed > CANCELLED REFUND_FAILED
CANCELLED REFUNDING > refund_failed > CANCELLED REFUND_FAILED
CANCELLED REFUNDING > refund_ok > CANCELLED REFUNDED
CANCELLED REFUND_FAILED > refund_ok > CANCELLED REFUNDED
CANCELLED REFUNDED > refund_undone > CANCELLED REFUND_FAILED
EXPIRED REFUND_DUE > refund_credited > EXPIRED REFUNDED
CANCELLED REFUND_DUE > refund_credited > CANCELLED REFUNDED
"""
CELLS = {(state, event): after for state, event, after in (row.split(" > ") for row in LEGAL.strip().splitlines())}


def test_the_machine_is_the_models() -> None:
    for state in ITEM.words:
        for event in ITEM.events:
            assert ITEM.next(state, event) == CELLS.get((state, event)), (state, event)


@dataclass
class Says(SilentProvider):
    """A provider that gives every transfer the same answer."""

    answer: type[Succeeded | Refused | Waiting]

    def send(self, instruction: Instruction) -> Answer:
        if self.answer is Succeeded:
            return Succeeded(f"ref-{instruction.out_no}", instruction.amount_fen)
        return Refused("no") if self.answer is Refused else Waiting()

    def query(self, instruction: Instruction) -> Answer:
        if self.answer is Succeeded:
            return Succeeded(f"ref-{instruction.out_no}", 4970 if self.outgoing == "PAYOUT" else 5200)
        return Refused("no") if self.answer is Refused else Waiting()

    def cancel(self, instruction: Instruction) -> Answer:
        raise AssertionError("nothing is cancelled here")

    outgoing: str = ""


@dataclass
class Item:
    """One ticket of an order of its own, and the events that may happen to it."""

    world: World
    clock: Clock
    two: tuple[Person, Person]
    order_id: UUID
    id: UUID

    @property
    def state(self) -> str:
        with self.world.centre.read() as connection:
            (status,) = statuses_of(connection, self.order_id)
        return status.state

    def happen(self, event: str) -> None:
        getattr(self, event)()

    def bind(self) -> None:
        with self.world.centre.write() as connection, suppress(NotAllowedError):
            number = connection.scalar(sa.select(ticket.c.number).where(ticket.c.order_id == self.order_id))
            binding.bind(connection, self.world.centre.secrets, str(number), Holder("王五"), self.clock.now_ms, "test")

    def redeem(self) -> None:
        """An entry that is the first here; else its claim must be lost."""
        now_ms = self.clock.now_ms
        with self.world.centre.write() as connection:
            ended = bool(claims_of(connection, [self.id]))
            if ended:
                claim = Claim(self.id, "REDEEM", new_id(now_ms).hex, now_ms)
                assert claim_items(connection, [claim], now_ms) == set()
        if not ended:
            self.world.enter(self.id)

    def expire(self) -> None:
        self.clock.pass_ms(WEEK_MS + 120_000)
        expire_items(self.world.centre)

    def forfeit(self) -> None:
        with self.world.centre.write() as connection:
            mine = order_item.update().where(order_item.c.id == self.id)
            open_one = order_item.c.id.not_in(sa.select(item_claim.c.item_id))  # what ended was sold as it ended
            connection.execute(mine.where(open_one).values(on_expiry="FORFEIT"))
        self.expire()

    def refund_asked(self) -> None:
        with self.world.centre.write() as connection, suppress(NotAllowedError):
            number = connection.scalar(sa.select(ticket.c.number).where(ticket.c.order_id == self.order_id))
            refunding.ask(connection, str(number), "test", self.clock.now_ms, "test")

    def refund_confirmed(self) -> None:
        with self.world.centre.write() as connection:
            mine = refund_hold.update().where(refund_hold.c.item_id == self.id)
            connection.execute(mine.values(deadline_ms=self.clock.now_ms))
        refunding.confirm_refunds(self.world.centre)

    def payout_sent(self) -> None:
        self._move("PAYOUT", Says(Waiting))

    def payout_failed(self) -> None:
        self._move("PAYOUT", Says(Refused))

    def payout_ok(self) -> None:
        self._move("PAYOUT", Says(Succeeded, "PAYOUT"), only_begun=True)

    def payout_again(self) -> None:
        """Given up by two, where nothing is under way, and paid again."""
        first, second = self.two
        paid_with = sa.select(payout).join(payout_line, payout_line.c.payout_id == payout.c.id)
        with self.world.centre.read() as connection:
            row = connection.execute(paid_with.where(payout_line.c.item_id == self.id)).one_or_none()
        if row is None or row.transfer_id is None:  # not sealed yet, or nothing to pay
            return
        with suppress(NotAllowedError), self.world.centre.write() as connection:
            request_id = abandoning.ask(connection, first, row.transfer_id, "closed", self.clock.now_ms)
            abandoning.confirm(connection, second, request_id, self.clock.now_ms)
        follow_transfers(self.world.centre)
        with suppress(NotAllowedError), self.world.centre.write() as connection:
            pay_again(connection, self.two[0], row.number, "another account", self.clock.now_ms)

    def clawed_back(self) -> None:
        first, second = self.two
        with suppress(NotAllowedError), self.world.centre.write() as connection:
            number = connection.scalar(sa.select(ticket.c.number).where(ticket.c.order_id == self.order_id))
            request_id = clawing_back.ask(connection, first, str(number), 1, "test", self.clock.now_ms)
            clawing_back.confirm(connection, second, request_id, self.clock.now_ms)
            request_id, _ = debts.ask_write_off(connection, first, "2001", "no payout keeps it back", self.clock.now_ms)
            debts.confirm(connection, second, request_id, self.clock.now_ms)

    def refund_sent(self) -> None:
        self._move("REFUND", Says(Waiting))

    def refund_failed(self) -> None:
        self._move("REFUND", Says(Refused))

    def refund_ok(self) -> None:
        self._move("REFUND", Says(Succeeded, "REFUND"), only_begun=True)

    def payout_undone(self) -> None:
        self._undo("PAYOUT")

    def refund_undone(self) -> None:
        self._undo("REFUND")

    def _undo(self, kind: str) -> None:
        """A line by which it came back, and two persons who say so."""
        if (row := self._transfer(kind)) is None:
            return
        now_ms = self.clock.now_ms
        day_before_ms = now_ms - 86_400_000
        line = StatementLine(new_id(now_ms).hex, None, "RETURN", row.amount_fen, 0, day_before_ms)
        with self.world.centre.write() as connection:
            take_in(connection, "ALIPAY", day_of(day_before_ms), [line], now_ms)
        reconcile(self.world.centre)
        with suppress(NotAllowedError), self.world.centre.write() as connection:
            mine = sa.select(recon_case.c.id).where(recon_case.c.line_no == line.line_no)
            case_id = connection.scalars(mine).one()
            request_id = undoing.ask(connection, self.two[0], case_id, row.id, "it came back", now_ms)
            undoing.confirm(connection, self.two[1], request_id, now_ms)

    def _move(self, kind: str, provider: Says, only_begun: bool = False) -> None:
        """The item's own transfer, once; a success only where something was sent before."""
        clear_redemptions(self.world.centre)
        row = self._transfer(kind)
        if row is not None and not (only_begun and row.state == "CREATED"):
            transfers.move_now(self.world.centre, {"ALIPAY": provider}, row.id)
            follow_transfers(self.world.centre)

    def _transfer(self, kind: str) -> sa.Row[Any] | None:
        paid_out = sa.select(payout_line.c.payout_id).where(payout_line.c.item_id == self.id)
        subject = external_transfer.c.subject_id
        mine = subject.in_(paid_out) if kind == "PAYOUT" else subject == self.id
        with self.world.centre.read() as connection:
            query = sa.select(external_transfer).where(external_transfer.c.kind == kind, mine)
            return connection.execute(query).one_or_none()


def an_item(world: World, clock: Clock, usage: str, two: tuple[Person, Person]) -> Item:
    who = (Holder("李小花"),) if usage == "READY" else ()
    with world.centre.write() as connection:
        placed = placing.place(world.centre, connection, placing.NewOrder(1, 1, "其他", world.distributor, who), "test")
        assert isinstance(placed, placing.Placed), placed
        charge = paying.pay(connection, placed.order_id, "test", clock.now_ms)
        assert isinstance(charge, UUID)
    transfers.move_now(world.centre, {"ALIPAY": Says(Succeeded)}, charge)
    assert take_payments(world.centre) == 1
    assert issue_paid_orders(world.centre) == 1
    return Item(world, clock, two, placed.order_id, world.items(placed.order_id)[0])


def way_to(state: str) -> Iterator[str]:
    """The events that lead from where an item of this kind begins to a state."""
    ways: dict[str, list[str]] = {"INACTIVE HELD": [], "READY HELD": []}
    found = list(ways)
    for here in found:
        for row in ITEM.rows:
            if here in row.states and row.event != "refund_credited" and row.next not in ways:
                ways[row.next] = [*ways[here], row.event]
                found.append(row.next)
    return iter(ways[state])


@pytest.mark.slow("money")
@pytest.mark.parametrize("state", ITEM.words)
def test_the_whole_cross_product(centre: Centre, sandbox: Sandbox, clock: Clock, state: str) -> None:
    world = World(centre, sandbox)
    create_first(centre)
    two = two_of_finance(centre)
    for event in ITEM.events:
        if event == "refund_credited":
            continue  # orders/test_prepaid.py has prepaid ones
        item = an_item(world, clock, state.split(maxsplit=1)[0], two)
        for step in way_to(state):
            item.happen(step)
        assert item.state == state, list(way_to(state))
        item.happen(event)
        if (state, event) != ("USED SETTLE_FAILED clawback", "payout_ok"):  # undone, it is paid again first
            assert item.state == CELLS.get((state, event), state), f"{state}, {event}"
    with world.centre.read() as connection:
        assert [flaw for flaw in money_flaws(connection) if "guards" not in flaw] == []


def test_the_views_are_total_and_say_what_the_sources_say() -> None:
    seen: dict[str, set[tuple[str, str]]] = {"first": set(), "second": set()}
    for state in ITEM.words:
        usage, money = state.split()[:2]
        assert usage in USAGE_WORDS and money in MONEY_WORDS
        seen["first"].add(first_list(usage, money))
        seen["second"].add(second_list(usage, money))
    first = {word for pair in seen["first"] for word in pair}
    assert first >= {"未使用", "已使用", "已过期", "待处理", "已结算", "已退款", "结算失败", "退款失败"}
    second = {word for pair in seen["second"] for word in pair}
    assert second >= {"待激活", "待游玩", "已失效", "待退款", "已退款", "已游玩", "待结算", "已结算"}


@pytest.mark.parametrize(
    ("states", "word"),
    [
        (["USED DUE", "READY HELD"], None),
        (["READY HELD hold", "USED SETTLED"], "退款待处理"),
        (["EXPIRED REFUND_FAILED", "EXPIRED REFUNDING"], "退款待处理"),
        (["EXPIRED REFUND_DUE", "EXPIRED REFUNDED"], "退款待处理"),
        (["EXPIRED REFUNDING", "EXPIRED REFUNDED"], "退款中"),
        (["EXPIRED REFUNDED", "CANCELLED REFUNDED"], "退款成功"),
        (["EXPIRED REFUNDED", "USED SETTLED"], "部分退款成功"),
        (["EXPIRED REFUNDED", "USED SETTLING", "READY HELD"], "已退 1/3"),
    ],
)
def test_the_refund_status_of_an_order(states: list[str], word: str | None) -> None:
    assert refund_status(states) == word


PAYOUT_CELLS = {
    ("OPEN", "sealed"): "SEALED",
    ("OPEN", "nothing_to_pay"): "PAID",
    ("SEALED", "paid"): "PAID",
    ("FAILED", "paid"): "PAID",
    ("SEALED", "failed"): "FAILED",
    ("PAID", "undone"): "FAILED",
    ("FAILED", "replaced"): "REPLACED",
}


@pytest.mark.parametrize("state", PAYOUT.words)
def test_the_payout_machine(state: str) -> None:
    """In the table; on real rows: test_payout_walk."""
    assert {event: PAYOUT.next(state, event) for event in PAYOUT.events} == {
        event: PAYOUT_CELLS.get((state, event)) for _, event in PAYOUT_CELLS
    }
    assert set(EVENTS.values()) < set(PAYOUT.events)


def test_the_pass_machine() -> None:
    stored = {
        ("ACTIVE", "suspend"): "SUSPENDED",
        ("SUSPENDED", "resume"): "ACTIVE",
        ("ACTIVE", "revoke"): "REVOKED",
        ("SUSPENDED", "revoke"): "REVOKED",
        ("NOT_BOUND", "revoke"): "REVOKED",
    }
    assert stored == MOVES
    assert PASS.ends == ("REFUNDED",)
    shown = {derived(status, "ISSUED", 10, 20, now) for status in STORED for now in (9, 10, 20)}
    assert shown == {*DATED, "SUSPENDED", "REVOKED", "NOT_BOUND"}
    assert [derived("ACTIVE", "ISSUED", 10, 20, now) for now in (9, 10, 19, 20)] == [
        "WAITING", "ACTIVE", "ACTIVE", "EXPIRED",
    ]  # fmt: skip
    by_order = {"ISSUED": "REVOKED", "REFUNDING": "REFUNDING", "REFUND_FAILED": "REFUNDING", "REFUNDED": "REFUNDED"}
    assert {state: derived("REVOKED", state, 10, 20, 15) for state in by_order} == by_order
