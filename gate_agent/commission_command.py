"""`gate-agent commission LANE`: somebody at the lane and this terminal try it together."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from gate_agent.options import DATA, LANES, SETTINGS, chosen_lanes, fail, misconfigured

if TYPE_CHECKING:
    from gate_agent.board import Board
    from gate_agent.commissioning import TrialTold
    from hardware.devices import LaneDevices


@click.command()
@click.argument("lane", type=int)
@DATA
@SETTINGS
@LANES
@click.option("--screen-port", type=click.IntRange(0, 65_535), help="Port of the status screen; 0: any free one.")
@click.option("--untried", multiple=True, type=click.Choice(["fire", "tamper"]), help="An input nobody may move now.")
@click.option("--who", default=None, help="Who does it; goes into the journal.")
def commission(
    lane: int,
    data_dir: Path,
    settings_path: Path | None,
    lanes: tuple[str, ...],
    screen_port: int | None,
    untried: tuple[str, ...],
    who: str | None,
) -> None:
    """Try LANE's screen, readers, relay and inputs together, with the agent stopped, and keep how they are wired."""
    from gate_agent.agent import AlreadyRunning
    from gate_agent.commission_lane import NotCommissioned, commission_lane
    from gate_agent.journal_check import JournalTooNew
    from gate_agent.screen.app import create_app
    from gate_agent.screen.app import serve as serve_screen
    from gate_agent.screen.commission_words import flaw_said
    from gate_agent.screen.simulation import simulation
    from gate_agent.succession import JournalClosed
    from gate_agent.trusted_time import device_clock_ns
    from hardware import DeviceFault
    from hardware.turnstile import Role

    chosen, held = chosen_lanes(data_dir, settings_path, lanes)
    choice = next((one for one in chosen if one.spec.number == lane), None)
    if choice is None:
        misconfigured(f"lane {lane} is not among the lanes of the settings: {[one.spec.number for one in chosen]}")
    data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)

    def serve(board: Board, devices: LaneDevices) -> Callable[[], None]:
        control = None if devices.simulated is None else simulation({lane: devices.simulated})
        app = create_app(board, lambda: None, control)
        screen, _ = serve_screen(app, held.screen.port if screen_port is None else screen_port)
        click.echo("READY " + json.dumps({"screen": screen.url, "lanes": [lane]}))
        return screen.close

    tried = frozenset(Role(role) for role in untried)
    try:
        topology = commission_lane(data_dir, choice, _AtTheTerminal(), who, tried, serve, device_clock_ns)
    except NotCommissioned as error:
        fail(f"lane {lane}: {flaw_said(error.flaw, _english)}")
    except (AlreadyRunning, JournalClosed, OSError, sqlite3.Error) as error:
        fail(str(error))
    except (DeviceFault, JournalTooNew) as error:
        misconfigured(str(error))
    for place, told in topology.items():
        click.echo(f"{place}: {told}")
    click.echo(f"lane {lane} is commissioned")


class _AtTheTerminal:
    """The operator of a commissioning: sentences printed, answers typed."""

    def tell(self, told: TrialTold) -> None:
        from gate_agent.screen.commission_words import said

        click.echo(said(told, _english))

    def ask_arm(self, told: TrialTold) -> int:
        from gate_agent.screen.commission_words import said

        answer: int = click.prompt(f"{said(told, _english)} (its number; 0: none; -1: one of another box)", type=int)
        return answer


def _english(pair: tuple[str, str]) -> str:
    return pair[1]
