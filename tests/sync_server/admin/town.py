"""A small town with everything the operators' pages show: orders, passes, gates, entries, payouts good and bad."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from sync_server import demo_data
from sync_server.catalog.products import find_product
from sync_server.catalog.rules import set_rule
from sync_server.centre import Centre
from sync_server.gates.tables import device, incarnation
from sync_server.issuance.issuing import issue_paid_orders
from sync_server.issuance.tables import issued_pass
from sync_server.keys.key_set import create_first
from sync_server.orders.claims import Claim, claim_items
from sync_server.orders.holders import Holder
from sync_server.orders.paying import pay
from sync_server.orders.placing import NewOrder, Placed, place
from sync_server.orders.progress import take_payments
from sync_server.orders.tables import order_item, ticket
from sync_server.parties import calendars
from sync_server.parties.day_lines import WrongLine, read_days, read_hours
from sync_server.parties.tables import party
from sync_server.payments import transfers
from sync_server.payments.provider import Answer, Instruction, Insufficient, Refused, Succeeded, Unclear
from sync_server.payments.tables import external_transfer
from sync_server.people import operators
from sync_server.redemptions.tables import entry, redemption
from sync_server.settlement.clearing import clear_redemptions
from sync_server.settlement.payouts import follow_transfers
from tests.sync_server.conftest import Clock
from tests.sync_server.silent_provider import SilentProvider
from wire.entitlement import Rule
from wire.messages import EntryKind, Presentation, redemption_id

HOUR_MS = 3_600_000
NOON_MS = 1_795_242_720_000  # 2026-11-21 14:32 in Shanghai, a Saturday
PASSWORD = "纸船明烛照天烧-1958"
# Holders: name, ID number (valid check digit, invented), phone.
PEOPLE = (
    ("李小花", "410211199003078266", "13812346024"),
    ("王建国", "410202196512010518", "13912341187"),
    ("赵秀兰", "410203195308120420", "13612345502"),
    ("陈涛", "410204199003078262", "18712343340"),
    ("欧阳静文", "410205200101155024", "15012347719"),
    ("周琴", "410211198704192526", "13512340206"),
)


@dataclass
class Bank(SilentProvider):
    """A provider of this test's own: pays, unless the account it is asked for has another answer."""

    answers: dict[str, Answer] = field(default_factory=dict)
    sent: list[Instruction] = field(default_factory=list)

    def send(self, instruction: Instruction) -> Answer:
        self.sent.append(instruction)
        return self.answers.get(instruction.account_ref or "", self._paid(instruction))

    def query(self, instruction: Instruction) -> Answer:
        return next(self._paid(one) for one in self.sent if one.out_no == instruction.out_no)

    def cancel(self, instruction: Instruction) -> Answer:
        return Refused("cancelled")

    @staticmethod
    def _paid(instruction: Instruction) -> Answer:
        return Succeeded(f"2026112122001{len(instruction.out_no):05d}", instruction.amount_fen)


@dataclass
class Town:
    """What tests ask for by name; the rest they find as an operator would."""

    centre: Centre
    clock: Clock
    bank: Bank
    venues: dict[str, UUID]
    pass_orders: list[str]
    ticket_orders: list[str]
    gates: dict[str, bytes]


def build(centre: Centre, clock: Clock) -> Town:
    """Fill an empty centre; afterwards it is Saturday, 14:32."""
    clock.now_ms = NOON_MS - 5 * HOUR_MS
    create_first(centre)
    demo_data.add_demo_data(centre)
    for account, name, role in (("zhoumin", "周敏", "operations"), ("qianwen", "钱文", "finance")):
        operators.add_operator(centre, "1000", account, name, role, PASSWORD, "test")
    operators.add_operator(centre, "1000", "xulan", "许岚", "platform_admin", PASSWORD, "test")
    operators.add_operator(centre, "1000", "shenji", "沈济", "auditor", PASSWORD, "test")
    operators.add_operator(centre, "2001", "qiaozhang", "乔章", "venue_manager", PASSWORD, "test")
    with centre.read() as connection:
        venues = {row.org_number: row.id for row in connection.execute(sa.select(party)) if row.kind == "VENUE"}
        distributor = connection.scalars(sa.select(party.c.id).where(party.c.kind == "DISTRIBUTOR")).one()
    town = Town(centre, clock, Bank(), venues, [], [], {})
    _sell(town, distributor)
    _gates(town)
    _enter(town)
    _settle(town)
    _calendar(town)
    clock.now_ms = NOON_MS
    return town


def sell_passes(town: Town, people: tuple[tuple[str, str, str], ...], *, paid: bool) -> None:
    """One annual-pass order per person, a minute apart."""
    channels = ("汴捷办app", "汴京通公众号", "人社公众号", "云闪付app")
    for i, (name, id_number, phone) in enumerate(people):
        town.clock.pass_ms(60_000)
        asked = NewOrder(1, 1, channels[i % 4], holders=(Holder(name, id_number, phone),), buyer_phone=phone)
        town.pass_orders.append(_place(town, asked, paid))


def _sell(town: Town, distributor: UUID) -> None:
    sell_passes(town, PEOPLE[:4], paid=True)
    for count in (1, 3, 2, 1):
        town.clock.pass_ms(120_000)
        town.ticket_orders.append(_place(town, NewOrder(3, count, "其他", distributor), True))
    _work(town)
    sell_passes(town, PEOPLE[4:5], paid=True)
    transfers.move_due(town.centre, {"ALIPAY": town.bank})
    take_payments(town.centre)  # paid, not issued: 出票中
    sell_passes(town, PEOPLE[5:6], paid=False)


def _place(town: Town, asked: NewOrder, paid: bool) -> str:
    with town.centre.write() as connection:
        placed = place(town.centre, connection, asked, "test")
        assert isinstance(placed, Placed), placed
        if paid:
            pay(connection, placed.order_id, "test", town.clock.now_ms)
    return placed.number


def _work(town: Town) -> None:
    transfers.move_due(town.centre, {"ALIPAY": town.bank})
    take_payments(town.centre)
    issue_paid_orders(town.centre)


def _calendar(town: Town) -> None:
    """One park has hours, closed days and a storm; one pass has a rule of its own."""
    with town.centre.write() as connection:
        hours = read_hours("周二至周日 08:00-17:30\n09:00-16:30 2026-12-01 至 2027-02-28")
        days = read_days("春节：2027年2月5日至7日\n2026-11-25 电路检修")
        assert not isinstance(hours, WrongLine)
        assert not isinstance(days, WrongLine)
        park = town.venues["2002"]
        calendars.set_calendar(connection, park, town.clock.now_ms, "test", hours=hours, closed_days=days)
        calendars.close(connection, park, "大风蓝色预警", town.clock.now_ms, "test", until_ms=NOON_MS + 4 * HOUR_MS)
        blackout = read_days("国庆节：2026年10月1日至7日\n周六、周日 2027-04-01 至 2027-05-31 花会")
        assert not isinstance(blackout, WrongLine)
        rule = Rule(per_day=1, per_year=60, gap_min=30, blackout=blackout)
        set_rule(connection, find_product(connection, 2).id, rule, town.clock.now_ms, "test")


def _gates(town: Town) -> None:
    """One of each state; names as boxes give them."""
    now_ms = NOON_MS
    rows = (
        ("虹桥东门 1 号", "2001", "active", now_ms - 4_000, 0),
        ("虹桥东门 2 号", "2001", "active", now_ms - 5 * HOUR_MS, 128),
        ("龙亭南门 1 号", "2002", "active", now_ms - 9_000, 3),
        ("龙亭南门 2 号", "2002", "active", None, None),
        ("龙亭北门 1 号", "2002", "pending", None, None),
        ("龙亭旧门", "2002", "revoked", now_ms - 90 * 24 * HOUR_MS, 0),
    )
    with town.centre.write() as connection:
        for i, (name, venue, state, seen_ms, waiting) in enumerate(rows):
            town.gates[name] = bytes([i + 1]) * 16
            values = {
                "id": town.gates[name],
                "venue_id": town.venues[venue],
                "name": name,
                "public_key": bytes([i + 1]) * 32,
                "state": state,
                "reads_id_numbers": False,
                "software": "gate-agent 0.2.0",
                "enrolled_at_ms": now_ms - 40 * 24 * HOUR_MS + i,
                "approved_at_ms": None if state == "pending" else now_ms - 40 * 24 * HOUR_MS,
                "revoked_at_ms": now_ms - 80 * 24 * HOUR_MS if state == "revoked" else None,
                "last_seen_ms": seen_ms,
                "held_epoch": None if seen_ms is None else 1,
                "held_version": None if seen_ms is None else 41 + i,
                "waiting": waiting,
            }
            connection.execute(device.insert().values(**values))
        first = {
            "device_id": town.gates["虹桥东门 1 号"],
            "incarnation": b"\x01" * 8,
            "first_seen_ms": now_ms - HOUR_MS,
        }
        connection.execute(
            incarnation.insert().values(**first, through_seq=20, highest_seq=20, last_seen_ms=now_ms - 4_000)
        )


def _enter(town: Town) -> None:
    """Each issued pass enters once at 虹桥; then one conflict, two refusals, one intent nobody passed on."""
    with town.centre.read() as connection:
        passes = connection.execute(
            sa.select(issued_pass.c.id, issued_pass.c.ticket_id, order_item.c.id.label("item_id"))
            .join(ticket, ticket.c.id == issued_pass.c.ticket_id)
            .outerjoin(order_item, order_item.c.ticket_id == ticket.c.id)
            .order_by(issued_pass.c.issued_at_ms, issued_pass.c.id)
        ).all()
    seq = 0
    for one in passes:
        seq += 1
        outcome = "PASS_VISIT" if one.item_id is None else "CLAIMED"
        _entry(town, seq, EntryKind.INTENT, NOON_MS - 5 * HOUR_MS + seq * 23 * 60_000, one, outcome)
    at_ms = NOON_MS - 10 * 60_000
    _entry(town, seq + 1, EntryKind.INTENT, at_ms, passes[0], "CONFLICT")
    _entry(town, seq + 2, EntryKind.REFUSED, at_ms + 1_000, passes[0], None, reason="used_up")
    _entry(town, seq + 3, EntryKind.REFUSED, at_ms + 2_000, None, None, reason="not_ours")
    _entry(town, seq + 4, EntryKind.INTENT, at_ms + 3_000, passes[1], None)


def _entry(
    town: Town,
    seq: int,
    kind: EntryKind,
    at_ms: int,
    shown: Any | None,
    outcome: str | None,
    reason: str | None = None,
) -> None:
    place = {"device_id": town.gates["虹桥东门 1 号"], "incarnation": b"\x01" * 8, "seq": seq}
    venue_id, pass_id = town.venues["2001"], None if shown is None else shown[0]
    with town.centre.write() as connection:
        connection.execute(
            entry.insert().values(
                **place,
                hash=bytes([seq]) * 32,
                body=b"",
                kind=kind,
                lane=1 + seq % 2,
                presentation=Presentation.STATIC if shown else Presentation.NONE,
                pass_id=pass_id,
                reason=reason,
                venue_id=venue_id,
                occurred_at_ms=at_ms,
                received_at_ms=at_ms + 2_000,
            )
        )
        if outcome is None or shown is None:
            return
        fact_id = redemption_id(place["device_id"], place["incarnation"], seq)  # type: ignore[arg-type]  # of one dict
        item_id = shown[2] if outcome == "CLAIMED" else None
        if item_id is not None:
            claim_items(connection, [Claim(item_id, "REDEEM", fact_id.hex(), at_ms)], at_ms + 2_000)
        connection.execute(
            redemption.insert().values(
                **place,
                id=fact_id,
                outcome=outcome,
                ticket_id=shown[1],
                item_id=item_id,
                pass_id=pass_id,
                venue_id=venue_id,
                occurred_at_ms=at_ms,
                recorded_at_ms=at_ms + 2_000,
            )
        )


def _settle(town: Town) -> None:
    """Seven tickets became payouts: most are paid, then one each is refused, short of money, unknown."""
    town.clock.now_ms = NOON_MS - 60_000
    clear_redemptions(town.centre)
    answers = iter((Refused("PAYEE_STATUS_ERROR"), Insufficient("BALANCE_NOT_ENOUGH"), Unclear("timeout")))
    account = "venue-rainbow-bridge"
    with town.centre.read() as connection:
        waiting = sa.select(external_transfer.c.id).where(
            external_transfer.c.kind == "PAYOUT", external_transfer.c.state == "CREATED"
        )
        ids = list(connection.scalars(waiting.order_by(external_transfer.c.id)))
    for i, transfer_id in enumerate(ids):
        town.bank.answers = {account: next(answers)} if i >= len(ids) - 3 else {}
        transfers.move_now(town.centre, {"ALIPAY": town.bank}, transfer_id)
    follow_transfers(town.centre)
