"""Two persons give a lost journal up, or let a frozen one be settled; from the command line, each by their password."""

from __future__ import annotations

import json
from typing import Any

import pytest
import sqlalchemy as sa
from click.testing import CliRunner

from sync_server.audit.tables import event_log
from sync_server.centre import Centre
from sync_server.errors import NotAllowedError, NotFoundError
from sync_server.gates import watermarks
from sync_server.gates.tables import incarnation
from sync_server.gates.watermarks import RETIRED_WAITS_MS, Standing
from sync_server.settlement.clearing import clear_redemptions
from tests.sync_server.command_line import command
from tests.sync_server.gates.test_journals import busy, second_journal
from tests.sync_server.operators import PASSWORD, employ
from tests.sync_server.town import START_MS, Town, build_town
from wire.messages import Superseded

HOUR_MS = 3_600_000


@pytest.fixture
def town(any_centre: Centre) -> Town:
    made = build_town(any_centre)
    for account, role in (("lihua", "operations"), ("wang", "finance"), ("zhao", "auditor")):
        employ(any_centre, account, role)
    return made


def run(town: Town, *arguments: str, by: str | None = None) -> dict[str, Any]:
    """A command of `sync-server`, as somebody with a password."""
    who = [] if by is None else ["--organisation", "1000", "--account", by, "--password-stdin"]
    group, said = command(arguments[0]), [*arguments[1:], *who]
    done = CliRunner().invoke(group, said, obj=lambda: town.centre, input=f"{PASSWORD}\n")
    if done.exception is not None:
        raise done.exception
    lines = done.output.splitlines()
    return {"lines": [json.loads(line) for line in lines], **(json.loads(lines[-1]) if lines else {})}


def complete_through(town: Town) -> int | None:
    with town.centre.read() as connection:
        return watermarks.complete_through_ms(connection, town.venues["bridge"], town.centre.now_ms())


@pytest.mark.slow
def test_a_lost_box_is_retired_by_two_and_what_waits_goes_on_after_three_days(town: Town) -> None:
    gate = busy(town.gate(), 2)
    town.upload(gate)
    name, journal = gate.device.id.hex()[:8], gate.incarnation.hex()
    asked = run(town, "gate", "retire", name, journal[:4], "--reason", "it burnt", by="lihua")
    assert asked["state"] == "requested" and asked["journal"] == journal
    (waiting,) = run(town, "request", "list")["lines"]
    assert (waiting["request"], waiting["act"], waiting["reason"]) == (asked["request"], "journal.retire", "it burnt")
    named = f"journal {journal[:8]} of the gate G1 ({name}) at venue 1"
    waits = "0.00 yuan of 0 ended tickets wait for it now"
    assert waiting["does"] == f"after 72 hours nobody waits any more for {named}; {waits}"
    with pytest.raises(NotAllowedError, match="two persons"):
        run(town, "request", "confirm", asked["request"], by="lihua")
    with pytest.raises(NotAllowedError, match="permission"):
        run(town, "request", "confirm", asked["request"], by="zhao")
    assert complete_through(town) is None
    done = run(town, "request", "confirm", asked["request"], by="wang")
    assert done["subject"] == f"journal:{gate.device.id.hex()}:{journal}"
    (told,) = run(town, "gate", "journals")["lines"]
    assert (told["incarnation"], told["standing"]) == (journal, "retiring")
    assert complete_through(town) is None
    town.clock.pass_ms(RETIRED_WAITS_MS)
    assert complete_through(town) == town.centre.now_ms()
    with pytest.raises(NotAllowedError, match="two persons retired it already"):
        run(town, "gate", "retire", name, journal, "--reason", "again", by="lihua")
    assert town.upload(busy(gate, 1), 3).through_seq == 3, "it is stored and receipted all the same"
    with town.centre.read() as connection:
        last = connection.execute(sa.select(event_log).where(event_log.c.action == "journal.retire")).one()
    assert "it burnt" in last.detail and last.actor.startswith("operator:")


@pytest.mark.slow
def test_a_gate_that_never_spoke_is_retired_by_two_too(town: Town) -> None:
    gate, other = town.gate(), town.gate(name="G2")
    name = gate.device.id.hex()
    town.clock.pass_ms(HOUR_MS)
    town.upload(other, echo=town.upload(other).batch_digest, complete_seq=0)
    assert complete_through(town) == START_MS
    asked = run(town, "gate", "retire", name, "--reason", "stolen on its way", by="lihua")
    assert asked["journal"] == ""
    done = run(town, "request", "confirm", asked["request"], by="wang")
    assert done["subject"] == f"journal:{name}:"
    assert complete_through(town) == START_MS
    town.clock.pass_ms(RETIRED_WAITS_MS)
    assert complete_through(town) == START_MS + HOUR_MS
    with pytest.raises(NotAllowedError, match="two persons retired it already"):
        run(town, "gate", "retire", name, "--reason", "again", by="lihua")
    town.upload(gate)  # found again: it may hold something after all
    assert complete_through(town) is None
    with pytest.raises(NotAllowedError, match="has sent a journal"):
        run(town, "gate", "retire", name, "--reason", "again", by="lihua")
    with pytest.raises(NotAllowedError, match="has sent a journal"):
        run(town, "gate", "retire", town.gate(name="G3", approved=False).device.id.hex(), "--reason", "x", by="lihua")


@pytest.mark.slow
def test_a_frozen_journal_is_settled_again_when_two_say_so(town: Town) -> None:
    (sold,) = town.sell("single")
    gate = busy(town.gate(), 3)
    town.clock.pass_ms(HOUR_MS)
    town.upload(gate)
    following = busy(second_journal(gate), 1)
    town.upload(following, supersedes=Superseded(b"journal1", 3, gate.hashes[2]))
    gate.admit(sold, START_MS)
    town.upload(gate, 4)
    assert clear_redemptions(town.centre) == 0
    name = gate.device.id.hex()
    for journal in (gate.incarnation, following.incarnation):
        asked = run(town, "gate", "unfreeze", name, journal.hex(), "--reason", "both are ours", by="wang")
        (waiting,) = run(town, "request", "list")["lines"]
        assert waiting["does"].startswith(f"settled again: journal {journal.hex()[:8]} of the gate G1")
        run(town, "request", "confirm", asked["request"], by="lihua")
    assert clear_redemptions(town.centre) == 1
    town.upload(busy(gate, 1), 6)
    with town.centre.read() as connection:
        assert set(connection.scalars(sa.select(incarnation.c.frozen_cause))) == {None}, "they may go on side by side"
    with pytest.raises(NotAllowedError, match="not frozen"):
        run(town, "gate", "unfreeze", name, gate.incarnation.hex(), "--reason", "again", by="lihua")


@pytest.mark.slow
def test_a_request_can_be_taken_back(town: Town) -> None:
    gate = busy(town.gate(), 1)
    town.upload(gate)
    asked = run(town, "gate", "retire", gate.device.id.hex(), gate.incarnation.hex(), "--reason", "gone", by="lihua")
    run(town, "request", "withdraw", asked["request"], by="lihua")
    assert run(town, "request", "list")["lines"] == []
    with pytest.raises(NotAllowedError, match="WITHDRAWN"):
        run(town, "request", "confirm", asked["request"], by="wang")


@pytest.mark.slow
def test_what_changed_since_it_was_asked_is_looked_at_again(town: Town) -> None:
    """A box that was believed lost came back, and closed its journal."""
    gate = busy(town.gate(), 1)
    town.upload(gate)
    asked = run(town, "gate", "retire", gate.device.id.hex(), gate.incarnation.hex(), "--reason", "gone", by="lihua")
    town.upload(gate, 2, closing=True)
    with pytest.raises(NotAllowedError, match="it was closed"):
        run(town, "request", "confirm", asked["request"], by="wang")
    with town.centre.read() as connection:
        (told,) = watermarks.watermarks(connection, town.centre.now_ms())
    assert told.standing is Standing.CLOSED
    assert len(run(town, "request", "list")["lines"]) == 1, "nothing was decided"


def test_only_what_money_waits_for_too_long_is_told_when_asked(town: Town) -> None:
    quiet, gone = busy(town.gate(name="G1"), 1), busy(town.gate(name="G2"), 1)
    for gate in (quiet, gone):
        town.upload(gate)
    town.clock.pass_ms(25 * HOUR_MS)
    town.upload(quiet, 2, echo=town.upload(quiet, echo=bytes(32)).batch_digest, complete_seq=1)
    (told,) = run(town, "gate", "journals", "--stale")["lines"]
    assert (told["gate"], told["stale"], told["age_ms"]) == ("G2", True, 25 * HOUR_MS)
    assert len(run(town, "gate", "journals")["lines"]) == 2


@pytest.mark.slow
def test_a_journal_is_named_by_enough_of_its_name(town: Town) -> None:
    gate = busy(town.gate(), 1)
    town.upload(gate)
    town.upload(busy(second_journal(gate), 1))
    name = gate.device.id.hex()
    with pytest.raises(NotAllowedError, match="2 journals"):
        run(town, "gate", "retire", name, gate.incarnation.hex()[:4], "--reason", "gone", by="lihua")
    with pytest.raises(NotFoundError, match="no journal"):
        run(town, "gate", "retire", name, "ff", "--reason", "gone", by="lihua")
