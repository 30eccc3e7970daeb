"""A job's slot: when it is due in which zone, one run of it whoever looks, and another process after a dead one."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
import sqlalchemy as sa
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from sync_server import slots
from sync_server.centre import Centre
from sync_server.jobs.commands import jobs
from sync_server.jobs.ticking import JOBS, Job, last_slot_ms, next_slot_ms, turn_job, turn_jobs
from sync_server.slots import LEASE_MS, MAX_TRIES, PAUSE_MS, job_slot
from tests.sync_server.conftest import START_MS, Clock
from tests.waiting import until

SHANGHAI, BERLIN = "Asia/Shanghai", "Europe/Berlin"
DAY_MS, HOUR_MS = 86_400_000, 3_600_000


def ms(text: str) -> int:
    return round(datetime.fromisoformat(text).timestamp() * 1000)


@pytest.mark.parametrize(
    ("cron", "zone", "now", "slot"),
    [
        ("30 2 * * *", SHANGHAI, "2026-11-22T02:29:59+08:00", "2026-11-21T02:30+08:00"),
        ("30 2 * * *", SHANGHAI, "2026-11-22T02:30:00+08:00", "2026-11-22T02:30+08:00"),
        ("30 2 * * *", SHANGHAI, "2026-11-23T02:29:59+08:00", "2026-11-22T02:30+08:00"),
        ("5 * * * *", SHANGHAI, "2026-11-22T10:04:59+08:00", "2026-11-22T09:05+08:00"),
        ("0 1 * * mon", SHANGHAI, "2026-11-22T10:00+08:00", "2026-11-16T01:00+08:00"),
        ("0 1 1 * *", SHANGHAI, "2026-11-30T10:00+08:00", "2026-11-01T01:00+08:00"),
        # 29 March 2026: 02:00 to 03:00 is left out
        ("30 2 * * *", BERLIN, "2026-03-29T03:29+02:00", "2026-03-28T02:30+01:00"),
        ("30 2 * * *", BERLIN, "2026-03-29T03:30+02:00", "2026-03-29T03:30+02:00"),
        ("0 * * * *", BERLIN, "2026-03-29T03:10+02:00", "2026-03-29T03:00+02:00"),
        # 25 October 2026: 02:00 to 03:00 comes twice
        ("30 2 * * *", BERLIN, "2026-10-25T02:40+02:00", "2026-10-25T02:30+02:00"),
        ("30 2 * * *", BERLIN, "2026-10-25T02:40+01:00", "2026-10-25T02:30+02:00"),
        ("30 2 * * *", BERLIN, "2026-10-26T02:40+01:00", "2026-10-26T02:30+01:00"),
        ("0 * * * *", BERLIN, "2026-10-25T02:40+02:00", "2026-10-25T02:00+02:00"),
        ("0 * * * *", BERLIN, "2026-10-25T02:40+01:00", "2026-10-25T02:00+01:00"),
    ],
)
def test_the_newest_slot(cron: str, zone: str, now: str, slot: str) -> None:
    assert last_slot_ms(cron, zone, ms(now)) == ms(slot)


@pytest.mark.parametrize(
    ("cron", "now", "slot"),
    [
        ("30 2 * * *", "2026-11-22T02:29:59+08:00", "2026-11-22T02:30+08:00"),
        ("30 2 * * *", "2026-11-22T02:30+08:00", "2026-11-23T02:30+08:00"),
        ("10 9-23 * * *", "2026-11-22T23:10:01+08:00", "2026-11-23T09:10+08:00"),
    ],
)
def test_the_next_slot(cron: str, now: str, slot: str) -> None:
    assert next_slot_ms(cron, SHANGHAI, ms(now)) == ms(slot)


def test_the_list_says_when_each_job_is_due(centre: Centre) -> None:
    done = CliRunner().invoke(jobs, ["list"], obj=lambda: centre)
    due = {told["name"]: told["due_ms"] for told in map(json.loads, done.stdout.splitlines())}
    assert set(due) == {job.name for job in JOBS}
    assert all(at_ms > centre.now_ms() for at_ms in due.values())


def test_what_is_rarer_than_a_month_has_no_slot() -> None:
    assert last_slot_ms("0 0 1 1 *", SHANGHAI, ms("2026-11-22T00:00+08:00")) is None


@given(st.integers(0, 3 * 365 * 24 * 60), st.sampled_from([SHANGHAI, BERLIN]), st.integers(0, 23), st.integers(0, 59))
def test_every_day_has_one_slot_whenever_somebody_looks(minutes: int, zone: str, hour: int, minute: int) -> None:
    now_ms, cron = START_MS + minutes * 60_000, f"{minute} {hour} * * *"
    slot_ms = last_slot_ms(cron, zone, now_ms)
    assert slot_ms is not None and now_ms - 25 * HOUR_MS - 60_000 < slot_ms <= now_ms
    assert last_slot_ms(cron, zone, slot_ms) == slot_ms
    before_ms = last_slot_ms(cron, zone, slot_ms - 1)
    assert before_ms is not None
    days = [datetime.fromtimestamp(at / 1000, ZoneInfo(zone)).date() for at in (before_ms, slot_ms)]
    assert (days[1] - days[0]).days == 1


# --- one run of each ------------------------------------------------------------------------------------------------


class Counted:
    """A job that counts its runs, and fails while it is told to."""

    def __init__(self, cron: str = "0 3 * * *") -> None:
        self.runs, self.fails = 0, False
        self.job = Job("counted", cron, self._work)

    def _work(self, _centre: Centre) -> int:
        self.runs += 1
        if self.fails:
            raise RuntimeError("the bank's file is not there")
        return 0


def rows(centre: Centre) -> list[sa.Row[tuple[object, ...]]]:
    with centre.read() as connection:
        return list(connection.execute(sa.select(job_slot).order_by(job_slot.c.name, job_slot.c.slot_ms)))


def test_a_slot_runs_once_and_a_standstill_is_made_up_for_by_one_run(any_centre: Centre, clock: Clock) -> None:
    counted = Counted()
    for worker in ("a", "b", "a"):
        turn_job(any_centre, counted.job, worker)
    assert counted.runs == 1
    clock.pass_ms(5 * DAY_MS)
    for worker in ("b", "a"):
        turn_job(any_centre, counted.job, worker)
    assert counted.runs == 2
    assert [(row.state, row.tries, row.worker) for row in rows(any_centre)] == [("DONE", 1, "a"), ("DONE", 1, "b")]


def test_a_clock_set_back_brings_no_old_slot_back(centre: Centre, clock: Clock) -> None:
    counted = Counted()
    turn_job(centre, counted.job, "a")
    clock.pass_ms(-3 * DAY_MS)
    turn_job(centre, counted.job, "a")
    assert counted.runs == 1


def test_a_job_goes_on_until_it_finds_nothing(centre: Centre) -> None:
    left = [3, 2, 0, 5]
    assert turn_job(centre, Job("digs", "0 3 * * *", lambda _centre: left.pop(0)), "a") == 5
    assert left == [5]
    assert rows(centre)[0].done == 5


def test_what_failed_is_tried_again_after_a_pause_so_many_times_and_shown(any_centre: Centre, clock: Clock) -> None:
    counted = Counted()
    counted.fails = True
    for failure in range(MAX_TRIES):
        with pytest.raises(RuntimeError):
            turn_job(any_centre, counted.job, "a")
        turn_job(any_centre, counted.job, "b")  # not yet
        clock.pass_ms((PAUSE_MS << failure) - 1)
        turn_job(any_centre, counted.job, "b")
        assert counted.runs == failure + 1
        clock.pass_ms(1)
    turn_job(any_centre, counted.job, "a")
    assert counted.runs == MAX_TRIES
    with any_centre.read() as connection:
        (told,) = slots.failing(connection)
    assert (told.name, told.tries, told.reason) == ("counted", 5, "RuntimeError: the bank's file is not there")
    counted.fails = False
    clock.pass_ms(DAY_MS)
    turn_job(any_centre, counted.job, "a")
    with any_centre.read() as connection:
        assert not slots.failing(connection)
    assert [row.state for row in rows(any_centre)] == ["FAILED", "DONE"]


def take(centre: Centre, worker: str, slot_ms: int = START_MS) -> int | None:
    with centre.write() as connection:
        return slots.take(connection, "job", slot_ms, worker, centre.now_ms())


def test_a_dead_process_is_taken_over_after_its_lease_and_comes_too_late(any_centre: Centre, clock: Clock) -> None:
    assert take(any_centre, "a") == 1
    clock.pass_ms(LEASE_MS - 1)
    assert take(any_centre, "b") is None
    with any_centre.write() as connection:
        assert slots.renew(connection, "a", any_centre.now_ms()) == 1
    clock.pass_ms(LEASE_MS - 1)
    assert take(any_centre, "b") is None, "it had said that it lives"
    clock.pass_ms(1)
    assert take(any_centre, "b") == 2
    assert take(any_centre, "c") is None
    with any_centre.write() as connection:
        assert slots.renew(connection, "a", any_centre.now_ms()) == 0
        assert not slots.finish(connection, "job", START_MS, 1, any_centre.now_ms(), 0)
        assert slots.finish(connection, "job", START_MS, 2, any_centre.now_ms(), 7)
    assert [(row.state, row.worker, row.done) for row in rows(any_centre)] == [("DONE", "b", 7)]


def test_a_job_is_never_beside_itself_and_an_abandoned_slot_gives_way(any_centre: Centre, clock: Clock) -> None:
    assert take(any_centre, "a") == 1
    assert take(any_centre, "b", START_MS + 1) is None, "the slot before is still worked on"
    clock.pass_ms(LEASE_MS)
    assert take(any_centre, "b", START_MS + 1) == 1
    assert [(row.state, row.reason) for row in rows(any_centre)] == [
        ("FAILED", "its process ended before it was done"),
        ("RUNNING", None),
    ]


def test_the_jobs_of_the_centre_are_due_and_run(centre: Centre, clock: Clock) -> None:
    assert len({job.name for job in JOBS}) == len(JOBS)
    assert turn_jobs(centre) == 0
    assert sorted(row.name for row in rows(centre)) == sorted(job.name for job in JOBS)
    clock.pass_ms(slots.KEPT_MS + DAY_MS)
    assert turn_jobs(centre) == len(JOBS), "the old slots are forgotten"


# --- several processes ----------------------------------------------------------------------------------------------

SPEED = 30  # a minute takes two seconds, a lease six
NAMES = [f"job-{n}" for n in range(12)]
ROUNDS = 3  # each job so often at least
PATIENCE_S = 90


@pytest.fixture
def start(any_centre: Centre, tmp_path: Path) -> Iterator[Callable[[list[str]], subprocess.Popen[bytes]]]:
    """`start(names)`: a process whose ticker has these jobs."""
    url = any_centre.engine.url.render_as_string(hide_password=False)
    program = [sys.executable, "-m", "tests.sync_server.jobs.ticker_process", url, str(tmp_path / "history")]
    began_ns, started = time.monotonic_ns(), []

    def begin(names: list[str]) -> subprocess.Popen[bytes]:
        started.append(subprocess.Popen([*program, str(began_ns), str(SPEED), *names]))
        return started[-1]

    yield begin
    for process in started:
        process.kill()
        process.wait()


def ran(history: Path) -> Counter[str]:
    """How often each job was run, by whichever process."""
    return Counter(line.split()[0] for line in history.read_text().splitlines()) if history.exists() else Counter()


@pytest.mark.slow
def test_processes_side_by_side_run_nothing_twice_and_take_over_from_a_dead_one_once(
    any_centre: Centre, tmp_path: Path, start: Callable[[list[str]], subprocess.Popen[bytes]]
) -> None:
    history = tmp_path / "history"
    doomed = start(["day!"])
    until(lambda: ran(history)["day"], PATIENCE_S)
    others = [start([*NAMES, "day?"]) for _ in range(3)]
    until(lambda: min(ran(history)[name] for name in NAMES) >= ROUNDS, PATIENCE_S)
    doomed.send_signal(signal.SIGKILL)
    doomed.wait()
    until(lambda: ran(history)["day"] == 2, PATIENCE_S)
    for process in others:
        process.terminate()
    assert [process.wait(PATIENCE_S) for process in others] == [0, 0, 0]
    kept = rows(any_centre)
    assert ran(history) == Counter(row.name for row in kept) + Counter(["day"])
    assert {(row.state, row.tries) for row in kept if row.name != "day"} == {("DONE", 1)}
    (day,) = (row for row in kept if row.name == "day")
    assert (day.state, day.tries) == ("DONE", 2)
    assert day.worker.split(":")[1] in {str(process.pid) for process in others}
    assert len({row.worker for row in kept}) > 1, "they shared the work"
