"""`gate-agent run`: the agent with its screens, from its settings to SIGTERM."""

from __future__ import annotations

import contextlib
import faulthandler
import json
import logging
import os
import signal
import sqlite3
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from gate_agent import settings
from gate_agent.options import DATA, LANES, SETTINGS, chosen_lanes, fail, misconfigured

if TYPE_CHECKING:
    import ssl

    from gate_agent.agent import Agent

log = logging.getLogger(__name__)

SIMULATED_LANES = ("1:reader=sim,turnstile=sim", "2:reader=sim,turnstile=sim")
"""What `--simulate` runs when no lane is named."""


@click.command()
@DATA
@SETTINGS
@LANES
@click.option("--screen-port", type=click.IntRange(0, 65_535), help="Port of the status screen; 0: any free one.")
@click.option("--no-sync", is_flag=True, help="Do not start sync; it runs as a unit of its own, or not at all.")
@click.option("--simulate", is_flag=True, help="Add the control port of simulated lanes; two such lanes unless named.")
def run(
    data_dir: Path,
    settings_path: Path | None,
    lanes: tuple[str, ...],
    screen_port: int | None,
    no_sync: bool,
    simulate: bool,
) -> None:
    """Run the agent until SIGTERM. Prints READY {…} when the lanes work."""
    from gate_agent.agent import Agent, AlreadyRunning
    from gate_agent.health_report import told_where
    from gate_agent.journal_check import JournalTooNew
    from gate_agent.succession import JournalClosed
    from gate_agent.trusted_time import device_clock_ns
    from gate_agent.watchdog import notify
    from hardware import DeviceFault

    faulthandler.enable()  # the watchdog's SIGABRT then tells where every thread stood
    stop, anew = threading.Event(), threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())

    def start_anew() -> None:
        anew.set()
        stop.set()

    chosen, held = chosen_lanes(data_dir, settings_path, lanes or (SIMULATED_LANES if simulate else ()))
    if not chosen:
        misconfigured("no lane is named: add a [[lane]] to the settings, or use --lane (docs/settings.md)")
    context = _tls(held.screen)
    data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        agent = Agent(data_dir, held.gate_name, chosen, device_clock_ns)
    except (DeviceFault, JournalTooNew) as error:
        misconfigured(str(error))
    except (AlreadyRunning, JournalClosed) as error:
        fail(str(error))
    except (OSError, sqlite3.Error, ValueError) as error:  # ValueError: something in sync.db is not what sync wrote
        fail(f"entries.db or sync.db in {data_dir} cannot be read ({error}): remove a damaged sync.db, enrol anew")
    with agent:
        agent.start()
        port = held.screen.port if screen_port is None else screen_port
        url, screens = _serve(agent, chosen, held, port, simulate, context)
        if held.sync and not no_sync:
            agent.keep_syncing()
        lane_numbers = [lane.lane.number for lane in agent.lanes]
        with screens, told_where(data_dir, url):
            notify("READY=1", "STATUS=started")
            click.echo("READY " + json.dumps({"screen": url, "lanes": lane_numbers}))
            agent.watch_journal(start_anew)
            stop.wait()
            if not anew.is_set():
                notify("STOPPING=1")
    if anew.is_set():  # the same program, from its beginning: nothing that it still held in memory outlives the journal
        os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])  # noqa: S606 - no shell is wanted


def _serve(
    agent: Agent,
    chosen: Sequence[settings.LaneChoice],
    held: settings.Settings,
    port: int,
    simulate: bool,
    context: ssl.SSLContext | None,
) -> tuple[str, contextlib.ExitStack]:
    """The status screen: its address, and what ends it when left. Flask is loaded here, when the lanes work already."""
    from gate_agent.screen.acts import act_pages
    from gate_agent.screen.app import create_app, serve
    from gate_agent.screen.simulation import simulation
    from gate_agent.screen.sounds import Sounds

    lanes = {one.number: one.simulated for one in agent.devices if one.simulated is not None}

    def now_ms() -> int | None:
        return agent.time.now().at_ms

    pairing = agent.pairing(f"{settings.tablets_url(held.screen)}/staff/pair") if context else None
    acts = agent.acts(held, pairing)
    pages = act_pages(acts, agent.board, now_ms)
    silent = frozenset(choice.spec.number for choice in chosen if not choice.settings.sound)
    sounds = Sounds(silent, settings.quiet_hours(held))
    simulated = simulation(lanes) if simulate else None
    app = create_app(agent.board, now_ms, simulated, acts=pages, can=acts.can, sounds=sounds, photo=agent.photos.find)
    opened = contextlib.ExitStack()
    try:
        screen, url = serve(app, port)
    except OSError as error:
        misconfigured(f"the screen cannot be served on port {port} ({error.strerror}): choose another screen.port")
    opened.callback(screen.close)
    if context and pairing:
        from gate_agent.screen.tablets import serve_tablets

        try:
            opened.callback(serve_tablets(agent.board, now_ms, acts, pairing, held.screen, sounds, context))
        except OSError as error:
            misconfigured(
                f"screen.listen: {held.screen.listen} cannot be served ({error.strerror}): choose another port"
            )
    return url, opened


def _tls(screen: settings.ScreenSettings) -> ssl.SSLContext | None:
    """By what tablets know this box; None where none are let in. An address that is not there does not keep a gate
    from starting: a cable may be out."""
    from gate_agent import tls

    where = settings.listening(screen)
    if where is None:
        return None
    if not tls.is_of_this_machine(where[0]):
        log.warning("screen.listen: %s is no address of this machine now; no tablet reaches it until it is", where[0])
    try:
        return tls.load(Path(screen.tls_cert), Path(screen.tls_key))
    except tls.TlsFault as error:
        misconfigured(str(error))
