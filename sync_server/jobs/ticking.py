"""What is done by the calendar: jobs as data, and the ticker that looks every few seconds which of them are due.

A job is a worker step that is turned until it finds nothing. Later folders add a line to JOBS; what a slot is, and that
one process has it, is `sync_server.slots`. The ticker only wakes: the table is the truth.
"""

from __future__ import annotations

import logging
import os
import secrets
import socket
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from functools import lru_cache, partial
from typing import NamedTuple
from zoneinfo import ZoneInfo

import structlog
from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.triggers.cron import CronTrigger

from sync_server import slots
from sync_server.centre import Centre
from sync_server.clock import now_ms as wall_clock_ms
from sync_server.gates.registry import forget_old_nonces
from sync_server.jobs.long_setbacks import forget_ended_setbacks, tell_long_setbacks
from sync_server.jobs.low_stock import tell_low_stock
from sync_server.jobs.messages import forget_old_messages
from sync_server.payments.telling import tell_late
from sync_server.reconciliation.reconciling import reconcile
from sync_server.reconciliation.statements_in import fetch_statements
from sync_server.redemptions.ingest import drop_old_receipts
from sync_server.redemptions.online import drop_old_answers
from sync_server.settlement.income import earn_income
from sync_server.settlement.overdue import tell_overdue

TICK_S = 10.0
RENEW_S = 60.0
MAX_TURNS = 10_000  # of one job in one slot
LOOK_BACK_H = (2, 26, 8 * 24, 32 * 24)
"""How far back a job's last slot is looked for, the near ones first; a calendar that is rarer than a month has none."""


class Job(NamedTuple):
    """`cron` is minute, hour, day, month, weekday (mon, tue, …) on the clock of the centre's zone."""

    name: str
    cron: str
    work: Callable[[Centre], int]


def forget_old_slots(centre: Centre) -> int:
    """Forget what jobs ran long ago; how many slots."""
    with centre.write() as connection:
        return slots.forget_old(connection, centre.now_ms())


JOBS: tuple[Job, ...] = (
    Job("tell_late_transfers", "10 * * * *", tell_late),
    Job("tell_low_stock", "45 * * * *", tell_low_stock),
    Job("forget_old_nonces", "5 * * * *", forget_old_nonces),
    Job("drop_old_receipts", "15 * * * *", drop_old_receipts),
    Job("drop_old_answers", "25 * * * *", drop_old_answers),
    Job("forget_old_messages", "40 4 * * *", forget_old_messages),
    Job("fetch_statements", "10 9-23 * * *", fetch_statements),
    Job("reconcile", "*/5 * * * *", reconcile),
    Job("earn_income", "10 * * * *", earn_income),
    Job("tell_overdue", "20 * * * *", tell_overdue),
    Job("tell_long_setbacks", "30 * * * *", tell_long_setbacks),
    Job("forget_ended_setbacks", "45 4 * * *", forget_ended_setbacks),
    Job("forget_old_slots", "35 4 * * *", forget_old_slots),
)

_log = structlog.get_logger("jobs")


def last_slot_ms(cron: str, zone: str, now_ms: int) -> int | None:
    """The newest moment, now or before, at which a calendar was due; None when there was none in a month.

    An hour that the clocks show twice has one slot of a job that is not hourly; one that they leave out has it later.
    """
    trigger, now = _trigger(cron, zone), datetime.fromtimestamp(now_ms / 1000, UTC)
    for hours in LOOK_BACK_H:
        found: datetime | None = None
        at = now - timedelta(hours=hours)
        while (due := trigger.get_next_fire_time(None, at)) is not None and due <= now:
            if due.fold == 0 or cron.split()[1] == "*":
                found = due
            at = due.astimezone(UTC) + timedelta(seconds=1)
        if found is not None:
            return round(found.timestamp() * 1000)
    return None


def next_slot_ms(cron: str, zone: str, now_ms: int) -> int | None:
    """The next moment after now at which a calendar is due; None where it never is again."""
    after = datetime.fromtimestamp(now_ms / 1000, UTC) + timedelta(milliseconds=1)
    due: datetime | None = _trigger(cron, zone).get_next_fire_time(None, after)
    return None if due is None else round(due.timestamp() * 1000)


def turn_job(centre: Centre, job: Job, worker: str) -> int:
    """Run a job if its newest slot is to be had; how much it did. What it raises is kept with the slot, and raised."""
    now_ms = centre.now_ms()
    slot_ms = last_slot_ms(job.cron, centre.settings.zone, now_ms)
    if slot_ms is None:
        return 0
    with centre.read() as connection:
        if not slots.may_be_taken(connection, job.name, slot_ms, now_ms):
            return 0
    with centre.write() as connection:
        tries = slots.take(connection, job.name, slot_ms, worker, now_ms)
    if tries is None:
        return 0
    done = 0
    try:
        for _turn in range(MAX_TURNS):
            part = job.work(centre)
            done += part
            if part == 0:
                break
    except Exception as error:  # whatever it was, the slot is to say so; it goes on to the caller
        with centre.write() as connection:
            slots.finish(
                connection, job.name, slot_ms, tries, centre.now_ms(), done, f"{type(error).__name__}: {error}"
            )
        raise
    with centre.write() as connection:
        slots.finish(connection, job.name, slot_ms, tries, centre.now_ms(), done)
    return done


def turn_jobs(centre: Centre, jobs: Sequence[Job] | None = None) -> int:
    """Every job that is due, once, one after the other; how much they did."""
    worker = new_worker()
    return sum(turn_job(centre, job, worker) for job in (JOBS if jobs is None else jobs))


def new_worker() -> str:
    """A name for this process that no other one has."""
    return f"{socket.gethostname()[:60]}:{os.getpid()}:{secrets.token_hex(4)}"


class Ticker:
    """Looks after all jobs in threads of its own, from `start` to `stop`: one that runs keeps no other waiting."""

    def __init__(self, centre: Centre, jobs: Sequence[Job] = JOBS, tick_s: float = TICK_S, renew_s: float = RENEW_S):
        self._centre, self._worker = centre, new_worker()
        logging.getLogger("apscheduler").setLevel(logging.ERROR)  # that a job still runs at the next tick is no news
        self._scheduler = BackgroundScheduler(timezone=UTC, daemon=True)
        for job in jobs:
            self._every(tick_s, job.name, partial(turn_job, centre, job, self._worker))
        self._every(renew_s, "renew", self._renew)

    def start(self) -> None:
        """Returns at once."""
        self._scheduler.start()

    def stop(self) -> None:
        """Returns when what runs is done."""
        self._scheduler.shutdown(wait=True)

    def _every(self, seconds: float, name: str, work: Callable[[], int]) -> None:
        self._scheduler.add_job(
            partial(_careful, name, work),
            "interval",
            id=name,
            seconds=seconds,
            coalesce=True,
            max_instances=1,
            misfire_grace_time=None,
            next_run_time=datetime.fromtimestamp(wall_clock_ms() / 1000, UTC),  # at once
        )

    def _renew(self) -> int:
        with self._centre.write() as connection:
            return slots.renew(connection, self._worker, self._centre.now_ms())


def _careful(name: str, work: Callable[[], int]) -> None:
    try:
        work()
    except Exception:  # it stands beside its slot, and is tried again; the other jobs go on
        _log.exception("job failed", job=name)


@lru_cache(maxsize=256)
def _trigger(cron: str, zone: str) -> CronTrigger:
    return CronTrigger.from_crontab(cron, timezone=ZoneInfo(zone))
