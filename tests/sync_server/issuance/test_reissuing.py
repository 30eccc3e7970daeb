"""A revoked pass key: everything it signed is signed anew, once, and the lists name the new code."""

from __future__ import annotations

import pytest
import sqlalchemy as sa
from cryptography.hazmat.primitives.asymmetric import ec

from sync_server.centre import Centre
from sync_server.feed.publishing import publish_feeds
from sync_server.issuance import reissuing
from sync_server.issuance.holder_keys import bind_phones, phones_of, register
from sync_server.issuance.passes import change_status, token_of
from sync_server.issuance.reissuing import reissue_revoked
from sync_server.issuance.tables import pass_token
from sync_server.keys import key_set
from tests.sync_server.feed.fetching import fetch
from tests.sync_server.town import Sold, Town, build_town
from wire import holder_proof, presentation
from wire.keyset import KeySet, read_key_set
from wire.presentation import FullCode
from wire.reasons import Reason
from wire.signing import Purpose
from wire.token import Claims, Place, read_token


@pytest.fixture
def town(any_centre: Centre) -> Town:
    return build_town(any_centre)


def read(town: Town, token: str) -> Claims | Reason:
    with town.centre.read() as connection:
        newest = key_set.newest(connection)
    keys = read_key_set(newest.document, newest.root_public)
    assert isinstance(keys, KeySet)
    code = presentation.read_presentation(token)
    if isinstance(code, FullCode):
        return presentation.read_full(code, keys, Place(1), town.clock.now_ms)
    return read_token(token, keys, Place(1), town.clock.now_ms)


def token_now(town: Town, sold: Sold) -> str:
    with town.centre.read() as connection:
        return token_of(connection, sold.pass_id)


def test_codes_of_a_revoked_key_are_signed_anew_and_listed(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reissuing, "MAX_REISSUED_PER_STEP", 2)
    *sold, dead = town.sell("single", 4)
    with town.centre.write() as connection:
        change_status(connection, dead.number, "revoke", "refunded", town.clock.now_ms, "test")
    publish_feeds(town.centre)
    assert reissue_revoked(town.centre) == 0
    key_set.revoke_key(town.centre, 1, "leaked", "test")
    assert {read(town, one.token) for one in sold} == {Reason.UNKNOWN_KEY}
    assert [reissue_revoked(town.centre) for _ in range(3)] == [2, 1, 0]
    for one in sold:
        claims = read(town, token_now(town, one))
        assert isinstance(claims, Claims), claims
        assert (claims.pass_id, claims.issue) == (one.pass_id, 2)
    publish_feeds(town.centre)
    listed = fetch(town).passes
    assert {one.pass_id: listed[one.pass_id].lowest_issue for one in sold} == {one.pass_id: 2 for one in sold}
    assert token_now(town, dead) == dead.token
    with town.centre.read() as connection:  # the old codes still prove the entries made with them
        assert connection.scalar(sa.select(sa.func.count()).select_from(pass_token)) == 4 + 3


def test_a_phone_bound_by_a_revoked_key_is_bound_anew_though_the_code_of_its_pass_is_good(town: Town) -> None:
    [sold] = town.sell("single")
    later = key_set.create_key(town.centre, Purpose.PASS, "test")
    key_set.start_key(town.centre, later, "test")
    phone = ec.generate_private_key(ec.SECP256R1())
    with town.centre.write() as connection:
        register(connection, sold.number, holder_proof.public_key_of(phone), town.clock.now_ms, "test")
    assert [bind_phones(town.centre), bind_phones(town.centre)] == [1, 0]
    assert isinstance(read(town, full_code(town, sold, phone)), Claims)
    key_set.revoke_key(town.centre, later, "leaked", "test")
    assert read(town, full_code(town, sold, phone)) is Reason.UNKNOWN_KEY
    assert reissue_revoked(town.centre) == 0
    assert [bind_phones(town.centre), bind_phones(town.centre)] == [1, 0]
    assert isinstance(read(town, full_code(town, sold, phone)), Claims)


def full_code(town: Town, sold: Sold, phone: ec.EllipticCurvePrivateKey) -> str:
    """As the phone draws it now, with what the centre signed for it."""
    with town.centre.read() as connection:
        [known] = phones_of(connection, sold.number)
    assert known.binding is not None
    step = presentation.step_at(town.clock.now_ms)
    proof = holder_proof.sign(phone, presentation.holder_message(sold.pass_id, known.generation, step))
    return presentation.full_text(known.binding, step, proof)
