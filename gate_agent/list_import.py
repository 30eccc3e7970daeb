"""`gate-agent import DIR`: a list brought on a stick, laid out as a web server would serve it (wire.md §5)."""

from __future__ import annotations

from pathlib import Path

from gate_agent.list_file import NotInstalled
from gate_agent.list_install import install
from gate_agent.sync_state import SyncView
from wire.feed import MAX_HEAD_BYTES, MAX_SEGMENT_BYTES, Head


class NotImported(Exception):
    """Why the list held stays in force; the message is for whoever brought the stick."""


def import_list(data_dir: Path, folder: Path) -> Head:
    """Verify the list in `folder` (feed/ID/head and feed/segments/NAME) and put it in force. NotImported: it is not.

    The agent and sync may run meanwhile. What makes the list genuine are its signatures, wherever it came from.
    """
    state = SyncView.open(data_dir).read()
    if state.config is None or state.key_set is None:
        raise NotImported("this box has no configuration yet: it must reach the centre once after its enrolment")
    feed_folder = folder / "feed"

    def segment(name: bytes) -> bytes:
        return _read(feed_folder / "segments" / name.hex(), MAX_SEGMENT_BYTES)

    head = _read(feed_folder / state.config.feed_id.hex() / "head", MAX_HEAD_BYTES)
    installed = install(data_dir, head, segment, state.key_set, state.config)
    if isinstance(installed, NotInstalled):
        raise NotImported(f"the list is refused, the one held stays: {installed}")
    return installed


def _read(path: Path, limit: int) -> bytes:
    """At most `limit` bytes and one: what is longer is refused by whoever reads it."""
    try:
        with path.open("rb") as file:
            return file.read(limit + 1)
    except OSError as error:
        raise NotImported(f"{path} cannot be read ({error.strerror}): copy the export of this venue whole") from error
