"""What comes out of a serial line, by table; and that how the bytes were cut into reads changes nothing."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hardware.serial_scanner import LINE_IDLE_MS, MAX_LINE_CHARS, LineFramer

A_CODE = "GATE:" + "7K2" * 45


@pytest.mark.parametrize(
    ("data", "lines"),
    [
        (b"", []),
        (b"abc", []),
        (b"abc\n", ["abc"]),
        (b"abc\r", ["abc"]),
        (b"abc\r\n", ["abc"]),
        (b"abc\n\r", ["abc"]),
        (b"\r\n\r\n\n", []),
        (b"one\rtwo\r\nthree\n", ["one", "two", "three"]),
        (b"one\ntw", ["one"]),
        (b"\x00\x02abc\x03\n", ["abc"]),
        (b"a\xffb\xc3\xa9c\x7f\n", ["abc"]),
        (b"\x00\x01\xfe\n", []),
        (b" a b \n", [" a b "]),
        (b"x" * MAX_LINE_CHARS + b"\n", ["x" * MAX_LINE_CHARS]),
        (b"x" * (MAX_LINE_CHARS + 1) + b"\n", ["x" * MAX_LINE_CHARS]),
        (b"x" * 3 * MAX_LINE_CHARS + b"\rgood\r", ["x" * MAX_LINE_CHARS, "good"]),
        (b"\x00" * 3 * MAX_LINE_CHARS + b"good\r", ["good"]),
    ],
)
def test_bytes_become_lines(data: bytes, lines: list[str]) -> None:
    assert LineFramer().feed(data, 0) == lines


@pytest.mark.parametrize(
    ("arrivals", "lines"),
    [
        # (ms, bytes) …, with what is out after each
        ([(0, b"half"), (10, b" line\n")], [[], ["half line"]]),
        ([(0, b"no end"), (LINE_IDLE_MS - 1, b"")], [[], []]),
        ([(0, b"no end"), (LINE_IDLE_MS, b"")], [[], ["no end"]]),
        ([(0, b"half"), (LINE_IDLE_MS, b"good\n")], [[], ["half", "good"]]),
        ([(0, b"slow"), (LINE_IDLE_MS - 1, b"ly"), (2 * LINE_IDLE_MS - 2, b"\n")], [[], [], ["slowly"]]),
        ([(0, b"done\n"), (LINE_IDLE_MS, b"")], [["done"], []]),
        ([(0, b"x" * 2000), (LINE_IDLE_MS, b"good\n")], [["x" * MAX_LINE_CHARS], ["good"]]),
        ([(0, b"x" * 2000), (1, b"rest\ngood\n")], [["x" * MAX_LINE_CHARS], ["good"]]),
    ],
)
def test_silence_ends_a_line(arrivals: list[tuple[int, bytes]], lines: list[list[str]]) -> None:
    framer = LineFramer()
    assert [framer.feed(data, at_ms) for at_ms, data in arrivals] == lines


@pytest.mark.slow
@given(st.lists(st.sampled_from([b"GATE:", b"\r", b"\n", b"\x00\xff", b"x" * 700, b"7"]), max_size=30), st.data())
def test_how_the_bytes_are_cut_changes_nothing(pieces: list[bytes], data: st.DataObject) -> None:
    stream = b"".join(pieces)
    whole = LineFramer().feed(stream, 0)
    framer, cut = LineFramer(), []
    while stream:
        size = data.draw(st.integers(1, len(stream)))
        cut += framer.feed(stream[:size], 0)
        stream = stream[size:]
        assert framer.held_chars <= MAX_LINE_CHARS
    assert cut == whole


@pytest.mark.parametrize("chunk", [1, 7, 64, 4096, 6_000_000])
def test_a_flood_gives_one_cut_line_and_then_the_good_code(chunk: int) -> None:
    flood_bytes = 5_000_000 if chunk >= 64 else 200_000
    stream = b"7" * flood_bytes + b"\r\n" + A_CODE.encode() + b"\r\n"
    framer, lines = LineFramer(), []
    for start in range(0, len(stream), chunk):
        lines += framer.feed(stream[start : start + chunk], 0)
        assert framer.held_chars <= MAX_LINE_CHARS
    assert lines == ["7" * MAX_LINE_CHARS, A_CODE]
