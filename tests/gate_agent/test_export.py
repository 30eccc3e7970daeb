"""The journal on a stick: whole, on the first medium there is, in a process of its own; else a reason why not."""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from click.testing import CliRunner

from gate_agent import export
from gate_agent.cli import main
from gate_agent.entries import Entries
from gate_agent.entries_view import EntriesView
from gate_agent.export import NotExported
from gate_agent.journal_files import NAME
from tests.gate_agent.boxes import write
from tests.wire import samples
from wire.messages import EntryKind


@pytest.fixture
def box(tmp_path: Path) -> Iterator[Path]:
    data_dir = tmp_path / "box"
    data_dir.mkdir()
    with closing(Entries.open(data_dir, lambda: samples.INCARNATION)[0]) as journal:
        write(journal, EntryKind.INTENT, EntryKind.REFUSED, EntryKind.EVENT)
        yield data_dir


def test_an_export_holds_every_line_and_a_database_whose_chain_is_whole(
    box: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lowered: list[int] = []
    monkeypatch.setattr(os, "nice", lowered.append)  # for good: all tests after this one would wait for the machine
    folder = tmp_path / "stick" / "gate-export-1"
    assert CliRunner().invoke(main, ["export", "--data", str(box), "--to", str(folder)]).exit_code == 0
    assert lowered == [export.LOWER_PRIORITY]
    assert sorted(path.name for path in folder.iterdir()) == [export.DATABASE, export.LINES]
    lines = [json.loads(line) for line in (folder / export.LINES).read_text().splitlines()]
    assert [(line["seq"], line["kind"]) for line in lines] == [(1, "intent"), (2, "refused"), (3, "event")]
    with EntriesView(folder / export.DATABASE) as copy:
        assert copy.verify() == 3


def test_it_goes_to_the_first_mounted_medium_named_or_below(box: Path, tmp_path: Path) -> None:
    for name in ("media/other", "media/user/STICK"):
        (tmp_path / name).mkdir(parents=True)
    mounted = tmp_path / "media/user/STICK"
    told = export.write_to_medium(box, f"{tmp_path}/media/*", "gate-export-1", is_medium=lambda path: path == mounted)
    assert told == mounted / "gate-export-1"
    assert (mounted / "gate-export-1" / export.LINES).exists()


def test_without_a_medium_or_room_or_with_one_that_fails_nothing_whole_is_claimed(
    box: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stick = tmp_path / "stick"
    stick.mkdir()

    def try_it() -> Path | NotExported:
        return export.write_to_medium(box, str(stick), "here", is_medium=lambda _: True)

    assert export.write_to_medium(box, str(stick), "here") is NotExported.NO_MEDIUM
    with monkeypatch.context() as patched:
        patched.setattr(export, "SPACE_FACTOR", 10**12)
        assert try_it() is NotExported.MEDIUM_FULL
    with monkeypatch.context() as patched:
        patched.setattr(export, "EXPORT_LIMIT_S", 0.001)
        assert try_it() is NotExported.FAILED
    (stick / "here").mkdir()
    (stick / "here" / "something").touch()
    assert try_it() is NotExported.FAILED


def test_of_a_journal_with_a_broken_entry_the_copy_is_kept(box: Path, tmp_path: Path) -> None:
    with closing(sqlite3.connect(box / NAME)) as db, db:
        db.execute("DROP TRIGGER entry_is_append_only")
        db.execute("UPDATE entry SET body = x'c1' WHERE seq = 2")
    folder = tmp_path / "here"
    with pytest.raises(ValueError, match="MessagePack"):
        export.write(box, folder)
    assert not folder.exists()
    assert (tmp_path / "here.part" / export.DATABASE).stat().st_size > 0
