"""Files that outlive a power cut, and databases that are only read."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from gate_agent.disk import read_only, write_whole


def test_a_file_is_replaced_whole_and_for_this_user_alone(tmp_path: Path) -> None:
    path = tmp_path / "device.key"
    (tmp_path / "device.key.new").write_text("half of it, from a start that died")
    for data in (b"first", b"second"):
        write_whole(path, data)
        assert path.read_bytes() == data
    assert path.stat().st_mode & 0o777 == 0o600
    assert list(tmp_path.iterdir()) == [path]


def test_what_is_only_read_is_neither_changed_nor_made(tmp_path: Path) -> None:
    path = tmp_path / "a b?#.db"
    with pytest.raises(sqlite3.OperationalError):
        read_only(path).execute("SELECT 1 FROM sqlite_schema")
    assert not path.exists()
    with closing(sqlite3.connect(path)) as db:
        db.execute("CREATE TABLE t (x)")
    with closing(read_only(path)) as db, pytest.raises(sqlite3.OperationalError, match="readonly"):
        db.execute("INSERT INTO t VALUES (1)")
