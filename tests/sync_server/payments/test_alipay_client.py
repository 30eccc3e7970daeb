"""Alipay's client against a second one: the same signatures, the same gateway; and what neither may believe."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qs, parse_qsl, urlsplit

import pytest
from alipay import AliPay
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from sandbox_provider.faults import Fault, FaultKind
from sync_server import crypto
from sync_server.payments import alipay_signing
from sync_server.payments.alipay_client import Agreement, AlipayClient
from sync_server.payments.alipay_gate import Gate, app_of
from sync_server.payments.alipay_signing import UNSIGNED, canonical
from sync_server.payments.provider import (
    Instruction,
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
