"""Phones that draw rotating codes: registered within limits, bound by the worker, listed while they live."""

from __future__ import annotations

import pytest
import sqlalchemy as sa
from cryptography.hazmat.primitives.asymmetric import ec

from sync_server.centre import Centre
from sync_server.errors import NotAllowedError
from sync_server.issuance import holder_keys
from sync_server.issuance.holder_keys import (
    LIVE_KEYS,
    REGISTRATIONS_LIMIT,
    REGISTRATIONS_WITHIN_MS,
    bind_phones,
    phones_of,
    register,
)
from sync_server.issuance.tables import entitlement
from sync_server.keys import key_set
from tests.sync_server.town import HOLDER, Sold, Town, build_town
from wire import holder_proof
from wire.keyset import KeySet, read_key_set
from wire.presentation import FullCode, full_text, holder_message, read_presentation
from wire.signing import Purpose

STEP = 119_000_000


@pytest.fixture
def town(any_centre: Centre) -> Town:
    return build_town(any_centre)


@pytest.fixture
def sold(town: Town) -> Sold:
    [one] = town.sell("annual", holders=[HOLDER])
    with town.centre.write() as connection:
        connection.execute(entitlement.update().values(listed_version=1))
    return one


def phone() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def let_in(town: Town, sold: Sold, public: bytes) -> int:
    with town.centre.write() as connection:
        return register(connection, sold.number, public, town.clock.now_ms, "test")


def live(town: Town, sold: Sold) -> list[int]:
    with town.centre.read() as connection:
        return [one.generation for one in phones_of(connection, sold.number)]


def test_a_third_phone_retires_the_one_used_longest_ago(town: Town, sold: Sold) -> None:
    first, second, third = (holder_proof.public_key_of(phone()) for _ in range(3))
    assert [let_in(town, sold, first), let_in(town, sold, second)] == [1, 2]
    town.clock.pass_ms(1_000)
    assert let_in(town, sold, first) == 1  # the same phone asks again: nothing new
    assert let_in(town, sold, third) == 3
    assert live(town, sold) == [1, 3]
    assert let_in(town, sold, second) == 4  # a key that was retired comes back as a new generation
    assert len(live(town, sold)) == LIVE_KEYS


def test_a_registration_makes_the_lists_anew(town: Town, sold: Sold) -> None:
    let_in(town, sold, holder_proof.public_key_of(phone()))
    with town.centre.read() as connection:
        unlisted = sa.select(sa.func.count()).where(entitlement.c.listed_version.is_(None))
        assert connection.scalar(unlisted) == 2  # both venues of the annual pass


def test_registrations_are_limited_within_thirty_days(town: Town, sold: Sold) -> None:
    for _ in range(REGISTRATIONS_LIMIT):
        let_in(town, sold, holder_proof.public_key_of(phone()))
    with pytest.raises(NotAllowedError, match="come back later"):
        let_in(town, sold, holder_proof.public_key_of(phone()))
    town.clock.pass_ms(REGISTRATIONS_WITHIN_MS)
    assert let_in(town, sold, holder_proof.public_key_of(phone())) == REGISTRATIONS_LIMIT + 1


@pytest.mark.slow
@pytest.mark.parametrize("public", [b"", bytes(33), b"\x02" + b"\xff" * 32, b"\x04" + bytes(64)])
def test_what_is_no_key_is_refused(town: Town, sold: Sold, public: bytes) -> None:
    with pytest.raises(NotAllowedError, match="P-256"):
        let_in(town, sold, public)


def test_the_worker_signs_what_the_full_form_needs_once(town: Town, sold: Sold) -> None:
    private = phone()
    generation = let_in(town, sold, holder_proof.public_key_of(private))
    assert [bind_phones(town.centre), bind_phones(town.centre)] == [1, 0]
    with town.centre.read() as connection:
        [one] = phones_of(connection, sold.number)
        published = key_set.newest(connection)
    keys = read_key_set(published.document, published.root_public)
    assert isinstance(keys, KeySet)
    assert one.binding is not None
    proof = holder_proof.sign(private, holder_message(sold.pass_id, generation, STEP))
    code = read_presentation(full_text(one.binding, STEP, proof))
    assert isinstance(code, FullCode), code
    key = keys.find(Purpose.PASS, code.key_id, town.clock.now_ms)
    assert key is not None
    assert (code.claims.pass_id, code.generation) == (sold.pass_id, generation)
    assert code.is_bound_by(key.public)
    assert code.is_by_holder()


def test_a_lost_phone_draws_nothing_any_more(town: Town, sold: Sold) -> None:
    let_in(town, sold, holder_proof.public_key_of(phone()))
    with town.centre.write() as connection:
        assert holder_keys.retire_all(connection, sold.number, "lost", town.clock.now_ms, "test") == 1
    assert live(town, sold) == []
