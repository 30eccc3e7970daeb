"""A venue's list says what the tables say, is made anew when they change, and its head never grows old."""

from __future__ import annotations

from collections.abc import Iterator
from types import ModuleType

import pytest
import sqlalchemy as sa
from cryptography.hazmat.primitives.asymmetric import ec

from sync_server.centre import Centre
from sync_server.feed import contents, publishing, snapshots
from sync_server.feed.heads import DROPPED_KEPT_MS, RESIGN_AFTER_MS
from sync_server.feed.publishing import publish_feeds, publish_venue
from sync_server.feed.snapshots import SNAPSHOT_KEPT_MS
from sync_server.feed.tables import feed_segment
from sync_server.gates import registry
from sync_server.issuance.credentials import bind_card, bind_id_numbers
from sync_server.issuance.holder_keys import register
from sync_server.issuance.passes import change_status, find_pass
from sync_server.issuance.tables import credential, entitlement, pass_token
from sync_server.keys import key_set
from tests.sync_server.feed.fetching import compact, fetch
from tests.sync_server.town import HOLDER, Sold, Town, build_town
from wire import holder_proof, moments
from wire.credential import CredentialKind, card_credential, id_credential, person_hash
from wire.entitlement import PassStatus, Rule, Stop, StopCause
from wire.feed import HEAD_NOT_AFTER_MS, Credential, HolderKey, NameRow
from wire.signing import Purpose

DAY_MS = 86_400_000


@pytest.fixture
def town(centre: Centre) -> Town:
    return build_town(centre)


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


@pytest.mark.slow
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


def test_why_and_since_when_a_pass_is_stopped_is_told_until_it_is_resumed(town: Town) -> None:
    [sold] = town.sell("single")

    def after(event: str, *cause: StopCause) -> Stop | None:
        with town.centre.write() as connection:
            change_status(connection, sold.number, event, "at the desk", town.clock.now_ms, "test", *cause)
        publish_feeds(town.centre)
        return fetch(town).names[sold.pass_id].stop

    minute = moments.minute_floor(town.clock.now_ms)
    assert after("suspend", StopCause.LOST) == Stop(StopCause.LOST, minute)
    assert after("resume") is None
    assert after("suspend") == Stop(StopCause.OTHER, minute)
    assert after("revoke", StopCause.CANCELLED) == Stop(StopCause.CANCELLED, minute)


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


def test_an_old_snapshot_is_made_anew_and_what_ended_is_not_in_it(town: Town) -> None:
    [sold] = town.sell("single")
    while publish_feeds(town.centre):
        pass
    first = fetch(town)
    town.clock.pass_ms(SNAPSHOT_KEPT_MS)
    while publish_feeds(town.centre):
        pass
    kept = fetch(town)
    assert (kept.head.snapshot_version, list(kept.passes)) == (first.head.snapshot_version, [sold.pass_id])
    town.clock.pass_ms(1)
    while publish_feeds(town.centre):
        pass
    after = fetch(town)
    assert after.head.snapshot_version > first.head.snapshot_version
    assert after.passes == {}
    assert publish_feeds(town.centre) == 0


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

    class PowerCut(BaseException):
        pass

    def cut(*_: object, **__: object) -> Iterator[None]:
        raise PowerCut

    with monkeypatch.context() as patched:
        patched.setattr(publishing, "chunks", cut)
        with pytest.raises(PowerCut):
            publish_feeds(town.centre)
    with town.centre.read() as connection:
        marks = connection.execute(sa.select(entitlement.c.listed_version)).scalars().all()
    assert None not in marks
    publish_feeds(town.centre)
    assert sold.pass_id in fetch(town).passes


@pytest.mark.slow
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


def test_a_list_that_cannot_be_made_holds_up_no_other_and_no_head(town: Town) -> None:
    publish_feeds(town.centre)
    [single] = town.sell("single")
    spoil_cards(town, single)
    [annual] = town.sell("annual", holders=[HOLDER])
    town.clock.pass_ms(RESIGN_AFTER_MS + 1)
    with pytest.raises(ExceptionGroup, match="not every list"):
        publish_feeds(town.centre)
    assert set(fetch(town, "park").passes) == {annual.pass_id}
    assert fetch(town).head.signed_at_ms == town.clock.now_ms


def test_a_snapshot_that_cannot_be_built_holds_up_no_other(town: Town) -> None:
    [single], [annual] = town.sell("single"), town.sell("annual", holders=[HOLDER])
    spoil_cards(town, single)
    with pytest.raises(ExceptionGroup, match="not every list"):
        publish_feeds(town.centre)
    assert set(fetch(town, "park").passes) == {annual.pass_id}


def spoil_cards(town: Town, sold: Sold) -> None:
    """A card of this pass that nobody can open any more."""
    with town.centre.write() as connection:
        bind_card(connection, town.centre.secrets, sold.number, "41", "A1", town.clock.now_ms, "test")
        connection.execute(credential.update().values(value_sealed=b"spoilt"))


def test_a_head_from_the_future_is_signed_again_when_the_clock_is_right(town: Town) -> None:
    town.clock.pass_ms(DAY_MS)
    publish_feeds(town.centre)
    town.clock.pass_ms(-DAY_MS)
    publish_feeds(town.centre)
    assert fetch(town).head.signed_at_ms == town.clock.now_ms
