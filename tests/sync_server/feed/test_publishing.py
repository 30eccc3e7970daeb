"""A venue's list says what the tables say, is made anew when they change, and its head never grows old."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from types import ModuleType

import pytest
import sqlalchemy as sa
from cryptography.hazmat.primitives.asymmetric import ec

from sync_server.catalog.tables import product
from sync_server.centre import Centre
from sync_server.feed import contents, publishing, snapshots
from sync_server.feed.heads import DROPPED_KEPT_MS, RESIGN_AFTER_MS
from sync_server.feed.publishing import publish_feeds, publish_venue
from sync_server.feed.tables import feed, feed_building, feed_segment
from sync_server.gates import registry
from sync_server.gates.venue_keys import list_key
from sync_server.issuance.credentials import bind_card, bind_id_numbers
from sync_server.issuance.holder_keys import register
from sync_server.issuance.passes import change_status, find_pass
from sync_server.issuance.tables import entitlement, pass_token
from sync_server.keys import key_set
from tests.sync_server.town import HOLDER, Town, build_town
from wire import holder_proof
from wire.credential import CredentialKind, card_credential, id_credential, person_hash
from wire.entitlement import PassStatus, Rule
from wire.feed import (
    HEAD_NOT_AFTER_MS,
    Credential,
    Head,
    HolderKey,
    NameRow,
    PassRow,
    VenueDocument,
    open_segment,
    read_head,
)
from wire.keyset import KeySet, read_key_set
from wire.signing import Purpose

DAY_MS = 86_400_000


@pytest.fixture
def town(centre: Centre) -> Town:
    return build_town(centre)


@dataclass
class Fetched:
    """A venue's list as a gate reads it: the snapshot, then the deltas in order. `refs` names every segment read."""

    head: Head
    passes: dict[bytes, PassRow] = field(default_factory=dict)
    names: dict[bytes, NameRow] = field(default_factory=dict)
    documents: list[VenueDocument] = field(default_factory=list)


def fetch(town: Town, venue: str = "bridge", after: Fetched | None = None) -> Fetched:
    """The list anew, or with `after` as a gate that holds that list goes on: by the newer deltas alone."""
    centre = town.centre
    with centre.read() as connection:
        row = connection.execute(sa.select(feed).where(feed.c.venue_id == town.venues[venue])).one()
        published = key_set.newest(connection)
        keys = read_key_set(published.document, published.root_public)
        assert isinstance(keys, KeySet)
        head = read_head(row.head, keys, row.feed_id)
        assert isinstance(head, Head), head
        fetched = Fetched(head)
        refs = [*head.snapshot, *head.deltas]
        if after is not None:
            assert after.head.version >= head.snapshot_version, "the gap needs the snapshot"
            fetched = Fetched(head, dict(after.passes), dict(after.names), list(after.documents))
            refs = [ref for ref in head.deltas if ref.version > after.head.version]
        versions = [head.snapshot_version, *(ref.version for ref in head.deltas)]
        assert versions == sorted(versions) and versions[-1] == head.version
        for ref in refs:
            stored = connection.execute(sa.select(feed_segment).where(feed_segment.c.name == ref.name)).one()
            key = list_key(connection, centre.secrets, town.venues[venue])
            opened = open_segment(stored.data, ref.name, {key.id: key.key})
            assert isinstance(opened, tuple), opened
            for item in opened[1]:
                if isinstance(item, PassRow):
                    fetched.passes[item.pass_id] = item
                elif isinstance(item, NameRow):
                    fetched.names[item.pass_id] = item
                elif isinstance(item, VenueDocument):
                    fetched.documents.append(item)
    return fetched


def compact(town: Town, venue: str = "bridge") -> None:
    """Have the venue's snapshot made anew."""
    with town.centre.write() as connection:
        changed = feed.update().where(feed.c.venue_id == town.venues[venue])
        connection.execute(changed.values(basis_digest=bytes(32)))
    publish_feeds(town.centre)


def test_the_list_carries_passes_names_and_the_venues_document(town: Town) -> None:
    [single] = town.sell("single")
    [annual] = town.sell("annual", holders=[HOLDER])
    publish_feeds(town.centre)
    bridge, park = fetch(town), fetch(town, "park")
    assert set(bridge.passes) == {single.pass_id, annual.pass_id}
    assert set(park.passes) == {annual.pass_id}
    row = bridge.passes[annual.pass_id]
    assert (row.product, row.status, row.lowest_issue) == (town.products["annual"], PassStatus.ACTIVE, 1)
    assert bridge.names[annual.pass_id] == NameRow(annual.pass_id, annual.number, "李*花")
    assert bridge.names[single.pass_id].masked_name == ""
    [document] = bridge.documents
    assert (document.venue, document.zone, document.name_zh) == (1, "Asia/Shanghai", "虹桥")
    rules = {one.number: one.rule for one in document.products}
    assert rules == {
        town.products["annual"]: Rule(per_day=3, total=None),
        town.products["single"]: Rule(per_day=None, total=1),
        town.products["double"]: Rule(per_day=None, total=2),
    }
    assert bridge.head.not_after_ms == town.clock.now_ms + HEAD_NOT_AFTER_MS


def test_nothing_changed_nothing_is_made(town: Town) -> None:
    publish_feeds(town.centre)
    before = fetch(town).head
    assert publish_feeds(town.centre) == 0
    assert fetch(town).head == before


def test_a_suspended_pass_is_listed_as_such_under_a_higher_version(town: Town) -> None:
    [sold] = town.sell("single")
    publish_feeds(town.centre)
    before = fetch(town).head.version
    with town.centre.write() as connection:
        assert change_status(connection, sold.number, "suspend", "lost", town.clock.now_ms, "test") == "SUSPENDED"
    assert publish_feeds(town.centre) == 1
    after = fetch(town)
    assert after.head.version > before
    assert after.passes[sold.pass_id].status is PassStatus.SUSPENDED


def test_the_version_signed_into_a_token_is_above_every_list_without_it(town: Town) -> None:
    publish_feeds(town.centre)
    before = fetch(town).head.version
    [sold] = town.sell("single")
    with town.centre.read() as connection:
        issued = connection.scalar(sa.select(pass_token.c.issued_version).where(pass_token.c.pass_id == sold.pass_id))
    assert issued is not None
    publish_venue(town.centre, town.venues["park"])
    publish_feeds(town.centre)
    assert before < issued <= fetch(town).head.version


def test_cards_are_the_venues_own_hashes_and_id_numbers_go_only_where_they_are_read(town: Town) -> None:
    centre = town.centre
    [sold] = town.sell("annual", holders=[HOLDER])
    gate = town.gate()
    with centre.write() as connection:
        bind_card(connection, centre.secrets, sold.number, "410200", "a12345678", centre.now_ms(), "test")
    assert bind_id_numbers(centre) == 1
    publish_feeds(centre)
    card = Credential(CredentialKind.CARD_NUMBER, card_credential(town.credential_key("bridge"), "410200", "A12345678"))
    assert fetch(town).passes[sold.pass_id].credentials == (card,)
    [other] = fetch(town, "park").passes[sold.pass_id].credentials
    assert other.hash != card.hash
    with centre.write() as connection:
        registry.revoke(connection, gate.device.id, "replaced", centre.now_ms(), "test")
    able = town.gate(name="R", approved=False)
    with centre.write() as connection:
        registry.approve(connection, able.device.id, centre.now_ms(), "test", reads_id_numbers=True)
        salt = key_set.deployment_salt(connection, centre.secrets)
    assert publish_feeds(centre) == 1
    assert HOLDER.id_number is not None
    wanted = id_credential(town.credential_key("bridge"), person_hash(HOLDER.id_number, salt))
    assert Credential(CredentialKind.ID_NUMBER, wanted) in fetch(town).passes[sold.pass_id].credentials
    assert fetch(town, "park").passes[sold.pass_id].credentials == (other,)


def test_a_long_list_comes_in_several_segments(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    sold = town.sell("single", 5)
    with monkeypatch.context() as patched:
        patched.setattr(contents, "PASSES_PER_SEGMENT", 2)
        publish_feeds(town.centre)
    fetched = fetch(town)
    assert len(fetched.head.snapshot) == 1 + 3 * 2
    assert set(fetched.passes) == set(fetched.names) == {one.pass_id for one in sold}


def test_a_pass_leaves_the_snapshot_a_week_after_its_end(town: Town) -> None:
    [sold] = town.sell("single")
    publish_feeds(town.centre)
    town.clock.pass_ms(13 * DAY_MS)
    compact(town)
    assert sold.pass_id in fetch(town).passes
    town.clock.pass_ms(2 * DAY_MS)
    compact(town)
    assert fetch(town).passes == {}


def test_a_head_is_signed_again_before_it_ages_and_when_the_keys_change(town: Town) -> None:
    publish_feeds(town.centre)
    first = fetch(town).head
    town.clock.pass_ms(RESIGN_AFTER_MS + 1)
    assert publish_feeds(town.centre) == 2
    second = fetch(town).head
    assert (second.version, second.snapshot) == (first.version, first.snapshot)
    assert second.signed_at_ms == town.clock.now_ms
    key_set.create_key(town.centre, Purpose.LIST, "test")
    assert publish_feeds(town.centre) == 2
    assert fetch(town).head.key_set_version == 2


def test_segments_of_older_lists_stay_while_a_gate_may_still_fetch_them(town: Town) -> None:
    publish_feeds(town.centre)
    old = {ref.name for ref in fetch(town).head.snapshot}

    def kept() -> set[bytes]:
        with town.centre.read() as connection:
            return set(connection.scalars(sa.select(feed_segment.c.name)))

    compact(town)
    assert not old & {ref.name for ref in fetch(town).head.snapshot}
    assert old <= kept()
    town.clock.pass_ms(DROPPED_KEPT_MS + 1)
    publish_feeds(town.centre)
    assert not old & kept()


def test_a_crash_between_the_marks_and_the_list_is_made_good(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    publish_feeds(town.centre)
    [sold] = town.sell("single")

    class PowerCutError(Exception):
        pass

    def cut(*_: object, **__: object) -> Iterator[None]:
        raise PowerCutError

    with monkeypatch.context() as patched:
        patched.setattr(publishing, "chunks", cut)
        with pytest.raises(PowerCutError):
            publish_feeds(town.centre)
    with town.centre.read() as connection:
        marks = connection.execute(sa.select(entitlement.c.listed_version)).scalars().all()
    assert None not in marks
    publish_feeds(town.centre)
    assert sold.pass_id in fetch(town).passes


@pytest.mark.parametrize("built_by", [publishing, snapshots])
def test_a_change_while_the_list_is_built_is_in_the_next_one(
    town: Town, monkeypatch: pytest.MonkeyPatch, built_by: ModuleType
) -> None:
    publish_feeds(town.centre)
    [sold] = town.sell("single")
    built = contents.chunks

    def slowly(*given: object, **named: object) -> object:
        rows = list(built(*given, **named))  # type: ignore[arg-type]  # passed on as given
        with town.centre.write() as connection:
            if find_pass(connection, sold.number).status == "ACTIVE":
                change_status(connection, sold.number, "suspend", "lost", town.clock.now_ms, "test")
        return iter(rows)

    with monkeypatch.context() as patched:
        patched.setattr(built_by, "chunks", slowly)
        if built_by is snapshots:
            publish_feeds(town.centre)
            compact(town)
        else:
            publish_venue(town.centre, town.venues["bridge"])
    assert fetch(town).passes[sold.pass_id].status is PassStatus.ACTIVE
    publish_feeds(town.centre)
    assert fetch(town).passes[sold.pass_id].status is PassStatus.SUSPENDED


@pytest.mark.postgres
def test_a_list_is_published_on_either_dialect(any_centre: Centre) -> None:
    town = build_town(any_centre)
    [sold] = town.sell("single")
    publish_feeds(any_centre)
    held = fetch(town)
    assert set(held.passes) == {sold.pass_id}
    [other] = town.sell("single")
    publish_feeds(any_centre)
    assert set(fetch(town, after=held).passes) == {sold.pass_id, other.pass_id}
    town.clock.pass_ms(RESIGN_AFTER_MS + 1)
    assert publish_feeds(any_centre) == 2


def test_the_list_carries_the_live_phones_of_a_pass(town: Town) -> None:
    [sold] = town.sell("annual", holders=[HOLDER])
    publics = [holder_proof.public_key_of(ec.generate_private_key(ec.SECP256R1())) for _ in range(3)]
    with town.centre.write() as connection:
        for public in publics:
            register(connection, sold.number, public, town.clock.now_ms, "test")
    publish_feeds(town.centre)
    assert fetch(town).passes[sold.pass_id].holder_keys == (HolderKey(2, publics[1]), HolderKey(3, publics[2]))


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
    sealing = publishing.seal_chunk

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
    monkeypatch.setattr(snapshots, "CHUNKS_PER_TURN", 1)
    compact(town)
    for turn, one in enumerate(sorted(sold, key=lambda one: one.pass_id)[:4]):
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
    assert sum(row.status is PassStatus.SUSPENDED for row in after.passes.values()) == 4
    assert len(after.passes) == 9


def test_a_snapshot_whose_keys_change_under_it_begins_again(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    town.sell("single", 5)
    publish_feeds(town.centre)
    monkeypatch.setattr(contents, "PASSES_PER_SEGMENT", 2)
    monkeypatch.setattr(snapshots, "CHUNKS_PER_TURN", 1)
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
