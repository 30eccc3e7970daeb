"""Each entry that happened is counted once, with the one outcome that wire.md §6 gives it."""

from __future__ import annotations

from typing import Any

import pytest
import sqlalchemy as sa
from cryptography.hazmat.primitives.asymmetric import ec

from sync_server.centre import Centre
from sync_server.issuance.credentials import bind_card, bind_id_numbers
from sync_server.issuance.holder_keys import register
from sync_server.orders.tables import item_claim
from sync_server.redemptions.tables import redemption
from tests.sync_server.town import HOLDER, START_MS, Town, build_town
from wire import holder_proof, presentation
from wire.credential import card_credential
from wire.messages import (
    ClockTrust,
    EntryKind,
    Outcome,
    Presentation,
    redemption_id,
)

HOUR_MS = 3_600_000
NOON_MS = START_MS + 2 * HOUR_MS


@pytest.fixture
def town(centre: Centre) -> Town:
    return build_town(centre)


@pytest.fixture
def any_town(any_centre: Centre) -> Town:
    """On both dialects: where the statements differ."""
    return build_town(any_centre)


def outcomes(town: Town) -> dict[tuple[bytes, int], tuple[str, str | None]]:
    """Outcome and cause by device and number of the intent."""
    with town.centre.read() as connection:
        rows = connection.execute(sa.select(redemption)).all()
    return {(row.device_id, row.seq): (row.outcome, row.cause) for row in rows}


def claims(town: Town) -> list[sa.Row[Any]]:
    with town.centre.read() as connection:
        return list(connection.execute(sa.select(item_claim)).all())


def test_a_ticket_passed_is_claimed_once_and_its_batch_sent_twice_changes_nothing(any_town: Town) -> None:
    [sold] = any_town.sell("single")
    gate = any_town.gate()
    seq = gate.admit(sold, NOON_MS)
    any_town.clock.pass_ms(3 * HOUR_MS)
    first = any_town.upload(gate)
    assert first.through_seq == 2
    assert first.verdicts == ((seq, Outcome.CLAIMED),)
    assert any_town.upload(gate) == first
    assert outcomes(any_town) == {(gate.device.id, seq): ("CLAIMED", None)}
    [claim] = claims(any_town)
    wanted = redemption_id(gate.device.id, gate.incarnation, seq).hex()
    assert (claim.kind, claim.ref, claim.at_ms) == ("REDEEM", wanted, NOON_MS)


@pytest.mark.slow
@pytest.mark.parametrize("kind", [EntryKind.PASSED, EntryKind.PASSED_ASSUMED, EntryKind.UNRESOLVED])
def test_what_leaves_somebody_inside_counts(town: Town, kind: EntryKind) -> None:
    [sold] = town.sell("single")
    gate = town.gate()
    gate.admit(sold, NOON_MS, kind)
    town.clock.pass_ms(3 * HOUR_MS)
    assert town.upload(gate).verdicts == ((1, Outcome.CLAIMED),)


def test_an_annulled_intent_moves_nothing_until_somebody_passes_late(town: Town) -> None:
    [sold] = town.sell("single")
    gate = town.gate()
    seq = gate.admit(sold, NOON_MS, EntryKind.ANNULLED)
    town.clock.pass_ms(3 * HOUR_MS)
    assert town.upload(gate).verdicts == ()
    assert outcomes(town) == {} and claims(town) == []
    gate.write(EntryKind.PASSED_LATE, NOON_MS + 4_000, ref_seq=seq)
    assert town.upload(gate, 3).verdicts == ((seq, Outcome.CLAIMED),)


def test_an_intent_waits_for_its_outcome_whichever_comes_first(any_town: Town) -> None:
    [one, two] = any_town.sell("single", 2)
    gate = any_town.gate()
    gate.admit(one, NOON_MS)
    gate.admit(two, NOON_MS + 10_000)
    any_town.clock.pass_ms(3 * HOUR_MS)
    assert any_town.upload(gate, 1, 1).verdicts == ()
    assert any_town.upload(gate, 2, 2).verdicts == ((1, Outcome.CLAIMED),)
    ahead = any_town.upload(gate, 4, 4)
    assert (ahead.through_seq, ahead.verdicts) == (2, ())
    closing = any_town.upload(gate, 3, 3)
    assert (closing.through_seq, closing.verdicts) == (4, ((3, Outcome.CLAIMED),))


def test_an_annual_pass_visits_without_money(town: Town) -> None:
    [sold] = town.sell("annual", holders=[HOLDER])
    gate = town.gate("park")
    gate.admit(sold, NOON_MS + 24 * HOUR_MS)
    gate.admit(sold, NOON_MS + 25 * HOUR_MS)
    town.clock.pass_ms(30 * HOUR_MS)
    assert town.upload(gate).verdicts == ((1, Outcome.PASS_VISIT), (3, Outcome.PASS_VISIT))
    assert claims(town) == []


def test_the_second_of_two_gates_that_were_cut_off_is_a_conflict(town: Town) -> None:
    [sold] = town.sell("single")
    one, other = town.gate(name="G1"), town.gate(name="G2")
    one.admit(sold, NOON_MS + 60_000)
    other.admit(sold, NOON_MS)
    town.clock.pass_ms(3 * HOUR_MS)
    assert town.upload(one).verdicts == ((1, Outcome.CLAIMED),)
    assert town.upload(other).verdicts == ((1, Outcome.CONFLICT),)
    assert len(claims(town)) == 1


def test_in_one_batch_the_earlier_of_two_wins(town: Town) -> None:
    [sold] = town.sell("single")
    gate = town.gate()
    gate.admit(sold, NOON_MS + 60_000)
    gate.admit(sold, NOON_MS)
    town.clock.pass_ms(3 * HOUR_MS)
    assert town.upload(gate).verdicts == ((1, Outcome.CONFLICT), (3, Outcome.CLAIMED))


def test_an_entry_that_the_ticket_still_allows_is_a_repeat(town: Town) -> None:
    [sold] = town.sell("double")
    gate = town.gate()
    for minute in range(3):
        gate.admit(sold, NOON_MS + minute * 60_000)
    town.clock.pass_ms(3 * HOUR_MS)
    assert [outcome for _, outcome in town.upload(gate).verdicts] == [
        Outcome.CLAIMED,
        Outcome.REPEAT,
        Outcome.CONFLICT,
    ]


@pytest.mark.slow
@pytest.mark.parametrize("splits", [[(1, 5)], [(1, 2), (3, 3), (4, 5)], [(4, 5), (1, 2), (3, 3)], [(3, 5), (1, 2)]])
def test_an_entry_after_staff_gave_the_right_back_is_returned(town: Town, splits: list[tuple[int, int]]) -> None:
    [sold] = town.sell("single")
    gate = town.gate()
    gate.admit(sold, NOON_MS)
    gate.write(EntryKind.RETURNED, NOON_MS + 60_000, ref_seq=1, who="李")
    gate.admit(sold, NOON_MS + 120_000)
    town.clock.pass_ms(3 * HOUR_MS)
    for first, last in splits:
        town.upload(gate, first, last)
    assert sorted(outcome for outcome, _ in outcomes(town).values()) == ["CLAIMED", "RETURNED"]
    assert len(claims(town)) == 1


def test_a_conflict_becomes_returned_when_its_gate_tells_that_it_gave_the_right_back(any_town: Town) -> None:
    [sold] = any_town.sell("single")
    one, other = any_town.gate(name="G1"), any_town.gate(name="G2")
    one.admit(sold, NOON_MS)
    one.write(EntryKind.RETURNED, NOON_MS + 60_000, ref_seq=1, who="李")
    other.admit(sold, NOON_MS + 120_000)
    any_town.clock.pass_ms(3 * HOUR_MS)
    any_town.upload(one, 1, 2)
    receipt = any_town.upload(other)
    assert receipt.verdicts == ((1, Outcome.CONFLICT),)
    any_town.upload(one, 3, 3)
    assert outcomes(any_town)[other.device.id, 1] == ("RETURNED", None)
    assert any_town.upload(other) == receipt, "the same bytes again give the same receipt"


def test_after_a_refund_an_entry_is_late(town: Town) -> None:
    [sold] = town.sell("single")
    with town.centre.write() as connection:
        item = connection.execute(sa.text("SELECT item_id FROM entitlement")).scalar_one()
        columns = {"item_id": item, "kind": "REFUND", "ref": "requested", "at": NOON_MS}
        connection.execute(sa.text("INSERT INTO item_claim VALUES (:item_id, :kind, :ref, :at, :at)"), columns)
    gate = town.gate()
    gate.admit(sold, NOON_MS)
    gate.admit(sold, NOON_MS + 60_000)
    town.clock.pass_ms(3 * HOUR_MS)
    assert town.upload(gate).verdicts == ((1, Outcome.LATE), (3, Outcome.LATE))


@pytest.mark.slow
@pytest.mark.parametrize(
    "shown",
    [
        {"evidence": b"8 bytes."},
        {"evidence": None},
        {"presentation": Presentation.COUNTER, "evidence": None},
        {"presentation": Presentation.CARD},
        {"presentation": Presentation.CARD, "evidence": bytes(18)},
    ],
)
def test_without_proof_that_code_or_card_was_there_nothing_is_paid(town: Town, shown: dict[str, Any]) -> None:
    [sold] = town.sell("single")
    gate = town.gate()
    gate.admit(sold, NOON_MS, **shown)
    town.clock.pass_ms(3 * HOUR_MS)
    town.upload(gate)
    assert outcomes(town) == {(gate.device.id, 1): ("UNPROVEN", "no_evidence")}
    assert claims(town) == []


def test_a_card_proves_itself_by_the_venues_own_hash(any_town: Town) -> None:
    centre = any_town.centre
    [sold] = any_town.sell("single", holders=[HOLDER])
    with centre.write() as connection:
        assert bind_card(connection, centre.secrets, sold.number, "410200", "A12345678", centre.now_ms(), "test")
        assert not bind_card(connection, centre.secrets, sold.number, "410200", "A12345678", centre.now_ms(), "test")
    assert bind_id_numbers(centre) == 1
    assert bind_id_numbers(centre) == 0
    gate = any_town.gate()
    proof = b"\0\2" + card_credential(any_town.credential_key("bridge"), "410200", "A12345678")
    gate.admit(sold, NOON_MS, presentation=Presentation.CARD, evidence=proof)
    any_town.clock.pass_ms(3 * HOUR_MS)
    assert any_town.upload(gate).verdicts == ((1, Outcome.CLAIMED),)


def test_what_staff_let_in_by_hand_waits_for_an_operator(town: Town) -> None:
    [sold] = town.sell("single")
    gate = town.gate()
    gate.write(EntryKind.MANUAL, NOON_MS, pass_id=sold.pass_id, who="李", reason="camera broken")
    gate.write(EntryKind.MANUAL, NOON_MS, who="李", reason="school class")
    town.clock.pass_ms(3 * HOUR_MS)
    town.upload(gate)
    assert set(outcomes(town).values()) == {("UNPROVEN", "manual")}


def test_a_pass_nobody_issued_is_kept_as_unknown(town: Town) -> None:
    [sold] = town.sell("single")
    gate = town.gate()
    gate.admit(sold._replace(pass_id=b"stranger"), NOON_MS)
    assert town.upload(gate).verdicts == ((1, Outcome.UNKNOWN_PASS),)


@pytest.mark.parametrize(
    ("venue", "at_ms", "cause"),
    [
        ("park", NOON_MS, "wrong_venue"),
        ("bridge", NOON_MS + 8 * 24 * HOUR_MS, "outside_validity"),
        ("bridge", START_MS - HOUR_MS, "outside_validity"),
    ],
)
def test_what_cannot_be_true_is_implausible(town: Town, venue: str, at_ms: int, cause: str) -> None:
    [sold] = town.sell("single")
    gate = town.gate(venue)
    gate.admit(sold, at_ms)
    town.clock.pass_ms(9 * 24 * HOUR_MS)
    town.upload(gate)
    assert outcomes(town) == {(gate.device.id, 1): ("IMPLAUSIBLE", cause)}


def test_a_clock_that_the_gate_did_not_trust_condemns_nothing(town: Town) -> None:
    [sold] = town.sell("single")
    gate = town.gate()
    gate.admit(sold, 0, trust=ClockTrust.UNKNOWN)
    town.clock.pass_ms(HOUR_MS)
    assert town.upload(gate).verdicts == ((1, Outcome.CLAIMED),)


def test_refusals_and_events_are_kept_and_count_nothing(any_town: Town) -> None:
    [sold] = any_town.sell("single")
    gate = any_town.gate()
    gate.write(EntryKind.REFUSED, NOON_MS, reason="used_up\0" + "x" * 300, pass_id=sold.pass_id, lane=10**9)
    gate.write(EntryKind.EVENT, 2**62, reason="lane_closed", ref_seq=2**63)
    assert any_town.upload(gate).through_seq == 2
    assert outcomes(any_town) == {}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("flaw", "outcome"),
    [
        (None, ("PASS_VISIT", None)),
        ("another phone", ("UNPROVEN", "no_evidence")),
        ("drawn an hour before", ("UNPROVEN", "no_evidence")),
        ("drawn an hour after", ("UNPROVEN", "no_evidence")),
        ("cut short", ("UNPROVEN", "no_evidence")),
    ],
)
def test_a_rotating_code_proves_a_visit_only_if_a_phone_of_the_pass_drew_it_then(
    any_town: Town, flaw: str | None, outcome: tuple[str, str | None]
) -> None:
    [sold] = any_town.sell("annual", holders=[HOLDER])
    phone = ec.generate_private_key(ec.SECP256R1())
    at_ms = any_town.clock.now_ms + 48 * HOUR_MS
    with any_town.centre.write() as connection:
        generation = register(connection, sold.number, holder_proof.public_key_of(phone), any_town.clock.now_ms, "test")
    away_ms = {"drawn an hour before": -HOUR_MS, "drawn an hour after": HOUR_MS}.get(flaw or "", 0)
    drawn_by = ec.generate_private_key(ec.SECP256R1()) if flaw == "another phone" else phone
    step = presentation.step_at(at_ms + away_ms)
    proof = holder_proof.sign(drawn_by, presentation.holder_message(sold.pass_id, generation, step))
    evidence = step.to_bytes(4, "big") + proof
    gate = any_town.gate()
    evidence = evidence[:-1] if flaw == "cut short" else evidence
    seq = gate.admit(sold, at_ms, presentation=Presentation.SHORT, evidence=evidence)
    any_town.clock.now_ms = at_ms + HOUR_MS // 2
    any_town.upload(gate)
    assert outcomes(any_town) == {(gate.device.id, seq): outcome}


STRANGE: list[dict[str, Any]] = [
    {"pass_id": b""},
    {"pass_id": bytes(1_000)},
    {"lane": -(2**62)},
    {"device_at_ms": -(2**63)},
    {"device_at_ms": 2**63 - 1},
    {"monotonic_ms": -1, "list_epoch": -1, "list_version": 2**62},
    {"evidence": b""},
    {"evidence": bytes(1_000)},
    {"presentation": Presentation.SHORT, "evidence": b"\xff" * 68},
    {"presentation": Presentation.FULL, "evidence": bytes(67)},
    {"presentation": Presentation.CARD, "evidence": bytes(18)},
    {"presentation": Presentation.ELECTRONIC_CARD, "evidence": bytes(18)},
    {"presentation": Presentation.NONE, "pass_id": None, "evidence": None},
    {"reason": "\0\u202e" + "票" * 300, "who": "\0"},
    {"trust": ClockTrust.UNKNOWN},
]


def test_no_row_of_a_batch_holds_up_the_others(any_town: Town) -> None:
    good, *others = any_town.sell("single", len(STRANGE) + 1)
    gate = any_town.gate()
    for sold, strange in zip(others, STRANGE, strict=True):
        at_ms = strange.get("device_at_ms", NOON_MS)
        shown = {name: value for name, value in strange.items() if name != "device_at_ms"}
        seq = gate.intend(sold, at_ms, **shown)
        gate.write(EntryKind.PASSED, at_ms, ref_seq=seq)
        gate.write(EntryKind.MANUAL, at_ms, **shown)
    for ref_seq in (0, -1, 1, 2**53, 2**63, 10_000):
        gate.write(EntryKind.PASSED, NOON_MS, ref_seq=ref_seq)
        gate.write(EntryKind.RETURNED, NOON_MS, ref_seq=ref_seq)
    seq = gate.admit(good, NOON_MS)
    any_town.clock.pass_ms(3 * HOUR_MS)
    receipt = any_town.upload(gate)
    assert receipt.through_seq == len(gate.entries)
    assert dict(receipt.verdicts)[seq] is Outcome.CLAIMED
    assert len(outcomes(any_town)) == 2 * len(STRANGE) + 1
