"""How a running gate is, told to other programs: what /healthz answers, and what `gate-agent health` makes of it."""

from __future__ import annotations

import contextlib
import json
import urllib.request
from collections.abc import Iterator, Mapping
from http.client import HTTPException
from pathlib import Path
from typing import Any

from gate_agent.board import Board
from gate_agent.disk import free_bytes
from gate_agent.lane_state import LaneState
from gate_agent.status import AlarmKind, alarms_of

ADDRESS = "screen.url"
"""The file in the data directory that says where the running agent's screen is."""
ASK_LIMIT_S = 5.0
MAX_REPORT_BYTES = 65_536
FROZEN_MS = 10_000
"""The state is looked at every second; one older than this is no state any more."""
QUIET_S = 60
"""So long nobody may have presented anything before a gate is stopped for an update."""
UPDATE_FREE_BYTES = 512 * 1024 * 1024
"""Room for a release beside the running one, and for the day's entries."""
NOT_WORKING = frozenset({LaneState.STARTING, LaneState.OUT_OF_ORDER})
NOT_ADMITTING = frozenset({AlarmKind.NO_LIST})
"""Alarms with which the gate as a whole does not do what it should, however its lanes stand."""
NO_JOURNAL = frozenset({AlarmKind.RECORD, AlarmKind.JOURNAL_GONE})


class NoAnswer(Exception):
    """No running agent told anything; the sentence says why."""


def report(board: Board) -> dict[str, object]:
    """All of it as JSON takes it. `ok`: gate and lanes do what they should, and this was looked at a moment ago."""
    status = board.snapshot().status
    frozen, kinds = board.status_age_ms() > FROZEN_MS, {alarm.kind for alarm in alarms_of(status)}
    working = not any(lane.state in NOT_WORKING for lane in status.lanes) and not kinds & NOT_ADMITTING
    return {
        "ok": not frozen and working,
        "frozen": frozen,
        "lanes": {str(lane.lane): lane.state for lane in status.lanes},
        "alarms": list(dict.fromkeys(alarm.kind for alarm in alarms_of(status))),
        "enrolled": status.enrolled,
        "online": status.online,
        "waiting": status.waiting,
        "list_version": status.list_version,
        "clock": status.clock.name.lower(),
        "disk_percent": status.disk_percent,
        "temperature_c": status.temperature_c,
        "open_intents": status.open_intents,
        "quiet_s": board.quiet_ms() // 1000,
    }


@contextlib.contextmanager
def told_where(data_dir: Path, url: str) -> Iterator[None]:
    """The screen's address in the data directory while inside; a killed agent leaves it, and nobody answers there."""
    path = data_dir / ADDRESS
    with contextlib.suppress(OSError):  # a full disk keeps nobody from starting
        path.write_text(url, encoding="ascii")
    try:
        yield
    finally:
        path.unlink(missing_ok=True)


def fetch(data_dir: Path, path: str, limit_bytes: int, limit_s: float = ASK_LIMIT_S) -> bytes:
    """What the screen of the agent that runs in a data directory answers. NoAnswer: none does, or not in time."""
    try:
        url = (data_dir / ADDRESS).read_text(encoding="ascii").strip()
    except OSError:
        raise NoAnswer(f"no agent is running in {data_dir}") from None
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(url + path, timeout=limit_s) as answer:
            told: bytes = answer.read(limit_bytes)
    except (OSError, ValueError, HTTPException) as error:
        raise NoAnswer(f"the agent's screen at {url} does not answer ({error}): is it running?") from error
    return told


def ask(data_dir: Path) -> dict[str, Any]:
    """The report of the agent that runs in a data directory. NoAnswer: none does, or it says nothing."""
    try:
        told = json.loads(fetch(data_dir, "/healthz", MAX_REPORT_BYTES))
    except ValueError as error:
        raise NoAnswer(f"what the agent's screen says of itself is no report ({error}): is it running?") from error
    if not isinstance(told, dict):
        raise NoAnswer("what answers in the agent's place is no gate's screen")
    return told


def against_update(told: Mapping[str, Any], data_dir: Path) -> list[str]:
    """Why the gate should not be stopped for an update now, a sentence each; none: it may be."""
    free = free_bytes(data_dir)
    reasons = {
        "the agent does not look after itself any more: its state is old": bool(told["frozen"]),
        f"{told['open_intents']} admissions wait for their visitor to pass": told["open_intents"] > 0,
        f"somebody presented {told['quiet_s']} s ago: wait for a quiet minute": told["quiet_s"] < QUIET_S,
        "the journal cannot be written": bool(NO_JOURNAL & set(told["alarms"])),
        f"only {free // 2**20} MB of disk are free, {UPDATE_FREE_BYTES // 2**20} are needed": (
            free < UPDATE_FREE_BYTES
        ),
    }
    return [reason for reason, holds in reasons.items() if holds]
