"""The merchants' gateway: every kind of transfer, query, cancel, statement; all signed both ways."""

from __future__ import annotations

from typing import TypeVar

import msgspec
from flask import Blueprint, Response, abort, request

from sandbox_provider.faults import Fault, FaultKind
from sandbox_provider.notices import told
from sandbox_provider.provider import this_provider
from sandbox_provider.signing import HEADER, is_signed, sign
from sandbox_provider.tables import KINDS, Conflict, Order, Transfer

FAILURES = {FaultKind.REFUSED: "FAILED", FaultKind.INSUFFICIENT: "INSUFFICIENT"}
MAX_LINES = 500  # of a statement in one answer
UNTOUCHED = {FaultKind.LOST_REQUEST, FaultKind.SYSTEM_ERROR}

blueprint = Blueprint("gateway", __name__, url_prefix="/gateway")


class Query(msgspec.Struct):
    """What became of a number."""

    app_id: str
    out_no: str


class StatementQuery(msgspec.Struct):
    """The movements of [from_ms, to_ms) behind line `after`, some at a time; `out_no` only names the request."""

    app_id: str
    out_no: str
    from_ms: int
    to_ms: int
    after: int = 0


Asked = TypeVar("Asked", Order, Query, StatementQuery)


@blueprint.post(f"/<any({', '.join(KINDS)}):kind>")
def move(kind: str) -> Response:
    """Move money once per number; the same number again tells what became of it."""
    provider, order = this_provider(), _asked(Order)
    fault = provider.faults.take(kind)
    if fault is not None and fault.kind in UNTOUCHED:
        return _spoiled(fault, _answer(order.out_no, _said(order, "SYSTEM_ERROR", "played: system error")))
    outcome = FAILURES.get(fault.kind) if fault else None
    defer_ms = fault.delay_ms if fault and fault.kind is FaultKind.DEFERRED else 0
    travel_ms = fault.delay_ms if fault and fault.kind is FaultKind.LATE_ARRIVAL else 0
    provider.fetch_arrivals()
    fresh = provider.book.find(order.out_no) is None
    try:
        transfer = provider.book.act(kind, order, provider.now_ms(), outcome, defer_ms, travel_ms)
    except Conflict as error:
        return _answer(order.out_no, _said(order, "CONFLICT", str(error)))
    if fresh and transfer.status == "SUCCESS":
        provider.promise_notices(transfer.out_no, fault)
    return _spoiled(fault, _tell(transfer))


@blueprint.post("/query")
def query() -> Response:
    """What became of a number."""
    provider, wanted = this_provider(), _asked(Query)
    fault = provider.faults.take("query")
    if fault is not None and fault.kind is FaultKind.SYSTEM_ERROR:
        return _answer(wanted.out_no, _said(wanted, "SYSTEM_ERROR", "played: system error"))
    provider.fetch_arrivals()
    transfer = provider.book.find(wanted.out_no)
    if transfer is None or transfer.app_id != wanted.app_id:
        return _spoiled(fault, _answer(wanted.out_no, _said(wanted, "NOT_KNOWN", None)))
    return _spoiled(fault, _tell(transfer))


@blueprint.post("/cancel")
def cancel() -> Response:
    """See to it that nothing moves under a number any more; tells what had become of it."""
    provider, wanted = this_provider(), _asked(Query)
    fault = provider.faults.take("cancel")
    if fault is not None and fault.kind in UNTOUCHED:
        return _spoiled(fault, _answer(wanted.out_no, _said(wanted, "SYSTEM_ERROR", "played: system error")))
    return _spoiled(fault, _tell(provider.book.cancel(wanted.app_id, wanted.out_no, provider.now_ms())))


@blueprint.post("/statement")
def statement() -> Response:
    """The movements of a span of time, line by line."""
    provider, wanted = this_provider(), _asked(StatementQuery)
    fault = provider.faults.take("statement")
    if fault is not None and fault.kind in UNTOUCHED:
        return _spoiled(fault, _answer(wanted.out_no, _said(wanted, "SYSTEM_ERROR", "played: system error")))
    provider.fetch_arrivals()
    lines = provider.book.statement(wanted.app_id, wanted.from_ms, wanted.to_ms, wanted.after, MAX_LINES)
    told = {**msgspec.to_builtins(wanted), "status": "SUCCESS", "lines": lines, "more": len(lines) == MAX_LINES}
    return _spoiled(fault, _answer(wanted.out_no, msgspec.json.encode(told)))


def _asked(what: type[Asked]) -> Asked:
    """The request's body, signed by the merchant it names."""
    body = request.get_data()
    try:
        found = msgspec.json.decode(body, type=what)
    except (ValueError, RecursionError) as error:  # no such JSON, no UTF-8; brackets without end
        abort(400, str(error))
    merchant = this_provider().book.merchant_key(found.app_id)
    signature = request.headers.get(HEADER, "")
    if merchant is None or not is_signed(merchant, "request", found.out_no, body, signature):
        abort(403, "the request is not signed by a merchant we know")
    return found


def _tell(transfer: Transfer) -> Response:
    token = transfer.cashier_token
    url = f"{request.url_root}cashier/{token}" if token and transfer.status == "WAITING" else None
    return _answer(transfer.out_no, told(transfer, url))


def _answer(number: str, body: bytes) -> Response:
    headers = {HEADER: sign(this_provider().key, "answer", number, body)}
    return Response(body, content_type="application/json", headers=headers)


def _said(asked: Order | Query | StatementQuery, status: str, reason: str | None) -> bytes:
    return msgspec.json.encode({"app_id": asked.app_id, "out_no": asked.out_no, "status": status, "reason": reason})


def _spoiled(fault: Fault | None, good: Response) -> Response:
    """What a fault leaves of a good answer."""
    if fault is None:
        return good
    if fault.kind in {FaultKind.LOST_ANSWER, FaultKind.LOST_REQUEST}:
        return Response("gateway timeout", status=504)
    if fault.kind is FaultKind.NONSENSE:
        return Response("<html><body>please log in to the network</body></html>", content_type="text/html")
    if fault.kind is FaultKind.DELAY:
        this_provider().stopping.wait(fault.delay_ms / 1000)
    return good
