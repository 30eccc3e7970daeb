"""The centre over HTTP in a thread, and boxes that speak to it with the agent's own sync: no processes."""

from __future__ import annotations

import random
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from uuid import UUID

from werkzeug.serving import make_server

from gate_agent import enrolment
from gate_agent.centre_client import Caller, Rest
from gate_agent.enrolment import Enrolled
from gate_agent.entries import Entries, Placed
from gate_agent.entry_push import SIGN_OF_LIFE_EVERY_MS, EntryPush
from gate_agent.list_pull import ListPull
from gate_agent.succession import Opened, open_journal
from gate_agent.sync_state import LinkTrouble, SyncView
from gate_agent.sync_store import SyncStore
from gate_agent.trusted_time import TrustedTime
from sync_server.centre import Centre
from sync_server.create_app import app_of
from sync_server.gates import registry
from sync_server.gates.enrolment import make_code
from sync_server.keys import key_set
from tests.gate_agent.boxes import BOOT, HandSetClocks
from tests.sync_server.conftest import Clock
from tests.sync_server.town import Sold
from wire.messages import ClockTrust, Entry, EntryKind, Presentation
from wire.token import evidence_of

POLL_S = 0.02
ROUND_LIMIT = 200
"""Requests of one box until it has nothing more to say."""


@contextmanager
def served(centre: Centre, port: int = 0) -> Iterator[int]:
    """The centre's whole application at a port of this machine."""
    server = make_server("127.0.0.1", port, app_of(centre), threaded=True)
    thread = threading.Thread(target=server.serve_forever, args=(POLL_S,), daemon=True)
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@dataclass
class RealBox:
    """An enrolled and approved gate: its files, its journal, and sync as the agent runs it."""

    data_dir: Path
    clock: Clock
    hands: HandSetClocks = field(default_factory=HandSetClocks)
    journals: int = 0

    def __post_init__(self) -> None:
        self.start()

    def start(self) -> None:
        """From the files, as after any start."""
        machine = self.hands.clocks()
        self.store = SyncStore(self.data_dir)
        time = TrustedTime(lambda: self.store.read().evidence, machine)
        self.caller = Caller(self.data_dir, self.store, machine, time)
        self.pull = ListPull(self.data_dir, self.store, self.caller, machine.boot_ms, random.Random(1))
        self.push = EntryPush(self.data_dir, self.store, self.caller, machine.boot_ms, time)
        self.opened = self.open()

    def open(self) -> Opened:
        """The journal to write in; a new one is named by its number."""
        self.journals += 1
        return open_journal(self.data_dir, lambda: self.journals.to_bytes(8, "big"), SyncView.open(self.data_dir))

    def stop(self) -> None:
        """Let go of everything."""
        self.opened.entries.close()
        self.caller.close()
        self.store.close()

    @property
    def entries(self) -> Entries:
        """The journal."""
        return self.opened.entries

    def admit(self, sold: Sold) -> None:
        """Somebody shows a code, is let in and passes."""
        at_ms = self.clock.now_ms
        with self.entries.transaction():
            shown = Entry(
                0, EntryKind.INTENT, at_ms, ClockTrust.TRUSTED, 5, 1, 1, 1,
                Presentation.STATIC, sold.pass_id, evidence_of(sold.token),
            )  # fmt: skip
            seq = self.entries.append(shown, Placed(BOOT, None))
            passed = Entry(
                0, EntryKind.PASSED, at_ms, ClockTrust.TRUSTED, 6, 1, 1, 1, pass_id=sold.pass_id, ref_seq=seq
            )
            self.entries.append(passed, Placed(BOOT, None))

    def sync(self) -> list[LinkTrouble]:
        """Until there is nothing more to say, and once more as a sign of life; the troubles met."""
        self.hands.os_now_ms = self.clock.now_ms
        self.hands.boot_now_ms += SIGN_OF_LIFE_EVERY_MS
        troubles = [done for done in (self.pull.pull_once(),) if isinstance(done, LinkTrouble)]
        for _ in range(ROUND_LIMIT):
            done = self.push.push_once()
            if isinstance(done, LinkTrouble):
                return [*troubles, done]
            if done == Rest(done.pause_s, asked=False):
                return troubles
        raise AssertionError("it never has nothing more to say")


def enrolled_box(centre: Centre, clock: Clock, venue_id: UUID, url: str, data_dir: Path) -> RealBox:
    """Enrol a box over HTTP, and approve it."""
    data_dir.mkdir(parents=True)
    with centre.write() as connection:
        root = key_set.newest(connection).root_public
        code = make_code(connection, venue_id, root, centre.now_ms(), "test")
    hands = HandSetClocks(os_now_ms=clock.now_ms)
    done = enrolment.enrol(data_dir, url, code.text(), data_dir.name, hands.clocks())
    assert isinstance(done, Enrolled), done
    with centre.write() as connection:
        registry.approve(connection, done.device, centre.now_ms(), "test")
    return RealBox(data_dir, clock, hands)
