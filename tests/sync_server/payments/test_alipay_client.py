"""Alipay's client against a second one: the same signatures, the same gateway; and what neither may believe."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, parse_qsl, urlsplit

import pytest
from alipay import AliPay
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from hypothesis import given
from hypothesis import strategies as st

from sandbox_provider.faults import Fault, FaultKind
from sync_server import crypto
from sync_server.payments import alipay_signing
from sync_server.payments.alipay_answers import answer_of, refunded, told_of, trade_state, transferred
from sync_server.payments.alipay_bill import NotABill, our_number, read_bill
from sync_server.payments.alipay_client import Agreement, AlipayClient
from sync_server.payments.alipay_gate import Gate, app_of
from sync_server.payments.alipay_signing import UNSIGNED, canonical, fen_of, read_node, yuan
from sync_server.payments.provider import (
    Answer,
    Instruction,
    Insufficient,
    NotKnown,
    Refused,
    Succeeded,
    Unclear,
    Waiting,
    day_of,
)
from tests.sync_server.conftest import Clock
from tests.sync_server.payments.alipay_gateway import HERE, SELLER, AlipayGateway
from tests.sync_server.payments.test_provider_contract import (
    SHOP,
    VENUE,
    alipay_over_http,
    charge,
    collect,
    number,
    payout,
    refund,
)


@pytest.fixture
def both(tmp_path: Path, secrets: crypto.Secrets, clock: Clock) -> Iterator[tuple[AlipayGateway, AlipayClient]]:
    gateway, client = alipay_over_http(tmp_path, secrets, clock)
    gateway.agree(SHOP, SHOP, external_no="dealer-1")
    gateway.book.top_up(SHOP, 20_000)
    gateway.book.top_up(VENUE, 0)
    yield gateway, client
    client.close()
    gateway.stop()


@pytest.fixture
def gateway(both: tuple[AlipayGateway, AlipayClient]) -> AlipayGateway:
    return both[0]


@pytest.fixture
def client(both: tuple[AlipayGateway, AlipayClient]) -> AlipayClient:
    return both[1]


@pytest.fixture
def second(gateway: AlipayGateway, secrets: crypto.Secrets) -> AliPay:
    """The other client, of other people's making."""
    public = gateway.key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    made = AliPay("platform", HERE, secrets.provider_private_key, public.decode(), sign_type="RSA2")
    made._gateway = gateway.url
    return made


def test_both_sign_the_same(secrets: crypto.Secrets, second: AliPay) -> None:
    parameters = {"method": "alipay.trade.query", "subject": "订单 1&2=3", "app_id": "platform", "b": "/"}
    private = serialization.load_pem_private_key(secrets.provider_private_key.encode(), password=None)
    assert isinstance(private, rsa.RSAPrivateKey)
    ours = alipay_signing.sign(private, parameters)
    theirs = dict(parse_qsl(second.sign_data(dict(parameters))))
    assert theirs == {**parameters, "sign": ours}


def test_the_second_client_pays_and_ours_sees_it(
    gateway: AlipayGateway, client: AlipayClient, second: AliPay, clock: Clock
) -> None:
    our_name = number(1).replace("-", "_")
    assert second.api_alipay_trade_precreate("年票", our_name, "198.00")["qr_code"].endswith(our_name)
    assert isinstance(client.query(collect()), Waiting)
    gateway.book.settle(our_name, clock.now_ms)
    paid = client.query(collect())
    assert isinstance(paid, Succeeded)
    said = second.api_alipay_trade_query(out_trade_no=our_name)
    assert (said["trade_no"], said["total_amount"]) == (paid.provider_ref, "198.00")
    assert isinstance(client.send(refund(2, 500)), Succeeded)
    request_no = number(2).replace("-", "_")
    assert second.api_alipay_trade_fastpay_refund_query(request_no, our_name)["refund_amount"] == "5.00"


def test_both_believe_the_same_notice(
    gateway: AlipayGateway, client: AlipayClient, second: AliPay, clock: Clock
) -> None:
    client.send(collect())
    gateway.book.settle(number(1).replace("-", "_"), clock.now_ms)
    body = gateway.notice(number(1).replace("-", "_"))
    told = dict(parse_qsl(body.decode()))
    assert client.read_notice({}, body) is not None
    assert second.verify({name: value for name, value in told.items() if name != "sign"}, told["sign"])


@pytest.mark.parametrize("changes", [{"app_id": "another"}, {"seller_id": "2088000000000009"}, {"out_trade_no": "x"}])
def test_a_good_notice_for_somebody_else_is_not_ours(
    gateway: AlipayGateway, client: AlipayClient, clock: Clock, changes: dict[str, str]
) -> None:
    client.send(collect())
    gateway.book.settle(number(1).replace("-", "_"), clock.now_ms)
    assert client.read_notice({}, gateway.notice(number(1).replace("-", "_"), **changes)) is None


def test_an_answer_signed_by_a_stranger_is_unclear(
    gateway: AlipayGateway, client: AlipayClient, second: AliPay
) -> None:
    gateway.key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    assert isinstance(client.send(charge()), Unclear)
    assert len(gateway.book.statement("platform", 0, 1 << 60)) == 1


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


@pytest.mark.parametrize("instruction", [charge(), collect(), refund(2, 100), payout()], ids=lambda one: one.kind)
def test_a_query_that_alipay_turns_away_fails_nothing(
    gateway: AlipayGateway, client: AlipayClient, instruction: Instruction
) -> None:
    """Nor does closing, which then asks."""
    gateway.app_id = "another"  # whose signatures it knows are not ours any more
    assert isinstance(client.query(instruction), Unclear)
    assert isinstance(client.cancel(instruction), Unclear)
    sent = client.send(instruction)
    assert isinstance(sent, Refused)
    assert sent.of_request


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


@pytest.mark.parametrize("cashier", ["wap", "page"])
def test_a_cashier_page_is_a_signed_address_that_ends_in_time(
    gateway: AlipayGateway, secrets: crypto.Secrets, clock: Clock, second: AliPay, cashier: str
) -> None:
    public = gateway.key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    app = app_of("platform", secrets.provider_private_key, public, SELLER)
    client = AlipayClient(Gate(gateway.url, app, HERE, clock), cashier, clock)
    waiting = client.send(collect())
    assert isinstance(waiting, Waiting)
    assert waiting.pay_url is not None
    said = {name: values[0] for name, values in parse_qs(urlsplit(waiting.pay_url).query).items()}
    assert said["method"] == f"alipay.trade.{cashier}.pay"
    assert '"total_amount":"198.00"' in said["biz_content"]
    assert '"time_expire":"2026-09-21 22:28:20"' in said["biz_content"]
    private = serialization.load_pem_private_key(secrets.provider_private_key.encode(), password=None)
    assert isinstance(private, rsa.RSAPrivateKey)
    assert alipay_signing.is_signed(private.public_key(), canonical(said, UNSIGNED), said["sign"])
    client.close()


@pytest.mark.parametrize("kind", ["FUND_BUY", "FUND_SELL", "FUND_CLOSE", "SWEEP_OUT"])
def test_what_alipay_does_not_offer_is_refused(client: AlipayClient, kind: str) -> None:
    assert isinstance(client.send(Instruction(kind, number(1), "fund", 100, "x")), Refused)


@pytest.mark.parametrize("account", ["", "venue", "2088", "２０８８000000000022", None])
def test_a_payout_goes_to_a_user_id_or_nowhere(client: AlipayClient, account: str | None) -> None:
    assert isinstance(client.send(Instruction("PAYOUT", number(1), account, 100, "x")), Refused)


def test_a_payer_signs_and_ends_an_agreement(gateway: AlipayGateway, client: AlipayClient) -> None:
    address = client.sign_address("dealer-1", "https://example.com/back")
    assert "alipay.user.agreement.page.sign" in address
    assert client.agreement("dealer-1") == Agreement(SHOP, "NORMAL")
    assert isinstance(client.agreement("dealer-2"), NotKnown)
    assert isinstance(client.send(charge()), Succeeded)
    assert client.unsign(SHOP) is None
    assert client.agreement("dealer-1") == Agreement(SHOP, "STOP")
    assert isinstance(client.send(charge(2)), Refused)
    assert isinstance(client.unsign("unknown"), Refused)


def test_a_bill_that_is_not_made_yet_is_asked_for_again(client: AlipayClient, clock: Clock) -> None:
    client.send(charge())
    day = day_of(clock.now_ms)
    assert isinstance(client.statement(day), Unclear)
    clock.pass_ms(2 * 24 * 3_600_000)
    lines = client.statement(day)
    assert not isinstance(lines, Unclear)
    assert [line.amount_fen for line in lines] == [5231]


def test_a_refund_in_the_bill_names_what_it_gives_back(client: AlipayClient, clock: Clock) -> None:
    for instruction in (charge(1), charge(2), refund(3, 500, original=2)):
        assert isinstance(client.send(instruction), Succeeded)
    day = day_of(clock.now_ms)
    clock.pass_ms(2 * 24 * 3_600_000)
    lines = client.statement(day)
    assert not isinstance(lines, Unclear)
    assert [line.original_out_no for line in lines] == [None, None, number(2)]


@pytest.mark.parametrize("fault", [FaultKind.LOST_ANSWER, FaultKind.NONSENSE, FaultKind.SYSTEM_ERROR])
def test_a_bill_that_is_not_to_be_had_is_unclear_not_empty(
    gateway: AlipayGateway, client: AlipayClient, clock: Clock, fault: FaultKind
) -> None:
    day = day_of(clock.now_ms)
    clock.pass_ms(2 * 24 * 3_600_000)
    gateway.faults.add(Fault(fault, "alipay.data.dataservice.bill.downloadurl.query"))
    assert isinstance(client.statement(day), Unclear)


def zipped(*tables: str, encoding: str = "gbk") -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as opened:
        for n, table in enumerate(tables):
            opened.writestr(f"{n}.csv", table.encode(encoding))
    return packed.getvalue()


HEAD = "#\n账务流水号,业务流水号,商户订单号,发生时间,收入金额（+元）,支出金额（-元）,业务类型,备注\n"


@pytest.mark.parametrize(
    "file",
    [
        b"no zip",
        zipped(),
        zipped(HEAD, HEAD),
        zipped(HEAD, encoding="utf-16"),
        zipped("#\n账务流水号,业务类型\n1,转账\n"),
        zipped(HEAD + "1,2,3\n"),
        zipped(HEAD + "1,2,3,yesterday,1.00,,转账,\n"),
        zipped(HEAD + "1,2,3,2026-09-21 10:00:00,one,,转账,\n"),
    ],
)
def test_a_file_that_is_no_bill_is_refused_whole(file: bytes) -> None:
    with pytest.raises(NotABill):
        read_bill(file, None)


def test_an_arrival_is_known_by_our_number_in_its_remark() -> None:
    arrived = f"9,8,,2026-09-21 10:00:00,+30.00,,转账,调拨 {number(7)}\n"
    odd = "10,9,,2026-09-21 10:00:01,0.31,,退费,\n11,9,,2026-09-21 10:00:02,1.00,,转账,\n"
    first, second, third = read_bill(zipped(HEAD + arrived + odd), None)
    assert (first.out_no, first.kind, first.amount_fen, first.fee_fen) == (number(7), "SWEEP_IN", 3000, 0)
    assert (third.out_no, third.kind) == (None, "转账")
    assert (second.out_no, second.amount_fen, second.kind) == (None, 31, "退费")
    assert our_number("0" * 33 + "_1") is None


def test_a_bare_public_key_is_taken_as_alipay_hands_it_out(gateway: AlipayGateway, secrets: crypto.Secrets) -> None:
    pem = gateway.key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    bare = b"".join(pem.splitlines()[1:-1])
    app = app_of("platform", secrets.provider_private_key, bare, SELLER)
    assert app.alipay.public_numbers() == gateway.key.public_key().public_numbers()


def test_a_payout_is_sent_to_a_user_id(client: AlipayClient) -> None:
    client.send(charge())
    assert isinstance(client.send(payout()), Succeeded)
