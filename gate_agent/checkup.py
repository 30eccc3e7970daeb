"""`gate-agent check` and `status`: is this box fit to admit, said in sentences, without touching a running agent."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from gate_agent import tls
from gate_agent.chain import Broken
from gate_agent.disk import free_bytes
from gate_agent.entries_view import EntriesView
from gate_agent.machine import disk_percent
from gate_agent.pass_list import PassList
from gate_agent.settings import LaneChoice, ScreenSettings, listening
from gate_agent.sync_state import SyncView
from gate_agent.time_trust import Now
from gate_agent.wiring_watch import again, what_moved
from hardware import DeviceFault
from hardware.devices import open_lane
from wire.messages import ClockTrust

MIN_FREE_BYTES = 256 * 1024 * 1024
MAX_DISK_PERCENT = 80
READER_PATIENCE_S = 1.0
CERTIFICATE_SPARE_DAYS = 14


@dataclass(frozen=True, slots=True)
class Finding:
    """One sentence about the box. `fit` False: somebody has to act before it can admit as it should."""

    fit: bool
    sentence: str

    def __str__(self) -> str:
        return f"{'ok ' if self.fit else 'NOT'} {self.sentence}"


def check(data_dir: Path, chosen: Sequence[LaneChoice], now: Now, devices: bool) -> Iterator[Finding]:
    """Everything an admission needs; `devices` False leaves the lanes' devices alone, as while the agent runs."""
    yield from _identity(data_dir)
    yield _list(data_dir, now)
    yield _clock(now)
    yield _disk(data_dir)
    yield _journal(data_dir)
    if not chosen:
        yield Finding(False, "no lane is named: add a [[lane]] to gate.toml, or use --lane")
    elif not devices:
        yield Finding(True, "an agent is running here and holds the devices; its staff face says how they are")
    else:
        for choice in chosen:
            yield from _lane(choice)
    yield from _wiring(data_dir, chosen)


def tablets(screen: ScreenSettings, now: Now) -> Iterator[Finding]:
    """Whether the staff's tablets reach this box, where they may."""
    where = listening(screen)
    if where is None:
        return
    if not tls.is_of_this_machine(where[0]):
        yield Finding(False, f"screen.listen: {where[0]} is no address of this machine now; no tablet reaches it")
    try:
        tls.load(Path(screen.tls_cert), Path(screen.tls_key))
        ends = tls.ends_at(Path(screen.tls_cert))
    except tls.TlsFault as fault:
        yield Finding(False, str(fault))
        return
    left_days = (ends - datetime.fromtimestamp(now.record_ms / 1000, UTC)).days
    good = f"the certificate for tablets is good until {ends:%Y-%m-%d}"
    yield Finding(left_days >= CERTIFICATE_SPARE_DAYS, good if left_days >= 0 else f"{good}: make a new one")


def status(data_dir: Path) -> dict[str, object]:
    """The state of a data directory's files, for scripts."""
    view, held = SyncView.open(data_dir), PassList.open(data_dir)
    sync = view.read()
    told: dict[str, object] = {
        "device": None if sync.device is None else sync.device.hex(),
        "venue": sync.venue,
        "online": sync.online,
        "last_contact_ms": sync.last_contact_ms,
        "list": None if held is None else [held.epoch, held.version],
        "list_signed_at_ms": None if held is None else held.head.signed_at_ms,
        "incarnation": None,
        "entries": 0,
        "waiting": 0,
    }
    try:
        with EntriesView.open(data_dir) as journal:
            last_seq = journal.last_seq()
            told["incarnation"] = journal.incarnation.hex()
            told["entries"] = last_seq
            told["waiting"] = last_seq - view.cursor(journal.incarnation)
    except FileNotFoundError:
        pass
    return told


def _identity(data_dir: Path) -> Iterator[Finding]:
    view = SyncView.open(data_dir)
    sync = view.read()
    if sync.device is None:
        yield Finding(False, "this box is not enrolled: run gate-agent enrol with a code from the centre")
        return
    yield Finding(True, f"enrolled at {sync.url} as {sync.device.hex()}")
    if view.is_on_copy:
        yield Finding(True, "sync.db is damaged or gone: its copy is used, and gate-agent sync makes a new one")
    if sync.config is None:
        yield Finding(False, "the centre has not approved this box yet: an operator compares six characters there")
    for name, link in (("list", sync.list_link), ("entries", sync.entries_link)):
        if link is not None and link.trouble is not None:
            yield Finding(
                True, f"{name}: cut off from the centre since {_moment(link.since_ms)}: {link.trouble.detail}"
            )


def _list(data_dir: Path, now: Now) -> Finding:
    held = PassList.open(data_dir)
    if held is None:
        return Finding(False, "there is no list yet: nobody can be admitted until sync has fetched one")
    name = f"list {held.epoch}-{held.version} of {held.document.name_zh}, signed {_moment(held.head.signed_at_ms)}"
    if now.record_ms >= held.head.not_after_ms:
        return Finding(False, f"{name}, is past its end: single and combo tickets are admitted up to a limit only")
    return Finding(True, name)


def _clock(now: Now) -> Finding:
    if now.trust is ClockTrust.UNKNOWN:
        return Finding(False, "the time is not known: annual passes far from their dates are admitted, others are not")
    return Finding(True, f"the clock is {now.trust.name.lower()}: {_moment(now.record_ms)}")


def _disk(data_dir: Path) -> Finding:
    free, percent = free_bytes(data_dir), disk_percent(data_dir)
    sentence = f"the disk is {percent} % full, {free // (1024 * 1024)} MB are free"
    return Finding(free >= MIN_FREE_BYTES or percent < MAX_DISK_PERCENT, sentence)


def _journal(data_dir: Path) -> Finding:
    try:
        with EntriesView.open(data_dir) as journal:
            found, pruned = journal.verify(), journal.pruned_through()
    except FileNotFoundError:
        return Finding(True, "there is no journal yet; the first start makes one")
    except sqlite3.DatabaseError as error:
        return Finding(False, f"the journal cannot be read: {error}; at the next start it is set aside")
    if isinstance(found, Broken):
        return Finding(False, f"the journal's chain is broken: {found.sentence}")
    return Finding(True, f"the journal holds {found - pruned} entries, its chain is whole")


def _wiring(data_dir: Path, chosen: Sequence[LaneChoice]) -> Iterator[Finding]:
    """What is not wired as it was commissioned."""
    try:
        with EntriesView.open(data_dir) as journal:
            kept = journal.wiring()
    except (FileNotFoundError, sqlite3.DatabaseError):
        return
    for spec in (choice.spec for choice in chosen if choice.spec.number in kept):
        wiring = kept[spec.number]
        if wiring.crossed_with is not None:
            yield Finding(False, f"lane {spec.number} is crossed with lane {wiring.crossed_with}: exchange their wires")
        for sentence in what_moved(wiring, spec):
            yield Finding(False, f"lane {spec.number}: {sentence}: {again(spec.number)}")


def _lane(choice: LaneChoice) -> Iterator[Finding]:
    number = choice.spec.number
    try:
        devices = open_lane(choice.spec)
    except DeviceFault as fault:
        yield Finding(False, f"lane {number}: {fault}")
        return
    try:
        for camera in devices.cameras:
            camera.newest(READER_PATIENCE_S)
        for scanner in devices.scanners:
            scanner.next_line(0.0)
        for device in devices.all:
            if device.fault is not None:
                yield Finding(False, f"lane {number}: {device.fault}")
        if not devices.faults:
            yield Finding(True, f"lane {number}: its {len(devices.all)} devices answer")
    finally:
        devices.close()


def _moment(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
