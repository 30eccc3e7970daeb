"""What a broken or stolen box may send: told what is wrong with it, never a fault of the centre, never held up."""

from __future__ import annotations

import msgspec
import pytest
import sqlalchemy as sa
from flask.testing import FlaskClient

from sync_server.centre import Centre
from sync_server.create_app import app_of
from sync_server.gates.tables import gate_health
from sync_server.redemptions.tables import entry
from tests.sync_server.device_api.box import Box, error
from tests.sync_server.town import START_MS, Town, build_town
from tests.wire import samples
from wire.heartbeat import encode_heartbeat
from wire.messages import FIRST_HASH, EnrolRequest, EntryKind, entry_hash
from wire.redeem import encode_redeem


@pytest.fixture
def town(any_centre: Centre) -> Town:
    return build_town(any_centre)


@pytest.fixture
def http(town: Town) -> FlaskClient:
    return app_of(town.centre).test_client()


def not_text(body: bytes, part: bytes) -> bytes:
    """The same with a text in it that is no UTF-8."""
    assert part in body
    return body.replace(part, b"\xff" * len(part))


def test_text_that_is_none_is_malformed(http: FlaskClient, town: Town) -> None:
    enrolment = not_text(msgspec.msgpack.encode(EnrolRequest(bytes(10), bytes(32), "agent", "east")), b"east")
    assert error(http.post("/device/v1/enrol", data=enrolment)) == (400, "malformed")
    gate = town.gate()
    box = Box(http, town, gate)
    assert error(box.send(not_text(gate.batch(), b"test 1.0"))) == (400, "malformed")
    redeem = not_text(encode_redeem(samples.REDEEM_CARD), b"A12345678")
    assert error(box.ask("POST", "/device/v1/redeem", redeem)) == (400, "malformed")
    gate.write(EntryKind.EVENT, START_MS, reason="started")
    gate.bodies[-1] = not_text(gate.bodies[-1], b"started")
    gate.hashes[-1] = entry_hash(FIRST_HASH, gate.bodies[-1])
    assert error(box.send(gate.batch())) == (400, "malformed")


def test_a_heartbeat_that_cannot_be_read_costs_no_entry(http: FlaskClient, town: Town) -> None:
    gate = town.gate()
    gate.write(EntryKind.EVENT, START_MS, reason="started")
    health = not_text(encode_heartbeat(samples.HEARTBEAT), b"no answer")
    answer = Box(http, town, gate).send(gate.batch(health=health))
    assert town.read_receipt(answer.data).through_seq == 1
    with town.centre.read() as connection:
        assert len(connection.execute(sa.select(entry)).all()) == 1
        assert connection.execute(sa.select(gate_health)).all() == []
