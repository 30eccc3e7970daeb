"""What a broken or stolen box may send: told what is wrong with it, never a fault of the centre, never held up."""

from __future__ import annotations

import threading
from contextlib import suppress
from pathlib import Path

import msgspec
import psycopg
import pytest
import sqlalchemy as sa
from flask.testing import FlaskClient

from sync_server.create_app import RETRY_AFTER_S, app_of
from sync_server.crypto import Secrets
from sync_server.feed.rotating import rotate_venue_keys
from sync_server.gates import registry
from sync_server.gates.tables import gate_health
from sync_server.redemptions.tables import entry
from tests.sync_server.conftest import Clock, centre_at
from tests.sync_server.device_api.box import Box, error
from tests.sync_server.town import START_MS, Town, build_town
from tests.wire import samples
from wire.heartbeat import encode_heartbeat
from wire.messages import FIRST_HASH, EnrolRequest, EntryKind, entry_hash
from wire.redeem import encode_redeem


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


@pytest.mark.parametrize("path", ["/device/v1/config", "/device/v1/photo-keys"])
def test_a_gate_that_is_revoked_while_it_asks_learns_no_keys(http: FlaskClient, town: Town, path: str) -> None:
    """Between the look at the registry and the answer a writer may wait for seconds."""
    gate, revoked = town.gate(), threading.Event()

    def revoke(_connection: object, _cursor: object, statement: str, *_rest: object) -> None:
        if "FROM device JOIN venue" in statement and not revoked.is_set():
            revoked.set()
            with town.centre.write() as connection:
                registry.revoke(connection, gate.device.id, "stolen", town.clock.now_ms, "test")
            assert rotate_venue_keys(town.centre) == 1

    sa.event.listen(town.centre.engine, "after_cursor_execute", revoke)
    assert error(Box(http, town, gate).ask("GET", path)) == (403, "revoked")


def test_no_clock_leaves_a_revoked_gate_the_keys_of_its_venue(town: Town) -> None:
    one, other = town.gate(), town.gate(name="G2")
    at_ms = town.clock.now_ms
    with town.centre.write() as connection:
        registry.revoke(connection, one.device.id, "stolen", at_ms, "test")
    assert rotate_venue_keys(town.centre) == 1
    town.clock.pass_ms(-3_600_000)  # it was an hour ahead
    with town.centre.write() as connection:
        registry.revoke(connection, other.device.id, "stolen", town.clock.now_ms, "test")
    assert [rotate_venue_keys(town.centre), rotate_venue_keys(town.centre)] == [1, 0]


def test_whoever_guesses_enrolment_codes_keeps_nobody_from_writing(http: FlaskClient, town: Town) -> None:
    asked = msgspec.msgpack.encode(EnrolRequest(bytes(10), samples.KEY_SET.root, "agent", "east"))
    with town.centre.write():
        assert error(http.post("/device/v1/enrol", data=asked)) == (403, "code_refused")


@pytest.mark.postgres
def test_a_gate_whose_request_met_a_database_that_ends_is_told_to_ask_again(
    postgres_copy: str, tmp_path: Path, secrets: Secrets, clock: Clock
) -> None:
    town = build_town(centre_at(postgres_copy, tmp_path, secrets, clock))
    gate = town.gate()
    gate.write(EntryKind.EVENT, START_MS, reason="started")
    ended = list[int]()

    def end(connection: sa.Connection, _cursor: object, statement: str, *_rest: object) -> None:
        if not ended and "UPDATE device" in statement:
            ended.append(1)
            driver = connection.connection.driver_connection
            assert isinstance(driver, psycopg.Connection)
            with suppress(psycopg.OperationalError):
                driver.execute("SELECT pg_terminate_backend(pg_backend_pid(), 5000)")

    sa.event.listen(town.centre.engine, "before_cursor_execute", end)
    box = Box(app_of(town.centre).test_client(), town, gate)
    answer = box.send(gate.batch())
    assert (error(answer), answer.headers["Retry-After"]) == ((503, "service_unavailable"), str(RETRY_AFTER_S))
    assert box.send(gate.batch()).status_code == 200
    town.centre.engine.dispose()
