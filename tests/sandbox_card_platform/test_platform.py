"""The card platform's stand-in: codes that rotate and are good once, signed answers, faults."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from sandbox_card_platform.faults import FaultKind
from sandbox_card_platform.signing import HEADER, is_signed, sign
from sandbox_card_platform.wallets import REMEMBERED_MS, Outcome, Person, Wallets

TIMEOUT_S = 10
TTL_MS = 60_000
LI = Person("11010519491231002X", "410200D156000005")


class Clock:
    now_ms = 1_000_000

    def __call__(self) -> int:
        return self.now_ms


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def wallets(clock: Clock) -> Wallets:
    made = Wallets(TTL_MS, clock, random.Random(1).choice)
    made.add(LI)
    return made


def test_a_code_is_good_once(wallets: Wallets) -> None:
    code = wallets.draw(LI.id_number)
    assert len(code) == 28 and code.startswith("SSC1") and code.isalnum()
    assert [wallets.resolve(code), wallets.resolve(code)] == [LI, Outcome.USED]


def test_a_code_ends_with_its_time_and_with_the_next_one(wallets: Wallets, clock: Clock) -> None:
    first, second = wallets.draw(LI.id_number), wallets.draw(LI.id_number)
    assert first != second
    assert wallets.resolve(first) is Outcome.EXPIRED
    clock.now_ms += TTL_MS - 1
    assert wallets.resolve(second) == LI
    third = wallets.draw(LI.id_number)
    clock.now_ms += TTL_MS
    assert wallets.resolve(third) is Outcome.EXPIRED


def test_what_is_long_over_is_forgotten(wallets: Wallets, clock: Clock) -> None:
    code = wallets.draw(LI.id_number)
    clock.now_ms += REMEMBERED_MS
    assert wallets.resolve(code) is Outcome.UNKNOWN
    assert wallets.resolve("SSC1nobody") is Outcome.UNKNOWN
    with pytest.raises(KeyError):
        wallets.draw("nobody")


class Customer:
    """A centre's side of a platform process."""

    def __init__(self, folder: Path) -> None:
        self.secret_file = folder / "secret"
        command = [sys.executable, "-m", "sandbox_card_platform", "run", "--port", "0"]
        self.process = subprocess.Popen(
            [*command, "--customer", f"platform={self.secret_file}", "--control-token", "token"],
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout is not None
        word, _, ready = self.process.stdout.readline().partition(" ")
        assert word == "READY"
        self.url = json.loads(ready)["url"]
        self.secret = bytes.fromhex(self.secret_file.read_text())
        self.asked = 0

    def ask(self, code: str, *, number: str = "", secret: bytes = b"", app_id: str = "platform") -> requests.Response:
        self.asked += 1
        number = number or f"n{self.asked}"
        body = json.dumps({"app_id": app_id, "number": number, "code": code}).encode()
        headers = {HEADER: sign(secret or self.secret, "request", number, body)}
        return requests.post(f"{self.url}/cards/resolve", data=body, headers=headers, timeout=TIMEOUT_S)

    def control(self, method: str, path: str, said: object = None, token: str = "token") -> requests.Response:
        headers = {"Sandbox-Control": token}
        return requests.request(method, f"{self.url}/control/{path}", json=said, headers=headers, timeout=TIMEOUT_S)

    def draw(self) -> str:
        return str(self.control("POST", "codes", {"id_number": LI.id_number}).json()["code"])

    def play(self, kind: FaultKind) -> None:
        assert self.control("POST", "faults", {"kind": kind}).status_code == 200


@pytest.fixture(scope="module")
def customer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Customer]:
    made = Customer(tmp_path_factory.mktemp("platform"))
    said = {"id_number": LI.id_number, "identification": LI.identification}
    assert made.control("POST", "people", said).json() == {"ok": True}
    yield made
    made.process.send_signal(signal.SIGTERM)
    assert made.process.wait(TIMEOUT_S) == 0
    assert made.process.stdout is not None
    made.process.stdout.close()


def test_a_customer_learns_whose_code_it_is_and_the_answer_is_signed(customer: Customer) -> None:
    assert customer.secret_file.stat().st_mode & 0o777 == 0o600
    answer = customer.ask(customer.draw(), number="mine")
    assert is_signed(customer.secret, "answer", "mine", answer.content, answer.headers[HEADER])
    person = {"id_number": LI.id_number, "identification": LI.identification}
    assert answer.json() == {"app_id": "platform", "number": "mine", "outcome": "FOUND", **person}


def test_a_code_and_a_request_are_good_once(customer: Customer) -> None:
    code = customer.draw()
    assert customer.ask(code, number="once").json()["outcome"] == "FOUND"
    assert customer.ask(customer.draw(), number="once").status_code == 409
    assert customer.ask(code).json()["outcome"] == "USED"


def test_strangers_are_told_nothing(customer: Customer) -> None:
    code = customer.draw()
    assert customer.ask(code, secret=bytes(32)).status_code == 403
    assert customer.ask(code, app_id="somebody").status_code == 403
    assert requests.post(f"{customer.url}/cards/resolve", data=b"{", timeout=TIMEOUT_S).status_code == 400
    assert customer.control("POST", "codes", {"id_number": LI.id_number}, token="guess").status_code == 403
    assert customer.control("POST", "codes", {"id_number": "nobody"}).status_code == 404
    assert customer.ask(code).json()["outcome"] == "FOUND", "none of these used it up"


def test_each_fault_strikes_once(customer: Customer) -> None:
    customer.play(FaultKind.DOWN)
    assert customer.ask(customer.draw()).status_code == 503
    customer.play(FaultKind.EXPIRED)
    assert customer.ask(customer.draw()).json()["outcome"] == "EXPIRED"
    for kind in (FaultKind.WRONG_SIGNATURE, FaultKind.OTHER_ANSWER, FaultKind.NONSENSE):
        customer.play(kind)
        answer = customer.ask(customer.draw(), number=f"by {kind}")
        assert not is_signed(customer.secret, "answer", f"by {kind}", answer.content, answer.headers.get(HEADER, "")), (
            kind
        )
    assert customer.ask(customer.draw()).json()["outcome"] == "FOUND"


def test_a_secret_that_cannot_be_read_ends_it_with_one_line(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("no hex")
    done = subprocess.run(
        [sys.executable, "-m", "sandbox_card_platform", "run", "--customer", f"platform={tmp_path / 'secret'}"],
        capture_output=True, text=True, timeout=TIMEOUT_S, check=False,
    )  # fmt: skip
    assert done.returncode == 78
    assert len(done.stderr.splitlines()) == 1
