"""Paid orders become passes: signed for the right place and time, numbered, drawn, and never twice."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

import cv2
import numpy as np
import pytest
import segno
import sqlalchemy as sa
import zxingcpp
from stdnum import luhn

from sync_server import setbacks
from sync_server.catalog.tables import product
from sync_server.centre import Centre
from sync_server.errors import NotAllowedError, NotFoundError
from sync_server.issuance.issuing import STEP, issue_paid_orders, new_number
from sync_server.issuance.pass_states import MOVES
from sync_server.issuance.passes import change_status, find_pass, token_of
from sync_server.issuance.qr import qr_svg
from sync_server.issuance.tables import PASS_STATUSES, entitlement, issued_pass
from sync_server.keys import key_set
from sync_server.orders import paying, placing
from sync_server.orders.progress import take_payments
from sync_server.orders.tables import order, order_item
from sync_server.payments import transfers
from tests.sync_server.town import HOLDER, OpenHanded, Town, build_town
from wire import moments
from wire.keyset import KeySet, read_key_set
from wire.token import Claims, Place, Scope, read_token

HOUR_MS = 3_600_000
ZONE = ZoneInfo("Asia/Shanghai")


@pytest.fixture
def town(centre: Centre) -> Town:
    return build_town(centre)


def keys_of(town: Town) -> KeySet:
    with town.centre.read() as connection:
        newest = key_set.newest(connection)
    found = read_key_set(newest.document, newest.root_public)
    assert isinstance(found, KeySet)
    return found


def claims_of(town: Town, token: str, venue: int = 1, after_ms: int = 0) -> object:
    return read_token(token, keys_of(town), Place(venue), town.clock.now_ms + after_ms)


def test_a_single_ticket_is_signed_for_its_venue_to_the_end_of_its_last_day(any_centre: Centre) -> None:
    town = build_town(any_centre)
    [sold] = town.sell("single")
    claims = claims_of(town, sold.token)
    assert isinstance(claims, Claims), claims
    assert (claims.pass_id, claims.product, claims.issue) == (sold.pass_id, town.products["single"], 1)
    assert (claims.scope_kind, claims.scope) == (Scope.VENUE, 1)
    assert claims.not_before == moments.minute_floor(town.clock.now_ms), "without a delay it opens at once"
    end = datetime.fromtimestamp(moments.minute_ms(claims.not_after) / 1000, ZONE)
    begin = datetime.fromtimestamp(town.clock.now_ms / 1000, ZONE)
    assert (end.hour, end.minute, (end.date() - begin.date()).days) == (0, 0, 7)
    assert claims_of(town, sold.token, venue=2) == "wrong_venue"
    with town.centre.read() as connection:
        assert connection.scalar(sa.select(order.c.state)) == "ISSUED"
        [item] = connection.execute(sa.select(order_item)).all()
        [right] = connection.execute(sa.select(entitlement)).all()
    assert (item.valid_from, item.valid_to) == (claims.not_before, claims.not_after)
    assert right.item_id == item.id


def test_an_annual_pass_is_signed_by_list_and_waits_its_activation_delay(town: Town) -> None:
    [sold] = town.sell("annual", holders=[HOLDER])
    assert claims_of(town, sold.token) == "not_yet_active"
    claims = claims_of(town, sold.token, venue=2, after_ms=24 * HOUR_MS + 60_000)
    assert isinstance(claims, Claims), claims
    assert (claims.scope_kind, claims.scope) == (Scope.LIST, 0)
    assert claims.not_before == moments.minute_ceil(town.clock.now_ms + 24 * HOUR_MS)
    with town.centre.read() as connection:
        assert connection.scalar(sa.select(sa.func.count()).select_from(entitlement)) == 2


def test_every_ticket_of_an_order_has_its_own_pass(town: Town) -> None:
    sold = town.sell("single", 5)
    assert len({one.pass_id for one in sold}) == len({one.number for one in sold}) == 5
    assert issue_paid_orders(town.centre) == 0


def test_numbers_are_digits_with_a_check_digit() -> None:
    numbers = {new_number() for _ in range(200)}
    assert len(numbers) == 200
    assert all(len(number) == 16 and number.isdigit() and luhn.is_valid(number) for number in numbers)
    assert new_number(bytes) == "1000000000000008"


def test_the_code_is_a_qr_code_of_version_6_that_a_camera_reads(town: Town) -> None:
    [sold] = town.sell("single")
    code = segno.make_qr(sold.token, version=6, error="m", mode="alphanumeric", boost_error=False)
    assert code.designator == "6-M"
    svg = qr_svg(sold.token)
    assert svg.startswith("<svg") and "<script" not in svg
    pixels = np.array([[0 if dark else 255 for dark in row] for row in code.matrix_iter(scale=4, border=4)], np.uint8)
    [read] = zxingcpp.read_barcodes(cv2.cvtColor(pixels, cv2.COLOR_GRAY2BGR))
    assert read.text == sold.token


def test_one_order_that_cannot_be_issued_holds_up_no_other(town: Town) -> None:
    centre = town.centre
    with centre.write() as connection:
        connection.execute(
            product.update().where(product.c.number == town.products["annual"]).values(activation_delay_h=9_000)
        )
    for name, holders in (("annual", (HOLDER,)), ("single", ())):
        with centre.write() as connection:
            payer = None if holders else town.distributor
            new = placing.NewOrder(town.products[name], 1, "其他", payer, holders)
            placed = placing.place(centre, connection, new, "test")
            assert isinstance(placed, placing.Placed)
            paying.pay(connection, placed.order_id, "test", centre.now_ms())
    transfers.move_due(centre, {"ALIPAY": OpenHanded()})
    take_payments(centre)
    assert issue_paid_orders(centre) == 1
    with centre.read() as connection:
        (waits,) = setbacks.listed(connection)
        assert (waits.step, "validity is too short" in waits.reason) == (STEP, True)
        states = sorted(connection.execute(sa.select(order.c.state)).scalars())
        assert states == ["ISSUED", "ISSUING"]
        assert connection.scalar(sa.select(sa.func.count()).select_from(issued_pass)) == 1
    with centre.write() as connection:
        connection.execute(product.update().values(activation_delay_h=0))
    assert issue_paid_orders(centre) == 0  # it waits
    town.clock.pass_ms(setbacks.FIRST_PAUSE_MS)
    assert issue_paid_orders(centre) == 1
    with centre.read() as connection:
        assert setbacks.listed(connection) == []


def test_status_moves_only_as_the_table_says(town: Town) -> None:
    [sold] = town.sell("single")
    with town.centre.write() as connection:
        for status in PASS_STATUSES:
            for event in ("suspend", "resume", "revoke"):
                connection.execute(issued_pass.update().values(status=status))
                after = MOVES.get((status, event))
                if after is None:
                    with pytest.raises(NotAllowedError, match=f"is {status}: you cannot {event} it"):
                        change_status(connection, sold.number, event, "test", 0, "test")
                else:
                    assert change_status(connection, sold.number, event, "test", 0, "test") == after


def test_a_pass_is_found_by_its_number_however_it_is_typed(town: Town) -> None:
    [sold] = town.sell("single")
    spaced = " ".join(sold.number[i : i + 4] for i in range(0, 16, 4))
    with town.centre.read() as connection:
        assert find_pass(connection, spaced).id == sold.pass_id
        assert token_of(connection, sold.pass_id) == sold.token
        with pytest.raises(NotFoundError):
            find_pass(connection, "1000000000000008")
