"""What annual passes come to by a simple model of their own: who may buy, what is earned, what visits are paid."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from datetime import date, datetime
from fractions import Fraction
from typing import TYPE_CHECKING, NamedTuple
from uuid import UUID
from zoneinfo import ZoneInfo

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from sync_server.issuance.tables import issued_pass
from sync_server.ledger.accounts import Account
from sync_server.ledger.balances import balance
from sync_server.ledger.tables import ledger_account, ledger_txn, posting
from sync_server.money import shares_of
from sync_server.orders.tables import order, ticket
from sync_server.parties.tables import venue
from sync_server.redemptions.tables import entry, redemption
from sync_server.settlement.pools import PoolShare
from sync_server.settlement.tables import clawback, income_month, payout_line
from wire import moments
from wire.messages import EntryKind

if TYPE_CHECKING:
    from tests.sync_server.settlement.flow_scene import Scene

ZONE = ZoneInfo("Asia/Shanghai")
DAY_MINUTES = 24 * 60
RENEWAL_MS = 10 * DAY_MINUTES * 60_000
PAYOUT_FEE_BPS = 60
HOLDING = ("PENDING_PAYMENT", "PAY_FAILED", "ISSUING", "ISSUE_FAILED")


class Bought(NamedTuple):
    """By whom; a renewal begins at the end of the one before, 0: as soon as it is issued."""

    name: str
    begins_ms: int


class GivenBack(NamedTuple):
    """How much of a pass's price, and when."""

    amount_fen: int
    at_ms: int


class Terms(NamedTuple):
    """What venues get for each visit that is cleared from then on."""

    from_ms: int
    tariffs_fen: Mapping[UUID, int]


def begin_ms(connection: Connection, scene: Scene, name: str, now_ms: int) -> int | None:
    """When a pass begins that somebody buys now, 0: as soon as it is issued; None: he must not buy one."""
    mine = [order_id for order_id, bought in scene.passes.items() if bought.name == name]
    query = (
        sa.select(order.c.state, issued_pass.c.not_after)
        .outerjoin(ticket, ticket.c.order_id == order.c.id)
        .outerjoin(issued_pass, issued_pass.c.ticket_id == ticket.c.id)
        .where(order.c.id.in_(mine))
    )
    rows = connection.execute(query).all()
    ends = [moments.minute_ms(row.not_after) for row in rows if row.state == "ISSUED"]
    live = [each for each in ends if each > now_ms]
    if any(row.state in HOLDING for row in rows) or len(live) > 1:
        return None
    if not live:
        return 0
    return live[0] if now_ms >= live[0] - RENEWAL_MS else None


def is_over(first_day: date, now_ms: int) -> bool:
    """The month in which everything began."""
    return _month(now_ms) > f"{first_day:%Y-%m}"


def unpaid_visits(connection: Connection, now_ms: int) -> dict[str, Counter[int]]:
    """Of each month that is over: how often each venue was visited for nothing, and not given back by its end."""
    counted: defaultdict[str, Counter[int]] = defaultdict(Counter)
    for row in _visits(connection):
        month = _month(row.occurred_at_ms)
        in_its_month = row.returned_at_ms is not None and _month(row.returned_at_ms) == month
        if row.gross_fen is None and not in_its_month and month < _month(now_ms):
            counted[month][row.venue] += 1
    return dict(sorted(counted.items()))


def pool_flaws(shares: Sequence[PoolShare], amount_fen: int, visits: Counter[int]) -> list[str]:
    """Each venue gets its part by its visits to less than a fen, all of them all of it."""
    found = [f"{share} of {visits}" for share in shares if share.visits != visits[share.venue]]
    for share in shares:
        fair_fen = Fraction(amount_fen * share.visits, visits.total())
        if abs(share.gross_fen - fair_fen) >= 1:
            found.append(f"{share}: {fair_fen} were fair")
    total_fen = sum(share.gross_fen for share in shares)
    return found if total_fen == amount_fen else [*found, f"{total_fen} is shared of {amount_fen}"]


def pass_flaws(connection: Connection, scene: Scene) -> list[str]:
    """Of all passes, at the end of a run."""
    return [
        *_renewal_flaws(connection, scene),
        *_income_flaws(connection, scene),
        *_visit_flaws(connection, scene),
    ]


def _renewal_flaws(connection: Connection, scene: Scene) -> list[str]:
    """A pass begins a day after it is issued, a renewal not before its time."""
    query = (
        sa.select(ticket.c.order_id, issued_pass.c.number, issued_pass.c.not_before, issued_pass.c.issued_at_ms)
        .join(issued_pass, issued_pass.c.ticket_id == ticket.c.id)
        .where(ticket.c.order_id.in_(list(scene.passes)))
    )
    return [
        f"pass {row.number} begins at {row.not_before}"
        for row in connection.execute(query)
        if row.not_before
        != moments.minute_ceil(max(scene.passes[row.order_id].begins_ms, row.issued_at_ms + DAY_MINUTES * 60_000))
    ]


def _income_flaws(connection: Connection, scene: Scene) -> list[str]:
    """Of a pass that is held the days of the booked months are earned; of one given back what is kept, as far as it was
    earned by then, and the rest of that is breakage."""
    booked_until = connection.scalar(sa.select(sa.func.max(income_month.c.end_minute))) or 0
    booked = _booked(connection)
    query = (
        sa.select(order.c.id, order.c.number, order.c.state, order.c.dist_price_fen.label("price_fen"))
        .add_columns(issued_pass.c.not_before, issued_pass.c.not_after)
        .outerjoin(ticket, ticket.c.order_id == order.c.id)
        .outerjoin(issued_pass, issued_pass.c.ticket_id == ticket.c.id)
        .where(order.c.kind == "PASS")
    )
    found = []
    for row in connection.execute(query):
        earned_fen = kept_fen = 0
        back = scene.given_back.get(row.id)
        if row.state == "ISSUED":
            earned_fen = _earned_fen(row, booked_until)
        elif back is not None:
            left_fen = row.price_fen - back.amount_fen
            earned_fen = min(left_fen, _earned_fen(row, moments.minute_floor(back.at_ms)))
            kept_fen = left_fen - earned_fen
        said = -booked[row.id, "4060"], -booked[row.id, "4050"]
        if said != (earned_fen, kept_fen):
            found.append(f"order {row.number} earned and kept {said} instead of {(earned_fen, kept_fen)}")
    return found


def _earned_fen(row: sa.Row[tuple[object, ...]], until: int) -> int:
    """The days that are over, of which the last may be shorter."""
    if row.not_before is None or until < row.not_before:
        return 0
    days = -((row.not_before - row.not_after) // DAY_MINUTES)
    over = days if until >= row.not_after else (until - row.not_before) // DAY_MINUTES
    return sum(shares_of(row.price_fen, [1] * days)[:over])


def _booked(connection: Connection) -> Counter[tuple[UUID, str]]:
    """What was booked of each pass as income or breakage."""
    query = (
        sa.select(ledger_txn.c.txn_key, ledger_account.c.name, posting.c.amount_fen)
        .select_from(posting.join(ledger_account).join(ledger_txn, ledger_txn.c.id == posting.c.txn_id))
        .where(sa.or_(ledger_txn.c.txn_key.like("income:%"), ledger_txn.c.txn_key.like("pass:%:refund")))
        .where(ledger_account.c.name.in_(["4050", "4060"]), posting.c.layer == "posted")
    )
    booked: Counter[tuple[UUID, str]] = Counter()
    for row in connection.execute(query):
        booked[UUID(row.txn_key.split(":")[1]), row.name] += row.amount_fen
    return booked


def _visit_flaws(connection: Connection, scene: Scene) -> list[str]:
    """Each visit is paid as was agreed when it was cleared, but for those that staff gave back; pools beside."""
    found, cost_fen = [], sum(scene.pools.values())
    for row in _visits(connection):
        agreed = [terms for terms in scene.terms if terms.from_ms <= (row.cleared_at_ms or 0)]
        fen = agreed[-1].tariffs_fen.get(row.venue_id, 0) if agreed else 0
        if row.returned_at_ms is not None:
            fen = 0
        fee_fen = (fen * PAYOUT_FEE_BPS + 5_000) // 10_000
        paid = (0, 0) if row.owed_fen is not None else (row.gross_fen or 0, row.fee_fen or 0)
        if row.cleared_at_ms is None or paid != (fen, fee_fen):
            found.append(f"visit {row.id.hex()} is paid {paid} instead of {(fen, fee_fen)}")
        cost_fen += fen
    if (booked_fen := balance(connection, Account("5040")).posted_fen) != cost_fen:
        found.append(f"visits cost {booked_fen} instead of {cost_fen}")
    return found


def _visits(connection: Connection) -> Sequence[sa.Row[tuple[object, ...]]]:
    """All that passes made, with what was paid for each, when staff gave it back, and what its venue owes for that."""
    back = (
        sa.select(sa.func.min(entry.c.occurred_at_ms))
        .where(entry.c.device_id == redemption.c.device_id, entry.c.incarnation == redemption.c.incarnation)
        .where(entry.c.kind == int(EntryKind.RETURNED), entry.c.ref_seq == redemption.c.seq)
        .scalar_subquery()
    )
    return connection.execute(
        sa.select(redemption, venue.c.number.label("venue"), payout_line.c.gross_fen, payout_line.c.fee_fen)
        .add_columns(back.label("returned_at_ms"), clawback.c.owed_fen)
        .join(venue, venue.c.id == redemption.c.venue_id)
        .outerjoin(payout_line, payout_line.c.redemption_id == redemption.c.id)
        .outerjoin(clawback, clawback.c.redemption_id == redemption.c.id)
        .where(redemption.c.outcome == "PASS_VISIT")
    ).all()


def _month(at_ms: int) -> str:
    return f"{datetime.fromtimestamp(at_ms / 1000, ZONE):%Y-%m}"
