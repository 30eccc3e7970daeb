"""The control port of simulated lanes: what it moves, what it refuses, and that it is absent without --simulate."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from flask.testing import FlaskClient

from gate_agent.board import Board
from gate_agent.screen.app import create_app
from gate_agent.screen.simulation import simulation
from hardware.card_reader import CardRead
from hardware.simulated import SimulatedLane
from hardware.timeline import StepTimeline


@pytest.fixture
def lane() -> Iterator[SimulatedLane]:
    lane = SimulatedLane(1, StepTimeline())
    yield lane
    lane.close()


@pytest.fixture
def client(lane: SimulatedLane) -> FlaskClient:
    app = create_app(Board((1,), lambda: 0), lambda: None, simulation({1: lane}))
    return app.test_client()


def test_without_simulation_there_is_no_such_address() -> None:
    client = create_app(Board((1,), lambda: 0), lambda: None).test_client()
    assert client.get("/sim").status_code == 404
    assert client.post("/sim/lane/1/walk", json={"how": "pass"}).status_code == 404
    assert "/sim" not in client.get("/").text


def test_the_page_shows_each_lane_and_is_linked(client: FlaskClient) -> None:
    page = client.get("/sim").text
    assert 'data-lane="1"' in page
    assert 'value="tailgate"' in page and 'value="sensor_stuck"' in page
    assert 'href="/sim"' in client.get("/").text


def test_a_code_is_scanned(client: FlaskClient, lane: SimulatedLane) -> None:
    assert client.post("/sim/lane/1/show", json={"text": "GATE:ABC", "to": "scanner"}).status_code == 200
    assert lane.scanner.next_line(0) == "GATE:ABC"


def test_a_code_is_held_up_to_the_camera(client: FlaskClient, lane: SimulatedLane) -> None:
    assert client.post("/sim/lane/1/show", json={"text": "GATE:ABC", "seed": 3}).status_code == 200
    assert {"device": "camera", "event": "phone", "note": {"characters": 8, "seed": 3}}.items() <= lane.history()[
        0
    ].items()


def test_a_card_is_tapped(client: FlaskClient, lane: SimulatedLane) -> None:
    card = {"area": "410200", "number": "A12345678", "identification": "4102"}
    assert client.post("/sim/lane/1/card", json=card).status_code == 200
    assert lane.card_reader.next_read(0) == CardRead("410200", "A12345678", "4102")


def test_a_visitor_is_sent_and_something_breaks_and_the_history_tells(client: FlaskClient) -> None:
    assert client.post("/sim/lane/1/walk", json={"how": "balk"}).status_code == 200
    assert client.post("/sim/lane/1/fault", json={"what": "relay_gone"}).json["fault"]  # type: ignore[index]
    assert client.post("/sim/lane/1/fault", json={"what": "none"}).json["fault"] is None  # type: ignore[index]
    told = client.get("/sim/history").json["lanes"][0]  # type: ignore[index]
    assert (told["lane"], told["arm"]) == (1, "locked")
    assert told["moments"][0]["device"] == "visitor"
    newest = client.get("/sim/history?newest=1").json["lanes"][0]["moments"]  # type: ignore[index]
    assert newest == told["moments"][-1:]


@pytest.mark.parametrize(
    ("verb", "body", "said"),
    [
        ("show", b"", 'expected {"text": the code'),
        ("show", b"not json", 'expected {"text": the code'),
        ("show", b'{"text": 7}', 'expected {"text": the code'),
        ("show", b'{"text": ""}', "1 to 1024 characters, not 0"),
        ("show", b'{"text": "%s"}' % (b"7" * 1001), "1 to 1000 characters, not 1001"),
        ("show", b'{"text": "GATE:A", "to": "nose"}', "camera or scanner"),
        ("show", b'{"text": "GATE:A", "colour": "red"}', 'expected {"text": the code'),
        ("card", b'{"area": "410200"}', "area, number and identification"),
        ("card", b'{"area": 1}', 'expected {"area": '),
        ("walk", b'{"how": "fly"}', "one of pass, balk, back, tailgate"),
        ("fault", b'{"what": "gremlins"}', "one of none, sensor_stuck"),
    ],
)
def test_what_is_not_understood_is_said(client: FlaskClient, verb: str, body: bytes, said: str) -> None:
    answer = client.post(f"/sim/lane/1/{verb}", data=body)
    assert answer.status_code == 400
    assert said in answer.json["error"]  # type: ignore[index]


def test_lanes_that_are_not_there_and_pages_of_others_move_nothing(client: FlaskClient, lane: SimulatedLane) -> None:
    assert client.post("/sim/lane/2/walk", json={"how": "pass"}).status_code == 404
    foreign = {"Origin": "http://evil.example"}
    assert client.post("/sim/lane/1/walk", json={"how": "pass"}, headers=foreign).status_code == 403
    assert client.post("/sim/lane/1/show", data=b"x" * 70_000).status_code == 413
    assert lane.history() == []
