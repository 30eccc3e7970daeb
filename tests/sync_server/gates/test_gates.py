"""The registry of gates from the command line and beside it: codes, states, progress of journals."""

from __future__ import annotations

from itertools import product

import pytest
import sqlalchemy as sa
from click.testing import CliRunner
from sqlalchemy.engine import Connection

from sync_server.centre import Centre
from sync_server.errors import NotAllowedError, NotFoundError
from sync_server.gates import enrolment, registry
from sync_server.gates.commands import enrolment_code
from sync_server.gates.commands import gate as gate_command
from sync_server.gates.registry import MOVES
from sync_server.gates.tables import DEVICE_STATES, device, incarnation
from sync_server.gates.tables import enrolment_code as code_table
from sync_server.redemptions.tables import entry, forked_entry
from tests.sync_server.town import START_MS, Gate, Town, build_town
from wire.messages import EntryKind, read_enrolment_code


@pytest.fixture
def town(any_centre: Centre) -> Town:
    return build_town(any_centre)


def frozen(town: Town) -> str | None:
    with town.centre.read() as connection:
        cause: str | None = connection.scalars(sa.select(incarnation.c.frozen_cause)).one()
    return cause


def test_from_the_command_line(centre: Centre) -> None:
    town = build_town(centre)
    run = CliRunner(catch_exceptions=False)
    answer = run.invoke(enrolment_code, ["--venue", "2"], obj=lambda: centre)
    assert answer.exit_code == 0 and '"url": "http://127.0.0.1:8000"' in answer.output
    code = read_enrolment_code(answer.output.split('"')[3])
    assert code is not None
    with centre.read() as connection:
        kept = connection.execute(sa.select(code_table)).one()
    assert kept.venue_id == town.venues["park"] and code.secret not in tuple(kept)
    gate = town.gate(approved=False)
    begin = gate.device.id.hex()[:6]
    assert run.invoke(gate_command, ["approve", begin, "--reads-id-numbers"], obj=lambda: centre).exit_code == 0
    listed = run.invoke(gate_command, ["list"], obj=lambda: centre).output
    assert '"state": "active"' in listed and '"reads_id_numbers": true' in listed
    assert run.invoke(gate_command, ["revoke", begin, "--reason", "stolen"], obj=lambda: centre).exit_code == 0


def test_states_move_only_as_the_table_says(centre: Centre) -> None:
    town = build_town(centre)
    gate = town.gate()
    for state, event in product(DEVICE_STATES, ("approve", "revoke")):
        after = MOVES.get((state, event))
        with centre.write() as connection:
            connection.execute(device.update().values(state=state))
            if after is None:
                with pytest.raises(NotAllowedError, match=f"is {state}: you cannot {event} it"):
                    act(connection, event, gate)
            else:
                act(connection, event, gate)
            assert connection.execute(sa.select(device.c.state)).scalar_one() == (after or state)


def act(connection: Connection, event: str, gate: Gate) -> None:
    if event == "approve":
        registry.approve(connection, gate.device.id, START_MS, "test")
    else:
        registry.revoke(connection, gate.device.id, "test", START_MS, "test")


def test_a_gate_is_named_by_enough_of_its_id(centre: Centre) -> None:
    town = build_town(centre)
    with centre.read() as connection, pytest.raises(NotFoundError):
        registry.device_named(connection, "")
    ids = [town.gate(name=f"G{n}").device.id for n in range(20)]
    with centre.read() as connection:
        assert registry.device_named(connection, ids[0].hex().upper()) == ids[0]
        shared = next(one.hex()[0] for one in ids if sum(other.hex()[0] == one.hex()[0] for other in ids) > 1)
        with pytest.raises(NotAllowedError, match="give more of it"):
            registry.device_named(connection, shared)


def test_a_code_is_for_one_box_and_fifteen_minutes(centre: Centre) -> None:
    assert enrolment.CODE_LIFE_MS == 15 * 60 * 1000
    assert registry.one_line("东门\n1\0" + "x" * 200) == "东门1" + "x" * 97


def test_progress_is_what_is_complete(town: Town) -> None:
    gate = town.gate()
    for _ in range(9):
        gate.write(EntryKind.EVENT, START_MS, reason="started")
    assert town.upload(gate, 4, 6).through_seq == 0
    assert town.upload(gate, 1, 2).through_seq == 2
    assert town.upload(gate, 8, 9).through_seq == 2
    assert town.upload(gate, 3, 3).through_seq == 6
    assert town.upload(gate, 5, 8).through_seq == 9
    assert town.upload(gate, 10, 9).through_seq == 9
    assert frozen(town) is None


def test_two_histories_of_one_journal_are_both_kept_and_flagged(town: Town) -> None:
    gate = town.gate()
    twin = Gate(gate.device, gate.private)
    for minute in range(3):
        gate.write(EntryKind.EVENT, START_MS + minute, reason="started")
        twin.write(EntryKind.EVENT, START_MS + minute + (minute > 0), reason="started")
    town.upload(gate, 1, 2)
    assert frozen(town) is None
    assert town.upload(twin, 1, 3).through_seq == 2
    cause = frozen(town)
    assert cause == "two histories meet at entry 2"
    assert town.upload(twin, 1, 3).through_seq == 2
    with town.centre.read() as connection:
        assert connection.scalar(sa.select(sa.func.count()).select_from(entry)) == 2
        assert sorted(connection.execute(sa.select(forked_entry.c.seq)).scalars()) == [2, 3]


@pytest.mark.parametrize(("held", "sent"), [((1, 2), (3, 4)), ((3, 4), (1, 2))])
def test_a_chain_that_does_not_go_on_is_flagged_whichever_part_came_first(
    centre: Centre, held: tuple[int, int], sent: tuple[int, int]
) -> None:
    town = build_town(centre)
    gate = town.gate()
    twin = Gate(gate.device, gate.private)
    for minute in range(4):
        gate.write(EntryKind.EVENT, START_MS + minute, reason="started")
        twin.write(EntryKind.EVENT, START_MS + minute + 1, reason="started")
    town.upload(gate, *held)
    town.upload(twin, *sent)
    assert frozen(town) is not None
