"""What Alipay signed is the text as it came, and yuan are fen to the last digit."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sync_server.payments.alipay_signing import fen_of, read_node, yuan


@pytest.mark.parametrize(
    "body",
    [
        '{"alipay_trade_query_response":{"a":1},"alipay_trade_query_response":{"a":2},"sign":"s"}',
        '{"x":"\\"alipay_trade_query_response\\":{\\"a\\":1}","sign":"s"}',
        '{"x":{"alipay_trade_query_response":{"a":1}},"sign":"s"}',
        '{"alipay_trade_query_response":[1],"sign":"s"}',
        '{"alipay_trade_query_response":' + "[" * 100_000,
        "",
    ],
)
def test_an_answer_that_says_two_things_is_none(body: str) -> None:
    assert read_node(body, "alipay.trade.query") is None


def test_the_signed_text_is_the_one_that_came() -> None:
    body = '{"alipay_trade_query_response": {"a": "} \\"sign\\":", "b": {"c":1.50}} , "sign":"s"}'
    node = read_node(body, "alipay.trade.query")
    assert node is not None
    assert node.text == '{"a": "} \\"sign\\":", "b": {"c":1.50}}'


@given(st.integers(0, 10**13 - 1))
def test_yuan_and_fen_are_the_same_money(fen: int) -> None:
    assert fen_of(yuan(fen)) == fen
    assert len(yuan(fen).partition(".")[2]) == 2


@pytest.mark.parametrize("text", ["", "1.234", "1e3", "１.00", "0x1", "1,000.00", "nan", "-", 1.0, None])
def test_what_is_no_amount_is_none(text: object) -> None:
    assert fen_of(text) is None


@pytest.mark.parametrize(
    ("text", "fen"), [("1", 100), ("0.1", 10), ("-0.05", -5), (" 52.31\t", 5231), ("100000000.00", 10_000_000_000)]
)
def test_amounts_as_alipay_writes_them(text: str, fen: int) -> None:
    assert fen_of(text) == fen
