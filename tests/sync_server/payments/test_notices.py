"""The provider's notices over HTTP: good ones once, forged, doubled, late and changed ones without harm."""

from __future__ import annotations

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from flask.testing import FlaskClient

from sandbox_provider.faults import FaultKind
from sandbox_provider.notices import told
from sandbox_provider.signing import HEADER, sign
from sync_server.centre import Centre
from sync_server.create_app import app_of
from sync_server.orders.progress import take_payments
from sync_server.payments.transfers import move_due
from tests.sync_server.conftest import Clock
from tests.sync_server.sandbox import Sandbox, World, money_flaws

HOUR_MS = 3_600_000


@pytest.fixture
def world(centre: Centre, sandbox: Sandbox) -> World:
    """SQLite will do: what a notice does is tried on both elsewhere."""
    return World(centre, sandbox)


@pytest.fixture
def web(world: World) -> FlaskClient:
    return app_of(world.centre).test_client()


def unanswered_charge(world: World) -> str:
    """An order whose charge was made but whose answer was lost; its number at the provider."""
    world.buy()
    world.sandbox.play(FaultKind.LOST_ANSWER, "charge")
    move_due(world.centre, world.clients)
    (line,) = world.sandbox.book.statement("platform", 0, 1 << 60)
    return str(line["out_no"])


def notice(world: World, number: str, **changes: object) -> bytes:
    transfer = world.sandbox.book.find(number)
    assert transfer is not None
    return msgspec.json.encode({**msgspec.json.decode(told(transfer)), **changes})


def post(world: World, web: FlaskClient, out_no: str, body: bytes, **signing: object) -> tuple[int, str]:
    key = signing.get("key", world.sandbox.provider.key)
    assert isinstance(key, rsa.RSAPrivateKey)
    signature = sign(key, str(signing.get("purpose", "notice")), out_no, body)
    answer = web.post("/callbacks/alipay", data=body, headers={HEADER: signature})
    return answer.status_code, answer.text


def test_a_good_notice_ends_the_waiting_and_a_second_one_changes_nothing(world: World, web: FlaskClient) -> None:
    out_no = unanswered_charge(world)
    for _ in range(3):
        assert post(world, web, out_no, notice(world, out_no)) == (200, "success")
    assert take_payments(world.centre) == 1
    assert take_payments(world.centre) == 0
    with world.centre.read() as connection:
        assert money_flaws(connection) == []


def test_a_late_notice_after_the_query_changes_nothing(world: World, web: FlaskClient, clock: Clock) -> None:
    out_no = unanswered_charge(world)
    clock.pass_ms(HOUR_MS)
    world.turn()
    assert post(world, web, out_no, notice(world, out_no)) == (200, "success")
    with world.centre.read() as connection:
        assert money_flaws(connection) == []


def test_what_the_provider_did_not_sign_as_a_notice_is_refused(world: World, web: FlaskClient) -> None:
    out_no = unanswered_charge(world)
    body = notice(world, out_no)
    stranger = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    assert post(world, web, out_no, body, key=stranger)[0] == 403
    assert post(world, web, out_no, body, purpose="answer")[0] == 403
    assert post(world, web, "another number", body)[0] == 403
    assert post(world, web, out_no, notice(world, out_no, app_id="another"))[0] == 403
    good = sign(world.sandbox.provider.key, "notice", out_no, body)
    for data, signature in (
        (body + b" ", good),
        (b"", good),
        (b"{", good),
        (b"\xff" * 100, good),
        (body, ""),
        (body, "é"),
    ):
        answer = web.post("/callbacks/alipay", data=data, headers={HEADER: signature})
        assert (answer.status_code, answer.text) == (403, "not signed by the provider")
    assert take_payments(world.centre) == 0


@pytest.mark.slow
def test_a_changed_amount_is_not_believed(world: World, web: FlaskClient) -> None:
    out_no = unanswered_charge(world)
    post(world, web, out_no, notice(world, out_no, amount_fen=1))
    assert take_payments(world.centre) == 0
    post(world, web, out_no, notice(world, out_no))
    assert take_payments(world.centre) == 1


def test_a_number_that_is_not_ours_is_not_acknowledged(world: World, web: FlaskClient) -> None:
    out_no = unanswered_charge(world)
    body = notice(world, out_no, out_no="unknown")
    assert post(world, web, "unknown", body) == (404, "unknown number")


def test_a_huge_notice_is_refused_unread(world: World, web: FlaskClient) -> None:
    answer = web.post("/callbacks/alipay", data=b"x" * (world.centre.settings.max_body_bytes + 1))
    assert answer.status_code == 413
    assert answer.json is not None


def test_pages_carry_the_security_headers(web: FlaskClient) -> None:
    headers = web.get("/healthz").headers
    assert "script-src 'self'" in headers["Content-Security-Policy"]
    assert "unsafe" not in headers["Content-Security-Policy"]
    assert headers["X-Content-Type-Options"] == "nosniff"
