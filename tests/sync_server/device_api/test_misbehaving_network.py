"""A gate's sync and the centre with a network between them that does everything networks do (quality.md R3)."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
import sqlalchemy as sa
from werkzeug.serving import WSGIRequestHandler, make_server

from gate_agent.centre_client import Patience
from gate_agent.enrolment import Enrolled, enrol
from gate_agent.entries import Entries, Placed
from gate_agent.pass_list import PassListHolder
from gate_agent.sync import Loop
from gate_agent.sync_state import Task
from sync_server.centre import Centre
from sync_server.create_app import app_of
from sync_server.feed.publishing import publish_feeds
from sync_server.gates import enrolment, registry
from sync_server.gates.tables import incarnation
from sync_server.keys import key_set
from sync_server.redemptions.tables import entry as stored_entry
from sync_server.redemptions.tables import redemption
from tests.gate_agent.boxes import BOOT, Box, HandSetClocks, bodies, box_at
from tests.misbehaving_proxy import MisbehavingProxy, Mischief
from tests.sync_server.town import Sold, Town, build_town
from wire.messages import ClockTrust, Entry, EntryKind, Outcome, Presentation
from wire.token import evidence_of

SEEDS = 30
SPELL_S = 120.0
"""How long each spell of weather lasts, on the clocks that the test moves."""
SLICE_S = 10
SHARE = 0.6
"""How many of the requests meet with mischief in bad weather."""
NEW_LISTS = 0.2
"""In how many slices tickets are sold, so that there is a newer list."""
LEVEL_WITHIN_S = 300
PATIENCE = Patience(read_s=0.2)
"""What the gate waits here for a silent answer: the proxy holds some back for longer."""
SECOND_MS = 1000


class _Quiet(WSGIRequestHandler):
    protocol_version = "HTTP/1.1"

    def log(self, *_: object) -> None:
        """Nothing."""


@pytest.fixture
def town(centre: Centre) -> Town:
    return build_town(centre)


@pytest.fixture
def url(town: Town) -> Iterator[str]:
    """The centre, over real HTTP."""
    server = make_server("127.0.0.1", 0, app_of(town.centre), threaded=True, request_handler=_Quiet)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@dataclass
class Gate:
    """A box whose sync is played on hand-set clocks, all of its requests through the proxy."""

    town: Town
    box: Box
    entries: Entries
    proxy: MisbehavingProxy
    chance: random.Random

    def __post_init__(self) -> None:
        attempts = {Task.LIST: self.box.pull.pull_once, Task.ENTRIES: self.box.push.push_once}
        self._loops = [
            Loop(task, attempt, self.box.store, self.box.time, random.Random(self.chance.random()))
            for task, attempt in attempts.items()
        ]
        self._due_ms = [0.0, 0.0]
        self._now_ms = 0.0
        self.slices: list[int] = []
        """Requests of each SLICE_S, one after the other."""

    def play(self, seconds: float, meanwhile: Callable[[], None] = lambda: None) -> None:
        """Let both tasks run for so long; `meanwhile` is done once in each slice."""
        for _ in range(round(seconds / SLICE_S)):
            meanwhile()
            before, end_ms = self.proxy.requests, self._now_ms + SLICE_S * SECOND_MS
            while (due_ms := min(self._due_ms)) < end_ms:
                self._move_to(due_ms)
                first = self._due_ms.index(due_ms)
                self._due_ms[first] = self._now_ms + max(0.001, self._loops[first].step()) * SECOND_MS
            self._move_to(end_ms)
            self.slices.append(self.proxy.requests - before)

    def admit(self, sold: Sold) -> None:
        """Somebody passes, on the box's own disk."""
        now_ms = self.town.clock.now_ms
        with self.entries.transaction():
            seq = self._append(EntryKind.INTENT, now_ms, sold, evidence=evidence_of(sold.token))
            self._append(EntryKind.PASSED, now_ms, sold, ref_seq=seq)

    def is_level(self) -> bool:
        """Whether the centre has every entry and the gate the newest list."""
        held = PassListHolder(self.box.data_dir).current()
        with self.town.centre.read() as connection:
            newest = connection.scalar(sa.text("SELECT max(version) FROM feed"))
        listed = held is not None and held.version == newest
        return listed and self.box.cursor() == len(bodies(self.box.data_dir))

    def _append(self, kind: EntryKind, now_ms: int, sold: Sold, **more: object) -> int:
        shown = Presentation.STATIC if kind is EntryKind.INTENT else Presentation.NONE
        entry = Entry(0, kind, now_ms, ClockTrust.TRUSTED, 5, 1, 1, 1, shown, sold.pass_id, **more)  # type: ignore[arg-type]
        return self.entries.append(entry, Placed(BOOT, None))

    def _move_to(self, now_ms: float) -> None:
        passed_ms = round(now_ms) - round(self._now_ms)
        self._now_ms = max(self._now_ms, now_ms)
        if passed_ms > 0:
            self.box.clocks.advance(passed_ms)
            self.town.clock.pass_ms(passed_ms)


@contextmanager
def gate_at(town: Town, url: str, folder: Path, chance: random.Random) -> Iterator[Gate]:
    """An approved gate; the network is well at first."""
    hands = HandSetClocks(os_now_ms=town.clock.now_ms)
    with MisbehavingProxy(url, chance) as proxy:
        with town.centre.write() as connection:
            root = key_set.newest(connection).root_public
            code = enrolment.make_code(connection, town.venues["bridge"], root, town.clock.now_ms, "test")
        enrolled = enrol(folder, proxy.url, code.text(), folder.name, hands.clocks())
        assert isinstance(enrolled, Enrolled)
        with town.centre.write() as connection:
            registry.approve(connection, enrolled.device, town.clock.now_ms, "test")
        publish_feeds(town.centre)
        with box_at(folder, None, hands, PATIENCE) as box:
            yield Gate(town, box, box.journal(), proxy, chance)


def a_day(gate: Gate, share: float, sold: list[Sold]) -> None:
    """Bad weather, no network, bad again, then good until all is level; visitors come and tickets are sold."""

    def meanwhile() -> None:
        for _ in range(gate.chance.choice((0, 1, 2))):
            gate.admit(gate.chance.choice(sold))
        if gate.chance.random() < NEW_LISTS:
            gate.town.sell("single")
            publish_feeds(gate.town.centre)

    for share_now, down in ((share, False), (share, share > 0), (share, False)):
        gate.proxy.share, gate.proxy.down = share_now, down
        gate.play(SPELL_S, meanwhile)
    gate.proxy.share, gate.proxy.down = 0.0, False
    for _ in range(LEVEL_WITHIN_S // SLICE_S):
        if gate.is_level():
            return
        gate.play(SLICE_S)
    raise AssertionError("gate and centre do not come level")


def stored(town: Town, device: bytes) -> dict[int, tuple[bytes, bytes]]:
    """What the centre has of a gate's journal: seq → (bytes, hash)."""
    table = stored_entry.c
    with town.centre.read() as connection:
        rows = connection.execute(sa.select(table.seq, table.body, table.hash).where(table.device_id == device))
        return {row.seq: (row.body, row.hash) for row in rows}


@pytest.mark.slow("scale")
def test_whatever_the_network_does_the_centre_gets_exactly_what_the_gate_wrote(
    town: Town, url: str, tmp_path: Path, times: Callable[[int], int]
) -> None:
    sold = [one for _ in range(3) for one in town.sell("single", 10)]
    met: set[Mischief] = set()
    with gate_at(town, url, tmp_path / "calm", random.Random(0)) as calm:
        a_day(calm, 0.0, sold)
        ideal = calm.proxy.requests
    for seed in range(times(SEEDS)):
        with gate_at(town, url, tmp_path / f"storm-{seed}", random.Random(seed)) as gate:
            a_day(gate, SHARE, sold)
            device = gate.box.store.read().device
            assert device is not None
            assert stored(town, device) == bodies(gate.box.data_dir), seed
            asked, met = gate.proxy.requests, met | set(gate.proxy.met)
            down = gate.slices[round(SPELL_S / SLICE_S) : 2 * round(SPELL_S / SLICE_S)]
        assert asked <= 3 * ideal, (seed, asked, ideal)
        assert sum(down) <= SPELL_S, (seed, down)
        assert max(down) <= SLICE_S, (seed, down)
        assert frozen(town) == 0, seed
    if times(SEEDS) > 1:
        assert met == set(Mischief)
    counted(town)


def frozen(town: Town) -> int:
    """Journals that the centre holds to be untrue."""
    with town.centre.read() as connection:
        query = sa.select(sa.func.count()).select_from(incarnation).where(incarnation.c.frozen_cause.is_not(None))
        return connection.scalars(query).one()


def counted(town: Town) -> None:
    """Each admission is one redemption, and each ticket was paid for once."""
    with town.centre.read() as connection:
        redemptions = connection.scalars(sa.select(sa.func.count()).select_from(redemption)).one()
        passed = stored_entry.c.kind == EntryKind.PASSED
        admissions = connection.scalars(sa.select(sa.func.count()).select_from(stored_entry).where(passed)).one()
        claims = connection.execute(
            sa.select(redemption.c.item_id, sa.func.count())
            .where(redemption.c.outcome == Outcome.CLAIMED.name)
            .group_by(redemption.c.item_id)
        ).all()
    assert redemptions == admissions > 0
    assert {count for _item, count in claims} == {1}
