"""The worker's loop: a step that fails holds up nobody else, and stopping is prompt."""

from __future__ import annotations

import threading

import pytest
import sqlalchemy as sa

from sync_server.centre import Centre
from sync_server.jobs import worker
from sync_server.orders.progress import take_payments
from sync_server.settlement.clearing import clear_redemptions
from sync_server.settlement.payouts import follow_transfers
from tests.sync_server.sandbox import Sandbox, with_provider
from tests.sync_server.town import build_town


@pytest.mark.slow
def test_a_failing_step_does_not_hold_up_the_others(centre: Centre, monkeypatch: pytest.MonkeyPatch) -> None:
    stopped, turns = threading.Event(), []

    def fails(_centre: Centre) -> int:
        raise RuntimeError("the provider's key is gone")

    def works(_centre: Centre) -> int:
        turns.append(1)
        if len(turns) == 3:
            stopped.set()
        return 1

    monkeypatch.setattr(worker, "STEPS", (fails, works))
    monkeypatch.setattr(worker, "LIST_STEPS", ())
    monkeypatch.setattr(worker, "FAILED_S", 0.01)
    worker.run(centre, stopped)
    assert len(turns) == 3
    with pytest.raises(RuntimeError):
        worker.run_dry(centre)


@pytest.mark.parametrize("apart", ["LIST_STEPS", "MESSAGE_STEPS"])
def test_lists_and_messages_go_out_while_another_step_waits_for_the_world(
    centre: Centre, monkeypatch: pytest.MonkeyPatch, apart: str
) -> None:
    stopped, published = threading.Event(), threading.Event()

    def waits(_centre: Centre) -> int:
        assert published.wait(10), "nothing went out meanwhile"
        stopped.set()
        return 1

    def publishes(_centre: Centre) -> int:
        published.set()
        return 0

    monkeypatch.setattr(worker, "STEPS", (waits,))
    monkeypatch.setattr(worker, apart, (publishes,))
    worker.run(centre, stopped)
    assert published.is_set()
    assert stopped.is_set()


def test_an_empty_centre_has_nothing_to_do(any_centre: Centre, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "STEPS", (take_payments, clear_redemptions, follow_transfers))
    monkeypatch.setattr(worker, "LIST_STEPS", ())
    assert worker.run_dry(any_centre) == 0


def test_a_worker_that_finds_nothing_to_do_begins_no_writing(centre: Centre, sandbox: Sandbox) -> None:
    """SQLite has one writer: it is there for those who have something to write."""
    town = build_town(with_provider(centre, sandbox))
    gate = town.gate()
    gate.admit(town.sell("single")[0], town.clock.now_ms)
    town.clock.pass_ms(1_000)
    town.upload(gate)
    writes: list[bool] = []

    def note(connection: sa.Connection) -> None:
        writes.append(bool(connection.get_execution_options().get("sync_server_immediate")))

    sa.event.listen(town.centre.engine, "begin", note)
    assert worker.run_dry(town.centre) > 0
    assert True in writes, "it had something to do"
    writes.clear()
    assert worker.turn(town.centre) == 0
    assert writes and True not in writes
