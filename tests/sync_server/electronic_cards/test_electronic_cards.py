"""A gate asks whose electronic card it was shown: over HTTP, sealed, and proof for the entry that follows."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
import sqlalchemy as sa
from msgspec import UNSET
from werkzeug.test import TestResponse

from sandbox_card_platform.faults import FaultKind
from sync_server.centre import Centre
from sync_server.create_app import app_of
from sync_server.electronic_cards import resolving
from sync_server.feed.contents import stated_by_venue
from sync_server.feed.rotating import rotate_venue_keys
from sync_server.gates import registry
from sync_server.issuance.credentials import bind_id_numbers
from sync_server.keys import key_set
from tests.sync_server.card_platform import CardPlatform, running, take_electronic_cards, with_platform
from tests.sync_server.town import HOLDER, START_MS, Gate, Sold, build_town
from wire.credential import CredentialKind, id_credential, person_hash
from wire.electronic_card import AUTH_LEVEL, Answer, Finding, digest_of, encode_question, read_answer
from wire.envelope import sign_request
from wire.keyset import KeySet, read_key_set
from wire.messages import Outcome, Presentation

PATH = "/device/v1/electronic-card"
HOUR_MS = 3_600_000
LI = HOLDER.id_number or ""


class Bridge:
    """A venue that takes electronic cards, with one gate and one holder of a ticket."""

    def __init__(self, centre: Centre, platform: CardPlatform) -> None:
        self.platform = platform
        self.town = build_town(with_platform(centre, platform))
        take_electronic_cards(self.centre, 1)
        [self.sold] = self.sell()
        self.gate = self.town.gate()
        self.http = app_of(self.centre).test_client()
        self.requests = 0

    @property
    def centre(self) -> Centre:
        return self.town.centre

    def sell(self) -> list[Sold]:
        sold = self.town.sell("single", holders=[HOLDER])
        assert bind_id_numbers(self.centre) == 1
        return sold

    def post(self, body: bytes, gate: Gate | None = None, **changed: Any) -> TestResponse:
        gate = gate or self.gate
        self.requests += 1
        nonce = changed.get("nonce", self.requests.to_bytes(16, "big"))
        private = changed.get("private", gate.private)
        headers = sign_request(private, gate.device.id, "POST", PATH, body, self.town.clock.now_ms, nonce)
        return self.http.post(PATH, data=body, headers=headers)

    def ask(self, code: str, gate: Gate | None = None) -> Answer:
        """The answer as that gate believes it."""
        gate = gate or self.gate
        body = encode_question(code, self.requests.to_bytes(16, "big"))
        sent = self.post(body, gate)
        assert sent.status_code == 200, sent.json
        with self.centre.read() as connection:
            published = key_set.newest(connection)
        keys = read_key_set(published.document, published.root_public)
        assert isinstance(keys, KeySet)
        answer = read_answer(sent.data, keys, gate.device.id, digest_of(body), self.town.clock.now_ms)
        assert isinstance(answer, Answer), answer
        return answer

    def hash_of(self, id_number: str) -> bytes:
        """As a gate with a reader for ID numbers would make it of a physical card."""
        with self.centre.read() as connection:
            salt = key_set.deployment_salt(connection, self.centre.secrets)
        return id_credential(self.town.credential_key("bridge"), person_hash(id_number, salt))

    def reads(self) -> int:
        with self.centre.read() as connection:
            return connection.scalar(sa.text("SELECT count(*) FROM electronic_card_read")) or 0


@pytest.fixture
def bridge(centre: Centre, tmp_path: Path) -> Iterator[Bridge]:
    with running(tmp_path, centre.now_ms) as platform:
        yield Bridge(centre, platform)


def test_a_code_becomes_the_hash_under_which_the_list_knows_its_holder(bridge: Bridge) -> None:
    answer = bridge.ask(bridge.platform.draw(LI))
    assert (answer.finding, answer.hashes) == (Finding.FOUND, ((CredentialKind.ID_NUMBER, bridge.hash_of(LI)),))


@pytest.mark.slow
def test_two_passes_of_one_person_are_one_hash(bridge: Bridge) -> None:
    bridge.sell()
    assert len(bridge.ask(bridge.platform.draw(LI)).hashes) == 1


def test_what_the_platform_says_reaches_the_gate(bridge: Bridge) -> None:
    code = bridge.platform.draw(LI)
    assert bridge.ask(code).finding is Finding.FOUND
    assert bridge.ask(code).finding is Finding.USED
    assert bridge.ask(bridge.platform.draw("410202198503071238")).finding is Finding.UNKNOWN, "who has no pass"
    bridge.platform.play(FaultKind.EXPIRED)
    assert bridge.ask(bridge.platform.draw(LI)).finding is Finding.EXPIRED
    bridge.platform.play(FaultKind.DOWN)
    assert bridge.ask(bridge.platform.draw(LI)).finding is Finding.UNREACHABLE
    assert bridge.reads() == 1


def test_after_a_change_of_the_venues_keys_both_hashes_are_told(bridge: Bridge) -> None:
    before = bridge.hash_of(LI)
    leaving = bridge.town.gate(name="G2")
    with bridge.centre.write() as connection:
        registry.revoke(connection, leaving.device.id, "stolen", bridge.town.clock.now_ms, "test")
    assert rotate_venue_keys(bridge.centre) == 1
    hashes = [value for _, value in bridge.ask(bridge.platform.draw(LI)).hashes]
    assert hashes == [bridge.hash_of(LI), before]
    assert bridge.hash_of(LI) != before


def test_only_an_active_gate_of_a_venue_that_takes_them_may_ask_and_once(bridge: Bridge) -> None:
    code = bridge.platform.draw(LI)
    body = encode_question(code, bytes(16))
    refused = {
        "forged": bridge.post(body, private=b"x" * 32),
        "malformed": bridge.post(b"\xc1"),
        "not_taken": bridge.post(body, bridge.town.gate("park")),
        "pending": bridge.post(body, bridge.town.gate(name="G3", approved=False)),
    }
    assert {word: (answer.json or {})["error"] for word, answer in refused.items()} == {word: word for word in refused}
    assert bridge.post(b"x" * 5_000).status_code == 413
    first, again = bridge.post(body, nonce=b"n" * 16), bridge.post(body, nonce=b"n" * 16)
    assert (first.status_code, (again.json or {})["error"]) == (200, "replayed")
    assert bridge.ask(code).finding is Finding.USED, "only the one good request reached the platform"


def test_the_list_says_how_codes_look_and_knows_the_people_by_their_numbers(bridge: Bridge) -> None:
    with bridge.centre.read() as connection:
        by_number = {one.document.venue: one for one in stated_by_venue(connection, bridge.centre.settings).values()}
        silent = stated_by_venue(connection, msgspec.structs.replace(bridge.centre.settings, card_platform_url=None))
    assert by_number[1].document.electronic_card == bridge.centre.settings.code_shape
    assert by_number[1].with_id_numbers
    assert by_number[2].document.electronic_card is UNSET
    assert not by_number[2].with_id_numbers
    assert all(one.document.electronic_card is UNSET and not one.with_id_numbers for one in silent.values())


def admit(bridge: Bridge, at_ms: int, gate: Gate | None = None, level: int = AUTH_LEVEL) -> Outcome:
    """How an entry by an electronic card counts that the gate says it made at `at_ms`."""
    gate = gate or bridge.gate
    proof = bytes([level, CredentialKind.ID_NUMBER]) + bridge.hash_of(LI)
    gate.admit(bridge.sold, at_ms, presentation=Presentation.ELECTRONIC_CARD, evidence=proof)
    bridge.town.clock.pass_ms(HOUR_MS)
    return bridge.town.upload(gate).verdicts[-1][1]


def test_an_entry_is_proven_by_the_code_that_was_resolved_for_this_gate_then(bridge: Bridge) -> None:
    bridge.ask(bridge.platform.draw(LI))
    assert admit(bridge, START_MS + 900) is Outcome.CLAIMED


@pytest.mark.slow
@pytest.mark.parametrize("off_ms", [-2 * 60_000, 2 * 60_000])
def test_a_code_resolved_at_another_time_proves_nothing(bridge: Bridge, off_ms: int) -> None:
    bridge.town.clock.pass_ms(HOUR_MS)
    bridge.ask(bridge.platform.draw(LI))
    assert admit(bridge, bridge.town.clock.now_ms + off_ms) is Outcome.UNPROVEN


def test_a_code_resolved_for_another_gate_or_never_proves_nothing(bridge: Bridge) -> None:
    assert admit(bridge, START_MS) is Outcome.UNPROVEN
    now_ms = bridge.town.clock.now_ms
    bridge.ask(bridge.platform.draw(LI))
    assert admit(bridge, now_ms, bridge.town.gate(name="G2")) is Outcome.UNPROVEN


def test_only_its_own_level_goes_with_an_electronic_card(bridge: Bridge) -> None:
    bridge.ask(bridge.platform.draw(LI))
    assert admit(bridge, START_MS, level=2) is Outcome.UNPROVEN
    proof = bytes([AUTH_LEVEL, CredentialKind.ID_NUMBER]) + bridge.hash_of(LI)
    bridge.gate.admit(bridge.sold, START_MS, presentation=Presentation.CARD, evidence=proof)
    assert bridge.town.upload(bridge.gate).verdicts[-1][1] is Outcome.UNPROVEN


def test_reads_are_forgotten_when_no_entry_waits_for_them(bridge: Bridge) -> None:
    bridge.ask(bridge.platform.draw(LI))
    bridge.town.clock.pass_ms(resolving.READS_KEPT_MS)
    assert resolving.forget_old_reads(bridge.centre) == 0
    bridge.town.clock.pass_ms(1)
    assert [resolving.forget_old_reads(bridge.centre), bridge.reads()] == [1, 0]


def test_nothing_in_the_database_tells_who_was_resolved(bridge: Bridge) -> None:
    code = bridge.platform.draw(LI)
    bridge.ask(code)
    with bridge.centre.engine.connect() as connection:
        connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
    path = bridge.centre.engine.url.database
    assert path is not None
    held = Path(path).read_bytes()
    assert LI.encode() not in held
    assert code.encode() not in held
