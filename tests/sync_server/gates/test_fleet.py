"""How gates are: kept as they last said it, told to whoever asks, and an alarm for those that say nothing."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
import sqlalchemy as sa
from click.testing import CliRunner

from sync_server.centre import Centre
from sync_server.gates import fleet, registry
from sync_server.gates.alarms import SAME_ALARM_MS, open_alarms
from sync_server.gates.commands import gate as gate_command
from sync_server.gates.tables import gate_alarm
from sync_server.jobs.silent_gates import watch_silent_gates
from sync_server.parties.calendars import close, reopen, set_calendar
from tests.sync_server.town import START_MS, Gate, Town, build_town
from tests.wire import samples
from wire.calendar import DayRange, Hours
from wire.heartbeat import encode_heartbeat
from wire.messages import EntryKind, batch_digest
from wire.moments import MINUTE_MS

HOUR_MS = 60 * MINUTE_MS
SILENT_MS = 5 * MINUTE_MS
BEAT = msgspec.structs.replace(samples.HEARTBEAT, at_ms=START_MS - 2_000)


@pytest.fixture
def town(any_centre: Centre) -> Town:
    return build_town(any_centre)


def listed(town: Town) -> dict[str, Any]:
    with town.centre.read() as connection:
        [told] = fleet.list_gates(connection)
    return told


def tell(town: Town, gate: Gate, health: bytes) -> None:
    town.upload(gate, 1, 0, health=health)


def test_what_a_gate_tells_stands_in_the_registry(town: Town) -> None:
    gate = town.gate()
    assert listed(town)["health"] is None
    gate.write(EntryKind.EVENT, START_MS, reason="started")
    assert town.upload(gate, health=encode_heartbeat(BEAT)).through_seq == 1
    told = listed(town)
    assert (told["venue"], told["software"], told["last_seen_ms"]) == (1, "test 1.0", START_MS)
    assert told["health"] == {
        "told_at_ms": START_MS,
        "agent": "running",
        "lanes": {"1": "open", "2": "out_of_order"},
        "alarms": ["turnstile", "under_voltage"],
        "devices": 3,
        "faults": 1,
        "clock": "trusted",
        "clock_off_ms": -2_000,
        "disk_percent": 41,
        "temperature_c": 56,
        "under_voltage": True,
        "list_at_ms": samples.NOW_MS - 60_000,
        "list_trouble": "unreachable",
        "open_intents": 1,
        "screens": 3,
    }


def test_the_newest_word_stands_and_what_is_none_changes_nothing_and_costs_no_entry(town: Town) -> None:
    gate = town.gate()
    tell(town, gate, encode_heartbeat(BEAT))
    town.clock.pass_ms(60_000)
    tell(town, gate, encode_heartbeat(msgspec.structs.replace(BEAT, disk_percent=97)))
    assert (listed(town)["health"]["disk_percent"], listed(town)["health"]["told_at_ms"]) == (97, START_MS + 60_000)
    gate.write(EntryKind.EVENT, START_MS, reason="started")
    town.clock.pass_ms(60_000)
    assert town.upload(gate, health=b"no heartbeat").through_seq == 1
    assert listed(town)["health"]["told_at_ms"] == START_MS + 60_000
    assert listed(town)["last_seen_ms"] == START_MS + 120_000


def test_one_gate_is_shown_with_its_devices(centre: Centre) -> None:
    town = build_town(centre)
    gate = town.gate()
    town.gate(name="G2")
    tell(town, gate, encode_heartbeat(BEAT))
    run = CliRunner(catch_exceptions=False)
    told = json.loads(run.invoke(gate_command, ["show", gate.device.id.hex()[:8]], obj=lambda: centre).output)
    assert told["lanes"][1] == {"lane": 2, "side": "exit", "state": "out_of_order", "trouble": "turnstile"}
    assert {"lane": 2, "kind": "relay", "fault": "no answer"} in told["devices"]
    assert told["gate_alarms"][1] == {"kind": "under_voltage", "lane": None, "since_ms": samples.NOW_MS}
    lines = run.invoke(gate_command, ["list"], obj=lambda: centre).output.splitlines()
    assert {json.loads(line)["name"]: json.loads(line)["health"] is None for line in lines} == {"G1": False, "G2": True}
    other = next(json.loads(line)["id"] for line in lines if "G2" in line)
    assert json.loads(run.invoke(gate_command, ["show", other], obj=lambda: centre).output)["health"] is None


# --- silence


def alarms(town: Town) -> list[tuple[str, int]]:
    with town.centre.read() as connection:
        return [(alarm.cause, alarm.since_ms) for alarm in open_alarms(connection)]


def raised(town: Town) -> int:
    """How many calls there were in all."""
    with town.centre.read() as connection:
        return connection.scalars(sa.select(sa.func.count()).select_from(gate_alarm)).one()


def test_a_gate_that_is_not_heard_calls_once_until_it_is_heard(town: Town) -> None:
    gate = town.gate()
    tell(town, gate, encode_heartbeat(BEAT))
    town.clock.pass_ms(SILENT_MS - 1)
    assert watch_silent_gates(town.centre) == 0
    town.clock.pass_ms(1)
    assert watch_silent_gates(town.centre) == 1
    assert alarms(town) == [("silent", START_MS)]
    assert listed(town)["alarms"] == [{"cause": "silent", "since_ms": START_MS}]
    town.clock.pass_ms(10 * HOUR_MS)
    assert watch_silent_gates(town.centre) == 0
    tell(town, gate, b"")
    assert watch_silent_gates(town.centre) == 1
    assert (alarms(town), raised(town)) == ([], 1)
    assert watch_silent_gates(town.centre) == 0


def test_a_gate_that_comes_and_goes_calls_every_half_hour_at_most(town: Town) -> None:
    gate = town.gate()
    begun_ms = town.clock.now_ms + SILENT_MS
    for _ in range(12):  # heard every 6 minutes: silent for the last of them
        tell(town, gate, b"")
        watch_silent_gates(town.centre)
        assert alarms(town) == []
        town.clock.pass_ms(SILENT_MS)
        watch_silent_gates(town.centre)
        assert len(alarms(town)) == 1
        assert raised(town) == 1 + (town.clock.now_ms - begun_ms) // SAME_ALARM_MS
        town.clock.pass_ms(MINUTE_MS)
    assert raised(town) == 3


def test_one_that_was_approved_and_never_came_is_silent_one_pending_or_revoked_is_not(town: Town) -> None:
    gate = town.gate()
    town.gate(name="G2", approved=False)
    town.clock.pass_ms(HOUR_MS)
    assert watch_silent_gates(town.centre) == 1
    with town.centre.write() as connection:
        registry.revoke(connection, gate.device.id, "stolen", town.clock.now_ms, "test")
    assert watch_silent_gates(town.centre) == 1
    assert alarms(town) == []
    assert watch_silent_gates(town.centre) == 0


def keep_hours(town: Town, *parts: Hours, closed_days: tuple[DayRange, ...] = ()) -> None:
    """Give the gates' venue a calendar."""
    with town.centre.write() as connection:
        set_calendar(connection, town.venues["bridge"], town.clock.now_ms, "test", hours=parts, closed_days=closed_days)


def minute_of_day(town: Town) -> int:
    """In Shanghai, at a whole minute."""
    town.clock.pass_ms(-(town.clock.now_ms % MINUTE_MS))
    return (town.clock.now_ms // MINUTE_MS + 8 * 60) % (24 * 60)


def test_at_night_nobody_is_called_and_in_the_morning_there_is_time_to_wake(town: Town) -> None:
    minute = minute_of_day(town)
    keep_hours(town, Hours(minute + 60, 24 * 60))
    town.gate()
    town.clock.pass_ms(HOUR_MS - MINUTE_MS)
    assert watch_silent_gates(town.centre) == 0
    town.clock.pass_ms(MINUTE_MS + SILENT_MS - 1)
    assert watch_silent_gates(town.centre) == 0
    town.clock.pass_ms(1)
    assert watch_silent_gates(town.centre) == 1
    town.clock.pass_ms(10 * HOUR_MS)
    assert watch_silent_gates(town.centre) == 0
    assert len(alarms(town)) == 1  # closed or not, it was never heard


def test_a_break_does_not_count(town: Town) -> None:
    minute = minute_of_day(town) % 720  # so that the afternoon ends today
    town.clock.pass_ms((minute - minute_of_day(town)) * MINUTE_MS)
    keep_hours(town, Hours(minute, minute + 58), Hours(minute + 60, minute + 120))
    town.gate()
    tell_at = town.clock.now_ms
    town.clock.pass_ms(56 * MINUTE_MS)
    town.gate(name="G2")
    town.clock.pass_ms(SILENT_MS)  # of these five minutes it was closed for two
    assert [since for _cause, since in alarms(town)] == []
    assert watch_silent_gates(town.centre) == 0
    town.clock.pass_ms(4 * MINUTE_MS)
    assert watch_silent_gates(town.centre) == 2
    assert tell_at in {since for _cause, since in alarms(town)}


def test_on_a_closed_day_and_while_it_is_shut_nobody_is_called(town: Town) -> None:
    keep_hours(town, closed_days=(DayRange(0, 100_000),))
    town.gate()
    town.clock.pass_ms(HOUR_MS)
    assert watch_silent_gates(town.centre) == 0
    keep_hours(town)
    with town.centre.write() as connection:
        closure_id = close(connection, town.venues["bridge"], "大风", town.clock.now_ms, "test")
    assert watch_silent_gates(town.centre) == 0
    with town.centre.write() as connection:
        reopen(connection, closure_id, town.clock.now_ms, "test")
    assert watch_silent_gates(town.centre) == 1


def test_the_digest_of_a_batch_covers_its_heartbeat(town: Town) -> None:
    gate = town.gate()
    assert batch_digest(gate.batch(1, 0)) != batch_digest(gate.batch(1, 0, health=encode_heartbeat(BEAT)))
