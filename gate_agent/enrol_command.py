"""`gate-agent enrol`: make this box a gate, by a code that is typed or one that a lane's own reader reads."""

from __future__ import annotations

import json
import socket
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from gate_agent.options import DATA, LANES, SETTINGS, chosen_lanes, fail, misconfigured

if TYPE_CHECKING:
    from gate_agent.board import Board
    from gate_agent.enrolment import Enrolled, NotEnrolled


@click.command()
@DATA
@click.option("--url", help="Address of the centre, as https://HOST[:PORT].")
@click.option("--code", help="The enrolment code the centre shows.")
@click.option(
    "--ca",
    "ca_path",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="The CA (PEM) behind the centre's certificate, if it is no public one; from then on no other is believed.",
)
@click.option("--scan", "lane", type=int, metavar="LANE", help="Read all that from the QR code held to LANE's readers.")
@SETTINGS
@LANES
@click.option("--screen-port", type=click.IntRange(0, 65_535), help="With --scan: port of the screen; 0: any free one.")
@click.option("--name", default=None, help="What operators see; this machine's name unless given.")
@click.option("--replace", is_flag=True, help="Give up the enrolment this box has.")
def enrol(
    data_dir: Path,
    url: str | None,
    code: str | None,
    ca_path: Path | None,
    lane: int | None,
    settings_path: Path | None,
    lanes: tuple[str, ...],
    screen_port: int | None,
    name: str | None,
    replace: bool,
) -> None:
    """Make this box a gate of a venue. Prints the six characters to compare on both screens.

    With --scan the agent must not be running: LANE's readers then read such a code for two minutes.
    """
    name = name or socket.gethostname()
    if lane is not None:
        if url or code or ca_path:
            raise click.UsageError("--scan reads address, code and CA from the QR code: leave --url, --code, --ca out")
        _scan(data_dir, lane, settings_path, lanes, screen_port, name, replace)
        return
    if not url or not code:
        raise click.UsageError("give --url and --code as the centre shows them, or --scan LANE")
    from gate_agent.enrolment import enrol as ask
    from gate_agent.trusted_time import clocks_of_this_machine

    try:
        ca_pem = "" if ca_path is None else ca_path.read_text(encoding="ascii")
    except (OSError, UnicodeDecodeError) as error:
        fail(f"{ca_path}: no certificate in PEM form ({error})")
    data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    clocks = clocks_of_this_machine()
    click.echo(_enrolled(ask(data_dir, url, code, name, clocks, ca_pem=ca_pem, replace=replace)).line())


def _enrolled(answer: Enrolled | NotEnrolled) -> Enrolled:
    from gate_agent.enrolment import NotEnrolled

    if isinstance(answer, NotEnrolled):
        fail(answer.say)
    return answer


def _scan(
    data_dir: Path,
    lane: int,
    settings_path: Path | None,
    lanes: tuple[str, ...],
    screen_port: int | None,
    name: str,
    replace: bool,
) -> None:
    """The agent is stopped, the lane's readers and its screen are ours until the six characters were compared."""
    from gate_agent.agent import AlreadyRunning
    from gate_agent.enrol_lane import enrol_at
    from gate_agent.screen.app import create_app
    from gate_agent.screen.app import serve as serve_screen
    from hardware import DeviceFault

    chosen, held = chosen_lanes(data_dir, settings_path, lanes)
    choice = next((one for one in chosen if one.spec.number == lane), None)
    if choice is None:
        misconfigured(f"lane {lane} is not among the lanes of the settings: {[one.spec.number for one in chosen]}")

    def serve(board: Board) -> Callable[[], None]:
        app = create_app(board, lambda: None)
        screen, _ = serve_screen(app, held.screen.port if screen_port is None else screen_port)
        click.echo("READY " + json.dumps({"screen": screen.url, "lanes": [lane]}))
        return screen.close

    def compare(enrolled: Enrolled) -> None:
        click.echo(enrolled.line())
        click.prompt(f"Compare {enrolled.check} with the centre's screen, approve the gate there, then press Enter", "")

    try:
        _enrolled(enrol_at(data_dir, choice.spec, name, replace, serve, compare))
    except AlreadyRunning:
        fail("the agent is running: end it first, or let a supervisor scan the code at the staff screen")
    except (DeviceFault, OSError, sqlite3.Error) as error:
        fail(str(error))
