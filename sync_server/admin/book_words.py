"""What a transaction of the book is for, in words: by the first word of its key, and the number that people know."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from flask_babel import gettext
from flask_babel import lazy_gettext as _
from sqlalchemy.engine import Connection

from sync_server.ledger.book import PENDING_SUFFIX
from sync_server.payments.tables import external_transfer
from sync_server.statements.beside import PAYOUTS, Beside

# The first word of a key (ledger.postings), with its last where that tells more.
KEY_WORDS = {
    "topup": _("充值"),
    "paidback": _("退还预存款"),
    "charge": _("扣款"),
    "fundbuy": _("理财买入"),
    "redeem": _("核销"),
    "fundsell": _("理财取出"),
    "payout": _("打款"),
    "expire": _("应退票款"),
    "refund": _("退款"),
    "fundclose": _("理财清算"),
    "margin": _("差价收入"),
    "forfeit": _("逾期不退"),
    "sweep:out": _("调拨转出"),
    "sweep:in": _("调拨到账"),
    "sweep:returned": _("调拨退回"),
    "stmt": _("对账单上不明的款"),
    "stmt:fee": _("通道手续费"),
    "double": _("另有动账"),
    "case": _("对账差异了结"),
    "honour": _("认可付款"),
    "chargeback": _("退款后入园扣款"),
    "clawback": _("游玩后退款"),
    "clawback:refund": _("游玩后退款到账"),
    "netting": _("抵扣欠款"),
    "repaid": _("归还欠款"),
    "writeoff": _("核销欠款"),
    "pass:charge": _("年票收款"),
    "pass:refund": _("年票应退"),
    "pass:refunded": _("年票退款"),
    "income": _("年票收入"),
    "late": _("关闭后到账"),
    "profit": _("分润"),
    "profit:paid": _("分润付款"),
    "visit": _("年票入园"),
    "returned": _("年票入园退回"),
    "pool": _("年票分成"),
}


def booked(key: str) -> str:
    """A key in words, without what it is about."""
    if key.startswith("reverse:"):
        return str(gettext("冲回：%(what)s", what=booked(key.removeprefix("reverse:"))))
    if key.endswith(PENDING_SUFFIX):
        return str(gettext("%(what)s（未定）", what=booked(key.removesuffix(PENDING_SUFFIX))))
    if key.endswith(":void"):
        return str(gettext("%(what)s（已撤销）", what=booked(key.removesuffix(":void"))))
    first, *others = key.split(":")
    return str(KEY_WORDS.get(f"{first}:{others[-1]}" if others else "", KEY_WORDS.get(first, first)))


def numbers_of(connection: Connection, rows: Sequence[sa.Row[Any]]) -> dict[str, str]:
    """By key: the number of the ticket, order or payout that a transaction is about, where it is about one."""
    at_ms = {row.txn_key: row.effective_at_ms for row in rows}
    about = {key: key.removeprefix("reverse:") for key in at_ms} | _moved_beside(connection, at_ms)
    beside = Beside(connection, "VENUE", {about[key]: at_ms[key] for key in at_ms})
    found = {}
    for key, what in about.items():
        order_number, ticket_number = beside.order_and_ticket(what)
        payout_number = beside.payout_and_reference(what).number if what.split(":")[0] in PAYOUTS else None
        if number := ticket_number or order_number or payout_number:
            found[key] = number
    return found


def _moved_beside(connection: Connection, keys: Iterable[str]) -> dict[str, str]:
    """What moved beside a transfer is about what the transfer is about: "double:<transfer>-<attempt>"."""
    doubles = {key: UUID(hex=key.split(":")[1].partition("-")[0]) for key in keys if key.startswith("double:")}
    query = sa.select(external_transfer.c.id, external_transfer.c.subject_key)
    rows = connection.execute(query.where(external_transfer.c.id.in_(set(doubles.values()))))
    subjects = {row.id: row.subject_key for row in rows}
    return {key: subjects[transfer_id] for key, transfer_id in doubles.items() if transfer_id in subjects}
