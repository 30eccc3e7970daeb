"""`gate-agent close-journal`: a box that is given back says that nothing more will come of its journal (wire.md §6)."""

from __future__ import annotations

import json
import secrets
import sqlite3
import sys
import threading
from pathlib import Path

import click

from gate_agent.options import DATA, EXIT_FAILED, fail, misconfigured, must_exist

WAIT_FOR_CENTRE_S = 60.0
LOOK_EVERY_S = 0.25


@click.command("close-journal")
@DATA
@click.option("--who", default=None, help="Who does it; goes into the journal.")
@click.option("--wait-s", type=click.FloatRange(0), default=WAIT_FOR_CENTRE_S, help="How long to wait for the centre.")
def close_journal(data_dir: Path, who: str | None, wait_s: float) -> None:
    """End the journal for good, with the agent stopped and sync running. Exit code 1 until the centre has all of it."""
    from gate_agent.agent import AlreadyRunning
    from gate_agent.journal_check import JournalTooNew
    from gate_agent.succession import JournalClosed

    must_exist(data_dir)
    try:
        incarnation, last_seq = _close(data_dir, who)
    except (AlreadyRunning, JournalClosed, OSError, sqlite3.Error) as error:
        fail(str(error))
    except JournalTooNew as error:
        misconfigured(str(error))
    arrived = _arrived(data_dir, incarnation, last_seq, wait_s)
    click.echo(json.dumps({"closed_at_seq": last_seq, "at_the_centre": arrived}))
    if not arrived:
        click.echo("the centre has not got all of it: leave gate-agent sync running until it has", err=True)
        sys.exit(EXIT_FAILED)


def _close(data_dir: Path, who: str | None) -> tuple[bytes, int]:
    """The journal that is closed now, and its last entry. One that was closed before stays as it is."""
    from gate_agent import judging
    from gate_agent.agent import SPARE_KEY_BYTES, only_one
    from gate_agent.entries import Entries, Placed
    from gate_agent.events import EventWord
    from gate_agent.journal_files import NAME
    from gate_agent.pass_list import PassListHolder
    from gate_agent.sync_state import SyncView
    from gate_agent.trusted_time import clocks_of_this_machine
    from gate_agent.world import WorldView
    from wire.messages import INCARNATION_BYTES, EntryKind

    release = only_one(data_dir)
    try:
        if not (data_dir / NAME).exists():  # one made now would hide that another is gone
            fail(f"{data_dir}: there is no journal here to close")
        entries, _ = Entries.open(data_dir, lambda: secrets.token_bytes(INCARNATION_BYTES))
        lists, sync = PassListHolder(data_dir), SyncView.open(data_dir)
        world = WorldView(clocks_of_this_machine(), lists, sync, secrets.token_bytes(SPARE_KEY_BYTES)).look()
        if not entries.is_closed():
            with entries.transaction():
                for intent in entries.open_intents():
                    kind, lane = EntryKind.UNRESOLVED, intent.lane
                    ending = judging.entry(kind, lane, world, intent.pass_id, ref_seq=intent.seq)
                    entries.append(ending, Placed(world.boot, world.today.day))
                judging.append_event(entries, EventWord.JOURNAL_CLOSED, world, who=who)
        if not entries.is_closed():
            fail("the disk is full: make room first")
        last = entries.incarnation, entries.last_seq
        entries.close()
        return last
    finally:
        release()


def _arrived(data_dir: Path, incarnation: bytes, last_seq: int, wait_s: float) -> bool:
    """Whether the centre holds the journal up to its end, as soon as it does."""
    from gate_agent.sync_state import SyncView

    view, pause = SyncView.open(data_dir), threading.Event()
    for _ in range(round(wait_s / LOOK_EVERY_S)):
        if view.cursor(incarnation) >= last_seq:
            break
        pause.wait(LOOK_EVERY_S)
    return view.cursor(incarnation) >= last_seq
