"""The worker's loop: a step that fails holds up nobody else, and stopping is prompt."""

from __future__ import annotations

import threading

import pytest

from sync_server.centre import Centre
from sync_server.jobs import worker
from sync_server.orders.progress import take_payments
from sync_server.settlement.clearing import clear_redemptions
from sync_server.settlement.payouts import follow_transfers


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


def test_lists_go_out_while_another_step_waits_for_the_world(centre: Centre, monkeypatch: pytest.MonkeyPatch) -> None:
    stopped, published = threading.Event(), threading.Event()

    def waits(_centre: Centre) -> int:
        assert published.wait(10), "no list went out meanwhile"
        stopped.set()
        return 1

    def publishes(_centre: Centre) -> int:
        published.set()
        return 0

    monkeypatch.setattr(worker, "STEPS", (waits,))
    monkeypatch.setattr(worker, "LIST_STEPS", (publishes,))
    worker.run(centre, stopped)
    assert published.is_set()
    assert stopped.is_set()


def test_an_empty_centre_has_nothing_to_do(any_centre: Centre, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "STEPS", (take_payments, clear_redemptions, follow_transfers))
    monkeypatch.setattr(worker, "LIST_STEPS", ())
    assert worker.run_dry(any_centre) == 0
