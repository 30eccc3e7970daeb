"""A process with a ticker, on a clock that runs fast and alike in all of them: what its jobs do stands in one file.

Arguments: database URL, history file, monotonic ns at which the clock began, its speed, and the jobs' names. A plain
one is due every minute, "name?" once a day, and "name!" the same, but it never comes back.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from functools import partial
from pathlib import Path

from sync_server import crypto, db
from sync_server.centre import Centre
from sync_server.jobs.ticking import Job, Ticker
from sync_server.settings import Settings

START_MS = 1_790_000_000_000


def note(history: Path, line: str) -> None:
    """One write, so that lines of several processes do not mix."""
    handle = os.open(history, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(handle, f"{line}\n".encode())
    os.close(handle)


def work(history: Path, name: str, _centre: Centre) -> int:
    note(history, f"{name} {os.getpid()}")
    return 0


def hang(history: Path, name: str, _centre: Centre) -> int:
    note(history, f"{name} {os.getpid()}")
    threading.Event().wait()
    return 0


def main(url: str, history: Path, began_ns: int, speed: int, names: list[str]) -> None:
    def now_ms() -> int:
        return START_MS + (time.monotonic_ns() - began_ns) * speed // 1_000_000

    settings = Settings(database_url=url, secret_file=Path("unused"))
    centre = Centre(settings, db.open_engine(url), crypto.make_secrets(), now_ms)
    jobs = []
    for name in names:
        bare, hangs, daily = name.rstrip("!?"), name.endswith("!"), name.endswith(("!", "?"))
        step = partial(hang if hangs else work, history, bare)
        jobs.append(Job(bare, "0 0 * * *" if daily else "* * * * *", step))
    ticker, stopped = Ticker(centre, jobs, tick_s=0.1, renew_s=20 / speed), threading.Event()
    signal.signal(signal.SIGTERM, lambda _number, _frame: stopped.set())
    ticker.start()
    stopped.wait()
    ticker.stop()


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]), sys.argv[5:])
