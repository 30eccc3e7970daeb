"""How a gate is, as its batches tell the centre: lanes, devices, alarms, disk, clock (gate.md, Status screen).

It travels as bytes inside a signed batch, so that one the centre cannot read costs no entry.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import msgspec
from msgspec import Meta

from wire.messages import ClockTrust
from wire.unreadable import UNREADABLE

HEARTBEAT_FORMAT = 1
MAX_HEARTBEAT_BYTES = 16 * 1024
MAX_LANES = 16
MAX_DEVICES = 64
MAX_ALARMS = 32
MAX_WORD_CHARACTERS = 32
MAX_FAULT_CHARACTERS = 50
MAX_NUMBER = 2**53

Word = Annotated[str, Meta(max_length=MAX_WORD_CHARACTERS)]
Fault = Annotated[str, Meta(max_length=MAX_FAULT_CHARACTERS)]
Number = Annotated[int, Meta(ge=0, le=MAX_NUMBER)]


class AgentState(StrEnum):
    """Whether the part of the gate that admits visitors told all this itself."""

    RUNNING = "running"
    FROZEN = "frozen"
    """It answers and looks after nothing any more: the rest is old."""
    SILENT = "silent"
    """Nobody answers on the box: nothing but disk and link is known."""


class LaneHealth(msgspec.Struct, frozen=True, array_like=True):
    """A lane by the gate's words: its state, side (`entry` or `exit`), and what keeps it from working, if anything."""

    lane: Number
    state: Word
    side: Word
    trouble: Word = ""


class DeviceHealth(msgspec.Struct, frozen=True, array_like=True):
    """A device at a lane: `camera`, `scanner`, `card` or `relay`; what is wrong with it, empty while it works."""

    lane: Number
    kind: Word
    fault: Fault = ""


class AlarmHealth(msgspec.Struct, frozen=True, array_like=True):
    """Something that calls for staff, by the gate's word; lane 0 is the whole box, `since_ms` the gate's own time."""

    kind: Word
    lane: Number = 0
    since_ms: Number = 0


class Heartbeat(msgspec.Struct, frozen=True, array_like=True):
    """One look at a gate. None: not known. Times UTC ms by the gate's clock; `list_trouble` is why no list comes."""

    format: int
    agent: AgentState
    lanes: Annotated[tuple[LaneHealth, ...], Meta(max_length=MAX_LANES)] = ()
    devices: Annotated[tuple[DeviceHealth, ...], Meta(max_length=MAX_DEVICES)] = ()
    alarms: Annotated[tuple[AlarmHealth, ...], Meta(max_length=MAX_ALARMS)] = ()
    clock: ClockTrust = ClockTrust.UNKNOWN
    at_ms: Number | None = None
    disk_percent: Number | None = None
    temperature_c: int | None = None
    under_voltage: bool = False
    list_at_ms: Number | None = None
    list_trouble: Word = ""
    open_intents: Number = 0
    screens: Number = 0
    """Pages that show a lane or the staff face now."""


_decoder = msgspec.msgpack.Decoder(Heartbeat)


def make_heartbeat(
    agent: AgentState,
    lanes: tuple[LaneHealth, ...] = (),
    devices: tuple[DeviceHealth, ...] = (),
    alarms: tuple[AlarmHealth, ...] = (),
    **told: object,
) -> Heartbeat:
    """A heartbeat within its limits: what is beyond them is cut off, the last first."""
    short = tuple(msgspec.structs.replace(one, fault=one.fault[:MAX_FAULT_CHARACTERS]) for one in devices)
    cut = (lanes[:MAX_LANES], short[:MAX_DEVICES], alarms[:MAX_ALARMS])
    return msgspec.structs.replace(Heartbeat(HEARTBEAT_FORMAT, agent, *cut), **told)


def encode_heartbeat(heartbeat: Heartbeat) -> bytes:
    """As a batch carries it."""
    return msgspec.msgpack.encode(heartbeat)


def read_heartbeat(data: bytes) -> Heartbeat | None:
    """The heartbeat; None for what is none, or is of a format that is not known here."""
    if len(data) > MAX_HEARTBEAT_BYTES:
        return None
    try:
        told = _decoder.decode(data)
    except UNREADABLE:
        return None
    return told if told.format == HEARTBEAT_FORMAT else None
