"""Who is told of money that does not move: at the first definite failure, when it lacks, and once more a day later;

and of money that moved otherwise than it was to. A charge that lacks money is told to its distributor, from here or by
the order that waits for it (`orders.telling`).
"""

from __future__ import annotations

from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from sync_server.centre import Centre
from sync_server.db import exclusive
from sync_server.money import yuan
from sync_server.notices.promising import Promise, promise
from sync_server.parties.tables import party
from sync_server.payments.lacking import suggestions
from sync_server.payments.states import FINAL, TRANSFER
from sync_server.payments.tables import LATE_ENTRY, external_transfer

HOUR_MS = 3_600_000
MAX_LATE = 500  # told of in one turn
PURPOSES = {
    "PAYOUT": "打款",
    "REFUND": "退款",
    "FUND_BUY": "理财",
    "FUND_SELL": "理财取出",
    "FUND_CLOSE": "理财取出",
    "SWEEP_OUT": "账户调拨",
    "SWEEP_IN": "账户调拨",
}
"""Kinds that the platform has to look after; the others are somebody else's to pay, who is told by their order."""
BORNE = "退款后入园扣款"
"""What a CHARGE is for that no order waits for."""
WORDS = {**PURPOSES, "CHARGE": "扣款", "COLLECT": "收款", "TOP_UP": "充值"}
PROVIDER_NAMES = {"ALIPAY": "支付宝", "HUIJINBAO": "汇金宝", "OFFLINE": "银行"}
_FAILURES = {"PAYOUT": "payout_failed", "REFUND": "refund_failed"}


def tell(connection: Connection, row: sa.Row[Any], state: str, reason: str | None, now_ms: int) -> None:
    """Promise to tell what an answer of the provider made of a transfer, whose row is as it was before."""
    amount, why = yuan(row.amount_fen), reason or "未说明"
    if state == "INSUFFICIENT" and row.kind in PURPOSES:
        values = {"purpose": PURPOSES[row.kind], "amount": amount, "provider": PROVIDER_NAMES[row.provider]}
        values["advice"] = _advice(connection, row.provider)
        key, cause = f"transfer:{row.id}:{row.attempts}", f"provider:{row.provider}"
        promise(connection, now_ms, Promise("platform_balance", key, values, cause=cause))
    elif state == "INSUFFICIENT" and row.subject_key.startswith(LATE_ENTRY):
        values = {"purpose": BORNE, "amount": amount, "provider": PROVIDER_NAMES[row.provider]}
        key, cause = f"transfer:{row.id}:{row.attempts}", f"party:{row.party_id}"
        promise(connection, now_ms, Promise("charge_lacks", key, values, about_id=row.party_id, cause=cause))
    elif state == "DEFINITE_FAIL" and row.kind in _FAILURES:
        values = {"amount": amount, "reason": why}
        cause = f"provider:{row.provider}"
        if row.kind == "PAYOUT":
            values["payee"], cause = _name(connection, row.party_id), f"party:{row.party_id}"
        promise(connection, now_ms, Promise(_FAILURES[row.kind], f"transfer:{row.id}:failed", values, cause=cause))


def tell_odd(connection: Connection, row: sa.Row[Any], n: int, said: str, now_ms: int) -> None:
    """Promise to tell, once of an attempt, that its money moved otherwise than it was to: `said` says how."""
    values = {"purpose": WORDS[row.kind], "amount": yuan(row.amount_fen), "said": said}
    promise(connection, now_ms, Promise("transfer_odd", f"transfer:{row.id}:{n}:odd", values))


def looked_after() -> sa.ColumnElement[bool]:
    """On `external_transfer`: the platform has to see to it that it gets through, nobody else waits for it."""
    return sa.or_(external_transfer.c.kind.in_(PURPOSES), external_transfer.c.subject_key.startswith(LATE_ENTRY))


def late(now_ms: int, late_after_h: int) -> sa.ColumnElement[bool]:
    """On `external_transfer`: looked after, and not through for so many hours."""
    transfer = external_transfer.c
    goes_on = transfer.state.in_([state for state in TRANSFER.words if state not in FINAL])
    return sa.and_(looked_after(), goes_on, transfer.created_at_ms <= now_ms - late_after_h * HOUR_MS)


def tell_late(centre: Centre) -> int:
    """Promise to tell of transfers that are not through after `transfer_late_after_h`, once of each; how many now."""
    now_ms, after_h = centre.now_ms(), centre.settings.transfer_late_after_h
    untold = sa.select(external_transfer).where(late(now_ms, after_h), external_transfer.c.late_told_at_ms.is_(None))
    if not centre.finds(untold):
        return 0
    with centre.write() as connection:
        exclusive(connection, "payments.tell_late")
        rows = connection.execute(untold.order_by(external_transfer.c.id).limit(MAX_LATE)).all()
        promise(connection, now_ms, *(_late_promise(row, after_h) for row in rows))
        mine = external_transfer.update().where(external_transfer.c.id.in_([row.id for row in rows]))
        connection.execute(mine.values(late_told_at_ms=now_ms))
        return len(rows)


def _late_promise(row: sa.Row[Any], after_h: int) -> Promise:
    values = {
        "purpose": PURPOSES.get(row.kind, BORNE),
        "amount": yuan(row.amount_fen),
        "hours": after_h,
        "reason": row.reason or "结果待确认",
    }
    return Promise("transfer_late", f"{row.kind.lower()}:{row.id}:late", values, cause=f"provider:{row.provider}")


def _advice(connection: Connection, provider: str) -> str:
    """What puts an end to the lack: a sweep from another provider where that holds something, else a top-up."""
    for one in suggestions(connection):
        if one.target == provider and one.amount_fen:
            return f"从{PROVIDER_NAMES[one.source]}调拨{yuan(one.amount_fen)}元"
    return "充值"


def _name(connection: Connection, party_id: UUID) -> str:
    return str(connection.scalar(sa.select(party.c.name_zh).where(party.c.id == party_id)))
