"""Runs inside the booted machine as root, tries the units, writes what it saw to /root/told.json and switches off.

It has the system's Python and nothing else, and is not a test itself: test_booted.py reads what it tells.
"""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import threading
import traceback
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

SETTINGS = Path("/var/lib/gate-agent/gate.toml")
LANE = '[[lane]]\ndevices = "1:reader=sim,turnstile=file:/run/gate-agent/pulses"\n'
GATE, SYNC = "gate-agent.service", "gate-sync.service"
PATIENCE_S = 120
JOURNAL = "/var/lib/gate-agent/entries.db"
SYNC_WATCHED = "/run/systemd/system/gate-sync.service.d/watched.conf"  # five minutes are too long to wait for here


def until(condition: Callable[[], Any], what: str) -> Any:
    """The first true answer; the units' own words when it does not come."""
    for _ in range(PATIENCE_S * 10):
        if answer := condition():
            return answer
        threading.Event().wait(0.1)
    journal = subprocess.run(["journalctl", "-n", "60", "--no-pager"], capture_output=True, text=True, check=False)
    raise AssertionError(f"did not happen: {what}\n{journal.stdout}")


def shown(unit: str, name: str) -> str:
    """One property of a unit."""
    asked = ["systemctl", "show", "--value", f"--property={name}", unit]
    return subprocess.run(asked, capture_output=True, text=True, check=True).stdout.strip()


def answers(url: str) -> int:
    """The status of the page, 0 when nobody is there."""
    try:
        with urllib.request.urlopen(url, timeout=2) as reply:
            return int(reply.status)
    except OSError:
        return 0


def process(unit: str) -> int:
    """The unit's main process, 0 when it is not running."""
    return int(shown(unit, "MainPID")) if shown(unit, "SubState") == "running" else 0


def start() -> dict[str, Any]:
    """The gate runs, with the exchange beside it."""
    SETTINGS.write_text(LANE, encoding="utf-8")
    subprocess.run(["systemctl", "restart", GATE, SYNC], check=True)
    until(lambda: answers("http://127.0.0.1:8020/healthz") in (200, 503), "the gate's screen answers")
    return {"healthz": answers("http://127.0.0.1:8020/healthz"), "says": shown(GATE, "StatusText")}


def sandbox() -> dict[str, Any]:
    """What the running process may do, seen from outside."""
    pid = process(GATE)
    words = dict(line.split(":\t", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines() if ":\t" in line)
    inside = ["nsenter", f"--target={pid}", "--mount", "--", "sh", "-c"]
    return {
        "root": words["Uid"].split()[0] == "0",
        "capabilities": int(words["CapEff"], 16) | int(words["CapBnd"], 16),
        "no_new_privileges": words["NoNewPrivs"].strip(),
        "seccomp": words["Seccomp"].strip(),
        "writes_etc": subprocess.run([*inside, "touch /etc/gates-was-here"], check=False, stderr=-3).returncode == 0,
        "writes_data": subprocess.run([*inside, "touch /var/lib/gate-agent/x"], check=False).returncode == 0,
        "writes_pulses": subprocess.run([*inside, "touch /run/gate-agent/x"], check=False).returncode == 0,
    }


def kill() -> dict[str, Any]:
    """Killed, the gate comes back; without the exchange it goes on as if nothing were."""
    before = process(GATE)
    os.kill(before, signal.SIGKILL)
    until(lambda: process(GATE) not in (0, before), "a new process after SIGKILL")
    until(lambda: answers("http://127.0.0.1:8020/healthz") in (200, 503), "the screen answers again")
    gate = process(GATE)
    subprocess.run(["systemctl", "stop", SYNC], check=True)
    return {"came_back": True, "gate_is_the_same": process(GATE) == gate}


def restarted_after(harm: Callable[[int], None], unit: str = GATE) -> dict[str, Any]:
    """Whether the watchdog ends the process that was harmed and another one comes to work."""
    before, since = process(unit), shown(unit, "ExecMainStartTimestampMonotonic")
    harm(before)
    until(lambda: process(unit) not in (0, before), f"a new process of {unit}")
    log = subprocess.run(["journalctl", "--unit", unit, "--no-pager"], capture_output=True, text=True, check=True)
    return {
        "started_later": int(shown(unit, "ExecMainStartTimestampMonotonic")) > int(since),
        "by_the_watchdog": "Watchdog timeout" in log.stdout,
        "says_where_threads_stood": "most recent call first" in log.stdout,
    }


def hang() -> dict[str, Any]:
    """A process that does nothing any more is ended and started anew."""
    told = restarted_after(lambda pid: os.kill(pid, signal.SIGSTOP))
    until(lambda: answers("http://127.0.0.1:8020/healthz") == 200, "the gate is well again")
    return told


def blocked_journal() -> dict[str, Any]:
    """A journal that takes nothing for so long is no gate: the process is ended, and works when it takes again."""
    subprocess.run(["journalctl", "--rotate", "--vacuum-time=1s"], check=True, capture_output=True)
    other = sqlite3.connect(JOURNAL, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    told = restarted_after(lambda _: None)
    other.execute("ROLLBACK")
    other.close()
    until(lambda: answers("http://127.0.0.1:8020/healthz") == 200, "the gate is well again")
    return told


def hanging_sync() -> dict[str, Any]:
    """The exchange has a watchdog of its own; the gate does not feel it."""
    Path(SYNC_WATCHED).parent.mkdir(parents=True)
    Path(SYNC_WATCHED).write_text("[Service]\nWatchdogSec=25\n", encoding="utf-8")
    subprocess.run(["systemctl", "daemon-reload"], check=True)
    subprocess.run(["systemctl", "restart", SYNC], check=True)
    gate = process(GATE)
    told = restarted_after(lambda pid: os.kill(pid, signal.SIGSTOP), SYNC)
    return {**told, "gate_is_the_same": process(GATE) == gate}


def wrong_setting() -> dict[str, Any]:
    """A setting that cannot be used stops the unit, once."""
    SETTINGS.write_text("lanes = 1\n", encoding="utf-8")
    subprocess.run(["systemctl", "restart", GATE], check=False)
    until(lambda: shown(GATE, "ActiveState") == "failed", "the unit gives up")
    tries = shown(GATE, "NRestarts")
    threading.Event().wait(3)
    return {"status": shown(GATE, "ExecMainStatus"), "tried_again": shown(GATE, "NRestarts") != tries}


def centre() -> dict[str, Any]:
    """The centre is made, runs, and its worker beside it."""
    program = "/opt/gates/server/current/bin/sync-server"
    as_centre = ["runuser", "-u", "sync-server", "--"]
    subprocess.run([*as_centre, program, "--settings", "/etc/gates/sync-server.toml", "init"], check=True)
    subprocess.run(["systemctl", "restart", "sync-server", "sync-worker"], check=True)
    until(lambda: answers("http://127.0.0.1:8000/admin/") == 200, "the sign-in page is there")
    until(lambda: process("sync-worker.service"), "the worker runs")
    return {"answers": True}


def main() -> None:
    """All of it, whatever happens to a part."""
    told: dict[str, Any] = {}
    for check in (start, sandbox, hanging_sync, kill, hang, blocked_journal, wrong_setting, centre):
        try:
            told[check.__name__] = check()
        except Exception:  # the machine has to switch off and tell what it saw, whatever went wrong
            told[check.__name__] = {"failed": traceback.format_exc()}
    Path("/root/told.json").write_text(json.dumps(told), encoding="utf-8")
    subprocess.run(["systemctl", "poweroff"], check=True)


if __name__ == "__main__":
    main()
