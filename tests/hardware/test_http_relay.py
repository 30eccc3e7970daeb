"""Relay boards over real loopback HTTP: what an answer means, and the wire on which they may be asked at all."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from hardware import DeviceFault, http_relay
from hardware.http_relay import HttpRelay, wire_fault
from hardware.turnstile import Direction
from tests.hardware.relay_boards import HttpBoard
from tests.waiting import until

HEAD = "Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\tMTU\tWindow\tIRTT\n"
OWN_NET = "lo\t0008000A\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0\n"
DEFAULT = "lo\t00000000\t0108000A\t0003\t0\t0\t0\t00000000\t0\t0\t0\n"
REFUSED = "lo\t00000000\t00000000\t0201\t0\t0\t0\t00000000\t0\t0\t0\n"
NOWHERE = "0" * 32
IPV6_OWN_NET = f"fe80{'0' * 28} 40 {NOWHERE} 00 {NOWHERE} 00000100 00000001 00000000 00000001 lo\n"
IPV6_DEFAULT = f"{NOWHERE} 00 {NOWHERE} 00 fe80{'0' * 27}1 00000400 00000001 00000000 00000003 lo\n"
IPV6_REFUSED = f"{NOWHERE} 00 {NOWHERE} 00 {NOWHERE} ffffffff 00000001 00000000 00200200 lo\n"


@pytest.fixture
def board() -> Iterator[HttpBoard]:
    board = HttpBoard()
    yield board
    board.close()


def edges(board: HttpBoard) -> list[str]:
    return board.relay.history.events("relay")


def routes(folder: Path, ipv4: str, ipv6: str | None = "") -> Path:
    (folder / "route").write_text(HEAD + ipv4, encoding="ascii")
    if ipv6 is not None:
        (folder / "ipv6_route").write_text(ipv6, encoding="ascii")
    return folder


@pytest.mark.parametrize(
    ("ipv4", "ipv6", "words"),
    [
        ("", None, None),
        (OWN_NET + REFUSED, IPV6_OWN_NET + IPV6_REFUSED, None),
        (DEFAULT.replace("lo", "eth0"), IPV6_DEFAULT.replace("lo", "eth0"), None),
        (OWN_NET + DEFAULT, "", "a default route leads through lo"),
        (OWN_NET, IPV6_DEFAULT, "a default route leads through lo"),
    ],
)
def test_a_wire_of_its_own_has_no_default_route(tmp_path: Path, ipv4: str, ipv6: str | None, words: str | None) -> None:
    sentence = wire_fault("lo", routes(tmp_path, ipv4, ipv6))
    assert sentence is None if words is None else words in str(sentence)


def test_a_board_behind_a_default_route_is_not_pulsed(board: HttpBoard, tmp_path: Path) -> None:
    relay = HttpRelay({Direction.IN: board.url}, "lo", routes(tmp_path, ""))
    assert relay.fault is None
    routes(tmp_path, DEFAULT)
    with pytest.raises(DeviceFault, match="a default route leads through lo"):
        relay.pulse(Direction.IN, 100)
    assert "default route" in str(relay.fault)
    assert edges(board) == []
    routes(tmp_path, "")
    relay.pulse(Direction.IN, 100)
    assert (edges(board)[0], relay.fault) == ("on", None)
    relay.close()


def test_a_look_that_fails_in_no_known_way_is_told_and_the_next_ones_go_on(
    board: HttpBoard, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else nobody would look for the board any more, and it would pass for one in order."""
    monkeypatch.setattr(http_relay, "LOOK_EVERY_S", 0.01)
    relay = HttpRelay({Direction.IN: board.url}, "lo", routes(tmp_path, ""))
    routes(tmp_path, DEFAULT.replace("0003", "what"))
    until(lambda: relay.fault is not None)
    assert "the relay board driver failed (ValueError" in str(relay.fault)
    routes(tmp_path, "")
    until(lambda: relay.fault is None)
    routes(tmp_path, DEFAULT)
    until(lambda: "default route" in str(relay.fault))
    relay.close()


def test_an_interface_that_is_not_there_is_named(board: HttpBoard) -> None:
    relay = HttpRelay({Direction.IN: board.url}, "eth77")
    assert "eth77 of a relay board cannot be used" in str(relay.fault)
    with pytest.raises(DeviceFault, match="eth77"):
        relay.pulse(Direction.IN, 100)
    relay.close()


@pytest.mark.parametrize("status", [301, 404, 500])
def test_any_other_answer_is_no_pulse(board: HttpBoard, status: int) -> None:
    relay = HttpRelay({Direction.IN: board.url}, "lo")
    board.mood = status
    with pytest.raises(DeviceFault, match=f"answers {status}"):
        relay.pulse(Direction.IN, 100)
    assert f"answers {status}" in str(relay.fault)
    board.mood = "answer"
    relay.pulse(Direction.IN, 100)
    assert relay.fault is None
    relay.close()


def test_an_answer_that_does_not_come_may_be_a_pulse(board: HttpBoard) -> None:
    relay = HttpRelay({Direction.IN: board.url}, "lo")
    board.mood = "silent"
    relay.pulse(Direction.IN, 100)
    assert edges(board)[0] == "on"
    assert "did not answer well" in str(relay.fault)
    relay.close()


def test_a_board_that_is_away_did_not_move(board: HttpBoard) -> None:
    relay = HttpRelay({Direction.IN: board.url}, "lo")
    assert relay.fault is None
    board.close()
    with pytest.raises(DeviceFault, match="is not there"):
        relay.pulse(Direction.IN, 100)
    assert "is not there" in str(relay.fault)
    relay.close()


@pytest.mark.slow
@pytest.mark.parametrize(("where", "asked_ms"), [("?ms={pulse_ms}", 300), ("?ms=150&timer={pulse_s}", 150)])
def test_the_length_stands_where_the_url_says(board: HttpBoard, where: str, asked_ms: int) -> None:
    relay = HttpRelay({Direction.IN: board.url.partition("?")[0] + where}, "lo")
    relay.pulse(Direction.IN, 300)
    until(lambda: edges(board) == ["on", "off"], what="the board ends it")
    on, off = board.relay.history.moments("relay")
    assert off.monotonic_ns - on.monotonic_ns >= asked_ms * 900_000
    relay.close()
