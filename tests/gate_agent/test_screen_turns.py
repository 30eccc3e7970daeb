"""A flood of requests gets a share of one core and is told to come back; streams go on, and later all is served."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator

import pytest
import requests
from flask import Flask

from gate_agent.board import Board
from gate_agent.faces import Face, State
from gate_agent.screen import server, turns
from gate_agent.screen.app import create_app, serve
from gate_agent.screen.server import CONNECTIONS_LIMIT, THREADS
from gate_agent.screen.turns import AT_ONCE_S, LEAST_S, LONGEST_WAIT_S, SHARE, Turns
from gate_agent.trusted_time import device_clock_ns
from tests.gate_agent.test_screen import STATUS
from tests.gate_agent.venue import NOW_MS

PATIENCE_S = 20


@pytest.fixture
def board() -> Board:
    board = Board((1, 2), lambda: device_clock_ns() // 1_000_000)
    board.status(STATUS)
    return board


@pytest.fixture
def app(board: Board) -> Flask:
    return create_app(board, lambda: NOW_MS)


@pytest.fixture
def url(app: Flask) -> Iterator[str]:
    serving, url = serve(app, 0)
    yield url
    serving.close()


def test_beyond_what_may_be_done_at_once_requests_wait_and_then_get_no_turn() -> None:
    taking = Turns()
    waits = [taking.wait_s(1000.0) for _ in range(round((AT_ONCE_S + LONGEST_WAIT_S * SHARE) / LEAST_S) + 50)]
    at_once = round(AT_ONCE_S / LEAST_S)
    assert waits[:at_once] == [0.0] * at_once
    waited = [wait_s for wait_s in waits[at_once:] if wait_s is not None]
    assert waited == sorted(waited) and waited[-1] == pytest.approx(LONGEST_WAIT_S, abs=LEAST_S / SHARE)
    assert waits[-40:] == [None] * 40


def test_who_got_no_turn_holds_up_nobody_after_him() -> None:
    taking = Turns()
    assert taking.wait_s(1000.0) == 0.0
    taking.took(AT_ONCE_S + 10.0 - LEAST_S)
    assert {taking.wait_s(1000.0) for _ in range(1000)} == {None}
    assert taking.wait_s(1000.0 + 10.0 / SHARE) == pytest.approx(0.0, abs=1e-6)


def test_in_the_long_run_a_flood_gets_its_share_and_no_more() -> None:
    taking, cost_s, spent_s, now_s = Turns(), 0.004, 0.0, 0.0
    for _ in range(100_000):  # a minute and more of a request every ms
        now_s += 0.001
        if taking.wait_s(now_s) is not None:
            taking.took(cost_s - LEAST_S)
            spent_s += cost_s
    assert spent_s == pytest.approx(SHARE * now_s + AT_ONCE_S, rel=0.05)


def test_beyond_its_turn_a_request_is_told_to_come_back_and_open_streams_go_on(
    url: str, board: Board, monkeypatch: pytest.MonkeyPatch
) -> None:
    with requests.get(url + "/events/lane/1", stream=True, timeout=PATIENCE_S) as answer:
        lines = answer.iter_lines(chunk_size=1, decode_unicode=True)
        assert any("data-state" in line for line in lines)
        monkeypatch.setattr(Turns, "wait_s", lambda *_: None)
        monkeypatch.setattr(turns, "LONGEST_WAIT_S", 0.0)
        for path, headers in (("/staff", {}), ("/nothing/there", {}), ("/", {"Origin": "https://evil.example"})):
            told = requests.get(url + path, headers=headers, timeout=PATIENCE_S)
            assert (told.status_code, told.headers["Retry-After"]) == (503, "2"), "before anything is looked at"
        board.face(1, Face(State.ADMITTED))
        assert any('data-state="admitted"' in line for line in lines)


def test_what_an_answer_cost_is_counted(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    took: list[float] = []
    monkeypatch.setattr(Turns, "took", lambda _, cost_s: took.append(cost_s))
    assert requests.get(url + "/staff", timeout=PATIENCE_S).ok
    assert requests.get(url + "/healthz", timeout=PATIENCE_S).ok
    page_s, line_s = took
    assert page_s > line_s > 0


@pytest.fixture
def small_share(monkeypatch: pytest.MonkeyPatch) -> None:
    """A share that any flood exceeds at once, also where the machine leaves it little of a core."""
    monkeypatch.setattr(server, "Turns", lambda: Turns(share=0.02, at_once_s=0.1))


@pytest.mark.slow
@pytest.mark.usefixtures("small_share")
def test_a_flood_ends_in_503_and_afterwards_everybody_is_served(url: str, caplog: pytest.LogCaptureFixture) -> None:
    told: Counter[int] = Counter()
    over = threading.Event()

    def flood() -> None:
        with requests.Session() as session:
            while not over.is_set():
                told[session.get(url + "/staff", timeout=PATIENCE_S).status_code] += 1
                if told[503] >= THREADS:
                    over.set()

    flooding = [threading.Thread(target=flood) for _ in range(CONNECTIONS_LIMIT // 2)]
    for thread in flooding:
        thread.start()
    refused = over.wait(PATIENCE_S * 3)
    over.set()
    for thread in flooding:
        thread.join(PATIENCE_S)
    assert refused and set(told) == {200, 503}
    assert not caplog.records, "nor is the log filled"
    answered = threading.Event()
    while requests.get(url + "/staff", timeout=PATIENCE_S).status_code == 503:
        assert not answered.wait(LONGEST_WAIT_S)
