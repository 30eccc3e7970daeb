"""A list of a million passes: its bytes, a gate that fetches it, the centre that makes it while changes go out (P11).

`./dev bench list [--passes 1000000]`; some minutes, most of them to fill the centre.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import msgspec
import sqlalchemy as sa

from benchmarks import portal, rounds
from benchmarks.portal import VENUE, Portal
from gate_agent.pass_list import PassList
from sync_server.centre import Centre
from sync_server.feed.reading import named_segments
from sync_server.feed.tables import feed, feed_building
from sync_server.gates.venue_keys import list_key
from sync_server.parties.parties import venue_by_number
from wire.feed import NONCE_BYTES, Part, PassRow, Row, open_segment, seal_segment

LIMIT_S = 1_800.0
BETWEEN_CHANGES_S = 0.7


@dataclass
class Cost:
    """Bytes as sent for each of something."""

    bytes: int = 0
    count: int = 0

    def add(self, some_bytes: int, count: int) -> None:
        """Of one segment."""
        self.bytes += some_bytes
        self.count += count

    def __str__(self) -> str:
        return f"{self.each:.2f}"

    @property
    def each(self) -> float:
        """Bytes of one."""
        return self.bytes / max(1, self.count)


@dataclass
class Published:
    """The venue's list at the centre, as the worker's steps leave it."""

    centre: Centre

    def __post_init__(self) -> None:
        with self.centre.read() as connection:
            self.venue_id = venue_by_number(connection, VENUE)

    def versions(self) -> tuple[int, int]:
        """Of the list and of its snapshot; 0 before there is one."""
        with self.centre.read() as connection:
            found = connection.execute(sa.select(feed).where(feed.c.venue_id == self.venue_id)).one_or_none()
        return (0, 0) if found is None else (found.version, found.snapshot_version or 0)

    def is_building(self) -> bool:
        """Whether a snapshot is on its way."""
        with self.centre.read() as connection:
            mine = sa.select(feed_building.c.version).where(feed_building.c.venue_id == self.venue_id)
            return connection.execute(mine).first() is not None

    def segments(self) -> Iterator[tuple[int, Part, list[Row]]]:
        """Bytes and rows of each segment in force."""
        with self.centre.read() as connection:
            key = list_key(connection, self.centre.secrets, self.venue_id)
            for name, data in named_segments(connection, self.venue_id):
                opened = open_segment(data, name, {key.id: key.key})
                assert isinstance(opened, tuple), opened
                yield len(data), *opened


def costs(published: Published) -> dict[str, Cost]:
    """What the list costs on the wire: each pass bare, each card and each phone on top of it, each name apart."""
    found = {name: Cost() for name in ("pass", "credential", "holder_key", "name", "all")}
    for sent, part, rows in published.segments():
        found["all"].add(sent, len(rows) if part is Part.PASSES else 0)
        if part is Part.NAMES:
            found["name"].add(sent, len(rows))
        passes = [row for row in rows if isinstance(row, PassRow)]
        if passes:
            bare = [msgspec.structs.replace(row, credentials=(), holder_keys=()) for row in passes]
            cards = [msgspec.structs.replace(row, holder_keys=()) for row in passes]
            bare_bytes, cards_bytes = _sealed(bare), _sealed(cards)
            found["pass"].add(bare_bytes, len(passes))
            found["credential"].add(cards_bytes - bare_bytes, sum(len(row.credentials) for row in passes))
            found["holder_key"].add(sent - cards_bytes, sum(len(row.holder_keys) for row in passes))
    return found


def _sealed(rows: list[PassRow]) -> int:
    return len(seal_segment(Part.PASSES, rows, bytes(32), 1, bytes(NONCE_BYTES)))


@dataclass(frozen=True)
class Fetched:
    """How a gate took the list in: seconds from its READY on, and what its two processes held at most."""

    seconds: float
    agent_mb: float
    sync_mb: float
    agent_then_mb: float


def fetch(data_dir: Path) -> Fetched:
    """A gate that holds nothing fetches the whole list over HTTP, verifies it and puts it in force."""
    with portal.agent(data_dir) as program:
        taken_s = rounds.until(lambda: PassList.open(data_dir) is not None, LIMIT_S, "the gate holds the list")
        threads = Path(f"/proc/{program.pid}/task").glob("*/children")
        [sync] = [int(child) for each in threads for child in each.read_text("ascii").split()]
        sync_mb = rounds.memory_mb(sync)[1]
        threading.Event().wait(3.0)  # the agent opens the list at its next look
        then_mb, most_mb = rounds.memory_mb(program.pid)
    held = PassList.open(data_dir)
    assert held is not None
    return Fetched(taken_s, most_mb, sync_mb, then_mb)


def rebuild(centre: Portal, published: Published, device: str) -> tuple[float, list[float]]:
    """A gate is revoked, so that the snapshot is made anew under new keys: seconds until it is in force, and of each
    suspension meanwhile until the list at the centre says so."""
    before = published.versions()[1]
    opened = published.centre
    with opened.read() as connection:
        numbers = iter(connection.scalars(sa.text("SELECT number FROM pass ORDER BY id LIMIT 5000")).all())
    centre.revoke(device)
    rounds.until(lambda: published.is_building() or published.versions()[1] > before, LIMIT_S, "the building has begun")
    waits: list[float] = []

    def changes() -> bool:
        held = published.versions()
        if held[1] > before:
            return True
        portal.suspend(opened, next(numbers))
        waits.append(rounds.until(lambda: published.versions()[0] > held[0], LIMIT_S, "the change is published", 0.01))
        return False

    return rounds.until(changes, LIMIT_S, "the snapshot is in force", BETWEEN_CHANGES_S), waits


def main(passes: int, folder: Path) -> None:
    """Print the table and the JSON line."""
    with portal.running(folder, passes) as centre:
        published = Published(centre.opened())
        gates = [folder / name for name in ("gate-1", "gate-2")]
        centre.serve()
        built_s = rounds.until(lambda: published.versions()[1] > 0, LIMIT_S, "the first snapshot", 0.5)
        devices = [centre.enrol(gate) for gate in gates]
        sizes = costs(published)
        assert sizes["pass"].count == passes
        fetched = fetch(gates[0])
        rebuilt_s, waits = rebuild(centre, published, devices[1])
    waits = waits or [0.0]  # a short list is made anew at once
    p95 = statistics.quantiles(waits, n=20)[-1] if len(waits) > 1 else waits[0]
    rounds.table(
        [
            ("P11", "bytes per pass, per credential, per holder key",
             f"{sizes['pass']}, {sizes['credential']}, {sizes['holder_key']}", "≤ 12, 17, 34"),
            ("", "  masked name and ticket number, apart", sizes["name"], ""),
            ("", "  the whole list, MB", f"{sizes['all'].bytes / 1e6:.1f}", ""),
            ("P11", "fetched over HTTP, verified, in force, s", f"{fetched.seconds:.1f}", "< 30"),
            ("P11", "agent's memory with it, MB (at most)",
             f"{fetched.agent_then_mb:.0f} ({fetched.agent_mb:.0f})", "≤ 150"),
            ("", "  its sync's memory at most, MB", f"{fetched.sync_mb:.0f}", ""),
            ("", "first snapshot at the centre, s", f"{built_s:.0f}", ""),
            ("", "snapshot made anew under new keys, s", f"{rebuilt_s:.0f}", ""),
            ("", f"  {len(waits)} suspensions meanwhile, in the list after, s (median / p95)",
             f"{statistics.median(waits):.2f} / {p95:.2f}", ""),
        ],
        ("#", f"{passes:,} passes; load {rounds.load():.1f}", "measured", "bar"),
    )  # fmt: skip
    figures: dict[str, object] = {f"{name}_bytes": round(cost.each, 2) for name, cost in sizes.items()}
    figures |= {
        "fetched_s": round(fetched.seconds, 1),
        "agent_mb": round(fetched.agent_mb),
        "sync_mb": round(fetched.sync_mb),
    }
    figures |= {"built_s": round(built_s), "rebuilt_s": round(rebuilt_s), "published_p95_s": round(p95, 2)}
    rounds.last_line({"benchmark": "list", **figures, "passes": passes, "load": round(rounds.load(), 1)})


if __name__ == "__main__":
    options = argparse.ArgumentParser(prog="./dev bench list")
    options.add_argument("--passes", type=int, default=1_000_000)
    with tempfile.TemporaryDirectory(prefix="bench-") as scratch:
        main(options.parse_args().passes, Path(scratch) / "portal")
