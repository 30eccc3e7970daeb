"""The conductor and rotating codes: a copy is dead once its owner used it, keys come from the list or bring a proof."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from gate_agent.decision import LetOut, Refuse, decide_exit
from gate_agent.faces import State
from gate_agent.facts import MAX_KEYS_TRIED, find_out
from gate_agent.recognition import recognise
from hardware.simulated_turnstile import WINDOW_MS, Walk
from tests.gate_agent.phones import Phone
from tests.gate_agent.stage import Stage, admitted, stage_at
from tests.gate_agent.venue import NOW_MINUTE, NOW_MS, SINGLE, TWICE, VERSION, Ticket, Venue
from tests.wire import samples
from wire import holder_proof, presentation
from wire.entitlement import PassStatus
from wire.messages import EntryKind, Presentation
from wire.presentation import STEP_MS
from wire.reasons import Reason

NEXT_MS = NOW_MS + STEP_MS


def with_phone(venue: Venue, product: int = TWICE) -> tuple[Ticket, Phone]:
    """A pass whose phone is in the list."""
    ticket = venue.issue(product)
    return ticket, venue.phone(ticket)


@pytest.mark.parametrize("form", ["short", "full"])
def test_a_rotating_code_opens_and_leaves_its_proof_in_the_journal(stage: Stage, venue: Venue, form: str) -> None:
    ticket, phone = with_phone(venue)
    venue.settle(stage.data_dir)
    assert admitted(stage.show(phone.short(NOW_MS) if form == "short" else phone.full(NOW_MS)))
    assert (stage.face().verdict, stage.face().holder) == (State.ADMITTED, "李*花")
    (intent,) = stage.written()
    assert intent.presentation is (Presentation.SHORT if form == "short" else Presentation.FULL)
    assert intent.pass_id == ticket.pass_id
    assert intent.evidence is not None
    assert presentation.step_of(intent.evidence) == presentation.step_at(NOW_MS)
    assert presentation.proves(intent.evidence, ticket.pass_id, phone.generation, phone.key.public)
    assert stage.entries.entries_of(ticket.pass_id)[0].step == presentation.step_at(NOW_MS)


def test_a_copy_is_dead_once_its_owner_used_it(stage: Stage, venue: Venue) -> None:
    """The pass may enter twice a day: nothing else stands in the copy's way."""
    _, phone = with_phone(venue)
    venue.settle(stage.data_dir)
    used, older = phone.short(NOW_MS), phone.short(NOW_MS - STEP_MS)
    stage.arms[0].walk(Walk.THROUGH)
    assert admitted(stage.show(used))
    stage.wait(3_000)
    for copy in (used, older, phone.full(NOW_MS)):
        assert stage.show(copy, lane=2) == Refuse(Reason.CODE_REUSED)
        assert (stage.face(2).facts.at_ms, stage.face(2).facts.at_lane) == (NOW_MS, 1)
        assert stage.scans()[0].facts.at_lane == 1
    assert stage.pulses(2) == []
    stage.wait(5_000)  # the owner's phone has drawn the next one
    assert admitted(stage.show(phone.short(NEXT_MS), lane=2))


def test_a_used_step_stays_used_over_a_restart(tmp_path: Path, venue: Venue) -> None:
    _, phone = with_phone(venue)
    venue.settle(tmp_path)
    with stage_at(tmp_path, has_sensor=False) as stage:
        assert admitted(stage.show(phone.short(NOW_MS)))
    with stage_at(tmp_path, has_sensor=False) as stage:
        stage.recover()
        assert stage.show(phone.short(NOW_MS)) == Refuse(Reason.CODE_REUSED)
        assert stage.show(phone.short(NOW_MS - STEP_MS), lane=2) == Refuse(Reason.CODE_REUSED)


def test_an_annulled_entry_gives_the_right_back_and_not_the_code(stage: Stage, venue: Venue) -> None:
    _, phone = with_phone(venue, SINGLE)
    venue.settle(stage.data_dir)
    assert admitted(stage.show(phone.short(NOW_MS)))
    stage.wait(WINDOW_MS + 2_000)
    assert stage.told() == ["intent 1", "annulled 1 1"]
    assert stage.show(phone.short(NOW_MS)) == Refuse(Reason.CODE_REUSED)
    assert admitted(stage.show(phone.short(NEXT_MS)))


@pytest.fixture
def opened(stage: Stage, venue: Venue) -> Phone:
    """Lane 1 has a proven sensor and is open for this phone, nobody has walked yet."""
    first = venue.issue()
    _, phone = with_phone(venue)
    venue.settle(stage.data_dir)
    stage.arms[0].walk(Walk.THROUGH)
    stage.show(first.text)
    stage.wait(3_000)
    assert admitted(stage.show(phone.short(NOW_MS)))
    stage.wait(WINDOW_MS + 500)
    assert stage.told() == ["intent 1", "passed 1 1", "intent 2"]
    return phone


def test_shown_again_the_same_code_opens_once_more_and_counts_once(stage: Stage, opened: Phone) -> None:
    assert admitted(stage.show(opened.short(NOW_MS)))
    assert stage.face().verdict is State.REOPENED
    assert stage.pulses() == [1, 3, 3]
    assert stage.told()[3:] == []
    assert stage.show(opened.short(NOW_MS)) == Refuse(Reason.CODE_REUSED)


def test_shown_again_the_next_code_opens_once_more_counts_once_and_is_used_up(stage: Stage, opened: Phone) -> None:
    assert admitted(stage.show(opened.short(NEXT_MS)))
    stage.arms[0].walk(Walk.THROUGH)
    stage.wait(2_000)
    assert stage.told()[3:] == ["event 2 3 reopened", "passed 2 3"]
    assert stage.show(opened.short(NEXT_MS), lane=2) == Refuse(Reason.CODE_REUSED)
    stage.wait(STEP_MS)
    assert admitted(stage.show(opened.short(NEXT_MS + STEP_MS), lane=2))
    assert stage.face(2).facts.entries_today == 2


def test_a_code_older_than_the_one_admitted_does_not_open_once_more(stage: Stage, opened: Phone) -> None:
    stage.clock.began_ms -= STEP_MS  # else it would be too old by now
    assert stage.show(opened.short(NOW_MS - STEP_MS)) == Refuse(Reason.CODE_REUSED)
    assert stage.pulses() == [1, 3]
    assert admitted(stage.show(opened.short(NOW_MS)))


def test_what_cannot_be_written_does_not_open_once_more(stage: Stage, opened: Phone) -> None:
    stage.disk_takes(False)
    assert stage.show(opened.short(NEXT_MS)) == Refuse(Reason.CANNOT_RECORD)
    assert stage.pulses() == [1, 3]
    stage.disk_takes(True)
    assert admitted(stage.show(opened.short(NEXT_MS)))


def test_after_a_crash_the_same_visitor_goes_on_with_the_same_code(tmp_path: Path, venue: Venue) -> None:
    _, phone = with_phone(venue)
    venue.settle(tmp_path)
    with stage_at(tmp_path) as stage:
        assert admitted(stage.show(phone.short(NOW_MS)))
    with stage_at(tmp_path) as stage:
        stage.recover()
        assert stage.show(phone.short(NOW_MS), lane=2) == Refuse(Reason.CODE_REUSED)
        assert admitted(stage.show(phone.short(NOW_MS)))
        assert stage.face().verdict is State.REOPENED


def test_with_a_phone_in_the_list_the_static_form_will_not_do(stage: Stage, venue: Venue) -> None:
    ticket, phone = with_phone(venue)
    venue.settle(stage.data_dir)
    assert stage.show(ticket.text) == Refuse(Reason.NEEDS_ROTATING_CODE)
    assert admitted(stage.show(phone.short(NOW_MS)))
    assert admitted(stage.show(ticket.card, lane=2))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("off_ms", "reason", "age_s"),
    [
        (-STEP_MS, None, None),
        (STEP_MS, None, None),
        (-2 * STEP_MS, Reason.CODE_TOO_OLD, 40),
        (-86_400_000, Reason.CODE_TOO_OLD, 86_410),
        (2 * STEP_MS, Reason.CODE_TOO_OLD, -20),
    ],
)
def test_the_age_of_a_code(stage: Stage, venue: Venue, off_ms: int, reason: Reason | None, age_s: int | None) -> None:
    """NOW_MS is 10 s into its step."""
    ticket, phone = with_phone(venue)
    venue.settle(stage.data_dir)
    verdict = stage.show(phone.short(NOW_MS + off_ms))
    assert admitted(verdict) if reason is None else verdict == Refuse(reason)
    assert stage.face().facts.age_s == age_s
    assert stage.written()[0].pass_id == ticket.pass_id


def test_without_the_time_staff_decide_on_a_rotating_code(stage: Stage, venue: Venue) -> None:
    _, phone = with_phone(venue)
    venue.settle(stage.data_dir)
    stage.clock.knows_time = False
    assert stage.show(phone.short(NOW_MS)) == Refuse(Reason.CLOCK_UNKNOWN)
    stage.clock.knows_time = True
    assert admitted(stage.show(phone.short(NOW_MS)))
    stage.clock.knows_time = False
    assert stage.show(phone.short(NOW_MS), lane=2) == Refuse(Reason.CODE_REUSED)


def nothing_is_told_of_the_pass(stage: Stage, reason: Reason) -> None:
    """The newest refusal names a reason and nobody."""
    entry = stage.written()[-1]
    assert (entry.kind, entry.reason, entry.pass_id) == (EntryKind.REFUSED, reason, None)
    assert len(entry.evidence or b"") == 11
    scan = stage.scans()[0]
    assert (scan.verdict, scan.holder, scan.ticket_last6, scan.product.zh) == (reason, "", "", "")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("status", "not_after", "reason"),
    [
        (PassStatus.ACTIVE, NOW_MINUTE + 1_000, Reason.NEEDS_FULL_CODE),
        (PassStatus.SUSPENDED, NOW_MINUTE + 1_000, Reason.SUSPENDED),
        (PassStatus.ACTIVE, NOW_MINUTE, Reason.EXPIRED),
    ],
)
@pytest.mark.parametrize("phones_listed", [0, 1])
def test_a_short_code_of_an_unknown_key(
    stage: Stage, venue: Venue, status: PassStatus, not_after: int, reason: Reason, phones_listed: int
) -> None:
    ticket = venue.issue(status=status, not_after=not_after)
    unknown = venue.phone(ticket, 2, listed=False)
    for _ in range(phones_listed):
        venue.phone(ticket)
    venue.settle(stage.data_dir)
    assert stage.show(unknown.short(NOW_MS)) == Refuse(reason)
    nothing_is_told_of_the_pass(stage, reason)


def test_a_short_code_of_a_pass_that_is_not_listed(stage: Stage, venue: Venue) -> None:
    phone = venue.phone(venue.issue(listed=False), listed=False)
    assert stage.show(phone.short(NOW_MS)) == Refuse(Reason.NOT_IN_LIST)
    venue.settle(stage.data_dir)
    assert stage.show(phone.short(NOW_MS)) == Refuse(Reason.NOT_IN_LIST)
    nothing_is_told_of_the_pass(stage, Reason.NOT_IN_LIST)


def test_each_live_key_is_tried_and_only_so_many(stage: Stage, venue: Venue, monkeypatch: pytest.MonkeyPatch) -> None:
    ticket = venue.issue(TWICE)
    phones = [venue.phone(ticket, generation) for generation in range(1, 7)]
    venue.settle(stage.data_dir)
    tried: list[bytes] = []
    verify = holder_proof.verify

    def count(key: bytes, message: bytes, signature: bytes) -> bool:
        tried.append(key)
        return verify(key, message, signature)

    monkeypatch.setattr(holder_proof, "verify", count)
    assert stage.show(phones[0].short(NOW_MS)) == Refuse(Reason.NEEDS_FULL_CODE)
    assert tried == [phone.key.public for phone in reversed(phones)][:MAX_KEYS_TRIED]
    assert admitted(stage.show(phones[3].short(NOW_MS)))
    assert admitted(stage.show(phones[4].short(NEXT_MS), lane=2))
    tried.clear()
    stage.show(phones[0].full(NOW_MS))
    stage.show(phones[0].full(NOW_MS, signer=samples.SERVICE))
    stage.show("GATE:" + "7" * 200)
    assert len(tried) == 1  # not for what fails before


def test_a_full_code_brings_a_key_the_list_has_not_got_yet(stage: Stage, venue: Venue) -> None:
    ticket, listed = with_phone(venue)
    newer = venue.phone(ticket, 2, listed=False)
    venue.settle(stage.data_dir)
    assert stage.show(newer.short(NOW_MS)) == Refuse(Reason.NEEDS_FULL_CODE)
    assert admitted(stage.show(newer.full(NOW_MS, VERSION + 1)))
    assert admitted(stage.show(listed.short(NEXT_MS), lane=2))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("listed", "shown", "issued_version"),
    [
        ((3,), 2, VERSION),  # retired, and a newer one is live
        ((3,), 2, VERSION + 1),
        ((3,), 3, VERSION + 1),  # another key under a generation that is taken
        ((3,), 4, VERSION),  # the newest one was retired, an older one lives on
        ((), 4, VERSION),  # all were
    ],
)
def test_a_full_code_never_overrides_a_row_that_is_as_new(
    stage: Stage, venue: Venue, listed: tuple[int, ...], shown: int, issued_version: int
) -> None:
    ticket = venue.issue()
    for generation in listed:
        venue.phone(ticket, generation)
    retired = venue.phone(ticket, shown, listed=False)
    venue.settle(stage.data_dir)
    assert stage.show(retired.full(NOW_MS, issued_version)) == Refuse(Reason.REPLACED)
    assert stage.written()[0].pass_id == ticket.pass_id


def test_forged_full_codes(stage: Stage, venue: Venue) -> None:
    _, phone = with_phone(venue)
    venue.settle(stage.data_dir)
    stolen = replace(phone, private=ec.generate_private_key(ec.SECP256R1()))
    binding = presentation.bind_holder(phone.claims, samples.PASS_KEY_ID, samples.PASS, 1, phone.key.public)
    for forged in (
        phone.full(NOW_MS, signer=samples.SERVICE),  # a key of one's own, bound by nobody
        presentation.full_text(binding, presentation.step_at(NOW_MS), stolen._proof(presentation.step_at(NOW_MS))),
        presentation.full_text(binding, presentation.step_at(NEXT_MS), phone._proof(presentation.step_at(NOW_MS))),
    ):
        assert stage.show(forged) == Refuse(Reason.FORGED)
        nothing_is_told_of_the_pass(stage, Reason.FORGED)


def test_an_expired_full_code_is_named_if_it_is_genuine(stage: Stage, venue: Venue) -> None:
    ticket = venue.issue(not_after=NOW_MINUTE)
    phone = venue.phone(ticket)
    venue.settle(stage.data_dir)
    assert stage.show(phone.full(NOW_MS)) == Refuse(Reason.EXPIRED)
    assert stage.written()[-1].pass_id == ticket.pass_id
    assert stage.show(phone.full(NOW_MS, signer=samples.SERVICE)) == Refuse(Reason.EXPIRED)
    nothing_is_told_of_the_pass(stage, Reason.EXPIRED)


def test_an_unlisted_full_code_is_taken_as_a_static_one_would_be(stage: Stage, venue: Venue) -> None:
    tickets = [venue.issue(SINGLE, listed=False, issued_version=VERSION + 1) for _ in range(3)]
    phones = [venue.phone(ticket, listed=False) for ticket in tickets]
    venue.settle(stage.data_dir)
    assert stage.show(phones[0].full(NOW_MS, VERSION)) == Refuse(Reason.NOT_IN_LIST)
    assert [admitted(stage.show(phone.full(NOW_MS))) for phone in phones] == [True, True, False]
    assert stage.face().verdict is Reason.OFFLINE_LIMIT
    assert stage.show(phones[0].full(NOW_MS), lane=2) == Refuse(Reason.CODE_REUSED)


def test_on_the_way_out_a_genuine_code_will_do_whatever_its_age(stage: Stage, venue: Venue) -> None:
    _, phone = with_phone(venue)
    stranger = venue.phone(venue.issue(), listed=False)
    venue.settle(stage.data_dir)
    world = stage.clock.look()

    def out(text: str) -> object:
        return decide_exit(find_out(recognise(text), world, leaving=True).facts)

    assert out(phone.short(NOW_MS - 100 * STEP_MS)) == LetOut()
    assert out(phone.full(NOW_MS - 100 * STEP_MS)) == LetOut()
    assert out(stranger.short(NOW_MS)) == Refuse(Reason.NEEDS_FULL_CODE)
    assert out(phone.full(NOW_MS, signer=samples.SERVICE)) == Refuse(Reason.FORGED)
