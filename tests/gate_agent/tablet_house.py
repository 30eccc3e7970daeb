"""A box that serves tablets over TLS by a venue's own authority, and browsers that know it."""

from __future__ import annotations

import re
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import requests

from gate_agent import tls
from gate_agent.acting import Acts
from gate_agent.acts import Act, Wish
from gate_agent.board import Board
from gate_agent.pairing import Pairing
from gate_agent.pins import Attempts, Pins
from gate_agent.screen.app import ALL_HEARD
from gate_agent.screen.tablets import serve_tablets
from gate_agent.settings import ScreenSettings, Settings
from gate_agent.staff import Role, Staff
from gate_agent.sync_state import SyncView
from gate_agent.trusted_time import device_clock_ns
from tests.gate_agent.members import employ
from tests.gate_agent.stage import Here, Stage
from tests.gate_agent.venue import NOW_MS, Venue
from tests.gate_agent.venue_tls import Files, certified
from wire.messages import EntryKind

HOST = "127.0.0.1"
STEWARD, SUPERVISOR, WRONG = "4071", "583920", "9138"
PATIENCE_S = 10


@dataclass
class House:
    """A box that serves tablets, and what it was asked."""

    stage: Stage
    board: Board
    acts: Acts
    address: str
    ca: str
    serve: Callable[[], Callable[[], None]]
    close: Callable[[], None]

    def tablet(self) -> Tablet:
        """A browser that knows the venue's authority and nothing else."""
        session = requests.Session()
        session.trust_env = False
        session.verify = self.ca
        return Tablet(session, self)

    def code(self) -> str:
        """A supervisor starts a pairing at the box's own screen."""
        return self.acts.carry_out(Wish(Act.PAIR, self.acts.open_sheet()[0]), SUPERVISOR).word

    def events(self) -> list[tuple[str | None, str | None]]:
        """What the journal says that staff did."""
        return [(entry.reason, entry.who) for entry in self.stage.written() if entry.kind is EntryKind.EVENT]


@dataclass
class Tablet:
    """One browser."""

    session: requests.Session
    house: House

    def get(self, path: str, **more: object) -> requests.Response:
        return self.session.get(self.house.address + path, timeout=PATIENCE_S, **more)  # type: ignore[arg-type]

    def post(self, path: str, data: dict[str, str], origin: str | None = "") -> requests.Response:
        """A form, with the page's own origin unless told otherwise; None: without any."""
        headers = {} if origin is None else {"Origin": origin or self.house.address}
        url = self.house.address + path
        return self.session.post(url, data=data, headers=headers, timeout=PATIENCE_S, allow_redirects=False)

    def pair(self, code: str, name: str = "平板 2") -> requests.Response:
        return self.post("/staff/pair", {"code": code, "name": name})

    def once(self, act: str) -> str:
        found = re.search(r'name="once" value="([0-9a-f]+)"', self.get(f"/staff/sheet/{act}?lane=1").text)
        assert found is not None
        return found[1]

    def let_in(self, once: str, pin: str = STEWARD, origin: str | None = "") -> requests.Response:
        form = {"once": once, "lane": "1", "reason": "assisted", "pin": pin}
        return self.post("/staff/act/let_in", form, origin)


@contextmanager
def house_at(stage: Stage, venue: Venue, folder: Path) -> Iterator[House]:
    """The gate of a stage, its lanes open, with a steward and a supervisor; certificates are made in `folder`."""
    venue.issue()
    venue.settle(stage.data_dir)
    board = Board((1, 2), lambda: device_clock_ns() // 1_000_000)  # it beats while the stage's time stands
    board.status(stage.look())
    employ(stage.data_dir, ("李小芳", Role.STEWARD, STEWARD), ("张国", Role.SUPERVISOR, SUPERVISOR))
    files = certified(folder, HOST)
    screen = screen_of(files)
    look = stage.clock.look
    pairing = Pairing(stage.data_dir, stage.journal, look, f"https://{screen.listen}/staff/pair")
    pins, sync = Pins(Staff(stage.data_dir), stage.journal, look, Attempts()), SyncView.open(stage.data_dir)
    lanes = {1: Here(stage.lanes[0]), 2: Here(stage.lanes[1])}
    acts = Acts(stage.data_dir, pins, stage.journal, look, stage.gate, lanes, sync, Settings(), pairing)

    def serve() -> Callable[[], None]:
        context = tls.load(files.cert, files.key)
        return serve_tablets(board, lambda: NOW_MS, acts, pairing, screen, ALL_HEARD, context)

    close = serve()
    yield House(stage, board, acts, f"https://{screen.listen}", str(files.ca), serve, close)
    close()


def screen_of(files: Files) -> ScreenSettings:
    """The settings by which a box serves tablets at a free port."""
    with socket.create_server((HOST, 0)) as trying:
        port = trying.getsockname()[1]
    return ScreenSettings(listen=f"{HOST}:{port}", tls_cert=str(files.cert), tls_key=str(files.key))
