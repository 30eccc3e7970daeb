"""Real workers ended by SIGKILL, a real provider beside them: both books agree in the end, nobody was paid twice."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
import requests
import sqlalchemy as sa

from sync_server.centre import Centre, open_centre
from sync_server.orders.tables import item_claim, order, order_item, refund_hold, ticket
from sync_server.outbox import outbox
from sync_server.payments import transfers
from sync_server.payments.states import FINAL, OPEN
from sync_server.payments.tables import external_transfer, transfer_attempt
from sync_server.setbacks import setback
from sync_server.settings import Settings
from sync_server.settlement import refunding
from tests.sync_server.combo_world import ComboWorld
from tests.sync_server.payments.test_kills import lines_of
from tests.sync_server.sandbox_process import SandboxProcess
from tests.waiting import until

DEATHS = 50
LIVES_A_DEATH = 4  # no more: those of a kind that is still lacking
PATIENCE_S = 600.0  # a busy machine takes long over the backlog of fifty lives
MOST_LOOKS = 1_000  # then it dies wherever it is
SLICE_S = 0.001  # a worker runs so long between two looks: a lease is without its attempt for little longer
HOUR_MS = 3_600_000
NOBODY_HERE = "http://127.0.0.1:9"
CAPITAL_FEN = 10_000_000
MOVED = {"CHARGE", "PAYOUT", "REFUND", "FUND_BUY", "FUND_SELL", "FUND_CLOSE"}

CLAIMED = "between a job's claim and its attempt's commit"
UNHEARD = "between an attempt's commit and its request at the provider"
UNANSWERED = "between what the provider did and what we made of its answer"
BETWEEN = "between two transfers"
WAYS = (CLAIMED, UNHEARD, UNANSWERED, BETWEEN)

_OPEN_ATTEMPT = sa.and_(transfer_attempt.c.transfer_id == outbox.c.subject_id, transfer_attempt.c.state.in_(OPEN))
_LEASED = (
    sa.select(outbox.c.id, outbox.c.fence, transfer_attempt.c.out_no)
    .outerjoin(transfer_attempt, _OPEN_ATTEMPT)
    .where(outbox.c.kind == transfers.JOB, outbox.c.state == "LEASED")
)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """On PostgreSQL, too, with `--slow money`."""
    if "url" in metafunc.fixturenames:
        full = metafunc.config.getoption("--slow") is not None
        both = ["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)]
        metafunc.parametrize("url", both if full else both[:1], indirect=True)


@pytest.fixture
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Of an empty database."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'centre.db'}"
    return str(request.getfixturevalue("postgres_url"))


@pytest.fixture
def provider(tmp_path: Path) -> Iterator[SandboxProcess]:
    made = SandboxProcess(tmp_path / "provider")
    yield made
    made.stop()


@dataclass
class Installation:
    """A centre as people start it: every command is a process of its own."""

    settings: Settings
    log: Path

    def start(self, *words: str) -> subprocess.Popen[bytes]:
        told = {name: getattr(self.settings, name) for name in Settings.__struct_fields__}
        ours = ("database_url", "secret_file", "base_url", "provider_url", "provider_public_key_file")
        environment = {f"SYNC_SERVER_{name.upper()}": str(told[name]) for name in ours}
        with self.log.open("ab") as log:
            return subprocess.Popen(
                [sys.executable, "-m", "sync_server", *words],
                env={**os.environ, **environment},
                stdout=subprocess.PIPE,
                stderr=log,
            )

    def run(self, *words: str) -> None:
        """To its end, which has to be a good one."""
        process = self.start(*words)
        said, _ = process.communicate(timeout=PATIENCE_S)
        assert process.returncode == 0, said.decode() + self.told

    @property
    def told(self) -> str:
        """The last words on standard error."""
        return self.log.read_text()[-3_000:]


@dataclass
class Lives:
    """One worker after the other, each ended at a moment that was drawn; work for it comes in while none lives."""

    installation: Installation
    world: ComboWorld
    chance: random.Random
    deaths: Counter[str] = field(default_factory=Counter)
    seen: set[tuple[UUID, int]] = field(default_factory=set)
    """Leases of the dead."""

    def one(self) -> None:
        """A life, from work that comes in to the count of how it ended."""
        self.work_comes_in()
        self.an_hour_passes()
        dies = min(WAYS, key=lambda way: (self.deaths[way], self.chance.random()))  # so that none is rare
        least = self.attempts() + self.chance.randrange(1, 4)
        worker, looks = self.installation.start("worker"), count()
        try:
            assert worker.stdout is not None
            assert worker.stdout.readline() == b"READY {}\n", self.installation.told
            until(lambda: self.stands(worker, dies, least) or next(looks) > MOST_LOOKS, PATIENCE_S, dies, SLICE_S)
        finally:
            worker.kill()
            worker.communicate()
        self.deaths[self.how()] += 1
        self.seen |= self.leased().keys()

    def stands(self, worker: subprocess.Popen[bytes], dies: str, least: int) -> bool:
        """Whether the worker, stopped for a look, is where it is to die; else it goes on."""
        worker.send_signal(signal.SIGSTOP)
        told = os.waitid(os.P_PID, worker.pid, os.WSTOPPED | os.WEXITED)
        assert told is not None and told.si_code == os.CLD_STOPPED, self.installation.told
        if self.how() == dies and self.attempts() + (dies == CLAIMED) >= least:  # the claimed one's is to come
            return True
        worker.send_signal(signal.SIGCONT)
        return False

    def work_comes_in(self) -> None:
        """Orders are paid, gates tell of entries, a ticket is asked back: charges, issues and what follows of them."""
        self.world.buy()
        self.world.buy(2)
        self.world.buy_combo()
        self.somebody_asks_money_back()
        for _ in range(3):
            self.somebody_enters()

    def somebody_enters(self) -> bool:
        if (row := self._an_open_item()) is not None:
            self.world.venue = row.venue_id
            self.world.enter(row.id)
        return row is not None

    def somebody_asks_money_back(self) -> None:
        """So long ago that no gate is waited for."""
        if (row := self._an_open_item()) is not None:
            with self.world.centre.write() as connection:
                refunding.ask(connection, row.number, "test", self.world.centre.now_ms(), "test")
                connection.execute(refund_hold.update().values(deadline_ms=0).where(refund_hold.c.ended_as.is_(None)))

    def an_hour_passes(self) -> None:
        """Of what is promised: leases of the dead run out, and what waits to be tried again is due."""
        leased = outbox.update().where(outbox.c.state == "LEASED")
        with self.world.centre.write() as connection:
            connection.execute(outbox.update().values(run_at_ms=outbox.c.run_at_ms - HOUR_MS))
            connection.execute(leased.values(lease_until_ms=outbox.c.lease_until_ms - HOUR_MS))

    def attempts(self) -> int:
        return self._count(transfer_attempt)

    def leased(self) -> dict[tuple[UUID, int], str | None]:
        """Each lease with the number of the attempt that is open beneath it."""
        with self.world.centre.read() as connection:
            return {(row.id, row.fence): row.out_no for row in connection.execute(_LEASED)}

    def how(self) -> str:
        """What a worker that stands still, or is dead, is between."""
        leased = self.leased()
        held = leased.keys() - self.seen
        if not held:
            return BETWEEN
        [lease] = held
        out_no = leased[lease]
        if out_no is None:
            return CLAIMED
        sandbox = self.world.sandbox
        requests.get(f"{sandbox.url}/alipay/healthz", timeout=PATIENCE_S)  # what is on its way comes in before that
        heard = any(each.book.find(out_no) for each in (sandbox.provider, sandbox.huijinbao))
        return UNANSWERED if heard else UNHEARD

    def go_on_to_the_end(self) -> None:
        """A worker that lives issues what is left; one ticket more is asked back, all others are used, and settled."""
        until(self._nothing_waits, PATIENCE_S, "an end of all that waits")
        self.somebody_asks_money_back()
        while self.somebody_enters():
            pass
        until(self._nothing_waits, PATIENCE_S, "an end of all that waits")

    def _nothing_waits(self) -> bool:
        self.an_hour_passes()
        self.installation.run("worker", "--once")
        return not self._count(external_transfer, external_transfer.c.state.not_in(FINAL))

    def _an_open_item(self) -> Any:
        """One that was issued, and neither ended nor was asked back; None: there is none."""
        ended = sa.select(item_claim.c.item_id).union(sa.select(refund_hold.c.item_id))
        query = (
            sa.select(order_item.c.id, order_item.c.venue_id, ticket.c.number)
            .join(ticket, ticket.c.id == order_item.c.ticket_id)
            .join(order, order.c.id == ticket.c.order_id)
            .where(order.c.state == "ISSUED", order_item.c.id.not_in(ended))
        )
        with self.world.centre.read() as connection:
            rows = connection.execute(query.order_by(order_item.c.id)).all()
        return self.chance.choice(rows) if rows else None

    def _count(self, table: sa.Table, *of: sa.ColumnElement[bool]) -> int:
        with self.world.centre.read() as connection:
            return connection.scalar(sa.select(sa.func.count()).select_from(table).where(*of)) or 0


@pytest.fixture
def lives(url: str, provider: SandboxProcess, tmp_path: Path) -> Iterator[Lives]:
    settings = Settings(
        database_url=url,
        secret_file=tmp_path / "secrets",
        base_url=NOBODY_HERE,  # nobody takes notices: workers ask
        provider_url=provider.url,
        provider_public_key_file=provider.public_key_file,
    )
    installation = Installation(settings, tmp_path / "log")
    installation.run("init")
    centre: Centre = open_centre(settings)
    world = ComboWorld(centre, provider)
    world.bring_capital(CAPITAL_FEN)
    yield Lives(installation, world, random.Random())
    world.close()
    centre.engine.dispose()


@pytest.mark.slow("money")
def test_workers_ended_at_any_moment_pay_nobody_twice(lives: Lives, times: Callable[[int], int]) -> None:
    seed = random.randrange(1 << 32)
    lives.chance.seed(seed)
    wanted, world = times(DEATHS), lives.world
    for _ in range(wanted * LIVES_A_DEATH):
        if lives.deaths.total() >= wanted and lives.deaths.keys() >= set(WAYS):
            break
        lives.one()
    print(f"seed {seed}:", dict(lives.deaths), f"{len(lives.seen)} leases ran out")
    assert lives.deaths.keys() >= set(WAYS), (seed, lives.deaths)
    lives.go_on_to_the_end()
    ours, theirs = lines_of(world)
    assert ours == theirs, seed
    assert Counter(str(out_no).partition("-")[0] for _, out_no, _, _ in theirs).most_common(1)[0][1] == 1, seed
    world.assert_books_agree()
    lives.installation.run("check")
    with world.centre.read() as connection:
        assert set(connection.scalars(sa.select(external_transfer.c.state))) == {"SUCCEEDED"}, seed
        assert set(connection.scalars(sa.select(external_transfer.c.kind))) == MOVED, seed
        assert connection.execute(sa.select(setback)).all() == [], seed
