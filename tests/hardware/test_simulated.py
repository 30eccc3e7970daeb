"""The simulated lane: phones, lines, cards and lamps, the verbs that move it, and its history as one story."""

from __future__ import annotations

import itertools
import json

import numpy as np
import pytest

from hardware.card_reader import ONE_CARD_ONLY, PULLED, CardAuth, CardFault, CardRead
from hardware.indicator import Signal
from hardware.phone_screen import MAX_SHOWN_CHARS, Look, draw_nobody, draw_phone
from hardware.picture_watch import DARK_LEVEL
from hardware.qr import QrReader, read_picture
from hardware.serial_scanner import MAX_LINE_CHARS
from hardware.simulated import SimulatedLane
from hardware.simulated_readers import SHOWN_FRAMES, SimulatedCamera
from hardware.simulated_turnstile import STEP_UP_MS
from hardware.timeline import History, RealTimeline, StepTimeline
from hardware.turnstile import Direction
from tests.waiting import until

WAIT_S = 5.0
A_CODE = "GATE:" + "7K2" * 45


@pytest.fixture
def time() -> StepTimeline:
    return StepTimeline()


@pytest.fixture
def lane(time: StepTimeline) -> SimulatedLane:
    return SimulatedLane(2, time)


@pytest.mark.slow
def test_phones_are_drawn_alike_for_the_same_seed_and_can_be_read() -> None:
    for seed in range(40):
        picture = draw_phone(A_CODE, Look.by_chance(seed))
        assert np.array_equal(picture, draw_phone(A_CODE, Look.by_chance(seed)))
        assert [code.text for code in read_picture(picture)] == [A_CODE], seed
    assert not np.array_equal(picture, draw_phone(A_CODE, Look.by_chance(99)))
    assert read_picture(draw_nobody(Look())) == []


@pytest.mark.parametrize("text", ["", "x" * (MAX_SHOWN_CHARS + 1)])
def test_a_phone_shows_a_sane_number_of_characters(text: str) -> None:
    with pytest.raises(ValueError, match="characters"):
        draw_phone(text, Look())


@pytest.mark.slow
def test_phones_are_held_up_one_after_the_other_with_nobody_between() -> None:
    camera = SimulatedCamera(History(StepTimeline().now_ns))
    camera.show("FIRST")
    camera.show("SECOND")
    reader, seen = QrReader(), ["-"]
    while seen.count("SECOND") < 1:
        frame = camera.newest(WAIT_S)
        assert frame is not None
        codes = reader.read(frame)
        seen.append(codes[0].text if codes else "-")
    first = seen.index("FIRST")
    assert seen[first : first + SHOWN_FRAMES] == ["FIRST"] * SHOWN_FRAMES
    assert set(seen[first + SHOWN_FRAMES : -1]) == {"-"}
    camera.close()


def test_a_phone_is_seen_at_once() -> None:
    camera = SimulatedCamera(History(StepTimeline().now_ns))
    nobody = camera.newest(WAIT_S)
    camera.show(A_CODE)
    phone = camera.newest(0)
    assert nobody is not None
    assert phone is not None, "without waiting for the next frame's time"
    assert [code.text for code in read_picture(phone.gray)] == [A_CODE]


def test_cards(lane: SimulatedLane) -> None:
    lane.card({"area": "460000", "number": "A12345678", "identification": "ab" * 16})
    lane.card(
        {
            "area": "460000",
            "number": "B",
            "identification": "cd",
            "id_number": "46000019900101001X",
            "auth": "psam",
        }
    )
    lane.card({"fault": "the card was pulled too early"})
    assert lane.card_reader.next_read(WAIT_S) == CardRead("460000", "A12345678", "ab" * 16)
    authenticated = lane.card_reader.next_read(WAIT_S)
    assert authenticated == CardRead("460000", "B", "cd", "46000019900101001X", CardAuth.PSAM)
    assert "46000019900101001X" not in repr(authenticated) + json.dumps(lane.history(), ensure_ascii=False)
    assert lane.card_reader.next_read(WAIT_S) == CardFault("the card was pulled too early")
    assert lane.card_reader.next_read(0) is None


def test_the_lane_tells_one_story(lane: SimulatedLane, time: StepTimeline) -> None:
    lane.show("HELLO", to="scanner")
    assert lane.scanner.next_line(WAIT_S) == "HELLO"
    lane.indicator.show(Signal.GO)
    lane.turnstile.open_for(Direction.IN, 300, {"entry_seq": 1})
    assert lane.state() == {
        "lane": 2,
        "arm": "unlocked",
        "relay_on": True,
        "ready": False,
        "fire": False,
        "tampered": False,
        "fault": None,
        "signal": "go",
        "readers": {"camera": None, "scanner": None, "card reader": None},
        "moments_forgotten": 0,
    }
    time.advance(STEP_UP_MS)
    history = json.loads(json.dumps(lane.history()))
    assert [f"{moment['device']} {moment['event']}" for moment in history] == [
        "scanner line",
        "indicator go",
        "relay on",
        "arm unlocked",
        "ready inactive",
        "relay off",
        "visitor pass",
        "arm turns in",
        "passage in active",
    ]
    assert history[2]["note"] == {"entry_seq": 1, "direction": "in"}


def test_the_walk_and_fault_verbs(lane: SimulatedLane, time: StepTimeline) -> None:
    lane.walk("balk")
    lane.turnstile.open_for(Direction.IN, 300, {})
    time.advance(STEP_UP_MS)
    assert lane.state()["arm"] == "unlocked"
    lane.fault("relay_gone")
    assert "plug it in" in str(lane.state()["fault"])
    lane.fault("none")
    assert lane.state()["fault"] is None


def test_readers_go_and_come_back(lane: SimulatedLane) -> None:
    for what, device in (
        ("camera_gone", lane.camera),
        ("camera_dark", lane.camera),
        ("camera_frozen", lane.camera),
        ("scanner_gone", lane.scanner),
        ("card_reader_gone", lane.card_reader),
    ):
        lane.fault(what)
        assert device.fault, what
        lane.fault("none")
        assert device.fault is None


def test_a_reader_that_is_gone_reads_nothing(lane: SimulatedLane) -> None:
    lane.fault("scanner_gone")
    lane.fault("card_reader_gone")
    lane.fault("camera_gone")
    lane.show("LOST", to="scanner")
    lane.card({"fault": "pulled"})
    assert (lane.scanner.next_line(0), lane.card_reader.next_read(0), lane.camera.newest(0)) == (None, None, None)
    lane.fault("none")
    lane.show("SEEN", to="scanner")
    assert lane.scanner.next_line(0) == "SEEN"
    assert lane.card_reader.next_read(0) is None
    assert lane.camera.newest(WAIT_S) is not None


def test_what_goes_wrong_once(lane: SimulatedLane) -> None:
    lane.fault("two_cards")
    lane.fault("card_pulled")
    assert [lane.card_reader.next_read(0) for _ in range(3)] == [ONE_CARD_ONLY, PULLED, None]
    lane.fault("scanner_noise")
    lane.show(A_CODE, to="scanner")
    lines: list[str | None] = []
    while A_CODE not in lines:
        lines.append(lane.scanner.next_line(0))
        assert lines[-1] is not None, lines


def test_a_dark_picture_shows_no_code(lane: SimulatedLane) -> None:
    lane.fault("camera_dark")
    lane.show(A_CODE, seed=3)
    seen = [frame.gray for frame in itertools.islice(lane.camera.frames(), 3)]
    assert all(int(gray.max()) <= DARK_LEVEL and read_picture(gray) == [] for gray in seen)


def test_verbs_refuse_what_they_do_not_understand(lane: SimulatedLane) -> None:
    with pytest.raises(ValueError, match="characters"):
        lane.show("")
    with pytest.raises(ValueError, match="characters"):
        lane.show("x" * (MAX_LINE_CHARS + 1))
    with pytest.raises(ValueError, match="camera or scanner"):
        lane.show("HELLO", to="moon")
    with pytest.raises(ValueError, match="area, number and identification"):
        lane.card({"area": "460000"})
    with pytest.raises(ValueError, match="'fly'"):
        lane.walk("fly")
    with pytest.raises(ValueError, match="'rain'"):
        lane.fault("rain")
    assert lane.history() == []


@pytest.mark.slow
def test_real_time_goes_by_itself() -> None:
    lane = SimulatedLane(1, RealTimeline())
    lane.turnstile.open_for(Direction.IN, 100, {})
    until(lambda: not lane.turnstile.relay_on, what="the pulse ends")
    until(lambda: lane.turnstile.arm == "locked", what="the visitor walks through")
    on, off = (moment.monotonic_ns for moment in lane.history_of("relay"))
    assert off - on >= 100_000_000
    lane.close()
    assert lane.camera.newest(0) is None
