"""A journal's life at the centre: its watermark, what follows it, its end, and what freezes it."""

from __future__ import annotations

from typing import Any

import pytest
import sqlalchemy as sa

from sync_server.centre import Centre
from sync_server.gates import registry, watermarks
from sync_server.gates.tables import incarnation
from sync_server.gates.watermarks import RETIRED_WAITS_MS, STALE_AFTER_MS, Standing
from sync_server.redemptions.tables import forked_entry, redemption
from sync_server.settlement.clearing import clear_redemptions
from tests.sync_server.town import START_MS, Gate, Town, build_town
from wire.messages import LOST, EntryKind, Superseded

MINUTE_MS = 60_000
DAY_MS = 86_400_000


@pytest.fixture
def town(any_centre: Centre) -> Town:
    return build_town(any_centre)


def row_of(town: Town, journal: bytes = b"journal1") -> sa.Row[Any]:
    with town.centre.read() as connection:
        return connection.execute(sa.select(incarnation).where(incarnation.c.incarnation == journal)).one()


def complete_through(town: Town, venue: str = "bridge") -> int | None:
    with town.centre.read() as connection:
        return watermarks.complete_through_ms(connection, town.venues[venue], town.centre.now_ms())


def busy(gate: Gate, count: int, from_ms: int = START_MS) -> Gate:
    """The gate writes so many entries."""
    for minute in range(count):
        gate.write(EntryKind.EVENT, from_ms + minute, reason="started")
    return gate


def second_journal(gate: Gate, journal: bytes = b"journal2") -> Gate:
    return Gate(gate.device, gate.private, journal)


def test_the_watermark_is_the_time_of_the_receipt_that_is_echoed(town: Town) -> None:
    gate = busy(town.gate(), 2)
    first = town.upload(gate)
    assert row_of(town).synced_through_ms is None and complete_through(town) is None
    town.clock.pass_ms(MINUTE_MS)
    busy(gate, 2)
    town.upload(gate, 3, echo=first.batch_digest, complete_seq=4)
    row = row_of(town)
    assert row.synced_through_ms == START_MS == complete_through(town)
    assert (row.confirmed_epoch, row.confirmed_version) == (1, 1)


def test_what_the_receipt_vouches_for_has_to_be_here(town: Town) -> None:
    gate = busy(town.gate(), 6)
    echo = town.upload(gate, 1, 2).batch_digest
    town.upload(gate, 3, 4, echo=echo, complete_seq=5)
    assert row_of(town).synced_through_ms is None
    town.upload(gate, 6, 6, echo=echo, complete_seq=6)  # with a gap before it
    assert row_of(town).synced_through_ms is None
    town.upload(gate, 5, 5, echo=echo, complete_seq=6)
    assert row_of(town).synced_through_ms == START_MS


@pytest.mark.slow
def test_a_watermark_never_falls(town: Town) -> None:
    gate = busy(town.gate(), 1)
    first = town.upload(gate).batch_digest
    town.clock.pass_ms(MINUTE_MS)
    second = town.upload(gate, 2, echo=first, complete_seq=1).batch_digest
    town.upload(gate, 2, echo=second, complete_seq=1)
    assert row_of(town).synced_through_ms == START_MS + MINUTE_MS
    town.upload(busy(gate, 1), 2, echo=first, complete_seq=2)
    assert row_of(town).synced_through_ms == START_MS + MINUTE_MS


def test_only_a_receipt_given_to_this_very_journal_counts(town: Town) -> None:
    gate, other = busy(town.gate(), 1), busy(town.gate(name="G2"), 1)
    foreign = town.upload(other).batch_digest
    earlier = town.upload(gate).batch_digest
    later = busy(second_journal(gate), 1)
    for echo in (foreign, earlier, bytes(32)):
        town.upload(later, echo=echo, complete_seq=1)
    assert row_of(town, b"journal2").synced_through_ms is None


def test_a_venue_is_complete_and_knows_a_list_as_far_as_its_slowest_journal(town: Town) -> None:
    gates = [busy(town.gate(name=name), 1) for name in ("G1", "G2")]
    park = town.gate("park", "G3")
    for held_version, gate in enumerate(gates, 1):
        echo = town.upload(gate, held_version=held_version).batch_digest
        town.upload(gate, 2, echo=echo, complete_seq=1, held_version=9)  # in force since when, nobody knows yet
        town.clock.pass_ms(MINUTE_MS)
    town.upload(park)
    assert complete_through(town) == START_MS and complete_through(town, "park") is None
    with town.centre.read() as connection:
        assert watermarks.confirmed_list(connection, town.venues["bridge"], town.centre.now_ms()) == (1, 1)
        assert watermarks.confirmed_list(connection, town.venues["park"], town.centre.now_ms()) is None


def test_an_approved_gate_that_never_spoke_may_hold_what_it_did_since_its_approval(town: Town) -> None:
    """It admits by its list from then on, whether or not its first batch ever came through."""
    town.gate(name="G0", approved=False)
    assert complete_through(town) == town.centre.now_ms()
    silent = town.gate(name="G1")
    town.clock.pass_ms(DAY_MS)
    spoke = town.gate(name="G2")
    town.upload(spoke, echo=town.upload(spoke).batch_digest, complete_seq=0, held_version=7)
    assert (complete_through(town), complete_through(town, "park")) == (START_MS, START_MS + DAY_MS)
    with town.centre.read() as connection:
        assert watermarks.confirmed_list(connection, town.venues["bridge"], town.centre.now_ms()) is None
        told = watermarks.watermarks(connection, town.centre.now_ms() + 1)[0]
    assert (told.gate, told.incarnation, told.standing, told.synced_through_ms) == ("G1", b"", "open", START_MS)
    assert (told.age_ms, told.stale) == (DAY_MS + 1, True)
    town.upload(silent, echo=town.upload(silent).batch_digest, complete_seq=0)
    assert complete_through(town) == START_MS + DAY_MS
    lost = town.gate(name="G3")
    town.clock.pass_ms(DAY_MS)
    with town.centre.write() as connection:
        registry.revoke(connection, lost.device.id, "never built in", town.centre.now_ms(), "test")
        held = watermarks.watermarks(connection, town.centre.now_ms())
    assert {one.gate for one in held} == {"G1", "G2"}


def test_a_closing_statement_takes_a_journal_out_once_it_is_complete(town: Town) -> None:
    gate = busy(town.gate(), 3)
    town.upload(gate, 3, 3, closing=True)
    assert complete_through(town) is None
    town.upload(gate, 1, 2)
    assert complete_through(town) == town.centre.now_ms()
    with town.centre.read() as connection:
        (told,) = watermarks.watermarks(connection, town.centre.now_ms())
    assert told.standing is Standing.CLOSED and not told.stale
    town.upload(gate, 4, 3)  # a sign of life adds nothing
    assert row_of(town).frozen_cause is None
    town.upload(busy(gate, 1), 4)
    assert row_of(town).frozen_cause == "entry 4 came after its end at 3"


@pytest.mark.parametrize("closes_first", [True, False])
def test_a_journal_with_entries_beyond_its_closing_statement_is_not_closed(town: Town, closes_first: bool) -> None:
    """Whichever of them comes first: somebody goes on writing in it, and what he wrote is not settled."""
    sold = town.sell("single", 2)
    gate = town.gate()
    busy(gate, 2)
    gate.admit(sold[0], START_MS)
    town.clock.pass_ms(MINUTE_MS)
    town.upload(gate, 1, 2)
    parts = [(5, 4, {"closing": True}), (3, 4, {}), (5, 6, {})]
    gate.admit(sold[1], START_MS)
    for first, last, said in parts if closes_first else reversed(parts):
        town.upload(gate, first, last, **said)
    assert row_of(town).frozen_cause in ("entry 6 came after its end at 4", "it closed at entry 4 and goes on to 6")
    assert complete_through(town) is None, "it may go on"
    with town.centre.read() as connection:
        (told,) = watermarks.watermarks(connection, town.centre.now_ms())
    assert told.standing is Standing.OPEN
    assert clear_redemptions(town.centre) == 0


def test_two_closing_statements_of_one_journal_freeze_it(town: Town) -> None:
    gate = busy(town.gate(), 5)
    town.upload(gate, 1, 3, closing=True)
    town.upload(gate, 4, 3, closing=True)  # said again
    assert (row_of(town).frozen_cause, complete_through(town)) == (None, town.centre.now_ms())
    town.upload(gate, 6, 5, closing=True)
    assert (row_of(town).frozen_cause, complete_through(town)) == ("it closed at entry 3 and again at 5", None)
    town.upload(gate, 4, 5)
    assert (row_of(town).closed_seq, complete_through(town)) == (5, town.centre.now_ms())
    town.upload(gate, 4, 3, closing=True)  # an old one comes again
    assert row_of(town).closed_seq == 5


def test_a_second_history_of_a_closed_journal_is_not_counted(town: Town) -> None:
    (sold,) = town.sell("single")
    gate = busy(town.gate(), 2)
    town.upload(gate, 1, 2, closing=True)
    twin = busy(second_journal(gate, gate.incarnation), 1)
    twin.admit(sold, START_MS)
    town.clock.pass_ms(MINUTE_MS)
    assert town.upload(twin).forked_seq == 2
    assert row_of(town).frozen_cause == "two histories meet at entry 2"
    with town.centre.read() as connection:
        assert connection.execute(sa.select(redemption)).all() == []
        (told,) = watermarks.watermarks(connection, town.centre.now_ms())
    assert told.frozen_cause is not None


def test_a_gap_that_closes_late_is_not_what_goes_on_after_the_end(town: Town) -> None:
    gate = busy(town.gate(), 6)
    town.upload(gate, 1, 2)
    town.upload(gate, 5, 6)
    town.upload(second_journal(gate), supersedes=Superseded(gate.incarnation, 2, gate.hashes[1]))
    town.upload(gate, 3, 4)
    assert row_of(town).frozen_cause is None
    town.upload(busy(gate, 1), 7)
    assert row_of(town).frozen_cause == "entry 7 came after its end at 6"


def test_a_retired_journal_is_waited_for_three_days_more(town: Town) -> None:
    gate = busy(town.gate(), 1)
    town.upload(gate)
    with town.centre.write() as connection:
        connection.execute(incarnation.update().values(retired_at_ms=town.centre.now_ms()))
    town.clock.pass_ms(RETIRED_WAITS_MS - 1)
    assert complete_through(town) is None
    town.clock.pass_ms(1)
    assert complete_through(town) == town.centre.now_ms()


def test_the_money_that_waits_for_a_silent_gate_is_told(town: Town) -> None:
    town.sell("single")
    gate = town.gate()
    echo = town.upload(gate).batch_digest
    town.upload(gate, echo=echo)
    with town.centre.read() as connection:
        (told,) = watermarks.watermarks(connection, town.centre.now_ms())
    assert (told.stale, told.waiting_items, told.waiting_fen) == (False, 0, 0)
    town.clock.pass_ms(8 * DAY_MS)  # the ticket was good for seven days
    with town.centre.read() as connection:
        (told,) = watermarks.watermarks(connection, town.centre.now_ms())
    assert told.age_ms == 8 * DAY_MS > STALE_AFTER_MS
    assert (told.stale, told.waiting_items, told.waiting_fen) == (True, 1, 5_000)
    town.upload(gate, echo=town.upload(gate, echo=bytes(32)).batch_digest)
    with town.centre.read() as connection:
        (told,) = watermarks.watermarks(connection, town.centre.now_ms())
    assert (told.stale, told.waiting_items) == (False, 0)


def test_a_fresh_journal_names_the_one_before_and_nothing_is_frozen(town: Town) -> None:
    gate = busy(town.gate(), 3)
    town.upload(gate)
    following = busy(second_journal(gate), 2)
    town.upload(following, supersedes=Superseded(b"journal1", 3, gate.hashes[2]))
    town.upload(gate, 2, 3)  # late, but nothing new
    row = row_of(town, b"journal2")
    assert (row.supersedes, row.supersedes_seq) == (b"journal1", 3)
    assert row_of(town).frozen_cause is None and row.frozen_cause is None
    third = second_journal(gate, b"journal3")
    town.upload(third, supersedes=LOST)
    assert row_of(town, b"journal3").supersedes == b""


def test_what_came_before_its_successor_was_known_is_nothing_new(town: Town) -> None:
    """A power cut may take what the gate knew of its last receipts."""
    gate = busy(town.gate(), 5)
    town.upload(gate)
    town.upload(second_journal(gate), supersedes=Superseded(b"journal1", 3))
    town.upload(gate, 4, 5)
    assert row_of(town).frozen_cause is None


def test_a_journal_that_goes_on_after_its_successor_freezes_both(town: Town) -> None:
    gate = busy(town.gate(), 3)
    town.upload(gate)
    following = busy(second_journal(gate), 2)
    town.upload(following, supersedes=Superseded(b"journal1", 3, gate.hashes[2]))
    said = town.upload(busy(gate, 1), 4)
    assert said.through_seq == 4  # stored and receipted all the same
    assert row_of(town).frozen_cause == "entry 4 came after its end at 3"
    assert row_of(town, b"journal2").frozen_cause == "the journal before it goes on"


def test_a_gate_is_told_where_its_history_leaves_the_one_that_is_here(town: Town) -> None:
    gate = town.gate()
    twin = second_journal(gate, gate.incarnation)
    for one, by in ((gate, 0), (twin, 7)):
        busy(one, 2)
        busy(one, 4, START_MS + by)
    assert town.upload(gate, 1, 5).through_hash == gate.hashes[4]
    said = town.upload(twin)
    assert (said.forked_seq, said.through_seq, said.through_hash) == (3, 5, gate.hashes[4])
    with town.centre.read() as connection:
        assert sorted(connection.execute(sa.select(forked_entry.c.seq)).scalars()) == [3, 4, 5, 6]
    said = town.upload(gate, 6)
    assert (said.forked_seq, said.through_seq) == (0, 6)
    assert town.upload(gate, 7).through_hash == gate.hashes[5]


def test_a_frozen_journal_is_counted_and_not_settled(town: Town) -> None:
    sold = town.sell("single", 3)
    gate, other = town.gate(), town.gate(name="G2")
    town.clock.pass_ms(MINUTE_MS)
    gate.admit(sold[0], START_MS)
    town.upload(gate)
    twin = busy(second_journal(gate, gate.incarnation), 1)
    assert town.upload(twin).forked_seq == 1
    gate.admit(sold[1], START_MS)
    other.admit(sold[2], START_MS)
    assert town.upload(gate).through_seq == 4
    town.upload(other)
    with town.centre.read() as connection:
        assert connection.execute(sa.select(redemption.c.outcome)).scalars().all() == ["CLAIMED"] * 3
    assert clear_redemptions(town.centre) == 1
    assert clear_redemptions(town.centre) == 0
    with town.centre.write() as connection:
        connection.execute(incarnation.update().values(frozen_cause=None, frozen_at_ms=None))
    assert clear_redemptions(town.centre) == 2
