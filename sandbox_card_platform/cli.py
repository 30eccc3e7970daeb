"""The command `sandbox-card-platform`: one process that keeps everything in memory, a READY line when it answers."""

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

from sandbox_card_platform.app import Platform, create_app
from sandbox_card_platform.faults import Faults
from sandbox_card_platform.signing import load_or_make_secret
from sandbox_card_platform.wallets import Wallets

THREADS = 16
EXIT_CONFIGURATION = 78
TTL_S = 60


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def cli() -> None:
    """A platform of electronic social-security cards to develop and test against. No real person is in it."""


@cli.command()
@click.option("--port", type=click.IntRange(0, 65535), default=8091, show_default=True, help="0: any free one")
@click.option("--customer", "customers", multiple=True, metavar="APP_ID=FILE", help="who may ask, and its secret")
@click.option("--ttl", "ttl_s", type=click.IntRange(1, 3600), default=TTL_S, show_default=True, help="life of a code")
@click.option("--control-token", help="of the control endpoint; a random one unless given")
def run(port: int, customers: tuple[str, ...], ttl_s: int, control_token: str | None) -> None:
    """Serve until SIGTERM. Prints READY {"url":…,"control_token":…} when it answers.

    A secret's file is made, mode 0600, where it is not there; the centre's setting card_platform_key_file names it.
    """
    known = {app_id: load_or_make_secret(Path(file)) for app_id, _, file in (text.partition("=") for text in customers)}
    wallets = Wallets(ttl_s * 1000, _now_ms, secrets.choice)
    platform = Platform(wallets, Faults(), known, control_token or secrets.token_urlsafe(16))
    listener = socket.create_server(("127.0.0.1", port))
    server = create_server(create_app(platform), sockets=[listener], threads=THREADS)

    def stop(_signal: int, _frame: FrameType | None) -> None:
        platform.stopping.set()
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, stop)
    ready = {"url": f"http://127.0.0.1:{listener.getsockname()[1]}", "control_token": platform.control_token}
    click.echo(f"READY {msgspec.json.encode(ready).decode()}")
    sys.stdout.flush()
    try:
        server.run()
    finally:
        server.close()


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


def main() -> None:
    """Run the command line; an unreadable secret or a port in use is one line on stderr and exit code 78."""
    try:
        cli.main(prog_name="sandbox-card-platform")
    except (OSError, ValueError) as error:
        click.echo(f"sandbox-card-platform: {error}", err=True)
        sys.exit(EXIT_CONFIGURATION)
