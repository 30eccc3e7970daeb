"""A list brought on a stick: believed for its signatures alone, whole or not at all, by a box that knows its venue."""

from __future__ import annotations

import threading
from contextlib import suppress
from pathlib import Path

import pytest
from click.testing import CliRunner

from gate_agent.cli import main
from gate_agent.list_import import NotImported, import_list
from gate_agent.pass_list import PassList
from tests.gate_agent.lists import Feed
from tests.gate_agent.venue import enrol
from tests.wire import samples


@pytest.fixture
def box(tmp_path: Path) -> Path:
    """An approved box without a list."""
    enrol(tmp_path / "box")
    return tmp_path / "box"


def on_a_stick(source: Feed, folder: Path) -> Path:
    """As `sync-server list export` writes it."""
    segments = folder / "feed" / "segments"
    segments.mkdir(parents=True, exist_ok=True)
    for name, data in source.segments.items():
        (segments / name.hex()).write_bytes(data)
    head = folder / "feed" / samples.FEED_ID.hex() / "head"
    head.parent.mkdir(exist_ok=True)
    head.write_bytes(source.head)
    return folder


def version(box: Path) -> int | None:
    held = PassList.open(box)
    return None if held is None else held.version


def test_from_the_command_line(box: Path, tmp_path: Path) -> None:
    source = Feed()
    source.publish(42)
    stick = on_a_stick(source, tmp_path / "stick")
    done = CliRunner().invoke(main, ["import", "--data", str(box), str(stick)])
    assert (done.exit_code, done.output) == (0, f'{{"list": [1, 42], "signed_at_ms": {samples.NOW_MS}}}\n')
    assert version(box) == 42
    source.publish(41)
    done = CliRunner().invoke(main, ["import", "--data", str(box), str(on_a_stick(source, tmp_path / "stick"))])
    assert done.exit_code == 1
    assert "list_rolled_back" in done.output
    assert version(box) == 42


def test_a_stick_pulled_too_early_changes_nothing(box: Path, tmp_path: Path) -> None:
    source = Feed()
    source.publish(42)
    stick = on_a_stick(source, tmp_path / "stick")
    assert source.read is not None
    (stick / "feed" / "segments" / source.read.snapshot[-1].name.hex()).unlink()
    with pytest.raises(NotImported, match="copy the export of this venue whole"):
        import_list(box, stick)
    assert version(box) is None


def test_what_was_changed_on_the_way_is_refused(box: Path, tmp_path: Path) -> None:
    source = Feed()
    source.publish(42)
    stick = on_a_stick(source, tmp_path / "stick")
    assert source.read is not None
    segment = stick / "feed" / "segments" / source.read.snapshot[0].name.hex()
    segment.write_bytes(segment.read_bytes()[:-1] + b"\0")
    with pytest.raises(NotImported, match="segment_wrong_name"):
        import_list(box, stick)
    segment.write_bytes(bytes(5 * 1024 * 1024))
    with pytest.raises(NotImported, match="segment_malformed"):
        import_list(box, stick)
    assert version(box) is None


def test_a_box_that_never_reached_its_centre_says_so(tmp_path: Path) -> None:
    (tmp_path / "new").mkdir()
    with pytest.raises(NotImported, match="must reach the centre once"):
        import_list(tmp_path / "new", tmp_path)


def test_sync_and_a_stick_at_the_same_time_leave_the_newest(box: Path, tmp_path: Path) -> None:
    older, newer = Feed(), Feed()
    older.publish(42)
    newer.publish(43)
    stick = on_a_stick(older, tmp_path / "stick")
    together = threading.Barrier(2)

    def pull() -> None:
        together.wait()
        newer.install(box)

    sync = threading.Thread(target=pull)
    sync.start()
    together.wait()
    with suppress(NotImported):  # sync was quicker, and 42 would be a step back
        import_list(box, stick)
    sync.join()
    assert version(box) == 43
