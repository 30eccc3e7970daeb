"""Changes go out as deltas, which are put together and compacted without a gate ever losing a row."""

from __future__ import annotations

from uuid import UUID

import pytest
import sqlalchemy as sa

from sync_server.catalog.tables import product
from sync_server.centre import Centre
from sync_server.feed import contents, publishing, segments, snapshots
from sync_server.feed.publishing import publish_feeds, publish_venue
from sync_server.feed.tables import feed, feed_building, feed_segment
from sync_server.gates import registry
from sync_server.issuance.passes import change_status
from sync_server.issuance.tables import entitlement, issued_pass
from tests.sync_server.feed.fetching import compact, fetch
from tests.sync_server.town import Town, build_town
from wire.entitlement import PassStatus

pytestmark = pytest.mark.slow  # each publishes again and again


@pytest.fixture
def town(centre: Centre) -> Town:
    return build_town(centre)


def test_a_change_goes_out_as_a_small_delta_and_the_snapshot_stays(town: Town) -> None:
    sold = town.sell("single", 5)
    publish_feeds(town.centre)
    held = fetch(town)
    with town.centre.write() as connection:
        change_status(connection, sold[0].number, "suspend", "lost", town.clock.now_ms, "test")
    publish_feeds(town.centre)
    after = fetch(town, after=held)
    assert after.head.snapshot == held.head.snapshot
    assert len(after.head.deltas) == 2  # one pass, one name
    assert after.passes[sold[0].pass_id].status is PassStatus.SUSPENDED
    assert after.passes == fetch(town).passes
    assert after.documents == held.documents


def test_another_document_is_a_delta_too(town: Town) -> None:
    publish_feeds(town.centre)
    held = fetch(town)
    with town.centre.write() as connection:
        connection.execute(product.update().where(product.c.number == town.products["annual"]).values(per_day=1))
    publish_feeds(town.centre)
    after = fetch(town, after=held)
    assert after.head.snapshot == held.head.snapshot
    rules = {one.number: one.rule for one in after.documents[-1].products}
    assert rules[town.products["annual"]].per_day == 1
    assert publish_feeds(town.centre) == 0


def test_many_deltas_are_put_together_and_no_gate_loses_a_row(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(publishing, "MAX_DELTAS", 4)
    sold = town.sell("single", 8)
    publish_feeds(town.centre)
    gates = [fetch(town)]
    for one in sold:
        with town.centre.write() as connection:
            change_status(connection, one.number, "suspend", "lost", town.clock.now_ms, "test")
        publish_feeds(town.centre)
        gates.append(fetch(town))
        assert len({ref.version for ref in gates[-1].head.deltas}) <= 5
    whole = {one.pass_id: PassStatus.SUSPENDED for one in sold}
    for held in gates:  # each fell behind at another moment
        caught_up = fetch(town, after=held)
        assert {pass_id: row.status for pass_id, row in caught_up.passes.items()} == whole


def test_a_pass_that_changes_while_deltas_are_merged_is_in_the_merged_one(
    town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(publishing, "MAX_DELTAS", 0)
    publish_feeds(town.centre)
    [sold] = town.sell("single")
    publish_feeds(town.centre)
    sealing = segments.seal_chunk

    def meanwhile(*given: object) -> object:
        with town.centre.write() as connection:
            connection.execute(entitlement.update().values(listed_version=None))
        return sealing(*given)  # type: ignore[arg-type]  # passed on as given

    [_other] = town.sell("single")
    with monkeypatch.context() as patched:
        patched.setattr(publishing, "seal_chunk", meanwhile)
        publish_venue(town.centre, town.venues["bridge"])
    assert len({ref.version for ref in fetch(town).head.deltas}) == 1
    assert sold.pass_id in fetch(town).passes


def test_a_snapshot_outgrown_by_its_deltas_is_made_anew(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(snapshots, "OUTGROWN_ROWS", 6)
    publish_feeds(town.centre)
    first = fetch(town)
    for _ in range(4):
        town.sell("single")
        publish_feeds(town.centre)
    after = fetch(town)
    assert after.head.snapshot_version > first.head.snapshot_version
    assert len(after.head.deltas) < 8
    assert len(after.passes) == 4
    assert after.head.version > first.head.version


def test_deltas_go_on_while_a_large_snapshot_is_built_over_many_turns(
    town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    sold = town.sell("single", 9)
    publish_feeds(town.centre)
    held = fetch(town)
    monkeypatch.setattr(contents, "PASSES_PER_SEGMENT", 2)
    monkeypatch.setattr(snapshots, "ROWS_PER_TURN", 2)
    compact(town)
    for turn, one in enumerate(sorted(sold, key=lambda one: one.pass_id)[:3]):
        assert fetch(town).head.snapshot == held.head.snapshot, f"turn {turn}: still being built"
        with town.centre.write() as connection:
            change_status(connection, one.number, "suspend", "lost", town.clock.now_ms, "test")
        publish_feeds(town.centre)
        assert fetch(town, after=held).passes[one.pass_id].status is PassStatus.SUSPENDED
    while publish_feeds(town.centre):
        pass
    after = fetch(town)
    assert after.head.snapshot_version > held.head.snapshot_version
    assert len(after.head.snapshot) == 1 + 5 * 2
    assert sum(row.status is PassStatus.SUSPENDED for row in after.passes.values()) == 3
    assert len(after.passes) == 9


def begin_first(town: Town, monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """Nine passes, of which the first turns have put some into the venue's first snapshot; their ids in order."""
    monkeypatch.setattr(contents, "PASSES_PER_SEGMENT", 2)
    monkeypatch.setattr(snapshots, "ROWS_PER_TURN", 2)
    sold = town.sell("single", 9)
    while building(town) is None or (building(town) or b"") < min(one.pass_id for one in sold):
        publish_feeds(town.centre)
    return sorted(one.pass_id for one in sold)


def building(town: Town) -> bytes | None:
    """Up to which pass the bridge's snapshot is built; None: none is."""
    with town.centre.read() as connection:
        mine = feed_building.c.venue_id == town.venues["bridge"]
        return connection.scalar(sa.select(feed_building.c.after_pass_id).where(mine))


def suspend(town: Town, pass_id: bytes) -> None:
    with town.centre.write() as connection:
        number = connection.scalars(sa.select(issued_pass.c.number).where(issued_pass.c.id == pass_id)).one()
        change_status(connection, number, "suspend", "lost", town.clock.now_ms, "test")


def is_published(town: Town) -> bool:
    with town.centre.read() as connection:
        mine = feed.c.venue_id == town.venues["bridge"]
        return connection.scalar(sa.select(feed.c.head).where(mine)) is not None


def test_what_is_suspended_while_the_first_snapshot_is_built_is_so_in_the_first_list(
    town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    passes = begin_first(town, monkeypatch)
    suspended = set()
    for pass_id in (passes[0], passes[-1]):  # the building is past the first and has not come to the last
        suspend(town, pass_id)
        suspended.add(pass_id)
        publish_feeds(town.centre)
        assert not is_published(town)
    while not is_published(town):
        publish_feeds(town.centre)
    first = fetch(town)
    assert len(first.passes) == 9
    assert {row.pass_id for row in first.passes.values() if row.status is PassStatus.SUSPENDED} == suspended
    assert {ref.version for ref in first.head.deltas}
    suspend(town, passes[4])
    publish_feeds(town.centre)
    assert fetch(town, after=first).passes[passes[4]].status is PassStatus.SUSPENDED
    while publish_feeds(town.centre):
        pass


def test_rules_that_change_while_the_first_snapshot_is_built_are_told_once(
    town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    begin_first(town, monkeypatch)
    for per_day in (1, 2):
        with town.centre.write() as connection:
            annual = product.c.number == town.products["annual"]
            connection.execute(product.update().where(annual).values(per_day=per_day))
        publish_feeds(town.centre)
    assert not is_published(town)
    while publish_feeds(town.centre):
        pass
    after = fetch(town)
    assert {one.number: one.rule for one in after.documents[-1].products}[town.products["annual"]].per_day == 2
    assert len(after.documents) == 1 + 2


def test_a_first_snapshot_whose_keys_change_under_it_begins_again_with_what_came_meanwhile(
    town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    passes = begin_first(town, monkeypatch)
    suspend(town, passes[0])
    publish_feeds(town.centre)
    reader = town.gate(name="R", approved=False)
    with town.centre.write() as connection:
        registry.approve(connection, reader.device.id, town.clock.now_ms, "test", reads_id_numbers=True)
    while publish_feeds(town.centre):
        pass
    after = fetch(town)
    assert len(after.passes) == 9
    assert [row.pass_id for row in after.passes.values() if row.status is PassStatus.SUSPENDED] == [passes[0]]


def test_a_snapshot_whose_keys_change_under_it_begins_again(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    town.sell("single", 5)
    publish_feeds(town.centre)
    monkeypatch.setattr(contents, "PASSES_PER_SEGMENT", 2)
    monkeypatch.setattr(snapshots, "ROWS_PER_TURN", 2)
    compact(town)
    reader = town.gate(name="R", approved=False)
    with town.centre.write() as connection:  # another basis: ID numbers are to be in the list
        registry.approve(connection, reader.device.id, town.clock.now_ms, "test", reads_id_numbers=True)
    while publish_feeds(town.centre):
        pass
    assert len(fetch(town).passes) == 5
    with town.centre.read() as connection:
        assert connection.execute(sa.select(feed_building)).all() == []
        live = sa.select(sa.func.count()).where(
            feed_segment.c.dropped_at_ms.is_(None), feed_segment.c.venue_id == town.venues["bridge"]
        )
        assert connection.scalar(live) == len(fetch(town).head.snapshot)


def test_a_large_import_is_marked_in_parts_and_listed_whole(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(publishing, "MARKED_AT_ONCE", 2)
    publish_feeds(town.centre)
    held = fetch(town)
    sold = town.sell("single", 5)
    publish_feeds(town.centre)
    after = fetch(town, after=held)
    assert set(after.passes) == {one.pass_id for one in sold}
    with town.centre.read() as connection:
        marks = set(connection.scalars(sa.select(entitlement.c.listed_version)))
    assert None not in marks and len(marks) == 3


def test_a_worker_that_was_overtaken_publishes_nothing_older(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    publish_feeds(town.centre)
    [sold] = town.sell("single")
    marking, newest = publishing._mark_listed, []

    def overtaken(centre: Centre, venue_id: UUID) -> int:
        version = marking(centre, venue_id)
        monkeypatch.setattr(publishing, "_mark_listed", marking)
        publish_venue(centre, venue_id)
        newest.append(fetch(town).head.version)
        return version

    monkeypatch.setattr(publishing, "_mark_listed", overtaken)
    publish_venue(town.centre, town.venues["bridge"])
    assert [fetch(town).head.version] == newest
    assert sold.pass_id in fetch(town).passes
