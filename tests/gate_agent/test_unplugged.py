"""Every device unplugged while the agent runs, and plugged in again: only its lane says so, and works on."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from urllib.request import urlopen

import pytest

from hardware.card_reader import CardRead
from hardware.phone_screen import Look, draw_nobody, draw_phone
from hardware.pty_scanner import PtyScanner
from tests.gate_agent.agent_process import AgentProcess, running
from tests.gate_agent.venue import SINGLE, Ticket, Venue
from tests.hardware.card_stack import CardStack
from tests.hardware.picture_server import PictureServer
from tests.hardware.relay_boards import LcusBoard
from tests.hardware.social_security_card import AREA, SocialSecurityCard, files
from tests.waiting import until

pytestmark = pytest.mark.story

LIMIT_S = 40.0
"""A lost device is looked for every ten seconds at the latest; a camera by URL takes its time to answer."""
SCANNER, CAMERA, CARD, BOARD = 1, 2, 3, 4
CARDS = ["C70000001", "C70000002"]


@dataclass
class House:
    """An agent with one lane for each kind of device; `scanners` are those of lanes 1 and 4."""

    agent: AgentProcess
    folder: Path
    tickets: dict[str, Ticket]
    good: Iterator[Ticket]
    stack: CardStack
    board: LcusBoard
    camera: PictureServer
    scanners: dict[int, PtyScanner] = field(default_factory=dict)

    def out_of_order(self) -> list[int]:
        """The lanes that do not work, as the agent tells everybody."""
        with urlopen(f"{self.agent.ready['screen']}/healthz") as answer:
            lanes = json.load(answer)["lanes"]
        return [int(lane) for lane, state in lanes.items() if state != "open"]

    def loses_and_finds(self, lane: int, unplug: Callable[[], None], plug: Callable[[], None]) -> None:
        """Only the lane of the device that was unplugged says so, until it is there again."""
        unplug()
        until(lambda: self.out_of_order() == [lane], LIMIT_S, f"lane {lane} is out of order")
        plug()
        until(lambda: self.out_of_order() == [], LIMIT_S, f"lane {lane} works again")

    def lets_in(self, ticket: Ticket) -> None:
        """The newest pulse is this visitor's."""
        until(lambda: ticket.pass_id in {entry.pass_id for entry in self.agent.entries()}, LIMIT_S, "an entry")

    def scan(self, lane: int) -> None:
        ticket = next(self.good)
        self.scanners[lane].type(ticket.text)
        self.lets_in(ticket)

    def plug_scanner(self, lane: int) -> None:
        self.scanners[lane] = PtyScanner(link=self.folder / f"scanner-{lane}")

    def plug_camera(self, ticket: Ticket) -> None:
        pictures = [draw_nobody(Look()), draw_phone(ticket.text, Look.by_chance(3))]
        self.camera = PictureServer(pictures, self.camera.port)

    def unplug_all(self) -> None:
        self.board.unplug()
        self.camera.stop()
        for scanner in self.scanners.values():
            scanner.close()

    def tap(self, number: str) -> None:
        with self.stack.insert(SocialSecurityCard(3, files(number.encode()))):
            self.lets_in(self.tickets[number])
        self.stack.await_cards(0)


@pytest.fixture
def house(tmp_path: Path, card_stack: CardStack) -> Iterator[House]:
    """Everything plugged in and working."""
    venue = Venue()
    good = [venue.issue() for _ in range(12)]
    tickets = {number: venue.issue(SINGLE, card=CardRead(AREA, number, "")) for number in CARDS}
    venue.settle(tmp_path)
    card_stack.await_cards(0)
    camera, board = PictureServer([draw_nobody(Look())]), LcusBoard(tmp_path / "board")
    scanners = {lane: PtyScanner(link=tmp_path / f"scanner-{lane}") for lane in (SCANNER, BOARD)}
    file = f"turnstile=file:{tmp_path / 'pulses'}"
    lanes = [
        f"{SCANNER}:reader=serial:{tmp_path / 'scanner-1'},{file}",
        f"{CAMERA}:reader=camera:{camera.url},{file}",
        f"{CARD}:reader=pcsc:Virtual PCD,{file}",
        f"{BOARD}:reader=serial:{tmp_path / 'scanner-4'},turnstile=serialrelay:{tmp_path / 'board'}#1",
    ]
    with ExitStack() as stack, running(tmp_path, lanes) as agent:
        made = House(agent, tmp_path, tickets, iter(good), card_stack, board, camera, scanners)
        stack.callback(made.unplug_all)
        until(lambda: made.out_of_order() == [], LIMIT_S, "all lanes work")
        yield made


def test_each_device_unplugged_and_back(house: House) -> None:
    house.scan(SCANNER)
    house.loses_and_finds(SCANNER, house.scanners[SCANNER].close, lambda: house.plug_scanner(SCANNER))
    house.scan(SCANNER)

    first, second = next(house.good), next(house.good)
    house.loses_and_finds(CAMERA, house.camera.stop, lambda: house.plug_camera(first))
    house.lets_in(first)
    house.loses_and_finds(CAMERA, house.camera.stop, lambda: house.plug_camera(second))
    house.lets_in(second)

    house.tap(CARDS[0])
    house.loses_and_finds(CARD, lambda: replug(house.stack, False), lambda: replug(house.stack, True))
    house.tap(CARDS[1])

    house.scan(BOARD)
    house.loses_and_finds(BOARD, house.board.unplug, house.board.plug)
    clicks = len(house.board.relay.history.events("relay"))
    house.scan(BOARD)
    until(lambda: len(house.board.relay.history.events("relay")) >= clicks + 2, what="the relay goes on and off")
    house.scan(SCANNER)
    assert house.agent.stop() == 0


def replug(stack: CardStack, plugged: bool) -> None:
    """Pcscd learns of its virtual readers when it starts."""
    stack.stop()
    stack.start(plugged=plugged)
