"""The provider over HTTP as a process: signatures, faults, the cashier, notices, the control endpoint."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import msgspec
import pytest
import requests
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from sandbox_provider.signing import HEADER, is_signed, sign
from sandbox_provider.tables import KINDS
from tests.waiting import until

TIMEOUT_S = 10


class Merchant:
    """A merchant with a key, an address for notices that says no to the first, and a provider process of its own."""

    def __init__(self, folder: Path) -> None:
        self.key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        public = self.key.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        (folder / "merchant.pem").write_bytes(public)
        self.notices: list[tuple[bytes, str]] = []
        self._server = HTTPServer(("127.0.0.1", 0), self._handler())
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()
        command = [sys.executable, "-m", "sandbox_provider", "run", "--data", str(folder / "data"), "--port", "0"]
        parties = [
            "--merchant",
            f"platform={folder / 'merchant.pem'}",
            "--account",
            "alipay:shop=1000",
            "--account",
            "alipay:venue=0",
        ]
        self.process = subprocess.Popen(
            [*command, *parties],
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout is not None
        word, _, ready = self.process.stdout.readline().partition(" ")
        assert word == "READY"
        self.ready = json.loads(ready)
        self.provider_key = Path(self.ready["public_key_file"]).read_text()
        self.session = requests.Session()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        notices = self.notices

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                notices.append((body, self.headers[HEADER]))
                said = b"success" if len(notices) > 1 else b"later"
                self.send_response(200)
                self.send_header("Content-Length", str(len(said)))
                self.end_headers()
                self.wfile.write(said)

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002  the library's name
                """Silent."""

        return Handler

    def call(self, method: str, out_no: str = "n1", at: str = "alipay", **values: object) -> requests.Response:
        body = {"app_id": "platform", "out_no": out_no, **values}
        if method in KINDS:
            url = f"http://127.0.0.1:{self._server.server_port}/notice"
            body = {"account": "shop", "amount_fen": 300, "title": "t", "notice_url": url, **body}
        data = msgspec.json.encode(body)
        return self.post(method, data, sign(self.key, "request", out_no, data), at)

    def post(self, method: str, data: bytes, signature: str, at: str = "alipay") -> requests.Response:
        url = f"{self.ready['url']}/{at}/gateway/{method}"
        return self.session.post(url, data=data, headers={HEADER: signature}, timeout=TIMEOUT_S)

    def status(self, method: str, out_no: str = "n1", at: str = "alipay", **values: object) -> str:
        """What a good answer says; its signature is checked."""
        answer = self.call(method, out_no, at, **values)
        assert is_signed(self.provider_key, "answer", out_no, answer.content, answer.headers[HEADER])
        return str(answer.json()["status"])

    def control(self, verb: str, path: str, at: str = "alipay", **values: object) -> requests.Response:
        headers = {"Sandbox-Control": self.ready["control_token"]}
        return self.session.request(
            verb, f"{self.ready['url']}/{at}/control/{path}", json=values, headers=headers, timeout=TIMEOUT_S
        )

    def balances(self, at: str = "alipay") -> dict[str, int]:
        return dict(self.control("GET", "accounts", at).json())

    def told(self, out_no: str) -> list[str]:
        """What the notices about a number said."""
        return [json.loads(body)["status"] for body, _ in self.notices if json.loads(body)["out_no"] == out_no]

    def stop(self) -> int:
        self.session.close()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
        self.process.send_signal(signal.SIGTERM)
        assert self.process.stdout is not None
        self.process.stdout.close()
        return self.process.wait(TIMEOUT_S)


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Merchant]:
    merchant = Merchant(tmp_path_factory.mktemp("provider"))
    yield merchant
    assert merchant.stop() == 0


@pytest.fixture
def merchant(started: Merchant) -> Iterator[Merchant]:
    yield started
    started.control("DELETE", "faults")
    started.control("DELETE", "faults", "huijinbao")


@pytest.mark.slow
def test_a_charge_is_signed_done_once_and_told_until_it_is_heard(merchant: Merchant) -> None:
    before = merchant.balances()
    assert [merchant.status("charge", "a1") for _ in range(3)] == ["SUCCESS"] * 3
    assert merchant.status("query", "a1") == "SUCCESS"
    assert merchant.balances()["shop"] == before["shop"] - 300
    until(lambda: len(merchant.notices) >= 2, TIMEOUT_S, "the notice again after it was not heard")
    for body, signature in merchant.notices[:2]:
        assert is_signed(merchant.provider_key, "notice", "a1", body, signature)
        assert json.loads(body)["status"] == "SUCCESS"


def test_what_the_merchant_did_not_sign_is_refused(merchant: Merchant) -> None:
    stranger = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    data = msgspec.json.encode({"app_id": "platform", "out_no": "b1"})
    good = sign(merchant.key, "request", "b1", data)
    for body, signature in (
        (data, ""),
        (data, "*"),
        (data, sign(stranger, "request", "b1", data)),
        (data, sign(merchant.key, "answer", "b1", data)),
        (data.replace(b"b1", b"b2"), good),
        (data.replace(b"platform", b"somebody"), good),
    ):
        assert merchant.post("query", body, signature).status_code == 403
    assert merchant.post("query", b"{", good).status_code == 400
    assert merchant.post("query", b"x" * 100_000, good).status_code == 413


@pytest.mark.parametrize(
    ("kind", "done"), [("lost_answer", True), ("nonsense", True), ("lost_request", False), ("system_error", False)]
)
def test_an_unclear_answer_says_nothing_about_what_was_done(merchant: Merchant, kind: str, done: bool) -> None:
    before, number = merchant.balances()["shop"], f"c-{kind}"
    merchant.control("POST", "faults", kind=kind, method="charge")
    answer = merchant.call("charge", number, amount_fen=1)
    signed = HEADER in answer.headers
    assert signed == (kind == "system_error")
    assert merchant.status("query", number) == ("SUCCESS" if done else "NOT_KNOWN")
    assert merchant.balances()["shop"] == before - (1 if done else 0)


@pytest.mark.parametrize(("kind", "status"), [("refused", "FAILED"), ("insufficient", "INSUFFICIENT")])
def test_a_definite_failure_stays_one(merchant: Merchant, kind: str, status: str) -> None:
    merchant.control("POST", "faults", kind=kind, method="charge")
    number = f"d-{kind}"
    assert [merchant.status(method, number) for method in ("charge", "charge", "query")] == [status] * 3


def test_a_deferred_transfer_is_told_when_it_happened(merchant: Merchant) -> None:
    merchant.control("POST", "faults", kind="deferred", method="charge", delay_ms=50)
    assert merchant.status("charge", "e1", amount_fen=1) == "WAITING"
    until(lambda: merchant.status("query", "e1") == "SUCCESS", TIMEOUT_S)
    until(lambda: any(json.loads(body)["out_no"] == "e1" for body, _ in merchant.notices), TIMEOUT_S)


def test_a_doubled_notice_comes_twice(merchant: Merchant) -> None:
    merchant.control("POST", "faults", kind="double_notice", method="charge")
    merchant.status("charge", "f1", amount_fen=1)
    until(lambda: sum(json.loads(body)["out_no"] == "f1" for body, _ in merchant.notices) == 2, TIMEOUT_S)


def test_a_delayed_answer_is_good_but_late(merchant: Merchant) -> None:
    merchant.control("POST", "faults", kind="delay", method="query", delay_ms=300)
    answer = merchant.call("query", "never")
    assert answer.json()["status"] == "NOT_KNOWN"
    assert answer.elapsed.total_seconds() >= 0.3


def test_the_cashier_is_clicked_once(merchant: Merchant) -> None:
    answer = merchant.call("collect", "g1", account=None, amount_fen=19800, title='<b>"年票"</b>').json()
    before = merchant.balances()["platform"]
    page = requests.get(answer["pay_url"], timeout=TIMEOUT_S).text
    assert "¥198.00" in page
    assert "&lt;b&gt;" in page
    for _ in range(2):
        assert "已支付" in requests.post(answer["pay_url"], timeout=TIMEOUT_S).text
    assert merchant.balances()["platform"] == before + 19800
    assert requests.get(answer["pay_url"] + "x", timeout=TIMEOUT_S).status_code == 404


def test_the_statement_is_signed_and_complete(merchant: Merchant) -> None:
    answer = merchant.call("statement", "s1", from_ms=0, to_ms=1 << 60)
    assert is_signed(merchant.provider_key, "answer", "s1", answer.content, answer.headers[HEADER])
    lines = answer.json()["lines"]
    assert sum(line["amount_fen"] for line in lines) == merchant.balances()["platform"]


def test_the_control_endpoint_needs_its_token(merchant: Merchant) -> None:
    for method, path in (("GET", "accounts"), ("POST", "faults"), ("POST", "accounts"), ("POST", "merchants")):
        url = f"{merchant.ready['url']}/alipay/control/{path}"
        assert requests.request(method, url, json={}, timeout=TIMEOUT_S).status_code == 403
    assert merchant.control("POST", "faults", kind="sabotage").status_code == 400
    assert merchant.control("POST", "faults", kind="delay", delay_ms=10**9).status_code == 400
    assert merchant.control("POST", "accounts", name="new", amount_fen=5).json() == {"balance_fen": 5}


def test_each_provider_has_a_book_of_its_own(merchant: Merchant) -> None:
    merchant.control("POST", "accounts", "huijinbao", name="platform", amount_fen=7)
    before = merchant.balances()
    assert merchant.status("charge", "h1", at="huijinbao") == "FAILED"  # the shop has no account there
    assert merchant.status("query", "h1") == "NOT_KNOWN"
    assert merchant.balances() == before


@pytest.mark.parametrize(("kind", "status"), [("lost_answer", "SUCCESS"), ("lost_request", "NOT_KNOWN")])
def test_faults_strike_fund_moves_too(merchant: Merchant, kind: str, status: str) -> None:
    merchant.control("POST", "accounts", "huijinbao", name="platform", amount_fen=100)
    merchant.control("POST", "faults", "huijinbao", kind=kind, method="fund_buy")
    number = f"i-{kind}"
    assert HEADER not in merchant.call("fund_buy", number, "huijinbao", account="o1", amount_fen=10).headers
    assert merchant.status("query", number, at="huijinbao") == status


def test_a_deferred_fund_move_is_told_when_it_happened_with_its_yield(merchant: Merchant) -> None:
    merchant.control("POST", "accounts", "huijinbao", name="platform", amount_fen=100)
    merchant.status("fund_buy", "j1", at="huijinbao", account="o2", amount_fen=10)
    yielded = merchant.control("POST", "funds/yield", "huijinbao", app_id="platform", fund="o2", yield_fen=3)
    assert yielded.status_code == 200
    merchant.control("POST", "faults", "huijinbao", kind="deferred", method="fund_close", delay_ms=50)
    assert merchant.status("fund_close", "j2", at="huijinbao", account="o2", amount_fen=10) == "WAITING"
    until(lambda: "SUCCESS" in merchant.told("j2"), TIMEOUT_S)
    closed = merchant.call("query", "j2", "huijinbao").json()
    assert (closed["amount_fen"], closed["yield_fen"]) == (10, 3)


def test_a_sweep_arrives_late_and_whoever_waits_for_it_is_told(merchant: Merchant) -> None:
    merchant.control("POST", "accounts", name="platform", amount_fen=50)
    merchant.control("POST", "faults", kind="late_arrival", method="sweep_out", delay_ms=400)
    sent = merchant.status("sweep_out", "k1", account="huijinbao", original="k2", amount_fen=50)
    assert sent == "SUCCESS"
    assert merchant.status("sweep_in", "k2", at="huijinbao", account=None, amount_fen=50) == "WAITING"
    until(lambda: "SUCCESS" in merchant.told("k2"), TIMEOUT_S)
    assert merchant.status("query", "k2", at="huijinbao") == "SUCCESS"


def test_a_sweep_arrives_though_the_other_provider_refused_to_wait_for_it(merchant: Merchant) -> None:
    merchant.control("POST", "accounts", name="platform", amount_fen=50)
    merchant.control("POST", "faults", "huijinbao", kind="refused", method="sweep_in")
    assert merchant.status("sweep_in", "k4", at="huijinbao", account=None, amount_fen=50) == "FAILED"
    assert merchant.status("sweep_out", "k3", account="huijinbao", original="k4", amount_fen=50) == "SUCCESS"
    until(lambda: "SUCCESS" in merchant.told("k4"), TIMEOUT_S)
    assert merchant.status("query", "k4", at="huijinbao") == "SUCCESS"


def test_the_terms_of_a_provider_can_be_set(merchant: Merchant) -> None:
    assert merchant.control("POST", "fees", kind="payout", fee_fen=0).status_code == 200
    assert merchant.control("POST", "fees", kind="lunch", fee_fen=1).status_code == 400
    assert merchant.control("POST", "fees", kind="payout", fee_fen=-1).status_code == 400
    assert merchant.control("POST", "funds", "huijinbao", bps_a_day=2).status_code == 200


def test_an_account_without_its_provider_ends_with_78(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "sandbox_provider", "run", "--data", str(tmp_path / "data"), "--port", "0"]
    done = subprocess.run([*command, "--account", "shop=100"], capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 78
    assert "PROVIDER:NAME=FEN" in done.stderr


@pytest.mark.slow
def test_a_wrong_fault_file_ends_with_78(tmp_path: Path) -> None:
    (tmp_path / "faults.json").write_text('[{"kind": "sabotage"}]')
    command = [sys.executable, "-m", "sandbox_provider", "run", "--data", str(tmp_path / "data"), "--port", "0"]
    done = subprocess.run(
        [*command, "--faults", str(tmp_path / "faults.json")], capture_output=True, text=True, timeout=30, check=False
    )
    assert done.returncode == 78
    assert "sabotage" in done.stderr
