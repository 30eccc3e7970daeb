"""A revoked pass key: everything it signed is signed anew, once, and the lists name the new code."""

from __future__ import annotations

import pytest
import sqlalchemy as sa

from sync_server.centre import Centre
from sync_server.feed.publishing import publish_feeds
from sync_server.issuance import reissuing
from sync_server.issuance.passes import change_status, token_of
from sync_server.issuance.reissuing import reissue_revoked
from sync_server.issuance.tables import pass_token
from sync_server.keys import key_set
from tests.sync_server.feed.fetching import fetch
from tests.sync_server.town import Sold, Town, build_town
from wire.keyset import KeySet, read_key_set
from wire.reasons import Reason
from wire.token import Claims, Place, read_token


@pytest.fixture
def town(any_centre: Centre) -> Town:
    return build_town(any_centre)


def read(town: Town, token: str) -> Claims | Reason:
    with town.centre.read() as connection:
        newest = key_set.newest(connection)
    keys = read_key_set(newest.document, newest.root_public)
    assert isinstance(keys, KeySet)
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
