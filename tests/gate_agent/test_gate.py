"""The conductor: on disk before anything moves, one story per visitor, and every way it can go wrong."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import msgspec
import pytest

from gate_agent import entries as entries_module
from gate_agent.board import Reader
from gate_agent.decision import Admit, Refuse
from gate_agent.faces import IDLE, Limit, State
from gate_agent.facts import AUTH_LEVEL
from hardware.card_reader import CardAuth, CardRead
from hardware.indicator import Signal
from hardware.simulated_turnstile import WINDOW_MS, Trouble, Walk
from hardware.turnstile import Note
from tests.gate_agent import lists
from tests.gate_agent.stage import Stage, stage_at
from tests.gate_agent.venue import ANNUAL, DAY_MIN, NOW_MINUTE, NOW_MS, SINGLE, STRANGE, TWICE, VERSION, Venue
from tests.wire import samples
from wire import moments, token
from wire.credential import CredentialKind
from wire.entitlement import PassStatus
from wire.feed import Mark
from wire.messages import ClockTrust, EntryKind, Presentation
from wire.reasons import Reason

DAY_MS = 86_400_000
HOUR_MS = 3_600_000


@pytest.fixture
def venue() -> Venue:
    """A venue whose list is still to be written."""
    return Venue()


@pytest.fixture
def stage(tmp_path: Path, venue: Venue) -> Iterator[Stage]:
    """Its gate; a list may be added with `venue.settle(stage.data_dir)`."""
    with stage_at(tmp_path) as one:
        yield one


def admitted(verdict: Admit | Refuse) -> bool:
    """Whether somebody may enter."""
    return isinstance(verdict, Admit)


def test_the_entry_is_on_disk_before_the_relay_moves(stage: Stage, venue: Venue) -> None:
    """What another process reads at the very moment of the pulse."""
    ticket = venue.issue()
    venue.settle(stage.data_dir)
    seen: list[tuple[object, ...]] = []
    arm = stage.arms[0]
    open_for = arm.open_for

    def look_first(pulse_ms: int, note: Note) -> int:
        with closing(sqlite3.connect(stage.data_dir / "entries.db")) as db:
            seen.extend(db.execute("SELECT seq, kind, pass_id FROM entry"))
        assert note == {"pass": ticket.pass_id.hex(), "entry_seq": 1}
        return open_for(pulse_ms, note)

    arm.open_for = look_first  # type: ignore[method-assign]
    assert admitted(stage.show(ticket.text))
    assert seen == [(1, EntryKind.INTENT, ticket.pass_id)]
    assert stage.pulses() == [1]


def test_a_visitor_walks_through(stage: Stage, venue: Venue) -> None:
    ticket = venue.issue()
    venue.settle(stage.data_dir)
    stage.arms[0].walk(Walk.THROUGH)
    assert admitted(stage.show(ticket.text))
    face = stage.face()
    assert (face.verdict, face.holder, face.product.zh) == (State.ADMITTED, "李*花", "汴京旅游年票")
    assert face.facts.entries_today == 1
    assert face.facts.until_ms == moments.minute_ms(ticket.claims.not_after)
    assert stage.signal() is Signal.GO
    stage.wait(2_000)
    assert stage.told() == ["intent 1", "passed 1 1"]
    assert stage.scans()[0].passed is True
    stage.wait(6_000)
    assert stage.face().verdict is State.STARTING  # nobody here sets the resting face
    assert stage.signal() is Signal.IDLE
    intent = stage.written()[0]
    assert (intent.presentation, intent.evidence) == (Presentation.STATIC, token.evidence_of(ticket.text))
    assert (intent.device_at_ms, intent.trust, intent.lane) == (NOW_MS, ClockTrust.TRUSTED, 1)
    assert (intent.list_epoch, intent.list_version) == (1, VERSION)


def test_once_a_day_is_once_at_all_lanes_and_again_tomorrow(stage: Stage, venue: Venue) -> None:
    ticket = venue.issue()
    venue.settle(stage.data_dir)
    stage.arms[0].walk(Walk.THROUGH)
    stage.show(ticket.text)
    stage.wait(2_000)
    assert stage.show(ticket.text, lane=2) == Refuse(Reason.USED_UP)
    facts = stage.face(2).facts
    assert (facts.at_ms, facts.at_lane, facts.limit) == (NOW_MS, 1, Limit.ONCE_A_DAY)
    assert stage.pulses(2) == []
    stage.clock.began_ms += DAY_MS
    assert admitted(stage.show(ticket.text, lane=2))
    assert stage.told() == ["intent 1", "passed 1 1", "refused 1 used_up", "intent 1"]


@pytest.mark.parametrize(("product", "times", "limit"), [(SINGLE, 1, Limit.TOTAL), (TWICE, 2, Limit.DAY)])
def test_each_product_has_its_own_allowance(stage: Stage, venue: Venue, product: int, times: int, limit: Limit) -> None:
    ticket = venue.issue(product)
    venue.settle(stage.data_dir)
    for number in range(times):
        stage.arms[0].walk(Walk.THROUGH)
        assert admitted(stage.show(ticket.text))
        assert stage.face().facts.entries_today == number + 1
        stage.wait(2_000)
    assert stage.show(ticket.text) == Refuse(Reason.USED_UP)
    assert stage.face().facts.limit is limit


def test_who_does_not_walk_has_his_right_back(stage: Stage, venue: Venue) -> None:
    ticket = venue.issue(SINGLE)
    venue.settle(stage.data_dir)
    stage.show(ticket.text)
    stage.wait(WINDOW_MS + 900)
    assert stage.told() == ["intent 1"]
    stage.wait(200)
    assert stage.told() == ["intent 1", "annulled 1 1"]
    assert stage.face().verdict is State.NOT_PASSED
    assert admitted(stage.show(ticket.text))


def test_shown_again_while_open_a_proven_lane_opens_again_and_counts_once(stage: Stage, venue: Venue) -> None:
    first, second = venue.issue(), venue.issue()
    venue.settle(stage.data_dir)
    stage.arms[0].walk(Walk.THROUGH)
    stage.show(first.text)
    stage.wait(3_000)
    stage.show(second.text)
    stage.wait(WINDOW_MS + 500)  # the arm has locked again, nobody passed, not yet annulled
    assert admitted(stage.show(second.text))
    assert stage.face().verdict is State.REOPENED
    stage.arms[0].walk(Walk.THROUGH)
    stage.wait(2_000)
    assert stage.pulses() == [1, 3, 3]
    assert stage.told() == ["intent 1", "passed 1 1", "intent 2", "passed 2 3"]


def test_shown_again_at_an_unproven_lane_is_used_up(stage: Stage, venue: Venue) -> None:
    ticket = venue.issue()
    venue.settle(stage.data_dir)
    stage.show(ticket.text)
    stage.wait(WINDOW_MS + 500)
    assert stage.show(ticket.text) == Refuse(Reason.USED_UP)
    assert stage.pulses() == [1]


def test_a_lane_without_a_sensor_assumes_at_once(tmp_path: Path, venue: Venue) -> None:
    ticket = venue.issue()
    venue.settle(tmp_path)
    with stage_at(tmp_path, has_sensor=False) as stage:
        stage.show(ticket.text)
        assert stage.told() == ["intent 1", "passed_assumed 1 1"]
        assert stage.face().verdict is State.ADMITTED
        assert stage.show(ticket.text) == Refuse(Reason.USED_UP)


def test_a_turnstile_that_cannot_pulse_costs_the_visitor_nothing(stage: Stage, venue: Venue) -> None:
    ticket = venue.issue(SINGLE)
    venue.settle(stage.data_dir)
    stage.arms[0].trouble(Trouble.RELAY_GONE)
    assert stage.show(ticket.text) == Refuse(Reason.FAULT)
    assert (stage.face().verdict, stage.face().facts.to_lane) == (Reason.FAULT, 2)
    assert stage.told() == ["intent 1", "annulled 1 1 fault"]
    assert admitted(stage.show(ticket.text, lane=2))


def test_what_cannot_be_written_does_not_open(stage: Stage, venue: Venue) -> None:
    ticket = venue.issue()
    venue.settle(stage.data_dir)
    stage.disk_takes(False)
    assert stage.show(ticket.text) == Refuse(Reason.CANNOT_RECORD)
    assert stage.pulses() == []
    assert stage.face().facts.to_lane is None  # the other lane has the same journal
    stage.disk_takes(True)
    assert admitted(stage.show(ticket.text))


def test_an_outcome_the_disk_did_not_take_is_written_when_it_does(stage: Stage, venue: Venue) -> None:
    ticket = venue.issue()
    venue.settle(stage.data_dir)
    stage.arms[0].walk(Walk.THROUGH)
    stage.show(ticket.text)
    stage.disk_takes(False)
    stage.wait(2_000)
    assert stage.gate.next_tick_ns(stage.lanes[0]) is not None
    stage.disk_takes(True)
    stage.wait(1_000)
    assert stage.told() == ["intent 1", "passed 1 1"]


def test_on_a_nearly_full_disk_refusals_are_no_longer_written_and_admissions_are(
    stage: Stage, venue: Venue, monkeypatch: pytest.MonkeyPatch
) -> None:
    good, late = venue.issue(), venue.issue(not_after=NOW_MINUTE)
    venue.settle(stage.data_dir)
    monkeypatch.setattr(entries_module, "KEPT_FOR_ADMISSIONS_BYTES", 1 << 62)
    assert stage.show(late.text) == Refuse(Reason.EXPIRED)
    assert admitted(stage.show(good.text))
    assert stage.show(good.text, lane=2) == Refuse(Reason.USED_UP)
    assert stage.told() == ["intent 1"]


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


def codes(venue: Venue) -> dict[str, str]:
    """Every code that must not open."""
    good = venue.issue().text
    at = len(good) - 40
    return {
        "forged": venue.issue(signer=bytes(32)).text,
        "unknown key": venue.issue(key_id=77).text,
        "cut": good[:-3],
        "re-encoded": good.lower(),
        "one character": good[:at] + ("A" if good[at] != "A" else "B") + good[at + 1 :],
        "wrong venue": venue.issue(scope=lists.VENUE + 1).text,
        "strange product": venue.issue(STRANGE).text,
        "expired": venue.issue(not_after=NOW_MINUTE).text,
        "early": venue.issue(not_before=NOW_MINUTE + 1).text,
        "not listed": venue.issue(listed=False).text,
        "replaced": venue.issue(lowest_issue=2).text,
        "revoked": venue.issue(status=PassStatus.REVOKED).text,
        "suspended": venue.issue(status=PassStatus.SUSPENDED).text,
        "not bound": venue.issue(status=PassStatus.NOT_BOUND).text,
        "link": "https://pay.example/secret-of-a-visitor",
        "empty": "",
    }


@pytest.mark.parametrize(("name", "reason", "genuine"), REFUSED)
def test_a_code_that_must_not_open(stage: Stage, venue: Venue, name: str, reason: Reason, genuine: bool) -> None:
    text = codes(venue)[name]
    venue.settle(stage.data_dir)
    assert stage.show(text) == Refuse(reason)
    assert stage.pulses() == []
    assert (stage.face().verdict, stage.scans()[0].verdict) == (reason, reason)
    (entry,) = stage.written()
    assert (entry.kind, entry.reason) == (EntryKind.REFUSED, reason)
    assert (entry.pass_id is not None) == genuine
    assert entry.evidence == token.evidence_of(text) if genuine else len(entry.evidence or b"") == 11


def test_nothing_a_stranger_shows_is_kept_as_text(stage: Stage, venue: Venue) -> None:
    venue.settle(stage.data_dir)
    stage.show("https://pay.example/secret-of-a-visitor")
    stage.written()
    assert not any(b"secret" in path.read_bytes() for path in stage.data_dir.glob("entries.db*"))


def test_a_card_finds_its_pass(stage: Stage, venue: Venue) -> None:
    ticket, other = venue.issue(), venue.issue()
    venue.settle(stage.data_dir)
    assert admitted(stage.show(ticket.card))
    assert stage.scans()[0].reader is Reader.CARD
    (intent,) = stage.written()
    assert (intent.presentation, intent.pass_id) == (Presentation.CARD, ticket.pass_id)
    assert intent.evidence is not None
    assert intent.evidence[:2] == bytes([AUTH_LEVEL[CardAuth.NONE], CredentialKind.CARD_IDENTIFICATION])
    assert len(intent.evidence) == 18
    assert stage.show(ticket.text, lane=2) == Refuse(Reason.USED_UP)  # a card is only another way to the same pass
    without_code = CardRead(other.card.area, other.card.number, "")
    assert admitted(stage.show(without_code, lane=2))


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


def crashed(folder: Path, venue: Venue, text: str) -> None:
    """A gate that was killed while an intent was open."""
    venue.settle(folder)
    with stage_at(folder) as stage:
        assert admitted(stage.show(text))


def test_after_a_crash_the_same_visitor_goes_on(tmp_path: Path, venue: Venue) -> None:
    ticket = venue.issue(SINGLE)
    crashed(tmp_path, venue, ticket.text)
    with stage_at(tmp_path) as stage:
        stage.wait(3_000)
        stage.recover()
        assert admitted(stage.show(ticket.text))
        assert stage.face().verdict is State.REOPENED
        stage.arms[0].walk(Walk.THROUGH)
        stage.wait(2_000)
        assert stage.told() == ["intent 1", "passed 1 1"]
        assert stage.pulses() == [1]


@pytest.mark.parametrize("why", ["nobody came", "another boot"])
def test_after_a_crash_an_intent_nobody_goes_on_with_is_unresolved_and_counts(
    tmp_path: Path, venue: Venue, why: str
) -> None:
    ticket = venue.issue(SINGLE)
    crashed(tmp_path, venue, ticket.text)
    with stage_at(tmp_path) as stage:
        if why == "another boot":
            stage.clock.boot = "next"
        stage.recover()
        stage.wait(15_000 if why == "nobody came" else 0)
        assert stage.told() == ["intent 1", "unresolved 1 1"]
        assert stage.show(ticket.text) == Refuse(Reason.USED_UP)


def test_after_a_crash_another_lane_does_not_go_on_with_it(tmp_path: Path, venue: Venue) -> None:
    ticket = venue.issue(SINGLE)
    crashed(tmp_path, venue, ticket.text)
    with stage_at(tmp_path) as stage:
        stage.recover()
        assert stage.show(ticket.text, lane=2) == Refuse(Reason.USED_UP)


def test_one_visitor_replaces_another_on_the_screen_at_once(stage: Stage, venue: Venue) -> None:
    good, late = venue.issue(ANNUAL), venue.issue(not_after=NOW_MINUTE)
    venue.settle(stage.data_dir)
    stage.show(late.text)
    assert stage.face().verdict is Reason.EXPIRED
    stage.show(good.text)
    assert stage.face().verdict is State.ADMITTED
    assert stage.face() != IDLE
