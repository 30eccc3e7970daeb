"""How a lane is wired: what is where and how it rests, kept when the lane is commissioned and compared at every start.

A map of places: `reader 1`, `reader 1 usb`, `turnstile`, `ready` … to what is there, in words. Only what is known is in
it: a device that is unplugged has not moved (gate.md, Devices: commission).
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from hardware.devices import LaneSpec
from hardware.reader_spec import DeviceSpec
from hardware.turnstile import PASSAGES, Role
from hardware.usb import SYSFS, usb_place
from hardware.wired_turnstile import Contact, RelayPin

USB = " usb"
NOT_TRIED = ", not tried"
"""Stands behind an input that nobody moved while the lane was commissioned."""

Topology = Mapping[str, str]
_OTHER = {Contact.NC: Contact.NO, Contact.NO: Contact.NC}


@dataclass(frozen=True, slots=True)
class Wiring:
    """What the journal keeps of a lane. No topology: it was never commissioned, and nothing is compared."""

    topology: Topology = field(default_factory=dict)
    crossed_with: int | None = None
    """The lane whose turnstile answered in place of this one's; until it is commissioned again."""


def topology_of(spec: LaneSpec, sysfs: Path = SYSFS) -> Topology:
    """How the lane is wired by its settings, and where its devices are plugged in now."""
    places = {"direction": str(spec.direction)}
    for number, reader in enumerate(spec.readers, start=1):
        places |= _device(f"reader {number}", reader.kind, reader.where, _file_of(reader), sysfs)
    turnstile = spec.turnstile
    file = Path(turnstile.where) if turnstile.kind in ("gpio", "serialrelay", "modbusrelay") else None
    places |= _device("turnstile", turnstile.kind, turnstile.where, file, sysfs)
    if turnstile.relay is not None:
        places["relay"] = _relay(turnstile.relay)
    elif turnstile.kind in ("serialrelay", "modbusrelay"):
        places["relay"] = _relay(turnstile.channel)
    if turnstile.out is not None:
        places["relay out"] = _relay(turnstile.out)
    for role, wired in turnstile.inputs.items():
        places[role] = f"pin {wired.pin}, {wired.contact}"
    return places


def roles_of(spec: LaneSpec) -> tuple[Role, ...]:
    """The inputs that are wired, of the passages only the lane's own way; a simulated turnstile has them all."""
    wired = list(Role) if spec.turnstile.kind == "sim" else list(spec.turnstile.inputs)
    return tuple(role for role in wired if PASSAGES.get(role, spec.direction) is spec.direction)


def remedies_of(spec: LaneSpec) -> Mapping[Role, str]:
    """What to write in the settings of an input whose contact is of the other kind; a simulated one has no contacts."""
    inputs = spec.turnstile.inputs
    return {role: f"{role}={wired.pin}:{_OTHER[wired.contact]}" for role, wired in inputs.items()}


def tried(spec: LaneSpec, untried: Collection[Role]) -> Topology:
    """How a lane that was tried is wired; `untried` inputs are only believed."""
    return {place: told + NOT_TRIED if place in untried else told for place, told in topology_of(spec).items()}


def moved(kept: Topology, now: Topology) -> list[str]:
    """What is not where it was, one sentence each; empty: nothing, as far as can be seen."""
    changes = []
    for place in sorted({*kept, *now}):
        before, after = (side.get(place, "").removesuffix(NOT_TRIED) for side in (kept, now))
        if before == after or (place.endswith(USB) and not (before and after)):
            continue
        changes.append(f"{place} was {before or 'not there'}, is {after or 'not there'}")
    return changes


def load(db: sqlite3.Connection) -> dict[int, Wiring]:
    """What is kept of each lane."""
    rows = db.execute("SELECT lane, topology, crossed_with FROM wiring")
    return {lane: Wiring(json.loads(topology), crossed_with) for lane, topology, crossed_with in rows}


def keep(db: sqlite3.Connection, lane: int, wiring: Wiring) -> None:
    """In place of what was kept of the lane."""
    topology = json.dumps(dict(wiring.topology), ensure_ascii=False)
    db.execute("INSERT OR REPLACE INTO wiring VALUES (?, ?, ?)", (lane, topology, wiring.crossed_with))


def _relay(relay: RelayPin | int | str) -> str:
    if isinstance(relay, RelayPin):
        return f"pin {relay.pin}, on while {'high' if relay.active_high else 'low'}"
    return f"channel {relay}" if isinstance(relay, int) else _without_password(relay)


def _without_password(where: str) -> str:
    """No password of a camera or a board is kept."""
    return where.rpartition("@")[2] if "://" in where else where


def _device(place: str, kind: str, where: str, file: Path | None, sysfs: Path) -> dict[str, str]:
    plugged = None if file is None else usb_place(file, sysfs)
    named = {place: f"{kind}:{_without_password(where)}".removesuffix(":")}
    return named if plugged is None else {**named, f"{place}{USB}": str(plugged)}


def _file_of(reader: DeviceSpec) -> Path | None:
    """The device file of a reader that has one."""
    if reader.kind == "camera" and reader.where.isdecimal():
        return Path(f"/dev/video{reader.where}")
    return Path(reader.where) if reader.kind in ("serial", "cardserial", "camera") else None
