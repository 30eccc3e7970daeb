"""How the gate is, as data: its lanes, what calls for staff, today's numbers. Found by health, drawn by the screens."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from gate_agent.commissioning import TrialTold
from gate_agent.faces import NO_LABEL, Label, LaneTrouble
from gate_agent.lane_state import LaneState
from wire.messages import ClockTrust
from wire.reasons import Reason

WALKABLE = frozenset({LaneState.OPEN, LaneState.HELD_OPEN})


class Side(StrEnum):
    """What visitors do at a lane."""

    ENTRY = "entry"
    EXIT = "exit"


class Way(StrEnum):
    """Where a visitor who may enter walks to, as the screen stands."""

    LEFT = "left"
    RIGHT = "right"
    UP = "up"


@dataclass(frozen=True, slots=True)
class LaneStatus:
    """One lane on the staff's strip and in the visitor face's bar."""

    lane: int
    state: LaneState = LaneState.STARTING
    side: Side = Side.ENTRY
    way: Way = Way.UP
    trouble: LaneTrouble | None = None
    until_ms: int | None = None
    """When a lane that is held open stops being so."""


class AlarmKind(StrEnum):
    """What staff must look after, the worst first. Each LaneTrouble is one of them by its value."""

    FIRE = "fire"
    RECORD = "record"
    JOURNAL_GONE = "journal_gone"
    NO_LIST = "no_list"
    FORCED = "forced"
    CROSSED = "crossed"
    MOVED = "moved"
    TURNSTILE = "turnstile"
    READER = "reader"
    PART_ENDED = "part_ended"
    TAMPER = "tamper"
    SENSOR = "sensor"
    BACKWARDS = "backwards"
    SECOND_PERSON = "second_person"
    ANNULLED_OFTEN = "annulled_often"
    JOURNAL_LOST = "journal_lost"
    JOURNAL_SET_ASIDE = "journal_set_aside"
    JOURNAL_SUPERSEDED = "journal_superseded"
    SYNC_LOST = "sync_lost"
    UNDER_VOLTAGE = "under_voltage"
    SYNC_SILENT = "sync_silent"
    LIST_EXPIRED = "list_expired"


@dataclass(frozen=True, slots=True)
class Alarm:
    """Something that calls for staff. `lane` None: the whole box; `other_lane`: the one it is crossed with."""

    kind: AlarmKind
    lane: int | None = None
    since_ms: int | None = None
    other_lane: int | None = None


class DeviceKind(StrEnum):
    """What a device at a lane is."""

    CAMERA = "camera"
    SCANNER = "scanner"
    CARD = "card"
    RELAY = "relay"


@dataclass(frozen=True, slots=True)
class DeviceStatus:
    """One device at a lane; `fault` is a sentence for staff, empty while it works."""

    lane: int
    kind: DeviceKind
    fault: str = ""


@dataclass(frozen=True, slots=True)
class Counters:
    """Today's numbers on the venue's calendar. `inside` None: exits are not counted here.

    `yesterday_by_now`: who had entered a day before; None: not known.
    """

    entered_today: int = 0
    entered_this_hour: int = 0
    inside: int | None = None
    refused: Mapping[Reason, int] = field(default_factory=dict)
    yesterday_by_now: int | None = None


@dataclass(frozen=True, slots=True)
class Status:
    """How the gate is, for the staff's strip. None means not known, and is then left out."""

    lanes: tuple[LaneStatus, ...] = ()
    alarms: tuple[Alarm, ...] = ()
    """All but that the list is past its end, which `alarms_of` adds."""
    venue: Label = NO_LABEL
    gate: str = ""
    zone: str = "Asia/Shanghai"
    enrolled: bool = False
    check: str = ""
    """The six characters of a box that waits for an operator's approval."""
    online: bool = False
    offline_since_ms: int | None = None
    waiting: int = 0
    open_intents: int = 0
    """Admissions whose outcome is not known yet."""
    list_version: int | None = None
    list_at_ms: int | None = None
    list_expired: bool = False
    clock: ClockTrust = ClockTrust.UNKNOWN
    disk_percent: int | None = None
    disk_full: bool = False
    readers_ok: int = 0
    readers_all: int = 0
    relays_ok: int = 0
    relays_all: int = 0
    devices: tuple[DeviceStatus, ...] = ()
    """The readers and relays one by one."""
    temperature_c: int | None = None
    counters: Counters = Counters()
    trial: TrialTold | None = None
    """The commissioning that goes on, or has just ended."""


def alarms_of(status: Status) -> tuple[Alarm, ...]:
    """Everything that calls for staff, the worst first."""
    expired = (Alarm(AlarmKind.LIST_EXPIRED),) if status.list_expired else ()
    kinds = list(AlarmKind)
    return tuple(sorted((*status.alarms, *expired), key=lambda alarm: (kinds.index(alarm.kind), alarm.lane or 0)))


def nearest_lane(side: Side, lane: int, lanes: Sequence[LaneStatus]) -> int | None:
    """The nearest other lane of that side where somebody can walk through now."""
    others = [other.lane for other in lanes if other.lane != lane and other.side is side and other.state in WALKABLE]
    return min(others, key=lambda other: (abs(other - lane), other), default=None)
