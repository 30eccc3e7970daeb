"""The card platform's stand-in as the demo uses it: its program, the phones that draw codes, and its faults."""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import Any

import requests

from demo.processes import Program

HTTP_TIMEOUT_S = 5.0


class CardPlatform:
    """A platform of electronic social-security cards, in a process of its own."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._key_file = folder / "card-platform.key"
        self._control_token = secrets.token_urlsafe(12)
        self._program: Program | None = None
        self._url = ""

    def start(self, customer: str) -> None:
        """Start it, known to one customer."""
        known = ("--customer", f"{customer}={self._key_file}", "--control-token", self._control_token)
        arguments = ["sandbox-card-platform", "run", "--port", "0", *known]
        self._program = Program(arguments, self._folder / "card-platform.log")
        self._url = str(self._program.wait_ready()["url"])

    def stop(self) -> None:
        """Stop it, if it was started."""
        if self._program is not None:
            self._program.stop()

    @property
    def env(self) -> dict[str, str]:
        """What the centre must be told of it."""
        return {
            "SYNC_SERVER_CARD_PLATFORM_URL": self._url,
            "SYNC_SERVER_CARD_PLATFORM_KEY_FILE": str(self._key_file),
        }

    def draw(self, id_number: str) -> str:
        """The next code on the phone of somebody, who has an electronic card from now on."""
        self._control("people", {"id_number": id_number})
        return str(self._control("codes", {"id_number": id_number})["code"])

    def play(self, kind: str, times: int = 1, delay_ms: int = 0) -> None:
        """Misbehave as told: slow, down, wrong_signature …"""
        self._control("faults", {"kind": kind, "times": times, "delay_ms": delay_ms})

    def _control(self, path: str, said: dict[str, Any]) -> dict[str, Any]:
        headers = {"Sandbox-Control": self._control_token}
        answer = requests.post(f"{self._url}/control/{path}", json=said, headers=headers, timeout=HTTP_TIMEOUT_S)
        answer.raise_for_status()
        told: dict[str, Any] = answer.json()
        return told
