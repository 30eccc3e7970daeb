"""Streams that mean harm on the serial line: whatever comes, the next honest visitor is let in within a second."""

from __future__ import annotations

import os
import random
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from gate_agent.trusted_time import device_clock_ns
from hardware.pty_scanner import PtyScanner
from tests.gate_agent.agent_process import AgentProcess, lane, running
from tests.gate_agent.venue import Ticket, Venue

pytestmark = pytest.mark.story

SECOND_NS = 1_000_000_000
NOISE = random.Random(7).randbytes(3_000_000)


@dataclass
class House:
    """Two lanes, the first with two scanners, and visitors with good tickets."""

    agent: AgentProcess
    scanners: list[PtyScanner]
    good: Iterator[Ticket]

    def opens(self, scanner: PtyScanner) -> None:
        """An honest visitor holds up a code: the relay moves within a second of its last byte."""
        ticket, before = next(self.good), len(self.agent.pulses())
        scanner.type(ticket.text)
        sent_ns = device_clock_ns()
        pulse = self.agent.await_pulse(before)
        assert pulse["pass"] == ticket.pass_id.hex()
        assert pulse["monotonic_ns"] - sent_ns < SECOND_NS


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """One agent for all of them."""
    folder = tmp_path_factory.mktemp("gate")
    venue = Venue()
    good = [venue.issue() for _ in range(60)]
    venue.settle(folder)
    scanners = [PtyScanner() for _ in range(3)]
    first = lane(1, scanners[0].path, folder).replace(",turnstile", f",reader=serial:{scanners[1].path},turnstile")
    with running(folder, [first, lane(2, scanners[2].path, folder)]) as agent:
        yield House(agent, scanners, iter(good))
    for scanner in scanners:
        scanner.close()


@pytest.mark.parametrize(
    "sent",
    [
        b"A" * 5_000_000,
        NOISE,
        NOISE.replace(b"\r", b"").replace(b"\n", b""),
        bytes(range(32)) * 50_000,
        b"\r\n" * 500_000,
        b"\x80\xff\xfe" * 500_000 + b"GATE:",
        b"GATE:" * 200_000 + b"\n",
    ],
    ids=["no end", "noise", "noise without end", "control bytes", "line ends", "beyond ASCII", "our prefix"],
)
def test_after_the_stream_the_same_scanner_lets_the_next_one_in(house: House, sent: bytes) -> None:
    house.scanners[0].send(sent + b"\r\n")
    house.opens(house.scanners[0])


@pytest.mark.parametrize(
    "piece",
    [b"A" * 4_000, NOISE[:4_000], b"GARBAGE\r\n" * 400, b"GATE:7K2\n" * 400, b"\x00" * 4_000],
    ids=["a line without end", "noise", "lines", "lines of ours", "control bytes"],
)
def test_while_the_stream_never_ends_others_are_let_in(house: House, piece: bytes) -> None:
    flooded, *others = house.scanners
    over = threading.Event()

    def flood() -> None:
        while not over.is_set():
            flooded.send(piece)

    flooding = threading.Thread(target=flood)
    flooding.start()
    try:
        for scanner in others * 2:
            house.opens(scanner)
    finally:
        over.set()
        flooding.join()
    flooded.send(b"\r\n")
    house.opens(flooded)


def test_it_holds_no_more_memory_for_it(house: House) -> None:
    def rss_pages() -> int:
        return int(Path(f"/proc/{house.agent.pid}/statm").read_text(encoding="ascii").split()[1])

    house.scanners[0].send(b"A" * 1_000_000 + b"\r\n")
    house.opens(house.scanners[0])
    before = rss_pages()
    house.scanners[0].send(b"A" * 20_000_000 + b"\r\n")
    house.opens(house.scanners[0])
    assert (rss_pages() - before) * os.sysconf("SC_PAGESIZE") < 8_000_000
