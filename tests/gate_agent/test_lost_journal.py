"""A journal that was deleted is missed at the next start, whether or not the centre ever heard of it."""

from __future__ import annotations

from pathlib import Path

from click.testing import CliRunner

from gate_agent import journal_files
from gate_agent.cli import main
from gate_agent.journal_files import NAME
from gate_agent.sync_state import Parting
from tests.gate_agent.test_succession import NEW, NEWER, OLD, Learnt, before, data_dir, open_again
from wire.messages import Superseded

__all__ = ["data_dir"]


def test_a_deleted_journal_that_was_never_acknowledged_is_missed_and_named(data_dir: Path) -> None:
    assert open_again(data_dir, Learnt()).event is None
    (data_dir / NAME).unlink()
    opened = open_again(data_dir, Learnt({NEWER: 4}))
    assert (opened.event, opened.aside) == (f"journal_lost: {OLD.hex()}", None)
    assert before(data_dir) == Superseded(OLD, 0, b""), "our own note says which, whatever else was sent"
    assert [note.name for note in journal_files.lost_journals(data_dir)] == [f"entries-lost-{OLD.hex()}.txt"]
    assert open_again(data_dir, Learnt()).event is None, "once"


def test_no_journal_is_made_only_to_be_closed(data_dir: Path) -> None:
    """It would hide that another one is gone."""
    open_again(data_dir, Learnt())
    (data_dir / NAME).unlink()
    done = CliRunner().invoke(main, ["close-journal", "--data", str(data_dir), "--wait-s", "0"])
    assert done.exit_code == 1 and "there is no journal here to close" in done.stderr
    assert open_again(data_dir, Learnt()).event == f"journal_lost: {OLD.hex()}"


def test_a_deleted_journal_is_missed_by_the_receipts_where_no_note_names_it(data_dir: Path) -> None:
    (data_dir / NAME).unlink()
    assert open_again(data_dir, Learnt({OLD: 9})).event == f"journal_lost: {OLD.hex()}"
    assert before(data_dir) == Superseded(OLD, 9, b"")


def test_the_note_follows_the_journal_that_is_written_in(data_dir: Path) -> None:
    open_again(data_dir, Learnt({OLD: 6}, {OLD: Parting(7, 40)}))
    assert journal_files.last_journal(data_dir) == NEW
    (data_dir / journal_files.LAST_NAME).write_text("no name")
    assert journal_files.last_journal(data_dir) is None
    open_again(data_dir, Learnt())
    assert journal_files.last_journal(data_dir) == NEW
