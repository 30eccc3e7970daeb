"""What Alipay's words mean for the money: done, not done, or nothing that may be believed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from sync_server.payments.alipay_answers import answer_of, refunded, told_of, trade_state, transferred
from sync_server.payments.provider import (
    Answer,
    Insufficient,
    NotKnown,
    Refused,
    Succeeded,
    Unclear,
    Waiting,
)


@pytest.mark.parametrize(
    ("code", "sub_code", "means"),
    [
        ("10000", "", Succeeded),
        ("10003", "", Waiting),
        ("40004", "ACQ.BUYER_BALANCE_NOT_ENOUGH", Insufficient),
        ("40004", "PAYER_BALANCE_NOT_ENOUGH", Insufficient),
        ("40004", "ACQ.TRADE_NOT_EXIST", NotKnown),
        ("40004", "ORDER_NOT_EXIST", NotKnown),
        ("40004", "ACQ.TRADE_HAS_CLOSE", Refused),
        ("40004", "PAYEE_USER_INFO_ERROR", Refused),
        ("40004", "EXCEED_LIMIT_DM_AMOUNT", Refused),
        ("40002", "isv.invalid-signature", Refused),
        ("20000", "ACQ.SYSTEM_ERROR", Unclear),
        ("40004", "ACQ.SYSTEM_ERROR", Unclear),
        ("40004", "SYSTEM_ERROR", Unclear),
        ("40004", "ACQ.TRADE_HAS_SUCCESS", Unclear),
        ("40004", "ACQ.CONTEXT_INCONSISTENT", Unclear),
        ("40004", "ACQ.A_WORD_OF_NEXT_YEAR", Unclear),
        ("20000", "isp.unknow-error", Unclear),
    ],
)
def test_what_alipays_words_mean(code: str, sub_code: str, means: type) -> None:
    assert isinstance(answer_of({"code": code, "sub_code": sub_code}, lambda _: Succeeded("1", 1)), means)


@pytest.mark.parametrize("state", [trade_state, refunded, transferred])
@pytest.mark.parametrize("code", ["40001", "40002", "40003", "40004", "40006", "20000"])
@pytest.mark.parametrize(
    "sub_code",
    [
        "isv.invalid-timestamp",
        "INVALID_PARAMETER",
        "ACQ.INVALID_PARAMETER",
        "ACQ.ACCESS_FORBIDDEN",
        "ACQ.PARTNER_ERROR",
        "PERMIT_CHECK_PERM_LIMITED",
        "EXCEED_LIMIT_DM_AMOUNT",
        "PAYER_BALANCE_NOT_ENOUGH",
    ],
)
def test_a_refused_question_says_nothing_of_the_money(
    code: str, sub_code: str, state: Callable[[dict[str, Any]], Answer]
) -> None:
    said = {"code": code, "sub_code": sub_code}
    assert isinstance(told_of(said, state), Unclear)
    assert isinstance(told_of({**said, "sub_code": "ORDER_NOT_EXIST"}, state), NotKnown)
    sent = answer_of(said, state)
    assert not isinstance(sent, Refused) or sent.of_request


def test_done_without_a_state_is_unclear() -> None:
    assert isinstance(told_of({"code": "10000"}, trade_state), Unclear)
    assert isinstance(told_of({"code": "10000"}, transferred), Unclear)


@pytest.mark.parametrize(
    ("said", "means"),
    [
        ({"trade_status": "WAIT_BUYER_PAY"}, Waiting),
        ({"trade_status": "TRADE_CLOSED"}, Refused),
        ({"trade_status": "TRADE_CLOSED", "gmt_payment": "2026-09-21 10:00:00"}, Unclear),
        ({"trade_status": "TRADE_CLOSED", "send_pay_date": "2026-09-21 10:00:00"}, Unclear),
        ({"trade_status": "TRADE_SUCCESS", "trade_no": "1"}, Unclear),
        ({"trade_status": "TRADE_SUCCESS", "total_amount": "1.00"}, Unclear),
        ({"trade_status": "TRADE_FINISHED", "trade_no": "1", "total_amount": "1.00"}, Succeeded),
    ],
)
def test_what_the_state_of_a_trade_means(said: dict[str, str], means: type) -> None:
    assert isinstance(trade_state(said), means)


@pytest.mark.parametrize(
    ("said", "means"),
    [
        ({"status": "SUCCESS", "order_id": "1", "trans_amount": "1.00"}, Succeeded),
        ({"status": "DEALING"}, Waiting),
        ({"status": "FAIL", "error_code": "PAYEE_NOT_EXIST"}, Refused),
        ({"status": "FAIL", "error_code": "PAYER_BALANCE_NOT_ENOUGH"}, Insufficient),
        ({"status": "REFUND", "order_id": "1", "trans_amount": "1.00"}, Unclear),
    ],
)
def test_what_the_state_of_a_transfer_means(said: dict[str, str], means: type) -> None:
    assert isinstance(transferred(said), means)
