"""The commands that look and change nothing: the box, the running agent, its journal, pictures and codes."""

from __future__ import annotations

import os
import sqlite3
import sys
from datetime import UTC, datetime
from pathlib import Path

import click

from gate_agent.options import DATA, EXIT_FAILED, LANES, SETTINGS, chosen_lanes, fail, must_exist


@click.command()
@DATA
@SETTINGS
@LANES
def check(data_dir: Path, settings_path: Path | None, lanes: tuple[str, ...]) -> None:
    """Say in sentences whether this box is fit to admit. Exit code 1 when it is not."""
    from gate_agent import checkup
    from gate_agent.agent import AlreadyRunning, only_one
    from gate_agent.sync_state import SyncView
    from gate_agent.trusted_time import TrustedTime, clocks_of_this_machine

    must_exist(data_dir)
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


@click.command()
@DATA
def status(data_dir: Path) -> None:
    """Print one line of JSON: enrolment, list, journal, what waits to be sent."""
    from gate_agent import checkup, seams

    must_exist(data_dir)
    click.echo(seams.line(checkup.status(data_dir)))


@click.command()
@DATA
@click.option("--for-update", is_flag=True, help="Say whether the gate may be stopped for an update now.")
def health(data_dir: Path, for_update: bool) -> None:
    """Ask the running agent how it is: one line of JSON. Exit code 1 when it is not in order, or not for an update."""
    from gate_agent import health_report, seams
    from gate_agent.agent import is_running

    must_exist(data_dir)
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


@click.command()
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


@click.command()
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


@click.command()
@click.argument("images", nargs=-1, required=True, type=click.Path(path_type=Path))
def read(images: tuple[Path, ...]) -> None:
    """Print the codes in pictures, one line of JSON each. Exit code 1 when one of them is no picture."""
    from gate_agent import seams
    from gate_agent.trusted_time import device_clock_ns

    told = [seams.read_picture(path, device_clock_ns) for path in images]
    for one in told:
        click.echo(seams.line(one))
    sys.exit(EXIT_FAILED if any("error" in one for one in told) else 0)


@click.command("verify-token")
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


LOOKS = (check, status, health, verify, export, read, verify_token)
