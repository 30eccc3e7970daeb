"""The gates' interface over HTTP: who gets in, what it is given, and that a batch sent twice counts once."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import msgspec
import pytest
import sqlalchemy as sa
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from sync_server.centre import Centre
from sync_server.feed.publishing import publish_feeds
from sync_server.feed.rotating import rotate_venue_keys
from sync_server.gates import enrolment, fleet, registry
from sync_server.gates.tables import device
from sync_server.issuance.credentials import bind_id_numbers
from sync_server.keys import key_set
from sync_server.redemptions.tables import entry, redemption
from tests.sync_server.device_api.box import Box, config_of, error, town_keys
from tests.sync_server.town import HOLDER, START_MS, Gate, Town, build_town
from wire import signing
from wire.envelope import NONCE_HEADER, WINDOW_MS
from wire.feed import Head, Part, PassRow, SegmentFlaw, open_segment, read_head
from wire.messages import (
    ENROLMENT_SECRET_BYTES,
    MAX_BATCH_BYTES,
    EnrolReply,
    EnrolRequest,
    GateConfig,
    read_config,
    read_enrolment_code,
)
from wire.signing import SealFlaw

HOUR_MS = 3_600_000
VECTORS = Path(__file__).parents[4] / "shared/vectors/cctv/ed25519vectors.json"


@pytest.fixture
def town(centre: Centre) -> Town:
    return build_town(centre)


def new_code(town: Town) -> bytes:
    with town.centre.write() as connection:
        root = key_set.newest(connection).root_public
        code = enrolment.make_code(connection, town.venues["bridge"], root, town.clock.now_ms, "test")
    typed = read_enrolment_code(code.text().lower())
    assert typed is not None and typed.pins(root)
    return typed.secret


def enrol(http: FlaskClient, secret: bytes, public: bytes) -> TestResponse:
    asked = EnrolRequest(secret, public, "agent 1.0", "东门 1")
    return http.post("/device/v1/enrol", data=msgspec.msgpack.encode(asked))


def test_a_box_enrols_waits_for_approval_and_is_configured(http: FlaskClient, town: Town) -> None:
    private = b"p" * 32
    secret = new_code(town)
    answer = enrol(http, secret, signing.public_key_of(private))
    reply = msgspec.msgpack.decode(answer.data, type=EnrolReply)
    assert msgspec.msgpack.decode(enrol(http, secret, signing.public_key_of(private)).data, type=EnrolReply) == reply
    with town.centre.read() as connection:
        found = registry.find_device(connection, reply.device)
        [listed] = fleet.list_gates(connection)
    assert found is not None
    assert (listed["state"], listed["name"]) == ("pending", "东门 1")
    assert listed["check"] == signing.check_characters(signing.public_key_of(private))
    box = Box(http, town, Gate(found, private))
    assert error(box.ask("GET", "/device/v1/config")) == (403, "pending")
    with town.centre.write() as connection:
        registry.approve(connection, reply.device, START_MS, "test")
    config = config_of(box)
    assert (config.venue, config.key_set) == (1, reply.key_set)
    with town.centre.write() as connection:
        registry.revoke(connection, reply.device, "stolen", START_MS, "test")
    assert error(box.ask("GET", "/device/v1/config")) == (403, "revoked")


def test_wrong_used_and_expired_codes_get_the_same_answer(http: FlaskClient, town: Town) -> None:
    def public(n: int) -> bytes:
        return signing.public_key_of(bytes([n]) * 32)

    used, expired = new_code(town), new_code(town)
    assert enrol(http, used, public(1)).status_code == 200
    town.clock.pass_ms(enrolment.CODE_LIFE_MS)
    answers = {enrol(http, secret, public(2)).data for secret in (used, expired, bytes(ENROLMENT_SECRET_BYTES))}
    assert len(answers) == 1
    assert error(enrol(http, used, public(2))) == (403, "code_refused")
    assert error(enrol(http, new_code(town), public(1))) == (403, "key_in_use")
    assert error(http.post("/device/v1/enrol", data=b"\xc1")) == (400, "malformed")
    assert error(http.post("/device/v1/enrol", data=b"x" * 10_000)) == (413, "too_large")


def test_low_order_and_non_canonical_keys_are_refused(http: FlaskClient, town: Town) -> None:
    if not VECTORS.exists():
        pytest.skip(f"the public vectors are not at {VECTORS}")
    flags = {"low_order_A", "non_canonical_A"}
    bad = {row["key"] for row in json.loads(VECTORS.read_text()) if flags & set(row["flags"] or ())}
    assert len(bad) >= 14
    for key in sorted(bad):
        assert error(enrol(http, new_code(town), bytes.fromhex(key))) == (403, "key_refused")
    with town.centre.read() as connection:
        assert connection.execute(sa.select(device)).all() == []


def test_only_fresh_requests_signed_by_the_gate_itself_are_believed(http: FlaskClient, town: Town) -> None:
    gate = town.gate()
    box = Box(http, town, gate)
    config = "/device/v1/config"
    assert box.ask("GET", config, nonce=b"n" * 16).status_code == 200
    assert error(box.ask("GET", config, nonce=b"n" * 16)) == (401, "replayed")
    assert error(box.ask("GET", config, now_ms=town.clock.now_ms - WINDOW_MS - 1)) == (401, "outside_window")
    assert error(box.ask("GET", config, private=b"x" * 32)) == (401, "forged")
    assert error(box.ask("GET", config, signed_body=b"other")) == (401, "forged")
    assert error(box.ask("GET", config, device_id=bytes(16))) == (401, "unknown_device")
    assert error(http.get(config)) == (401, "malformed")
    assert error(http.get(config, headers={NONCE_HEADER: "zz"})) == (401, "malformed")
    town.clock.pass_ms(2 * WINDOW_MS + 1)
    assert registry.forget_old_nonces(town.centre) == 1


def test_a_batch_sent_twice_is_counted_once_and_answered_alike(http: FlaskClient, town: Town) -> None:
    [sold] = town.sell("single")
    gate = town.gate()
    gate.admit(sold, START_MS + HOUR_MS)
    town.clock.pass_ms(2 * HOUR_MS)
    box = Box(http, town, gate)
    first, again = box.send(gate.batch()), box.send(gate.batch())
    assert first.status_code == 200 and first.mimetype == "application/octet-stream"
    assert first.data == again.data
    assert town.read_receipt(first.data).through_seq == 2
    with town.centre.read() as connection:
        assert connection.scalar(sa.select(sa.func.count()).select_from(entry)) == 2
        assert connection.scalar(sa.select(sa.func.count()).select_from(redemption)) == 1
        [row] = fleet.list_gates(connection)
    assert (row["last_seen_ms"], row["waiting"], row["held"]) == (town.clock.now_ms, 0, [1, 1])


def test_a_sign_of_life_is_receipted(http: FlaskClient, town: Town) -> None:
    gate = town.gate()
    answer = Box(http, town, gate).send(gate.batch())
    assert town.read_receipt(answer.data).through_seq == 0


def test_what_is_no_batch_is_not_taken(http: FlaskClient, town: Town) -> None:
    [sold] = town.sell("single")
    gate, other = town.gate(), town.gate(name="G2")
    gate.admit(sold, START_MS)
    box = Box(http, town, gate)
    path, good = "/device/v1/entries", gate.batch()
    assert error(box.send(b"junk")) == (400, "malformed")
    assert error(box.send(msgspec.msgpack.encode([2, "of a later release"]))) == (400, "needs_update")
    assert error(box.ask("POST", path, b"not gzip")) == (400, "malformed")
    assert error(box.ask("POST", path, gzip.compress(good)[:-4])) == (400, "malformed")
    assert error(box.ask("POST", path, gzip.compress(good) + b"more")) == (400, "malformed")
    assert error(box.send(bytes(MAX_BATCH_BYTES + 1))) == (413, "too_large")
    gate.hashes[-1] = bytes(32)
    assert error(box.send(gate.batch())) == (400, "broken_chain")
    assert error(box.send(other.batch())) == (403, "wrong_device")
    assert error(box.http.post(path, data=b"x" * (MAX_BATCH_BYTES + 1))) == (413, "too_large")
    with town.centre.read() as connection:
        assert connection.execute(sa.select(entry)).all() == []


@pytest.mark.slow
def test_the_list_is_served_to_any_cache(http: FlaskClient, town: Town) -> None:
    sold = town.sell("single", 3)
    gate = town.gate()
    publish_feeds(town.centre)
    config = config_of(Box(http, town, gate))
    answer = http.get(f"/feed/{config.feed_id.hex()}/head")
    assert answer.headers["Cache-Control"] == "public, max-age=1"
    assert not {"Set-Cookie", "Vary"} & set(answer.headers.keys())
    unchanged = http.get(f"/feed/{config.feed_id.hex()}/head", headers={"If-None-Match": answer.headers["ETag"]})
    assert (unchanged.status_code, unchanged.data) == (304, b"")
    head = read_head(answer.data, town_keys(town), config.feed_id)
    assert isinstance(head, Head)
    listed = []
    for ref in head.snapshot:
        fetched = http.get(f"/feed/segments/{ref.name.hex()}")
        assert "immutable" in fetched.headers["Cache-Control"]
        opened = open_segment(fetched.data, ref.name, dict(config.list_keys))
        assert isinstance(opened, tuple), opened
        if opened[0] is Part.PASSES:
            listed += [row.pass_id for row in opened[1] if isinstance(row, PassRow)]
    assert sorted(listed) == sorted(one.pass_id for one in sold)
    for path in (
        f"/feed/{bytes(16).hex()}/head",
        "/feed/zz/head",
        f"/feed/segments/{bytes(32).hex()}",
        "/feed/segments/zz",
        f"/feed/segments/{head.snapshot[0].name.hex()}%0a",
    ):
        assert http.get(path).status_code == 404


def test_a_changed_list_shows_after_the_cache_has_aged(http: FlaskClient, town: Town) -> None:
    publish_feeds(town.centre)
    gate = town.gate()
    config = config_of(Box(http, town, gate))
    path = f"/feed/{config.feed_id.hex()}/head"
    before = http.get(path).headers["ETag"]
    town.sell("single")
    publish_feeds(town.centre)
    statements: list[str] = []
    sa.event.listen(town.centre.engine, "before_cursor_execute", lambda *given: statements.append(given[2]))
    assert http.get(path).headers["ETag"] == before
    assert statements == [], "a head is answered before any row is opened"
    town.clock.pass_ms(500)
    assert http.get(path).headers["ETag"] != before


def test_a_revoked_gate_learns_none_of_the_venues_new_keys_and_the_others_read_on(
    town: Town, http: FlaskClient
) -> None:
    town.sell("single", 2)
    publish_feeds(town.centre)
    staying, leaving = Box(http, town, town.gate()), Box(http, town, town.gate(name="G2"))
    before = config_of(leaving)
    with town.centre.write() as connection:
        registry.revoke(connection, leaving.gate.device.id, "stolen", town.clock.now_ms, "test")
    assert [rotate_venue_keys(town.centre), rotate_venue_keys(town.centre)] == [1, 0]
    town.sell("single")
    publish_feeds(town.centre)
    after = config_of(staying)
    assert after.credential_keys[0] not in before.credential_keys
    assert after.credential_keys[1:] == before.credential_keys
    assert len(opened(http, after)) == 3
    stale = opened(http, before)
    assert len(stale) == 0, "the snapshot was made anew under the new key"
    assert leaving.ask("GET", "/device/v1/config").status_code == 403


def test_two_gates_revoked_one_after_the_other_leave_no_card_unknown(town: Town, http: FlaskClient) -> None:
    """Until the list is made anew it rests on a key that the gates that stay have."""
    town.sell("annual", holders=[HOLDER])
    while bind_id_numbers(town.centre):
        pass
    publish_feeds(town.centre)
    staying = Box(http, town, town.gate())
    leaving = [town.gate(name=name) for name in ("G2", "G3")]
    listed = {town.credential_key("bridge")}
    for gate, changes in zip(leaving, (1, 0), strict=True):
        with town.centre.write() as connection:
            registry.revoke(connection, gate.device.id, "stolen", town.clock.now_ms, "test")
        assert rotate_venue_keys(town.centre) == changes
        assert listed <= set(config_of(staying).credential_keys)
    while publish_feeds(town.centre):
        pass
    assert rotate_venue_keys(town.centre) == 1, "now those that the second one knew"
    config = config_of(staying)
    assert len(config.credential_keys) == 2 and not listed & set(config.credential_keys)
    while publish_feeds(town.centre):
        pass
    assert len(opened(http, config)) == 1
    assert rotate_venue_keys(town.centre) == 0


def opened(http: FlaskClient, config: GateConfig) -> set[bytes]:
    """The passes that the keys of a configuration find in the list."""
    head = signing.unseal("head", 1, http.get(f"/feed/{config.feed_id.hex()}/head").data)
    assert not isinstance(head, SealFlaw)
    found = set()
    said = msgspec.msgpack.decode(head.payload, type=Head)
    for ref in (*said.snapshot, *said.deltas):
        data = http.get(f"/feed/segments/{ref.name.hex()}").data
        segment = open_segment(data, ref.name, dict(config.list_keys))
        if not isinstance(segment, SegmentFlaw):
            found |= {row.pass_id for row in segment[1] if isinstance(row, PassRow)}
    return found


def test_a_gate_that_missed_a_change_of_the_root_key_follows_by_its_configuration(
    town: Town, http: FlaskClient
) -> None:
    box = Box(http, town, town.gate())
    pinned = town_keys(town).root
    key_set.rotate_root(town.centre, "test")
    data = box.ask("GET", "/device/v1/config").data
    read = read_config(data, box.gate.device.id, pinned)
    assert isinstance(read, tuple), read
    assert read[1].root != pinned
