"""The conductor and what is shown to it: codes and cards that must not open, uses elsewhere, lists that lag behind."""

from __future__ import annotations

from contextlib import closing

import msgspec
import pytest

from gate_agent.board import Shown, ShownBy
from gate_agent.decision import LetOut, Refuse, decide_exit
from gate_agent.faces import FAMILY, Family
from gate_agent.facts import AUTH_LEVEL, find_out
from gate_agent.recognition import recognise
from gate_agent.screen.scans import detail
from gate_agent.screen.speech import Speech
from gate_agent.screen.visitor import view
from gate_agent.status import LaneStatus, Status
from gate_agent.sync_store import SyncStore
from hardware.card_reader import ONE_CARD_ONLY, CardAuth, CardRead
from hardware.indicator import Signal
from hardware.simulated_turnstile import Walk
from tests.gate_agent import lists
from tests.gate_agent.stage import Stage, admitted
from tests.gate_agent.venue import (
    DAY_MIN,
    NOW_MINUTE,
    NOW_MS,
    SINGLE,
    TWICE,
    VERSION,
    Venue,
    bad_codes,
)
from tests.wire import samples
from wire import signing, token
from wire.credential import CredentialKind
from wire.feed import Mark
from wire.messages import ClockTrust, EntryKind, Presentation
from wire.reasons import Reason

DAY_MS = 86_400_000
HOUR_MS = 3_600_000


REFUSED: list[tuple[str, Reason, bool]] = [
    ("forged", Reason.FORGED, False),
    ("unknown key", Reason.UNKNOWN_KEY, False),
    ("cut", Reason.MALFORMED, False),
    ("re-encoded", Reason.NOT_OURS, False),
    ("one character", Reason.FORGED, False),
    ("wrong venue", Reason.WRONG_VENUE, True),
    ("strange product", Reason.UNKNOWN_PRODUCT, True),
    ("expired", Reason.EXPIRED, True),
    ("early", Reason.NOT_YET_ACTIVE, True),
    ("not listed", Reason.NOT_IN_LIST, True),
    ("replaced", Reason.REPLACED, True),
    ("revoked", Reason.REVOKED, True),
    ("suspended", Reason.SUSPENDED, True),
    ("not bound", Reason.NOT_BOUND, True),
    ("link", Reason.NOT_OURS, False),
    ("empty", Reason.NOT_OURS, False),
]


@pytest.mark.slow
@pytest.mark.parametrize(("name", "reason", "genuine"), REFUSED)
def test_a_code_that_must_not_open(stage: Stage, venue: Venue, name: str, reason: Reason, genuine: bool) -> None:
    text = bad_codes(venue)[name]
    venue.settle(stage.data_dir)
    assert stage.show(text) == Refuse(reason)
    assert stage.pulses() == []
    assert (stage.face().verdict, stage.scans()[0].verdict) == (reason, reason)
    (entry,) = stage.written()
    assert (entry.kind, entry.reason) == (EntryKind.REFUSED, reason)
    assert (entry.pass_id is not None) == genuine
    assert entry.evidence == token.evidence_of(text) if genuine else len(entry.evidence or b"") == 11


LEAVE = {"strange product", "expired", "early", "not listed", "replaced", "revoked", "suspended", "not bound"}


@pytest.mark.slow
@pytest.mark.parametrize(("name", "reason", "genuine"), REFUSED)
def test_at_a_lane_out_only_what_is_not_of_this_venue_stays(
    stage: Stage, venue: Venue, name: str, reason: Reason, genuine: bool
) -> None:
    text = bad_codes(venue)[name]
    venue.settle(stage.data_dir)
    known = find_out(recognise(text), stage.gate._look(), leaving=True)
    assert decide_exit(known.facts) == (LetOut() if name in LEAVE else Refuse(reason))
    assert bool(known.pass_id) is genuine


def test_nothing_a_stranger_shows_is_kept_as_text(stage: Stage, venue: Venue) -> None:
    venue.settle(stage.data_dir)
    stage.show("https://pay.example/secret-of-a-visitor")
    stage.written()
    assert not any(b"secret" in path.read_bytes() for path in stage.data_dir.glob("entries.db*"))


def test_a_card_finds_its_pass(stage: Stage, venue: Venue) -> None:
    ticket, other = venue.issue(), venue.issue()
    venue.settle(stage.data_dir)
    assert admitted(stage.show(ticket.card))
    assert stage.scans()[0].shown_by is ShownBy.CARD
    (intent,) = stage.written()
    assert (intent.presentation, intent.pass_id) == (Presentation.CARD, ticket.pass_id)
    assert intent.evidence is not None
    assert intent.evidence[:2] == bytes([AUTH_LEVEL[CardAuth.NONE], CredentialKind.CARD_IDENTIFICATION])
    assert len(intent.evidence) == 18
    assert stage.show(ticket.text, lane=2) == Refuse(Reason.USED_UP)  # a card is only another way to the same pass
    without_code = CardRead(other.card.area, other.card.number, "")
    assert admitted(stage.show(without_code, lane=2))


def test_a_card_is_found_while_the_list_still_rests_on_the_key_before(stage: Stage, venue: Venue) -> None:
    ticket = venue.issue()
    venue.settle(stage.data_dir)
    config = lists.CONFIG
    newer = msgspec.structs.replace(
        config, credential_key=bytes([7] * 32), older_credential_keys=(config.credential_key,)
    )
    with closing(SyncStore(stage.data_dir)) as store:
        store.keep_config(newer, signing.public_key_of(samples.ROOT))
    assert admitted(stage.show(ticket.card))


def test_cards_that_must_not_open(stage: Stage, venue: Venue) -> None:
    venue.accepts_plain_card = False
    ticket = venue.issue()
    venue.settle(stage.data_dir)
    assert stage.show(CardRead("410200", "B00000001", "9")) == Refuse(Reason.CARD_UNKNOWN)
    assert stage.show(ticket.card) == Refuse(Reason.CARD_UNAUTHENTICATED)
    proven = CardRead(ticket.card.area, ticket.card.number, ticket.card.identification, auth=CardAuth.PSAM)
    assert admitted(stage.show(proven))
    stage.written()
    assert not any(b"B00000001" in path.read_bytes() for path in stage.data_dir.glob("entries.db*"))


def test_of_several_passes_on_a_card_one_that_is_good_today_is_taken(stage: Stage, venue: Venue) -> None:
    this_year = venue.issue()
    next_year = venue.issue(not_before=NOW_MINUTE + 300 * DAY_MIN, not_after=NOW_MINUTE + 660 * DAY_MIN)
    venue.passes[next_year.pass_id] = msgspec.structs.replace(
        venue.passes[next_year.pass_id], credentials=venue.passes[this_year.pass_id].credentials
    )
    venue.settle(stage.data_dir)
    assert admitted(stage.show(this_year.card))
    assert stage.written()[0].pass_id == this_year.pass_id


def test_what_the_centre_knows_counts_and_what_it_knows_from_here_not_twice(stage: Stage, venue: Venue) -> None:
    elsewhere, here = venue.issue(), venue.issue(TWICE)
    venue.used(elsewhere, total=1, on_day=1)
    venue.settle(stage.data_dir)
    assert stage.show(elsewhere.text) == Refuse(Reason.USED_UP)
    assert (stage.face().facts.at_ms, stage.face().facts.at_lane) == (None, None)
    stage.arms[0].walk(Walk.THROUGH)
    assert admitted(stage.show(here.text))
    stage.wait(2_000)
    (seq,) = (entry.seq for entry in stage.written() if entry.kind is EntryKind.INTENT)
    venue.used(here, total=1, on_day=1, marks=[Mark(samples.DEVICE_ID, samples.INCARNATION, seq)])
    venue.publish(NOW_MS + 1, VERSION + 1)
    venue.feed.install(stage.data_dir)
    assert admitted(stage.show(here.text, lane=2))
    assert stage.face(2).facts.entries_today == 2


def test_a_mark_of_another_journal_is_another_entry(stage: Stage, venue: Venue) -> None:
    ticket = venue.issue(TWICE)
    venue.used(ticket, total=1, on_day=1, marks=[Mark(samples.DEVICE_ID, b"the-old1", 1)])
    venue.settle(stage.data_dir)
    assert admitted(stage.show(ticket.text))
    assert stage.show(ticket.text, lane=2) == Refuse(Reason.USED_UP)


def test_genuine_codes_the_list_does_not_know_yet_are_admitted_up_to_a_limit_per_lane(
    stage: Stage, venue: Venue
) -> None:
    tickets = [venue.issue(SINGLE, listed=False, issued_version=VERSION + 1) for _ in range(4)]
    venue.settle(stage.data_dir)
    verdicts = [stage.show(ticket.text) for ticket in tickets[:3]]
    assert [admitted(verdict) for verdict in verdicts] == [True, True, False]
    assert verdicts[2] == Refuse(Reason.OFFLINE_LIMIT)
    assert stage.face().facts.count == 2
    assert admitted(stage.show(tickets[3].text, lane=2))
    stage.clock.began_ms += HOUR_MS
    venue.publish(NOW_MS + HOUR_MS, VERSION)
    venue.feed.install(stage.data_dir)  # a newer head: the lane may begin anew
    assert admitted(stage.show(tickets[2].text))


def test_without_the_time_a_good_annual_pass_enters_once(stage: Stage, venue: Venue) -> None:
    ticket, single = venue.issue(), venue.issue(SINGLE)
    venue.settle(stage.data_dir)
    stage.clock.knows_time = False
    assert admitted(stage.show(ticket.text))
    assert stage.show(ticket.text, lane=2) == Refuse(Reason.CLOCK_UNKNOWN)
    assert stage.show(single.text) == Refuse(Reason.CLOCK_UNKNOWN)
    assert stage.written()[0].trust is ClockTrust.UNKNOWN
    stage.clock.knows_time = True
    assert stage.show(ticket.text, lane=2) == Refuse(Reason.USED_UP)


def test_a_box_that_is_not_enrolled_admits_nobody_and_says_why(stage: Stage, venue: Venue) -> None:
    ticket = venue.issue()
    assert stage.show(ticket.text) == Refuse(Reason.UNKNOWN_KEY)
    assert stage.show("hello") == Refuse(Reason.NOT_OURS)
    assert stage.show(ticket.card) == Refuse(Reason.CARD_UNKNOWN)
    assert stage.told() == ["refused unknown_key", "refused not_ours", "refused card_unknown"]


def test_a_card_that_told_nothing_is_no_visitor_and_both_faces_say_why(stage: Stage, venue: Venue) -> None:
    venue.settle(stage.data_dir)
    stage.gate.unreadable(stage.lanes[0], ONE_CARD_ONLY)
    told = view(LaneStatus(1), Shown(stage.face(), 1), Status(), NOW_MS)
    assert (told.lines, told.en, told.shape) == (("一次只刷", "一张卡"), "One card only, please.", "card")
    assert FAMILY[stage.face().verdict] is Family.RETRY
    line = detail(stage.scans()[0], Speech("zh", "Asia/Shanghai", NOW_MS))
    assert (line.headline, line.what) == ("一次只刷", "读卡区里同时有两张卡，一张都没有读。")
    assert stage.lamps[0].signal is Signal.RETRY
    assert stage.written() == []
