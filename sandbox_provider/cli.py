"""The command `sandbox-provider`: one process, its data in one folder, a READY line when it answers."""

from __future__ import annotations

import secrets
import signal
import socket
import sys
import time
from pathlib import Path
from types import FrameType

import click
import msgspec
from waitress.server import create_server

from sandbox_provider.app import create_app
from sandbox_provider.book import Book
from sandbox_provider.faults import Fault, Faults
from sandbox_provider.notices import Notifier
from sandbox_provider.provider import Provider
from sandbox_provider.signing import load_or_make_key

THREADS = 16
EXIT_CONFIGURATION = 78


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def cli() -> None:
    """A payment provider to develop and test against. No real money."""


@cli.command()
@click.option("--data", type=click.Path(path_type=Path), required=True, help="folder of its book and key")
@click.option("--port", type=click.IntRange(0, 65535), default=8090, show_default=True, help="0: any free one")
@click.option("--merchant", "merchants", multiple=True, metavar="APP_ID=FILE", help="a merchant's RSA public key (PEM)")
@click.option("--account", "accounts", multiple=True, metavar="NAME=FEN", help="open an account with this much in it")
@click.option("--faults", "faults_file", type=click.Path(path_type=Path), help="faults to play (a JSON list)")
@click.option("--control-token", help="of the control endpoint; a random one unless given")
def run(
    data: Path,
    port: int,
    merchants: tuple[str, ...],
    accounts: tuple[str, ...],
    faults_file: Path | None,
    control_token: str | None,
) -> None:
    """Serve until SIGTERM. Prints READY {"url":…,"public_key_file":…,"control_token":…} when it answers."""
    data.mkdir(parents=True, exist_ok=True)
    key = load_or_make_key(data)
    book = Book(data / "provider.db")
    _set_up(book, merchants, accounts)
    faults = Faults(msgspec.json.decode(faults_file.read_bytes(), type=list[Fault]) if faults_file else ())
    provider = Provider(book, key, faults, control_token or secrets.token_urlsafe(16), _now_ms)
    listener = socket.create_server(("127.0.0.1", port))
    server = create_server(create_app(provider), sockets=[listener], threads=THREADS)
    notifier = Notifier(book, key, _now_ms)
    notifier.start()

    def stop(_signal: int, _frame: FrameType | None) -> None:
        provider.stopping.set()
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, stop)
    ready = {
        "url": f"http://127.0.0.1:{listener.getsockname()[1]}",
        "public_key_file": str((data / "provider.pub.pem").resolve()),
        "control_token": provider.control_token,
    }
    click.echo(f"READY {msgspec.json.encode(ready).decode()}")
    sys.stdout.flush()
    try:
        server.run()
    finally:
        notifier.stop()
        server.close()


def _set_up(book: Book, merchants: tuple[str, ...], accounts: tuple[str, ...]) -> None:
    """Merchants and accounts of the command line. An account that is there already keeps its money."""
    for text in merchants:
        app_id, _, file = text.partition("=")
        book.add_merchant(app_id, Path(file).read_text(encoding="ascii"))
    there = book.balances()
    for text in accounts:
        name, _, amount = text.partition("=")
        if name not in there:
            book.top_up(name, int(amount))


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


def main() -> None:
    """Run the command line; an unreadable key or fault file is one line on stderr and exit code 78."""
    try:
        cli.main(prog_name="sandbox-provider")
    except (OSError, ValueError) as error:
        click.echo(f"sandbox-provider: {error}", err=True)
        sys.exit(EXIT_CONFIGURATION)
