"""The centre as the demo uses it: its programs, its command line, and the cashier page a buyer would click through."""

from __future__ import annotations

import contextlib
import json
import secrets
import shlex
import socket
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import requests

from demo.card_platform import CardPlatform
from demo.processes import Program, run, run_json

HTTP_TIMEOUT_S = 10.0
DISTRIBUTOR = "3001"
DISTRIBUTOR_FEN = 10_000_000
MERCHANT = "platform"
VENUE = 1
PORTS = range(20_000, 32_768)  # Linux gives away those from 32,768 on (ip_local_port_range)
MAX_PORTS_TRIED = 20
VENUE_ACCOUNT = "venue-rainbow-bridge"
OTHER_VENUE_ACCOUNT = "venue-longting"  # of the combo ticket that visitors may try


@dataclass(frozen=True, slots=True)
class Issued:
    """A pass and the code it shows."""

    number: str
    pass_id: str
    code: str


@dataclass(slots=True)
class Centre:
    """A fresh centre with demo data, its worker and both stand-ins, in a folder of its own."""

    folder: Path
    url: str = ""
    provider_url: str = ""
    seeded: dict[str, Any] = field(default_factory=dict)
    distributor_fen: int = DISTRIBUTOR_FEN
    cards: CardPlatform = field(init=False)
    _env: dict[str, str] = field(default_factory=dict)
    _control_token: str = ""
    _programs: list[Program] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.cards = CardPlatform(self.folder)

    def start(self) -> None:
        """Set up, fill, and start the provider, the web process and the worker."""
        self.set_up()
        self.serve()

    def set_up(self) -> None:
        """A database with demo data, and the provider that answers for its accounts."""
        port = _free_port()
        self.url = f"http://127.0.0.1:{port}"
        self._env = {
            "SYNC_SERVER_DATABASE_URL": f"sqlite:///{self.folder / 'centre.db'}",
            "SYNC_SERVER_BASE_URL": self.url,
        }
        made = run_json(["sync-server", "init"], self._env)
        self._start_provider(Path(made["merchant_key_file"]))
        self.cards.start(MERCHANT)
        self._env |= self.cards.env
        self.seeded = run_json(["sync-server", "demo-data"], self._env)
        self._command("venue", "set", str(VENUE), "--electronic-cards")

    @property
    def shell_words(self) -> str:
        """What a shell needs so that `sync-server` reaches this centre and its provider."""
        return "export " + " ".join(f"{name}={shlex.quote(value)}" for name, value in self._env.items())

    def serve(self) -> None:
        """Start the web process and the worker."""
        web = self._start(["sync-server", "run", "--port", self.url.rpartition(":")[2]], "centre")
        worker = self._start(["sync-server", "worker"], "worker")
        web.wait_ready()
        worker.wait_ready()

    def stop(self) -> None:
        """Stop what was started, the last one first."""
        for program in reversed(self._programs):
            program.stop()
        self.cards.stop()

    def product(self, name: str) -> int:
        """The number of a product of the demo data."""
        return int(self.seeded["products"][name]["number"])

    def order_tickets(self, product: int, count: int) -> str:
        """A distributor's order, charged to its account; the order's number."""
        return str(self._command("order", "place", *_options(product, count), "--distributor", DISTRIBUTOR)["number"])

    def buy_pass(self, product: int, holder: str) -> str:
        """A visitor's order, paid by a click at the cashier; the order's number. `holder` is NAME,ID,PHONE."""
        placed = self._command("order", "place", *_options(product, 1), "--holder", holder)
        requests.post(placed["pay_url"], timeout=HTTP_TIMEOUT_S).raise_for_status()
        return str(placed["number"])

    def is_issued(self, order: str) -> bool:
        """Whether the tickets are there."""
        return bool(self._command("order", "show", order)["state"] == "ISSUED")

    def codes(self, order: str) -> list[Issued]:
        """The passes of an issued order."""
        lines = self._lines("pass", "codes", order)
        return [Issued(line["number"], line["pass"], line["code"]) for line in lines]

    def bind_card(self, number: str, area: str, card_number: str) -> None:
        """Let a card open the gates for this pass."""
        self._command("card", "bind", number, "--area", area, "--card-number", card_number)

    def register_phone(self, number: str, public: bytes) -> int:
        """Let a phone draw codes for this pass; the generation of its key."""
        return int(self._command("pass", "phone", number, "--public", public.hex())["generation"])

    def enrolment_code(self, venue: int) -> str:
        """A fresh code for one gate."""
        return str(self._command("enrolment-code", "--venue", str(venue))["code"])

    def gate(self) -> dict[str, Any]:
        """What the centre knows of the one gate."""
        (gate,) = self._lines("gate", "list")
        return gate

    def approve(self, device: str) -> None:
        """Two people compared six characters."""
        self._command("gate", "approve", device)

    def revoke(self, device: str) -> None:
        """Its box was stolen."""
        self._command("gate", "revoke", device, "--reason", "demo")

    def redemptions(self) -> list[dict[str, Any]]:
        """Every admission it counted, and how."""
        return self._lines("export", "redemptions")

    def statement(self) -> list[dict[str, Any]]:
        """Every payout line."""
        return self._lines("export", "statements")

    def ledger(self) -> list[dict[str, Any]]:
        """Every posting."""
        return self._lines("export", "ledger")

    def check(self) -> str:
        """The rules of the books; raises ProgramFailed if one is broken."""
        return run(["sync-server", "check"], self._env).strip()

    def provider_accounts(self) -> dict[str, int]:
        """What the book of the provider like Alipay says, in fen by account."""
        answer = requests.get(
            f"{self.provider_url}/alipay/control/accounts",
            headers={"Sandbox-Control": self._control_token},
            timeout=HTTP_TIMEOUT_S,
        )
        answer.raise_for_status()
        return {str(name): int(amount_fen) for name, amount_fen in answer.json().items()}

    def _start_provider(self, merchant_key: Path) -> None:
        opened = {"distributor-bianjing": self.distributor_fen, VENUE_ACCOUNT: 0, OTHER_VENUE_ACCOUNT: 0}
        accounts = [word for name, fen in opened.items() for word in ("--account", f"alipay:{name}={fen}")]
        merchant = ("--merchant", f"{MERCHANT}={merchant_key}")
        data = ("--data", str(self.folder / "provider"), "--port", "0")
        self._control_token = secrets.token_urlsafe(12)
        control = ("--control-token", self._control_token)
        program = self._start(["sandbox-provider", "run", *data, *merchant, *accounts, *control], "provider")
        ready = program.wait_ready()
        self.provider_url = ready["url"]
        self._env["SYNC_SERVER_PROVIDER_URL"] = self.provider_url
        self._env["SYNC_SERVER_PROVIDER_PUBLIC_KEY_FILE"] = ready["public_key_file"]

    def _start(self, arguments: Sequence[str], name: str) -> Program:
        program = Program(arguments, self.folder / f"{name}.log", self._env)
        self._programs.append(program)
        return program

    def _command(self, *arguments: str) -> dict[str, Any]:
        answer: dict[str, Any] = run_json(["sync-server", *arguments], self._env)
        return answer

    def _lines(self, *arguments: str) -> list[dict[str, Any]]:
        return [json.loads(line) for line in run(["sync-server", *arguments], self._env).splitlines() if line]


@contextlib.contextmanager
def running_centre(folder: Path) -> Iterator[Centre]:
    """A centre that is stopped at the end, whatever happens."""
    centre = Centre(folder)
    try:
        centre.start()
        yield centre
    finally:
        centre.stop()


def _options(product: int, count: int) -> tuple[str, ...]:
    return "--product", str(product), "--count", str(count), "--key", secrets.token_hex(8)


def _free_port() -> int:
    """One below those that a system gives away by itself: no connection of another process takes it meanwhile."""
    for port in secrets.SystemRandom().sample(PORTS, MAX_PORTS_TRIED):
        with contextlib.suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port
    raise OSError(f"none of {MAX_PORTS_TRIED} ports between {PORTS[0]} and {PORTS[-1]} is free")
