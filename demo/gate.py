"""One venue's gate as the demo uses it: enrolled through the cable, its simulated lanes moved over HTTP."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import requests

from demo.cable import Cable
from demo.centre import Centre
from demo.processes import Program, run_json
from wire.messages import Entry, decode_entry

HTTP_TIMEOUT_S = 5.0


class Gate:
    """The agent with two simulated lanes, and the cable between it and the centre."""

    def __init__(self, folder: Path, centre: Centre, venue: int) -> None:
        address = urlsplit(centre.url)
        assert address.hostname is not None
        assert address.port is not None
        self.cable = Cable((address.hostname, address.port))
        self._data = folder / "gate"
        enrolled = run_json(
            [
                *("gate-agent", "enrol", "--data", str(self._data)),
                *("--url", f"http://127.0.0.1:{self.cable.port}", "--code", centre.enrolment_code(venue)),
            ]
        )
        if enrolled["check"] != centre.gate()["check"]:
            raise RuntimeError("the six characters differ: this is not the gate that was to be enrolled")
        centre.approve(enrolled["device"])
        self._program = Program(
            ["gate-agent", "run", "--data", str(self._data), "--screen-port", "0", "--simulate"], folder / "gate.log"
        )
        self.screen = str(self._program.wait_ready()["screen"])

    def stop(self) -> None:
        """Stop the agent and take the cable away."""
        self._program.stop()
        self.cable.close()

    def show(self, lane: int, code: str, to: str = "camera") -> None:
        """A visitor holds a phone to the camera, or under the scanner."""
        self._post(f"/sim/lane/{lane}/show", {"text": code, "to": to})

    def tap(self, lane: int, card: Mapping[str, str]) -> None:
        """A visitor taps a card."""
        self._post(f"/sim/lane/{lane}/card", card)

    def walk(self, lane: int, how: str) -> None:
        """What the next visitor at the arm will do; without a word he walks through."""
        self._post(f"/sim/lane/{lane}/walk", {"how": how})

    def health(self) -> dict[str, Any]:
        """What the agent says of itself."""
        answer: dict[str, Any] = requests.get(f"{self.screen}/healthz", timeout=HTTP_TIMEOUT_S).json()
        return answer

    def entries(self) -> list[Entry]:
        """Its journal, read as docs/operate.md says anybody may."""
        address = f"{(self._data / 'entries.db').as_uri()}?mode=ro"
        with contextlib.closing(sqlite3.connect(address, uri=True)) as journal:
            return [decode_entry(body) for (body,) in journal.execute("SELECT body FROM entry ORDER BY seq")]

    def _post(self, path: str, body: Mapping[str, Any]) -> None:
        requests.post(f"{self.screen}{path}", json=body, timeout=HTTP_TIMEOUT_S).raise_for_status()


@contextlib.contextmanager
def running_gate(folder: Path, centre: Centre, venue: int) -> Iterator[Gate]:
    """A gate that is stopped at the end, whatever happens."""
    gate = Gate(folder, centre, venue)
    try:
        yield gate
    finally:
        gate.stop()
