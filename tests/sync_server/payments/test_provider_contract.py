"""What every client of a payment provider does alike, tried on the sandbox's and on Alipay's over real HTTP."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from sandbox_provider.book import Book
from sandbox_provider.faults import Fault, FaultKind, Faults
from sandbox_provider.notices import told
from sandbox_provider.signing import HEADER, sign
from sync_server import crypto
from sync_server.payments.alipay_client import AlipayClient
from sync_server.payments.alipay_gate import Gate, app_of
from sync_server.payments.provider import (
    Instruction,
    Insufficient,
    Notice,
    NotKnown,
    Provider,
    Refused,
    Succeeded,
    Unclear,
    Waiting,
    day_of,
)
from sync_server.payments.sandbox_client import SandboxClient
from tests.sync_server.conftest import Clock
from tests.sync_server.payments.alipay_gateway import HERE, SELLER, AlipayGateway
from tests.sync_server.sandbox import merchant_key_of, running

SHOP, VENUE = "2088000000000011", "2088000000000022"
DAY_MS = 24 * 3_600_000
METHODS = {
    "charge": "alipay.trade.pay",
    "payout": "alipay.fund.trans.uni.transfer",
    "refund": "alipay.trade.refund",
    "query": "*",
}


@dataclass
class Bench:
    """A client and what stands behind it: the provider's book, its faults, and the words that differ."""

    client: Provider
    book: Book
    faults: Faults
    other: Any  # the provider itself
    name: str

    def play(self, kind: FaultKind, method: str, delay_ms: int = 0) -> None:
        self.faults.add(Fault(kind, method if self.name == "sandbox" else METHODS[method], 1, delay_ms))

    def notice(self, number: str, **changes: str) -> tuple[Mapping[str, str], bytes]:
        if self.name == "alipay":
            return {}, self.other.notice(number.replace("-", "_"), **changes)
        transfer = self.book.find(number)
        assert transfer is not None
        body = told(transfer)
        return {HEADER: sign(self.other.provider.key, "notice", number, body)}, body

    def moved(self) -> list[int]:
        return [int(str(line["amount_fen"])) for line in self.book.statement("platform", 0, 1 << 60)]

    def settle(self, number: str, now_ms: int) -> None:
        kept = number if self.name == "sandbox" else number.replace("-", "_")
        assert self.book.settle(kept, now_ms) is not None


def number(n: int, attempt: int = 1) -> str:
    """As `payments.transfers` makes them."""
    return f"{n:032x}-{attempt}"


def charge(n: int = 1, amount_fen: int = 5231) -> Instruction:
    return Instruction("CHARGE", number(n), SHOP, amount_fen, "订单 1 & 2=3")


def payout(n: int = 2, amount_fen: int = 4970, account: str = VENUE) -> Instruction:
    return Instruction("PAYOUT", number(n), account, amount_fen, "结算单")


def refund(n: int, amount_fen: int, original: int = 1) -> Instruction:
    return Instruction("REFUND", number(n), None, amount_fen, "退款", number(original))


def collect(n: int = 1) -> Instruction:
    return Instruction("COLLECT", number(n), None, 19_800, "年票", expires_at_ms=1_790_000_900_000)


@pytest.fixture(params=["sandbox", "alipay"])
def bench(
    request: pytest.FixtureRequest, tmp_path: Path, provider_key: Path, secrets: crypto.Secrets, clock: Clock
) -> Iterator[Bench]:
    if request.param == "sandbox":
        with running(tmp_path, provider_key, clock) as sandbox:
            sandbox.book.add_merchant("platform", merchant_key_of(secrets))
            public = sandbox.public_key_file.read_bytes()
            made = SandboxClient(f"{sandbox.url}/alipay", "platform", secrets.provider_private_key, public, HERE)
            yield prepared(Bench(made, sandbox.book, sandbox.faults, sandbox, "sandbox"))
            made.close()
        return
    gateway, client = alipay_over_http(tmp_path, secrets, clock)
    gateway.agree(SHOP, SHOP)
    yield prepared(Bench(client, gateway.book, gateway.faults, gateway, "alipay"))
    client.close()
    gateway.stop()


def alipay_over_http(folder: Path, secrets: crypto.Secrets, clock: Clock) -> tuple[AlipayGateway, AlipayClient]:
    public = serialization.load_pem_public_key(merchant_key_of(secrets).encode())
    assert isinstance(public, rsa.RSAPublicKey)
    gateway = AlipayGateway(folder, "platform", public, clock)
    pem = gateway.key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    app = app_of("platform", secrets.provider_private_key, pem, SELLER)
    return gateway, AlipayClient(Gate(gateway.url, app, HERE, clock), "qr", clock)


def prepared(bench: Bench) -> Bench:
    bench.book.top_up(SHOP, 20_000)
    bench.book.top_up(VENUE, 0)
    return bench


def test_a_charge_moves_the_money_once_however_often_it_is_sent(bench: Bench) -> None:
    first = bench.client.send(charge())
    assert isinstance(first, Succeeded)
    assert first.amount_fen == 5231
    assert [bench.client.send(charge()), bench.client.query(charge())] == [first, first]
    assert bench.moved() == [5231]


def test_a_payout_moves_the_money_once_however_often_it_is_sent(bench: Bench) -> None:
    bench.client.send(charge())
    first = bench.client.send(payout())
    assert isinstance(first, Succeeded)
    assert [bench.client.send(payout()), bench.client.query(payout())] == [first, first]
    assert bench.moved() == [5231, -4970]


def test_what_was_paid_is_given_back_in_parts_up_to_the_whole(bench: Bench) -> None:
    bench.client.send(charge())
    for n, amount_fen in ((2, 5000), (3, 231)):
        first = bench.client.send(refund(n, amount_fen))
        assert isinstance(first, Succeeded)
        assert first.amount_fen == amount_fen
        again = [bench.client.send(refund(n, amount_fen)), bench.client.query(refund(n, amount_fen))]
        assert again == [first, first]
    assert not isinstance(bench.client.send(refund(4, 1)), Succeeded)
    assert bench.moved() == [5231, -5000, -231]


def test_too_little_money_is_its_own_answer_and_moves_nothing(bench: Bench) -> None:
    assert isinstance(bench.client.send(charge(1, 20_001)), Insufficient)
    assert isinstance(bench.client.send(payout(2, 1)), Insufficient)
    assert bench.moved() == []


def test_an_account_that_is_not_there_is_definite(bench: Bench) -> None:
    bench.client.send(charge())
    assert isinstance(bench.client.send(payout(2, 1, "2088000000000099")), Refused)
    assert bench.moved() == [5231]


@pytest.mark.parametrize("instruction", [charge(), payout(), collect(), refund(3, 1)], ids=lambda one: one.kind)
def test_a_number_it_never_saw_is_not_known(bench: Bench, instruction: Instruction) -> None:
    assert isinstance(bench.client.query(instruction), NotKnown)


@pytest.mark.parametrize("kind", ["charge", "payout", "refund"])
@pytest.mark.parametrize(
    ("fault", "done"),
    [
        (FaultKind.LOST_ANSWER, True),
        (FaultKind.NONSENSE, True),
        (FaultKind.LOST_REQUEST, False),
        (FaultKind.SYSTEM_ERROR, False),
    ],
)
def test_an_answer_that_says_nothing_is_unclear_and_asking_tells(
    bench: Bench, kind: str, fault: FaultKind, done: bool
) -> None:
    if kind != "charge":
        bench.client.send(charge())
    instruction = {"charge": charge(), "payout": payout(), "refund": refund(3, 5000)}[kind]
    bench.play(fault, kind)
    assert isinstance(bench.client.send(instruction), Unclear)
    before = bench.client.query(instruction)
    assert isinstance(before, Succeeded if done else NotKnown)
    assert isinstance(bench.client.send(instruction), Succeeded)
    assert len(bench.moved()) == (1 if kind == "charge" else 2)


@pytest.mark.parametrize("fault", [FaultKind.LOST_ANSWER, FaultKind.SYSTEM_ERROR, FaultKind.NONSENSE])
def test_a_question_that_is_not_answered_is_unclear(bench: Bench, fault: FaultKind) -> None:
    bench.client.send(charge())
    bench.play(fault, "query")
    assert isinstance(bench.client.query(charge()), Unclear)


@pytest.mark.parametrize("kind", ["charge", "payout"])
def test_what_is_done_later_waits_and_then_succeeded(bench: Bench, clock: Clock, kind: str) -> None:
    bench.client.send(charge(9))
    instruction = {"charge": charge(), "payout": payout()}[kind]
    bench.play(FaultKind.DEFERRED, kind, delay_ms=1000)
    assert isinstance(bench.client.send(instruction), Waiting)
    assert isinstance(bench.client.query(instruction), Waiting)
    bench.settle(instruction.out_no, clock.now_ms)
    assert isinstance(bench.client.query(instruction), Succeeded)


def test_a_refund_that_is_done_later_is_no_success_before(bench: Bench, clock: Clock) -> None:
    bench.client.send(charge())
    bench.play(FaultKind.DEFERRED, "refund", delay_ms=1000)
    for answer in (bench.client.send(refund(2, 500)), bench.client.query(refund(2, 500))):
        assert isinstance(answer, Waiting | NotKnown)
    bench.settle(number(2), clock.now_ms)
    assert isinstance(bench.client.query(refund(2, 500)), Succeeded)
    assert bench.moved() == [5231, -500]


def test_a_visitor_pays_at_the_cashier(bench: Bench, clock: Clock) -> None:
    waiting = bench.client.send(collect())
    assert isinstance(waiting, Waiting)
    assert waiting.pay_url is not None
    assert waiting.pay_url.startswith("http://127.0.0.1:")
    assert isinstance(bench.client.query(collect()), Waiting)
    bench.settle(collect().out_no, clock.now_ms)
    paid = bench.client.query(collect())
    assert isinstance(paid, Succeeded)
    assert paid.amount_fen == 19_800
    assert bench.client.cancel(collect()) == paid
    assert bench.moved() == [19_800]


def test_what_was_cancelled_never_moves_whether_it_was_known_or_not(bench: Bench) -> None:
    bench.client.send(collect(1))
    for n in (1, 2):
        assert isinstance(bench.client.cancel(collect(n)), Refused)
        assert isinstance(bench.client.query(collect(n)), Refused)
    assert isinstance(bench.client.cancel(charge(3)), Refused)
    assert isinstance(bench.client.send(charge(3)), Refused)
    assert bench.moved() == []


def test_a_notice_is_believed_when_it_is_the_providers(bench: Bench, clock: Clock) -> None:
    bench.client.send(collect())
    bench.settle(collect().out_no, clock.now_ms)
    paid = bench.client.query(collect())
    headers, body = bench.notice(collect().out_no)
    assert bench.client.read_notice(headers, body) == Notice(collect().out_no, paid)
    for changed in (body.replace(b"198", b"199"), body + b" ", body[:-1], b"", b"{", b"\xff" * 50):
        assert bench.client.read_notice(headers, changed) is None


def test_the_statement_of_a_day_has_every_movement_with_our_number(bench: Bench, clock: Clock) -> None:
    bench.book.set_fee("charge", 31)
    for instruction in (charge(1), payout(2, 4000), charge(3, 1000), refund(4, 500), refund(5, 500)):
        assert isinstance(bench.client.send(instruction), Succeeded)
    day = day_of(clock.now_ms)
    clock.pass_ms(2 * DAY_MS)
    lines = bench.client.statement(day)
    assert not isinstance(lines, Unclear), lines
    moved = [(line.out_no, line.amount_fen) for line in lines if line.amount_fen]
    assert moved == [(number(1), 5231), (number(2), -4000), (number(3), 1000), (number(4), -500), (number(5), -500)]
    assert sum(line.fee_fen for line in lines) == 62
    held_fen = sum(line.amount_fen - line.fee_fen for line in lines)
    assert bench.book.balances()["platform"] == held_fen
    assert len({line.line_no for line in lines}) == len(lines)
    assert bench.client.statement(day_of(clock.now_ms - DAY_MS)) == ()
