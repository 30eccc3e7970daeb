"""The command line: `gate-agent run | sync | enrol | check | status | health | verify | export | read | …`."""

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
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from gate_agent import settings
from gate_agent.close_command import close_journal
from gate_agent.commission_command import commission
from gate_agent.enrol_command import enrol
from gate_agent.options import DATA, EXIT_FAILED, LANES, SETTINGS, chosen_lanes, fail, misconfigured
from gate_agent.staff_commands import staff_commands

if TYPE_CHECKING:
    import ssl

    from gate_agent.agent import Agent

log = logging.getLogger(__name__)

SIMULATED_LANES = ("1:reader=sim,turnstile=sim", "2:reader=sim,turnstile=sim")
"""What `--simulate` runs when no lane is named."""


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def main() -> None:
    """The gate agent: admits passes at a venue's turnstiles, with or without the network."""
    logging.basicConfig(level=logging.INFO, format="%(name)s: %(message)s", stream=sys.stderr)


main.add_command(staff_commands)
main.add_command(commission)
main.add_command(close_journal)
main.add_command(enrol)


@main.command()
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
    from gate_agent.entries import JournalTooNew
    from gate_agent.health_report import told_where
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
        fail(f"entries.db or sync.db in {data_dir} cannot be read ({error}): remove a damaged sync.db and enrol anew")
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


@main.command()
@DATA
def sync(data_dir: Path) -> None:
    """Talk to the centre until SIGTERM: fetch the list, send the entries. `run` starts this by itself."""
    from gate_agent.sync import run_forever

    data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    sys.exit(run_forever(data_dir))


@main.command()
@DATA
@SETTINGS
@LANES
def check(data_dir: Path, settings_path: Path | None, lanes: tuple[str, ...]) -> None:
    """Say in sentences whether this box is fit to admit. Exit code 1 when it is not."""
    from gate_agent import checkup
    from gate_agent.agent import AlreadyRunning, only_one
    from gate_agent.sync_state import SyncView
    from gate_agent.trusted_time import TrustedTime, clocks_of_this_machine

    _existing(data_dir)
    chosen, held = chosen_lanes(data_dir, settings_path, lanes)
    time = TrustedTime(SyncView.open(data_dir).evidence, clocks_of_this_machine())
    time.look_at_rtc()
    now = time.now()
    try:
        only_one(data_dir)()
        idle = True
    except AlreadyRunning:
        idle = False
    findings = [*checkup.check(data_dir, chosen, now, devices=idle), *checkup.tablets(held.screen, now)]
    for finding in findings:
        click.echo(str(finding))
    sys.exit(0 if all(finding.fit for finding in findings) else EXIT_FAILED)


@main.command()
@DATA
def status(data_dir: Path) -> None:
    """Print one line of JSON: enrolment, list, journal, what waits to be sent."""
    from gate_agent import checkup, seams

    _existing(data_dir)
    click.echo(seams.line(checkup.status(data_dir)))


@main.command()
@DATA
@click.option("--for-update", is_flag=True, help="Say whether the gate may be stopped for an update now.")
def health(data_dir: Path, for_update: bool) -> None:
    """Ask the running agent how it is: one line of JSON. Exit code 1 when it is not in order, or not for an update."""
    from gate_agent import health_report, seams
    from gate_agent.agent import is_running

    _existing(data_dir)
    if for_update and not is_running(data_dir):
        click.echo("no agent is running here: nothing stands against an update")
        return
    try:
        told = health_report.ask(data_dir)
    except health_report.NoAnswer as error:
        fail(str(error))
    if not for_update:
        click.echo(seams.line(told))
        sys.exit(0 if told["ok"] else EXIT_FAILED)
    against = health_report.against_update(told, data_dir)
    click.echo("\n".join(f"not now: {reason}" for reason in against) or "the gate may be stopped for an update now")
    sys.exit(EXIT_FAILED if against else 0)


@main.command("import")
@DATA
@click.argument("folder", metavar="DIR", type=click.Path(file_okay=False, exists=True, path_type=Path))
def import_(data_dir: Path, folder: Path) -> None:
    """Bring a list that `sync-server list export` wrote to DIR; the agent may go on running."""
    from gate_agent.list_import import NotImported, import_list

    _existing(data_dir)
    try:
        head = import_list(data_dir, folder)
    except NotImported as problem:
        fail(str(problem))
    click.echo(json.dumps({"list": [head.epoch, head.version], "signed_at_ms": head.signed_at_ms}))


@main.command()
@DATA
def verify(data_dir: Path) -> None:
    """Walk the journal's chain. Exit code 1 names the entry where it is broken."""
    from gate_agent.chain import Broken
    from gate_agent.entries_view import EntriesView

    try:
        with EntriesView.open(data_dir) as journal:
            found, pruned = journal.verify(), journal.pruned_through()
    except (FileNotFoundError, sqlite3.DatabaseError) as error:
        fail(str(error))
    if isinstance(found, Broken):
        fail(f"seq {found.seq}: {found.sentence}")
    click.echo(f"{found - pruned} entries, the chain is whole" + (f" from {pruned + 1} on" if pruned else ""))


@main.command()
@DATA
@click.option("--format", "form", type=click.Choice(["jsonl"]), default="jsonl", show_default=True)
@click.option(
    "--to",
    "folder",
    type=click.Path(path_type=Path),
    help="A folder to make, with the database and its lines, instead of printing.",
)
def export(data_dir: Path, form: str, folder: Path | None) -> None:
    """Print the journal, one entry a line (docs/journal.md)."""
    from gate_agent import export, seams
    from gate_agent.entries_view import EntriesView

    assert form == "jsonl", "the only format there is"
    try:
        if folder is not None:
            os.nice(export.LOWER_PRIORITY)
            return export.write(data_dir, folder)
        with EntriesView.open(data_dir) as journal:
            for entry, chained in journal.entries():
                click.echo(seams.line(seams.exported(entry, chained)))
    except (OSError, sqlite3.DatabaseError, ValueError) as error:
        fail(str(error))


@main.command()
@click.argument("images", nargs=-1, required=True, type=click.Path(path_type=Path))
def read(images: tuple[Path, ...]) -> None:
    """Print the codes in pictures, one line of JSON each. Exit code 1 when one of them is no picture."""
    from gate_agent import seams
    from gate_agent.trusted_time import device_clock_ns

    told = [seams.read_picture(path, device_clock_ns) for path in images]
    for one in told:
        click.echo(seams.line(one))
    sys.exit(EXIT_FAILED if any("error" in one for one in told) else 0)


@main.command("verify-token")
@click.option(
    "--keys", "keys_path", required=True, type=click.Path(path_type=Path), help="From sync-server keys export."
)
@click.option("--venue", required=True, type=click.IntRange(0, 65_535), help="The venue's number.")
@click.option("--group", "groups", multiple=True, type=click.IntRange(0, 65_535), help="A group of it. Repeatable.")
@click.option("--now", "now_text", default=None, metavar="ISO", help="The time to judge dates by; now unless given.")
def verify_token(keys_path: Path, venue: int, groups: tuple[int, ...], now_text: str | None) -> None:
    """Judge codes from standard input, one a line: one line of JSON each, empty lines included."""
    from gate_agent import seams
    from gate_agent.trusted_time import os_clock_ms
    from wire.keyset import read_keys_file
    from wire.token import Place

    try:
        keys = read_keys_file(keys_path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise click.UsageError(f"{keys_path}: {error}") from error
    now_ms = os_clock_ms() if now_text is None else _moment_ms(now_text)
    for text in seams.lines_of(sys.stdin.buffer):
        click.echo(seams.line(seams.judge_token(text, keys, Place(venue, frozenset(groups)), now_ms)))


def _moment_ms(text: str) -> int:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise click.BadParameter(f"{text!r} is no ISO time, as 2026-11-18T09:00:00+08:00") from error
    return round((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1000)


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


def _existing(data_dir: Path) -> None:
    if not data_dir.is_dir():
        fail(f"{data_dir}: there is no such directory")
