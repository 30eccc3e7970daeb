"""What Alipay's answers mean: its codes and states as ours.

A word that is not here is an unclear outcome, never a failure: the number is asked for, and sent again only if Alipay
does not know it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from sync_server.payments.alipay_signing import fen_of
from sync_server.payments.provider import Answer, Insufficient, NotKnown, Refused, Succeeded, Unclear, Waiting

DONE, IN_PROGRESS = "10000", "10003"
NOT_ACCEPTED = {"40001", "40002", "40003", "40006"}
"""The request itself was at fault, whatever it asked for."""
NOT_ACCEPTED_FOR = {"ACQ.ACCESS_FORBIDDEN", "ACQ.INVALID_PARAMETER", "ACQ.PARTNER_ERROR", "INVALID_PARAMETER"}
NOT_ACCEPTED_FAMILIES = ("PERMIT_", "EXCEED_LIMIT_")
"""The same in other words, and of transfers: whether we may, and how much a day may see."""
NOT_KNOWN = {"ACQ.TRADE_NOT_EXIST", "ORDER_NOT_EXIST"}
INSUFFICIENT = {
    "ACQ.BUYER_BALANCE_NOT_ENOUGH",
    "ACQ.BUYER_BANKCARD_BALANCE_NOT_ENOUGH",
    "ACQ.SELLER_BALANCE_NOT_ENOUGH",
    "BALANCE_IS_NOT_ENOUGH",
    "PAYER_BALANCE_NOT_ENOUGH",
}
REFUSED = {
    "ACQ.AGREEMENT_ERROR",
    "ACQ.AGREEMENT_INVALID",
    "ACQ.AGREEMENT_NOT_EXIST",
    "ACQ.AGREEMENT_STATUS_NOT_NORMAL",
    "ACQ.BUYER_ENABLE_STATUS_FORBID",
    "ACQ.BUYER_PAYMENT_AMOUNT_DAY_LIMIT_ERROR",
    "ACQ.BUYER_PAYMENT_AMOUNT_MONTH_LIMIT_ERROR",
    "ACQ.EXIST_FORBIDDEN_WORD",
    "ACQ.MERCHANT_AGREEMENT_INVALID",
    "ACQ.MERCHANT_AGREEMENT_NOT_EXIST",
    "ACQ.NO_PAYMENT_INSTRUMENTS_AVAILABLE",
    "ACQ.PAYMENT_FAIL",
    "ACQ.PAYMENT_REQUEST_HAS_RISK",
    "ACQ.PRODUCT_AMOUNT_LIMIT_ERROR",
    "ACQ.REASON_TRADE_BEEN_FREEZEN",
    "ACQ.REASON_TRADE_REFUND_FEE_ERR",
    "ACQ.REFUND_AMT_NOT_EQUAL_TOTAL",
    "ACQ.TOTAL_FEE_EXCEED",
    "ACQ.TRADE_HAS_CLOSE",
    "ACQ.TRADE_HAS_FINISHED",
    "ACQ.TRADE_NOT_ALLOW_REFUND",
    "PAYER_PERMLIMIT_CHECK_FAILURE",
    "PAYER_STATUS_ERROR",
    "REMARK_HAS_SENSITIVE_WORD",
    "SECURITY_CHECK_FAILED",
}
REFUSED_FAMILIES = ("PAYEE_",)
"""Of transfers: whom it should go to."""


def answer_of(said: dict[str, Any] | Unclear, done: Callable[[dict[str, Any]], Answer]) -> Answer:
    """What an answer to a movement that we asked for means; `done` reads one that says DONE."""
    if isinstance(said, Unclear):
        return said
    code, sub_code = said.get("code"), str(said.get("sub_code", ""))
    if code == DONE:
        return done(said)
    if code == IN_PROGRESS:
        return Waiting()
    if sub_code in INSUFFICIENT:
        return Insufficient(reason_of(said))
    if sub_code in NOT_KNOWN:
        return NotKnown()
    if code in NOT_ACCEPTED or sub_code in NOT_ACCEPTED_FOR or sub_code.startswith(NOT_ACCEPTED_FAMILIES):
        return Refused(reason_of(said), of_request=True)
    if sub_code in REFUSED or sub_code.startswith(REFUSED_FAMILIES):
        return Refused(reason_of(said))
    return Unclear(reason_of(said))


def told_of(said: dict[str, Any] | Unclear, state: Callable[[dict[str, Any]], Answer]) -> Answer:
    """What an answer to a query means; `state` reads one that says DONE.

    Refusing the question says nothing of the money: only a state counts, and that the number is not known.
    """
    if isinstance(said, Unclear):
        return said
    if said.get("code") == DONE:
        return state(said)
    return NotKnown() if said.get("sub_code") in NOT_KNOWN else Unclear(reason_of(said))


def reason_of(said: Mapping[str, Any]) -> str:
    """Why, in Alipay's words."""
    return f"{said.get('sub_code') or said.get('code')}: {said.get('sub_msg') or said.get('msg')}"


def moved(reference: object, amount_fen: int | None) -> Answer:
    """A success, if it names Alipay's number and the amount."""
    if not reference or amount_fen is None:
        return Unclear("Alipay says it is done, but names neither its number nor the amount")
    return Succeeded(str(reference), amount_fen)


def trade_state(said: Mapping[str, Any]) -> Answer:
    """Of a query or a notice. A closed trade that was paid once is one that was refunded whole."""
    state = said.get("trade_status")
    if state in {"TRADE_SUCCESS", "TRADE_FINISHED"}:
        return moved(said.get("trade_no"), fen_of(said.get("total_amount")))
    if state == "WAIT_BUYER_PAY":
        return Waiting()
    if state == "TRADE_CLOSED" and not said.get("send_pay_date") and not said.get("gmt_payment"):
        return Refused("the trade is closed")
    return Unclear(f"the trade is {state}")


def refunded(said: Mapping[str, Any]) -> Answer:
    """Without a state the refund did not reach Alipay or failed there: the same number again is right in both cases."""
    if said.get("refund_status") == "REFUND_SUCCESS":
        return moved(said.get("trade_no"), fen_of(said.get("refund_amount")))
    return Unclear(f"the refund is {said['refund_status']}") if said.get("refund_status") else NotKnown()


def transferred(said: Mapping[str, Any]) -> Answer:
    """Of a transfer's answer or query."""
    state = said.get("status")
    if state == "SUCCESS":
        return moved(said.get("order_id"), fen_of(said.get("trans_amount")))
    if state in {"DEALING", "WAIT_PAY"}:
        return Waiting()
    if state in {"FAIL", "CLOSED"}:
        reason = f"{said.get('error_code')}: {said.get('fail_reason')}"
        return Insufficient(reason) if said.get("error_code") in INSUFFICIENT else Refused(reason)
    return Unclear(f"the transfer is {state}")
