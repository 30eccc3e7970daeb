"""A product's entry rule: in versions, never against what was sold, told in the list to every gate it opens."""

from __future__ import annotations

from uuid import UUID

import msgspec
import pytest
import sqlalchemy as sa

from sync_server.audit.tables import event_log
from sync_server.catalog import rules
from sync_server.catalog.products import find_product
from sync_server.centre import Centre
from sync_server.errors import NotAllowedError, NotFoundError
from sync_server.feed.publishing import publish_feeds
from tests.sync_server.feed.fetching import fetch
from tests.sync_server.town import Town, build_town
from wire.calendar import MAX_HOURS, MAX_RANGES, DayRange, Hours
from wire.entitlement import Rule

EVERYTHING = Rule(
    per_day=2, per_month=10, per_year=60, total=200, gap_min=30, leave_first=True, party=3, needs_card=True,
    slots=(Hours(480, 660, 0b1_1111, 2400, 2500),), blackout=(DayRange(2465, 2471, "国庆"), DayRange(0, 9999, "", 1)),
)  # fmt: skip


@pytest.fixture
def town(any_centre: Centre) -> Town:
    return build_town(any_centre)


def id_of(town: Town, name: str) -> UUID:
    with town.centre.read() as connection:
        found: UUID = find_product(connection, town.products[name]).id
    return found


def set_rule(town: Town, name: str, rule: Rule, after_version: int | None = None) -> int:
    product_id = id_of(town, name)
    with town.centre.write() as connection:
        return rules.set_rule(connection, product_id, rule, town.clock.now_ms, "test", after_version=after_version)


def in_force(town: Town, name: str) -> Rule:
    product_id = id_of(town, name)
    with town.centre.read() as connection:
        return rules.rules(connection)[product_id]


def test_a_product_begins_with_the_rule_it_was_added_with(town: Town) -> None:
    assert in_force(town, "annual") == Rule(per_day=3)
    assert in_force(town, "double") == Rule(per_day=None, total=2)


def test_every_part_of_a_rule_is_kept_and_told_to_all_its_venues(town: Town) -> None:
    publish_feeds(town.centre)
    assert set_rule(town, "annual", EVERYTHING) == 1
    assert publish_feeds(town.centre) == 2
    for venue in ("bridge", "park"):
        told = {one.number: one.rule for one in fetch(town, venue).documents[-1].products}
        assert told[town.products["annual"]] == EVERYTHING
    assert in_force(town, "double") == Rule(per_day=None, total=2)


def test_its_versions_stay_and_the_same_again_makes_none(town: Town) -> None:
    assert set_rule(town, "annual", Rule(per_day=1)) == 1
    assert set_rule(town, "annual", Rule(per_day=1)) == 1
    assert set_rule(town, "annual", Rule(per_day=2), after_version=1) == 2
    assert in_force(town, "annual") == Rule(per_day=2)
    with pytest.raises(NotAllowedError, match="at version 2, not 1"):
        set_rule(town, "annual", EVERYTHING, after_version=1)
    with town.centre.read() as connection:
        kept = rules.versions(connection, id_of(town, "annual"), 10)
        told = connection.scalars(sa.select(event_log.c.detail).where(event_log.c.action == "product.rule")).all()
    assert [msgspec.json.decode(row.rule, type=Rule).per_day for row in kept] == [2, 1]
    assert [msgspec.json.decode(text)["version"] for text in told] == [1, 2]
    with pytest.raises(sa.exc.DBAPIError, match="append-only"), town.centre.write() as connection:
        connection.exec_driver_sql("UPDATE product_rule SET version = 9")


@pytest.mark.parametrize("total", [None, 1, 3])
def test_a_ticket_opens_as_often_as_it_was_sold_for(town: Town, total: int | None) -> None:
    with pytest.raises(NotAllowedError, match="2 in all"):
        set_rule(town, "double", Rule(per_day=None, total=total))
    assert set_rule(town, "double", Rule(per_day=1, total=2, gap_min=10)) == 1


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        (Rule(per_day=3, per_month=2), "per_day is more than per_month"),
        (Rule(per_day=3, total=2), "per_day is more than total"),
        (Rule(per_day=None, per_month=9, per_year=8), "per_month is more than per_year"),
    ],
)
def test_a_limit_above_a_wider_one_is_refused(town: Town, rule: Rule, words: str) -> None:
    with pytest.raises(NotAllowedError, match=words):
        set_rule(town, "annual", rule)


@pytest.mark.parametrize(
    "rule",
    [
        *(Rule(per_day=0), Rule(party=51), Rule(gap_min=-1), Rule(total=10_001)),
        Rule(slots=(Hours(0, 60),) * (MAX_HOURS + 1)),
        Rule(blackout=(DayRange(1, 1),) * (MAX_RANGES + 1)),
    ],
)
def test_what_no_gate_takes_is_refused(town: Town, rule: Rule) -> None:
    with pytest.raises(msgspec.ValidationError):
        set_rule(town, "annual", rule)
    assert in_force(town, "annual") == Rule(per_day=3)


def test_the_longest_rule_fits_the_log(town: Town) -> None:
    longest = msgspec.structs.replace(
        EVERYTHING,
        slots=tuple(Hours(0, 60 + number, 127, 1, 2) for number in range(MAX_HOURS)),
        blackout=tuple(DayRange(number, number, "因" * 40) for number in range(MAX_RANGES)),
    )
    assert set_rule(town, "annual", longest) == 1


def test_an_unknown_product_is_refused(town: Town) -> None:
    with pytest.raises(NotFoundError), town.centre.write() as connection:
        rules.set_rule(connection, town.venues["park"], Rule(), 0, "test")
