"""A real card platform over real HTTP in a thread, and a town whose bridge takes electronic cards through it."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import sqlalchemy as sa
from werkzeug.serving import make_server

from sandbox_card_platform.app import Platform, create_app
from sandbox_card_platform.faults import Fault, FaultKind, Faults
from sandbox_card_platform.signing import load_or_make_secret
from sandbox_card_platform.wallets import Person, Wallets
from sync_server.centre import Centre

POLL_S = 0.02  # how long a stop may take
TTL_MS = 60_000


class CardPlatform:
    """The platform as a test sees it."""

    def __init__(self, folder: Path, now_ms: Callable[[], int]) -> None:
        self.key_file = folder / "card-platform.key"
        self.wallets = Wallets(TTL_MS, now_ms, secrets.choice)
        self.faults = Faults()
        known = {"platform": load_or_make_secret(self.key_file)}
        self._platform = Platform(self.wallets, self.faults, known, "control")
        self._server = make_server("127.0.0.1", 0, create_app(self._platform), threaded=True)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(POLL_S,), daemon=True)
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def draw(self, id_number: str, identification: str | None = None) -> str:
        self.wallets.add(Person(id_number, identification))
        return self.wallets.draw(id_number)

    def play(self, kind: FaultKind, times: int = 1, delay_ms: int = 0) -> None:
        self.faults.add(Fault(kind, times, delay_ms))

    def stop(self) -> None:
        self._platform.stopping.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


@contextmanager
def running(folder: Path, now_ms: Callable[[], int]) -> Iterator[CardPlatform]:
    platform = CardPlatform(folder, now_ms)
    try:
        yield platform
    finally:
        platform.stop()


def with_platform(centre: Centre, platform: CardPlatform) -> Centre:
    """The same centre, knowing this platform."""
    settings = msgspec.structs.replace(
        centre.settings, card_platform_url=platform.url, card_platform_key_file=platform.key_file
    )
    return Centre(settings, centre.engine, centre.secrets, centre.now_ms)


def take_electronic_cards(centre: Centre, venue: int, on: bool = True) -> None:
    """As `sync-server venue set NUMBER --electronic-cards`."""
    with centre.write() as connection:
        connection.execute(
            sa.text("UPDATE venue SET electronic_cards = :on WHERE number = :venue"), {"on": on, "venue": venue}
        )
