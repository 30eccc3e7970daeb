"""The command `sandbox-provider`: two providers in one process and one folder, a READY line when they answer."""

from __future__ import annotations

import secrets
import signal
import socket
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from types import FrameType

import click
import msgspec
from waitress.server import create_server

from sandbox_provider.app import create_apps
from sandbox_provider.book import Book
from sandbox_provider.faults import Fault, Faults
from sandbox_provider.notices import Notifier
from sandbox_provider.provider import NAMES, Provider, acquaint
from sandbox_provider.signing import load_or_make_key

THREADS = 16
EXIT_CONFIGURATION = 78


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def cli() -> None:
    """Two payment providers to develop and test against, one like Alipay, one like Huijinbao. No real money."""


@cli.command()
@click.option("--data", type=click.Path(path_type=Path), required=True, help="folder of the books and the key")
@click.option("--port", type=click.IntRange(0, 65535), default=8090, show_default=True, help="0: any free one")
@click.option("--merchant", "merchants", multiple=True, metavar="APP_ID=FILE", help="a merchant's RSA public key (PEM)")
@click.option(
    "--account", "accounts", multiple=True, metavar="PROVIDER:NAME=FEN", help="open an account with this much in it"
)
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
    """Serve until SIGTERM. Prints READY {"url":…,"public_key_file":…,"control_token":…} when it answers.

    The providers lie under URL/alipay and URL/huijinbao. A merchant is known to both.
    """
    data.mkdir(parents=True, exist_ok=True)
    key = load_or_make_key(data)
    token = control_token or secrets.token_urlsafe(16)
    played = faults_file.read_bytes() if faults_file else b"[]"
    stopping = threading.Event()
    providers = [
        Provider(
            name,
            Book(data / f"{name}.db"),
            key,
            Faults(msgspec.json.decode(played, type=list[Fault])),
            token,
            _now_ms,
            stopping,
        )
        for name in NAMES
    ]
    acquaint(providers)
    _set_up(providers, merchants, accounts)
    listener = socket.create_server(("127.0.0.1", port))
    server = create_server(create_apps(providers), sockets=[listener], threads=THREADS)
    notifier = Notifier(providers)
    notifier.start()

    def stop(_signal: int, _frame: FrameType | None) -> None:
        stopping.set()
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, stop)
    ready = {
        "url": f"http://127.0.0.1:{listener.getsockname()[1]}",
        "public_key_file": str((data / "provider.pub.pem").resolve()),
        "control_token": token,
    }
    click.echo(f"READY {msgspec.json.encode(ready).decode()}")
    sys.stdout.flush()
    try:
        server.run()
    finally:
        notifier.stop()
        server.close()


def _set_up(providers: Sequence[Provider], merchants: tuple[str, ...], accounts: tuple[str, ...]) -> None:
    """Merchants and accounts of the command line. An account that is there already keeps its money."""
    for text in merchants:
        app_id, _, file = text.partition("=")
        for provider in providers:
            provider.book.add_merchant(app_id, Path(file).read_text(encoding="ascii"))
    books = {provider.name: provider.book for provider in providers}
    there = {(name, account) for name, book in books.items() for account in book.balances()}
    for text in accounts:
        where, _, amount = text.rpartition("=")
        name, _, account = where.partition(":")
        if name not in books:
            raise ValueError(f"--account {text}: write PROVIDER:NAME=FEN with one of {', '.join(books)}")
        if (name, account) not in there:
            books[name].top_up(account, int(amount))


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


def main() -> None:
    """Run the command line; an unreadable key or fault file is one line on stderr and exit code 78."""
    try:
        cli.main(prog_name="sandbox-provider")
    except (OSError, ValueError) as error:
        click.echo(f"sandbox-provider: {error}", err=True)
        sys.exit(EXIT_CONFIGURATION)
