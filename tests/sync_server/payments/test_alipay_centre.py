"""A centre whose settings name Alipay: what is paid there goes to Alipay, the rest to the stand-ins."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
import sqlalchemy as sa
from click.testing import CliRunner, Result
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from sandbox_provider.faults import Fault, FaultKind
from sync_server import crypto
from sync_server.audit.tables import event_log
from sync_server.centre import Centre
from sync_server.create_app import app_of
from sync_server.errors import ConfigurationError, NotAllowedError
from sync_server.ledger import book
from sync_server.ledger.accounts import Account
from sync_server.ledger.book import legs
from sync_server.orders import paying, placing
from sync_server.orders.holders import Holder
from sync_server.parties.tables import party
from sync_server.payments import sweeps, transfers
from sync_server.payments.agreement_commands import agreement
from sync_server.payments.alipay_bill import read_bill
from sync_server.payments.alipay_client import AlipayClient
from sync_server.payments.party_commands import party as party_group
from sync_server.payments.provider import Unclear, day_of
from sync_server.payments.providers import clients_of, need_payable, need_sweeps
from sync_server.payments.sandbox_client import SandboxClient
from sync_server.payments.tables import external_transfer, transfer_attempt
from sync_server.reconciliation.statements_in import take_in
from tests.sync_server.conftest import Clock
from tests.sync_server.operators import PASSWORD, employ
from tests.sync_server.payments.alipay_gateway import SELLER, AlipayGateway
from tests.sync_server.reconciliation.telling import cases, judge, posted
from tests.sync_server.sandbox import Sandbox, World, merchant_key_of, money_flaws

DEALER, VENUE = "2088000000000011", "2088000000000022"


class AlipayWorld(World):
    """The small world, paid through Alipay."""

    def __init__(self, centre: Centre, sandbox: Sandbox, gateway: AlipayGateway, folder: Path) -> None:
        super().__init__(centre, sandbox)
        self.close()
        pem = gateway.key.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        (folder / "alipay.pem").write_bytes(pem)
        settings = msgspec.structs.replace(
            self.centre.settings,
            alipay_app_id="platform",
            alipay_seller_id=SELLER,
            alipay_public_key_file=folder / "alipay.pem",
            alipay_gateway=gateway.url,
            alipay_cashier="qr",
        )
        self.centre = Centre(settings, centre.engine, centre.secrets, centre.now_ms)
        self.clients = self._opened.enter_context(clients_of(self.centre))
        with centre.write() as connection:
            for party_id, account in ((self.distributor, DEALER), (self.venue, VENUE)):
                connection.execute(party.update().where(party.c.id == party_id).values(account_ref=account))
        gateway.agree(DEALER, DEALER)
        gateway.book.top_up(DEALER, 100_000)
        gateway.book.top_up(VENUE, 0)


@pytest.fixture
def gateway(tmp_path: Path, secrets: crypto.Secrets, clock: Clock) -> Iterator[AlipayGateway]:
    public = serialization.load_pem_public_key(merchant_key_of(secrets).encode())
    assert isinstance(public, rsa.RSAPublicKey)
    made = AlipayGateway(tmp_path, "platform", public, clock)
    yield made
    made.stop()


@pytest.fixture
def town(centre: Centre, sandbox: Sandbox, gateway: AlipayGateway, tmp_path: Path) -> Iterator[AlipayWorld]:
    made = AlipayWorld(centre, sandbox, gateway, tmp_path)
    yield made
    made.close()


def test_alipay_is_alipay_and_huijinbao_its_stand_in(town: AlipayWorld) -> None:
    assert isinstance(town.clients["ALIPAY"], AlipayClient)
    assert isinstance(town.clients["HUIJINBAO"], SandboxClient)


def test_a_ticket_is_charged_by_agreement_and_its_venue_paid(
    town: AlipayWorld, gateway: AlipayGateway, clock: Clock
) -> None:
    order_id = town.buy()
    town.turn()
    town.enter(town.items(order_id)[0])
    town.turn()
    town.turn()
    assert town.state(order_id) == "COMPLETED"
    assert gateway.book.balances() == {DEALER: 94_769, VENUE: 4970, "platform": 261}
    day = day_of(clock.now_ms)
    clock.pass_ms(2 * 24 * 3_600_000)
    lines = town.clients["ALIPAY"].statement(day)
    assert not isinstance(lines, Unclear)
    with town.centre.read() as connection:
        assert money_flaws(connection) == []
        query = sa.select(transfer_attempt.c.out_no, external_transfer.c.amount_fen, external_transfer.c.kind)
        joined = query.join(external_transfer, external_transfer.c.id == transfer_attempt.c.transfer_id)
        rows = connection.execute(joined).all()
    ours = {(row.out_no, row.amount_fen if row.kind == "CHARGE" else -row.amount_fen) for row in rows}
    assert {(line.out_no, line.amount_fen) for line in lines} == ours
    with town.centre.write() as connection:
        take_in(connection, "ALIPAY", day, lines, clock.now_ms)
    judge(town)
    assert cases(town) == {}


def test_what_was_sent_to_alipay_has_arrived_when_its_bill_says_so(town: AlipayWorld, clock: Clock) -> None:
    """Alipay answers nothing about an arrival: reconciliation alone ends it."""
    town.sandbox.huijinbao.book.top_up("platform", 3000)
    cashier = employ(town.centre, "cashier", "finance", "2001")
    brought = legs((Account("1020"), 3000), (Account("1030"), -3000))
    with town.centre.write() as connection:
        book.post(connection, [book.Txn("capital", brought, clock.now_ms, "test")], clock.now_ms)
        sweeps.ask(connection, cashier, "HUIJINBAO", "ALIPAY", 3000, "refunds", clock.now_ms)
    for _ in range(2):
        transfers.move_due(town.centre, town.clients)
        sweeps.follow_sweeps(town.centre)
        clock.pass_ms(3_600_000)
    query = sa.select(external_transfer.c.state, transfer_attempt.c.out_no).join(transfer_attempt)
    with town.centre.read() as connection:
        arrival = connection.execute(query.where(external_transfer.c.kind == "SWEEP_IN")).one()
    assert arrival.state == "SENT"
    day = day_of(clock.now_ms)
    table = "账务流水号,商户订单号,发生时间,收入金额（+元）,支出金额（-元）,业务类型,备注\n"
    bill = f"#\n{table}7,,{day} 12:00:00,30.00,,转账,{arrival.out_no.replace('-', '_')}\n"
    clock.pass_ms(2 * 24 * 3_600_000)
    with town.centre.write() as connection:
        take_in(connection, "ALIPAY", day, read_bill(bill.encode("gbk"), None), clock.now_ms)
    judge(town)
    assert cases(town) == {}
    assert [posted(town, code) for code in ("1010", "1020", "1090", "1310")] == [3000, 0, 0, 0]
    with town.centre.read() as connection:
        assert connection.scalars(sa.select(external_transfer.c.state)).all() == ["SUCCEEDED"] * 2


def test_a_visitor_pays_and_alipay_tells(town: AlipayWorld, gateway: AlipayGateway, clock: Clock) -> None:
    new = placing.NewOrder(2, 1, "其他", None, (Holder("李小花", "110101199003078515", "13800001234"),))
    with town.centre.write() as connection:
        placed = placing.place(town.centre, connection, new, "test")
        assert isinstance(placed, placing.Placed), placed
        paying.pay(connection, placed.order_id, "test", clock.now_ms)
    town.turn()
    with town.centre.read() as connection:
        row = connection.execute(sa.select(transfer_attempt)).one()
    assert row.pay_url.endswith(row.out_no.replace("-", "_"))
    gateway.book.settle(row.out_no.replace("-", "_"), clock.now_ms)
    web = app_of(town.centre).test_client()
    body = gateway.notice(row.out_no.replace("-", "_"))
    assert web.post("/callbacks/alipay", data=body.replace(b"198.00", b"198.01")).status_code == 403
    assert web.post("/callbacks/huijinbao", data=body).status_code == 403
    assert web.post("/callbacks/alipay", data=body).text == "success"
    town.turn()
    assert town.state(placed.order_id) == "ISSUED"


def test_a_key_that_cannot_be_read_is_a_configuration_error(town: AlipayWorld, tmp_path: Path) -> None:
    for text in (None, "no key", "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n"):
        file = tmp_path / "other.pem"
        if text is not None:
            file.write_text(text)
        settings = msgspec.structs.replace(town.centre.settings, alipay_public_key_file=file)
        broken = Centre(settings, town.centre.engine, town.centre.secrets, town.centre.now_ms)
        with pytest.raises(ConfigurationError, match="Alipay's public key"), clients_of(broken):
            pass


def test_by_commands_a_distributor_signs_and_ends_its_agreement(town: AlipayWorld, gateway: AlipayGateway) -> None:
    employ(town.centre, "qian", "finance", "2001")

    def run(*arguments: str, typed: str | None = None) -> Result:
        return CliRunner().invoke(agreement, arguments, obj=lambda: town.centre, input=typed)

    signing = json.loads(run("sign", "3001", "--as", "3001b").stdout)
    assert "alipay.user.agreement.page.sign" in signing["sign_url"] and "3001b" in signing["sign_url"]
    assert json.loads(run("show", "3001", "--as", "3001b").stdout)["state"] == "NOT_SIGNED"
    gateway.agree("20265433001", DEALER, "3001b")
    shown = json.loads(run("show", "3001", "--as", "3001b").stdout)
    assert (shown["account"], shown["state"]) == ("20265433001", "NORMAL")
    proof = ("--organisation", "2001", "--account", "qian", "--password-stdin")

    def end(agreement_no: str, known_as: str) -> Result:
        said = ("--as", known_as, "--reason", "合同到期")
        return run("end", "3001", agreement_no, *said, *proof, typed=PASSWORD)

    assert json.loads(end("20265433001", "3001b").stdout)["state"] == "STOP"
    assert json.loads(run("show", "3001", "--as", "3001b").stdout)["state"] == "STOP"
    assert logged(town) == ["party.agreement_end", "party.agreement_ended"]
    assert "is not the agreement that we know as 3001b" in str(end("unknown", "3001b").exception)
    del gateway.agreements["20265433001"]
    assert "is not the agreement that we know as 3001b" in str(end("20265433001", "3001b").exception)
    assert "distributors have agreements" in str(run("sign", "2001").exception)
    assert len(logged(town)) == 2, "what was not asked of Alipay is not told"


@pytest.mark.parametrize("known_as", [None, "3009", "30", "3001-2", "3001B"])
def test_the_agreement_of_another_distributor_stays(
    town: AlipayWorld, gateway: AlipayGateway, known_as: str | None
) -> None:
    employ(town.centre, "qian", "finance", "2001")
    gateway.agree("20265433001", DEALER, "3001")
    gateway.agree("20265439999", "2088000000000099", "3009")
    said = ("--reason", "合同到期", "--organisation", "2001", "--account", "qian", "--password-stdin")
    named = () if known_as is None else ("--as", known_as)
    arguments = ("end", "3001", "20265439999", *named, *said)
    done = CliRunner().invoke(agreement, arguments, obj=lambda: town.centre, input=PASSWORD)
    assert isinstance(done.exception, NotAllowedError)
    assert gateway.agreements["20265439999"]["status"] == "NORMAL"
    assert logged(town) == []


def test_who_asked_for_the_end_is_known_also_where_alipay_did_not_answer(
    town: AlipayWorld, gateway: AlipayGateway
) -> None:
    employ(town.centre, "qian", "finance", "2001")
    gateway.agree("20265433001", DEALER, "3001")
    gateway.faults.add(Fault(FaultKind.LOST_REQUEST, "alipay.user.agreement.unsign"))
    said = ("--reason", "合同到期", "--organisation", "2001", "--account", "qian", "--password-stdin")
    arguments = ("end", "3001", "20265433001", *said)
    done = CliRunner().invoke(agreement, arguments, obj=lambda: town.centre, input=PASSWORD)
    assert "Alipay did not end it" in str(done.exception)
    assert logged(town) == ["party.agreement_end"]


def logged(town: AlipayWorld) -> list[str]:
    """What was told of agreements' ends, in its order."""
    query = sa.select(event_log.c.action).where(event_log.c.action.startswith("party.agreement"))
    with town.centre.read() as connection:
        return list(connection.scalars(query.order_by(event_log.c.day, event_log.c.seq)))


def test_what_alipay_cannot_do_is_refused_when_it_is_typed(town: AlipayWorld) -> None:
    with pytest.raises(NotAllowedError, match="withdraw it to your bank"):
        need_sweeps(town.centre.settings, "ALIPAY")
    need_sweeps(town.centre.settings, "HUIJINBAO")
    with pytest.raises(NotAllowedError, match="is no Alipay user id"):
        need_payable(town.centre.settings, "VENUE", "ALIPAY", "张三的支付宝")
    need_payable(town.centre.settings, "VENUE", "ALIPAY", VENUE)
    need_payable(town.centre.settings, "DISTRIBUTOR", "ALIPAY", "20265433001")
    need_payable(town.centre.settings, "VENUE", "HUIJINBAO", "venue-1")
    added = CliRunner().invoke(
        party_group,
        ["add", "VENUE", "2009", "--name-zh", "新", "--name-en", "New", "--account", "张三的支付宝"],
        obj=lambda: town.centre,
    )
    assert "is no Alipay user id" in str(added.exception)
    with town.centre.read() as connection:
        assert connection.scalar(sa.select(party.c.id).where(party.c.org_number == "2009")) is None
