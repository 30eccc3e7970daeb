"""The on-line check of codes that a phone draws: by the keys of the pass, once each, told where they were copied."""

from __future__ import annotations

import sqlalchemy as sa
from cryptography.hazmat.primitives.asymmetric import ec

from sync_server.issuance.holder_keys import bind_phones, register
from sync_server.issuance.tables import holder_key
from sync_server.redemptions.tables import redemption
from tests.sync_server.device_api.handheld import Handheld, outcomes
from tests.sync_server.town import HOLDER, Sold, Town
from wire import holder_proof, presentation
from wire.reasons import Reason

DAY_MS = 24 * 3_600_000 + 60_000  # an annual pass begins on a whole minute


def rotating(sold: Sold, phone: ec.EllipticCurvePrivateKey, generation: int, at_ms: int) -> str:
    step = presentation.step_at(at_ms)
    proof = holder_proof.sign(phone, presentation.holder_message(sold.pass_id, generation, step))
    return presentation.short_text(sold.pass_id, step, proof)


def with_phone(town: Town, sold: Sold) -> tuple[ec.EllipticCurvePrivateKey, int]:
    phone = ec.generate_private_key(ec.SECP256R1())
    with town.centre.write() as connection:
        generation = register(connection, sold.number, holder_proof.public_key_of(phone), town.clock.now_ms, "test")
    return phone, generation


def test_rotating_codes_are_judged_by_the_phones_of_the_pass(town: Town, device: Handheld) -> None:
    [sold] = town.sell("annual", holders=[HOLDER])
    town.clock.pass_ms(DAY_MS)
    phone, generation = with_phone(town, sold)
    now_ms = town.clock.now_ms
    assert device.show(sold.token).reason is Reason.NEEDS_ROTATING_CODE
    code = rotating(sold, phone, generation, now_ms)
    assert device.show(code).reason is None
    assert device.show(code).reason is Reason.CODE_REUSED
    assert device.show(rotating(sold, phone, generation, now_ms - 60_000)).reason is Reason.CODE_TOO_OLD
    stranger = ec.generate_private_key(ec.SECP256R1())
    forged = device.show(rotating(sold, stranger, generation, now_ms))
    assert (forged.reason, forged.pass_id) == (Reason.FORGED, None)
    unknown = Sold(b"8 bytes.", "", sold.ticket_id, "")
    assert device.show(rotating(unknown, phone, generation, now_ms)).reason is Reason.NOT_IN_LIST
    town.clock.pass_ms(30_000)
    with town.centre.write() as connection:
        connection.execute(holder_key.update().values(retired_at_ms=town.clock.now_ms))
    assert device.show(rotating(sold, phone, generation, town.clock.now_ms)).reason is Reason.REPLACED
    with town.centre.read() as connection:
        step = connection.scalar(sa.select(redemption.c.step))
    assert step == presentation.step_at(now_ms)
    assert [outcome for _, outcome in outcomes(town)] == ["PASS_VISIT"]


def test_a_code_that_opened_at_another_venue_just_now_is_told_to_people(town: Town, device: Handheld) -> None:
    [sold] = town.sell("annual", holders=[HOLDER])
    town.clock.pass_ms(DAY_MS)
    phone, generation = with_phone(town, sold)
    code = rotating(sold, phone, generation, town.clock.now_ms)
    elsewhere = Handheld(device.http, town, town.gate("park"))
    assert [one.show(code).reason for one in (device, elsewhere)] == [None, None]
    with town.centre.read() as connection:
        assert list(connection.scalars(sa.select(redemption.c.copied))) == [True, True]


def test_a_full_code_brings_its_key(town: Town, device: Handheld) -> None:
    [sold] = town.sell("annual", holders=[HOLDER])
    town.clock.pass_ms(DAY_MS)
    phone, generation = with_phone(town, sold)
    assert bind_phones(town.centre) == 1
    with town.centre.read() as connection:
        binding = connection.scalars(sa.select(holder_key.c.binding)).one()
    assert binding is not None
    step = presentation.step_at(town.clock.now_ms)
    proof = holder_proof.sign(phone, presentation.holder_message(sold.pass_id, generation, step))
    code = presentation.full_text(binding, step, proof)
    assert device.show(code).reason is None
    assert device.show(code).reason is Reason.CODE_REUSED
    town.clock.pass_ms(30_000)
    with town.centre.write() as connection:
        connection.execute(holder_key.update().values(retired_at_ms=town.clock.now_ms))
    step += 2
    proof = holder_proof.sign(phone, presentation.holder_message(sold.pass_id, generation, step))
    assert device.show(presentation.full_text(binding, step, proof)).reason is Reason.REPLACED
