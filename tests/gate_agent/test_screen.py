"""The status screen over HTTP: who may ask, what comes back, and that streams are bounded and end."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from urllib.parse import urlsplit

import pytest
import requests
from flask import Flask
from flask.testing import FlaskClient

from gate_agent.board import Board, Scan
from gate_agent.faces import IDLE, Face, FaceFacts, Label, State
from gate_agent.lane_state import LaneState
from gate_agent.screen.app import create_app, serve
from gate_agent.screen.streams import STREAMS_LIMIT
from gate_agent.status import Alarm, AlarmKind, Counters, LaneStatus, Status
from tests.gate_agent.beijing import NOW_MS, at
from wire.messages import ClockTrust
from wire.reasons import Reason

LANES = (LaneStatus(1, LaneState.OPEN), LaneStatus(2, LaneState.OPEN))
STATUS = Status(
    lanes=LANES,
    venue=Label("汴河虹桥景区", "Rainbow Bridge"),
    enrolled=True,
    online=True,
    waiting=3,
    list_version=7,
    clock=ClockTrust.TRUSTED,
    counters=Counters(3482, 412, None, {Reason.USED_UP: 21}),
)
PATIENCE_S = 10
BEAT_S = 0.1


@pytest.fixture
def board() -> Board:
    board = Board((1, 2), lambda: time.monotonic_ns() // 1_000_000)
    board.status(STATUS)
    board.rest(1, IDLE)
    board.rest(2, IDLE)
    return board


@pytest.fixture
def app(board: Board) -> Flask:
    return create_app(board, lambda: NOW_MS, beat_s=BEAT_S)


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    return app.test_client()


@pytest.fixture
def url(app: Flask) -> Iterator[str]:
    server, url = serve(app, 0)
    yield url
    server.close()


@pytest.mark.parametrize("path", ["/", "/lane/1", "/lane/2", "/staff", "/staff?lang=en", "/healthz"])
def test_every_page_answers_with_the_headers_that_guard_it(client: FlaskClient, path: str) -> None:
    answer = client.get(path)
    assert answer.status_code == 200
    policy = answer.headers["Content-Security-Policy"]
    assert "script-src 'self'" in policy and "style-src 'self'" in policy and "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize("path", ["/", "/lane/1", "/staff"])
def test_no_page_has_a_style_attribute_or_a_script_of_its_own(client: FlaskClient, path: str) -> None:
    page = client.get(path).text
    assert " style=" not in page
    assert "<style" not in page
    assert " onclick=" not in page
    assert page.count("<script") == page.count('<script type="module" src=')


@pytest.mark.parametrize("path", ["/lane/3", "/events/lane/3", "/staff/scan/99", "/sim", "/sim/history"])
def test_what_is_not_there_is_not_found(client: FlaskClient, path: str) -> None:
    assert client.get(path).status_code == 404


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "10.0.0.8:8020"])
def test_another_host_name_is_refused(client: FlaskClient, host: str) -> None:
    assert client.get("/staff", headers={"Host": host}).status_code == 400


@pytest.mark.parametrize("origin", ["http://evil.example", "http://localhost:81", "https://localhost", "null"])
def test_a_page_of_another_origin_may_not_even_hold_a_stream(client: FlaskClient, origin: str) -> None:
    assert client.get("/events/staff", headers={"Origin": origin}).status_code == 403
    assert client.get("/staff", headers={"Origin": "http://localhost"}).status_code == 200


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_a_page_from_elsewhere_holds_no_stream_whose_origin_the_browser_does_not_name(
    client: FlaskClient, site: str
) -> None:
    foreign = {"Sec-Fetch-Site": site, "Sec-Fetch-Dest": "image"}
    assert client.get("/events/staff", headers=foreign).status_code == 403
    assert client.get("/staff", headers=foreign | {"Sec-Fetch-Dest": "document"}).status_code == 200, "a link"
    for own in ("same-origin", "none"):
        assert client.get("/staff", headers=foreign | {"Sec-Fetch-Site": own}).status_code == 200


def test_a_lane_s_page_shows_its_face_at_once_and_has_no_clock_of_its_own(client: FlaskClient, board: Board) -> None:
    board.face(1, Face(State.ADMITTED, FaceFacts(entries_today=1), "李*花", Label("汴京旅游年票")))
    page = client.get("/lane/1").text
    assert 'data-state="admitted"' in page
    assert "李*花" in page and "今日第1次" in page
    assert "<time></time>" in page
    assert 'data-state="idle"' in client.get("/lane/2").text


def test_names_are_escaped(client: FlaskClient, board: Board) -> None:
    board.face(1, Face(State.ADMITTED, holder="<script>*", product=Label("<b>")))
    board.scan(Scan(1, State.ADMITTED, at_ms=NOW_MS, holder="<script>*"))
    assert "<script>*" not in client.get("/lane/1").text + client.get("/staff").text


def test_the_staff_s_face_speaks_both_languages(client: FlaskClient, board: Board) -> None:
    board.scan(Scan(1, Reason.EXPIRED, at_ms=at(21, 10, 41), holder="周*明", facts=FaceFacts(until_ms=at(1, 0))))
    assert "您的票 2026-10-31 到期了" in client.get("/staff").text
    english = client.get("/staff?lang=en").text
    assert "Your pass ended on 2026-10-31" in english
    assert "Entered today" in english and "3,482" in english and "by now yesterday" not in english
    assert "Entered today" not in client.get("/staff?lang=fr").text


def test_the_staff_read_how_many_had_come_by_now_yesterday(client: FlaskClient, board: Board) -> None:
    assert "昨日此时" not in client.get("/staff").text
    board.status(replace(STATUS, counters=replace(STATUS.counters, yesterday_by_now=3120)))
    assert "<span>昨日此时 3,120</span>" in client.get("/staff").text
    assert "3,120 by now yesterday" in client.get("/staff?lang=en").text


def test_a_single_scan_can_be_asked_for(client: FlaskClient, board: Board) -> None:
    board.scan(Scan(1, Reason.EXPIRED, at_ms=NOW_MS))
    board.scan(Scan(1, State.ADMITTED, at_ms=NOW_MS))
    number = board.snapshot().scans[1].number
    assert "此票已过期" in client.get(f"/staff/scan/{number}").text


def test_health_is_told_as_json(client: FlaskClient, board: Board) -> None:
    told = client.get("/healthz").json
    assert told is not None
    wanted = {"ok": True, "lanes": {"1": "open", "2": "open"}, "enrolled": True, "online": True, "waiting": 3}
    assert wanted.items() <= told.items()
    assert (told["list_version"], told["clock"], told["alarms"]) == (7, "trusted", [])
    board.status(Status(lanes=(LaneStatus(1, LaneState.OUT_OF_ORDER),)))
    assert client.get("/healthz").json["ok"] is False  # type: ignore[index]


def events(answer: requests.Response) -> Iterator[tuple[str, str]]:
    """Name and data of each event of a stream."""
    name, data = "", []
    for line in answer.iter_lines(chunk_size=1, decode_unicode=True):
        if line.startswith("event: "):
            name = line.removeprefix("event: ")
        elif line.startswith("data: "):
            data.append(line.removeprefix("data: "))
        elif not line and name:
            yield name, "\n".join(data)
            name, data = "", []


def stream(url: str, path: str) -> requests.Response:
    return requests.get(url + path, stream=True, timeout=PATIENCE_S)


def test_a_stream_sends_the_face_the_beat_and_each_change(url: str, board: Board) -> None:
    with stream(url, "/events/lane/1") as answer:
        assert answer.headers["Content-Type"].startswith("text/event-stream")
        seen = events(answer)
        name, data = next(seen)
        assert (name, 'data-state="idle"' in data) == ("face", True)
        name, data = next(seen)
        assert (name, json.loads(data)["clock"]) == ("beat", "10:42:18")
        board.face(1, Face(Reason.EXPIRED))
        faces = (data for name, data in seen if name == "face")
        assert 'data-state="expired"' in next(faces)


def test_a_change_on_another_lane_sends_nothing_but_beats(url: str, board: Board) -> None:
    with stream(url, "/events/lane/2") as answer:
        seen = events(answer)
        next(seen)
        board.face(1, Face(Reason.EXPIRED))
        assert [next(seen)[0] for _ in range(2)] == ["beat", "beat"]


def test_the_staff_s_stream_sends_only_the_parts_that_changed(url: str, board: Board) -> None:
    with stream(url, "/events/staff") as answer:
        seen = events(answer)
        assert {next(seen)[0] for _ in range(6)} == {"strip", "alarm", "trial", "counters", "list", "detail"}
        board.scan(Scan(1, Reason.EXPIRED, at_ms=NOW_MS))
        changed = (name for name, _ in seen if name != "beat")
        assert {next(changed), next(changed)} == {"list", "detail"}


def test_an_alarm_that_is_over_leaves_the_staff_s_face(url: str, board: Board) -> None:
    board.status(replace(STATUS, alarms=(Alarm(AlarmKind.FIRE),)))
    with requests.get(url + "/events/staff", stream=True, timeout=PATIENCE_S) as answer:
        lines = answer.iter_lines(chunk_size=1, decode_unicode=True)
        assert any("消防信号已触发" in line for line in lines)
        board.status(STATUS)
        assert "event: alarm" in lines
        assert next(lines) == "data: ", "a browser hears no event without a line of data"


def test_streams_are_bounded_and_pages_still_answer(url: str) -> None:
    opened = [stream(url, "/events/lane/1") for _ in range(STREAMS_LIMIT)]
    try:
        refused = stream(url, "/events/staff")
        assert (refused.status_code, refused.headers["Retry-After"]) == (503, "5")
        assert requests.get(url + "/healthz", timeout=PATIENCE_S).ok
    finally:
        for answer in opened:
            answer.close()


def test_a_stream_left_makes_room_for_the_next(url: str) -> None:
    opened = [stream(url, "/events/lane/1") for _ in range(STREAMS_LIMIT)]
    opened.pop().close()
    again = threading.Event()

    def retry() -> None:  # the gate notices at the next beat that nobody listens
        while stream(url, "/events/lane/1").status_code == 503:
            pass
        again.set()

    threading.Thread(target=retry, daemon=True).start()
    try:
        assert again.wait(PATIENCE_S)
    finally:
        for answer in opened:
            answer.close()


def test_closing_ends_open_streams_at_once(app: Flask) -> None:
    server, url = serve(app, 0)
    with stream(url, "/events/lane/1") as answer:
        server.close()
        assert {name for name, _ in events(answer)} <= {"face", "beat"}
    server.close()
    with pytest.raises(requests.ConnectionError):
        requests.get(url, timeout=PATIENCE_S)


def test_it_listens_on_this_machine_alone_and_a_taken_port_is_said(app: Flask, url: str) -> None:
    assert urlsplit(url).hostname == "127.0.0.1"
    with pytest.raises(OSError):
        serve(app, urlsplit(url).port or 0)


@pytest.mark.slow
def test_connections_that_ask_nothing_make_room_and_streams_live_on(url: str) -> None:
    at, patience_s = urlsplit(url), 20
    with ExitStack() as opened:
        stream = opened.enter_context(requests.get(url + "/events/lane/1", stream=True, timeout=patience_s))
        heard = stream.iter_lines()
        for _ in range(100):
            idle = opened.enter_context(socket.create_connection((at.hostname, at.port)))
            idle.sendall(b"GET /hea")
        began_s = time.monotonic()
        assert requests.get(url + "/healthz", timeout=patience_s).status_code == 200
        waited_s = time.monotonic() - began_s
        assert waited_s > 1, "they were never in the way"
        beats = [line for line, _ in zip(heard, range(20), strict=False)]
        assert len(beats) == 20
