"""The top of the staff's face as its template needs it: lanes, link, devices, the worst alarm."""

from __future__ import annotations

from dataclasses import dataclass

from gate_agent.board import LaneStatus, Status
from gate_agent.faces import Family, Trouble
from gate_agent.lane_state import LaneState
from gate_agent.screen import staff_words
from gate_agent.screen.speech import Speech
from wire.messages import ClockTrust

LIST_OLD_MS = 60 * 60 * 1000
DISK_WARN_PERCENT = 80
HOT_C = 70
TRUST_LEVELS = {ClockTrust.TRUSTED: "", ClockTrust.HELD: "w", ClockTrust.UNKNOWN: "x"}


@dataclass(frozen=True, slots=True)
class Chip:
    """One lane."""

    lane: int
    side: str
    state: str
    family: Family
    bad: bool


@dataclass(frozen=True, slots=True)
class Link:
    """The link to the centre. `parts` is all that follows the head; the small screen shows `age` and the `rest`."""

    cut: bool
    head: str
    parts: tuple[str, ...] = ()
    age: str = ""

    @property
    def rest(self) -> tuple[str, ...]:
        """The parts without the list's age."""
        return tuple(part for part in self.parts if part != self.age)


@dataclass(frozen=True, slots=True)
class Health:
    """One kind of device. `level`: "" in order, "w" look after it, "x" wrong."""

    icon: str
    label: str
    value: str
    level: str = ""


@dataclass(frozen=True, slots=True)
class Alarm:
    """What is wrong and what it does to the lane; what to do and since when; how many more there are."""

    first: str
    second: str
    more: str = ""


@dataclass(frozen=True, slots=True)
class Strip:
    """All of it in one language."""

    venue: str
    gate: str
    chips: tuple[Chip, ...]
    link: Link
    health: tuple[Health, ...]
    alarm: Alarm | None

    @property
    def wrong(self) -> int:
        """How many devices are not in order."""
        return sum(1 for item in self.health if item.level)


def strip(status: Status, speech: Speech) -> Strip:
    """The strip of a status."""
    venue = status.venue
    return Strip(
        venue=(venue.en or venue.zh) if speech.lang == "en" else venue.zh,
        gate=status.gate,
        chips=tuple(_chip(lane, speech) for lane in status.lanes),
        link=_link(status, speech),
        health=_health(status, speech),
        alarm=_alarm(status, speech),
    )


def _chip(lane: LaneStatus, speech: Speech) -> Chip:
    side = speech.label(lane.side)
    if lane.trouble is not None:
        chip = speech.pick(staff_words.TROUBLES[lane.trouble].chip)
        return Chip(lane.lane, side, chip, Family.FAULT, bad=True)
    family = Family.GO if lane.state is LaneState.OPEN else Family.LANE
    return Chip(lane.lane, side, speech.label(lane.state), family, bad=lane.state is LaneState.OUT_OF_ORDER)


def _link(status: Status, speech: Speech) -> Link:
    """Since when cut, does it still work, what waits, how old is the list. Off-line is amber and no alarm."""
    if not status.enrolled:
        return Link(cut=True, head=speech.label("not_enrolled"))
    waiting = speech.label("waiting", n=f"{status.waiting:,}")
    age = _list_age(status, speech)
    if status.online:
        return Link(False, speech.label("link_fine"), (*filter(None, [age]), waiting), age)
    since = speech.time(status.offline_since_ms)
    head = speech.label("link_cut", since=since) if since else speech.label("link_never")
    admitting = status.list_version is not None and any(lane.state is LaneState.OPEN for lane in status.lanes)
    still = speech.label("still_admitting") if admitting else ""
    return Link(True, head, tuple(filter(None, [still, waiting, age])), age)


def _list_age(status: Status, speech: Speech) -> str:
    if status.list_at_ms is None:
        return ""
    if speech.now_ms is not None and speech.now_ms - status.list_at_ms > LIST_OLD_MS:
        return speech.label("list_old", h=(speech.now_ms - status.list_at_ms) // LIST_OLD_MS)
    return speech.label("list", t=speech.time(status.list_at_ms))


def _health(status: Status, speech: Speech) -> tuple[Health, ...]:
    """What is known of the devices."""
    items = [
        Health("clock", speech.label("clock"), speech.label(status.clock.name.lower()), TRUST_LEVELS[status.clock])
    ]
    if status.disk_percent is not None:
        level = "x" if status.disk_full else "w" if status.disk_percent >= DISK_WARN_PERCENT else ""
        items.append(Health("disk", speech.label("disk"), f"{status.disk_percent}%", level))
    if status.readers_all:
        items.append(_count("reader", speech.label("readers"), status.readers_ok, status.readers_all))
    if status.relays_all:
        items.append(_count("relay", speech.label("relays"), status.relays_ok, status.relays_all))
    if status.temperature_c is not None:
        level = "w" if status.temperature_c >= HOT_C else ""
        items.append(Health("temp", speech.label("temperature"), f"{status.temperature_c} ℃", level))
    return tuple(items)


def _count(icon: str, label: str, ok: int, all_: int) -> Health:
    return Health(icon, label, f"{ok}/{all_}", "x" if ok < all_ else "")


def _alarm(status: Status, speech: Speech) -> Alarm | None:
    """The worst first: nothing can be recorded, a lane out of order, the list past its end."""
    alarms = [_trouble(lane, lane.trouble, status, speech) for lane in _troubled(status) if lane.trouble is not None]
    if status.list_expired:
        alarms.append((speech.pick(staff_words.LIST_EXPIRED), ""))
    if not alarms:
        return None
    more = len(alarms) - 1
    return Alarm(*alarms[0], speech.label("more_alarms", n=more) if more else "")


def _troubled(status: Status) -> list[LaneStatus]:
    return sorted(status.lanes, key=lambda lane: lane.trouble is not Trouble.RECORD)


def _trouble(lane: LaneStatus, trouble: Trouble, status: Status, speech: Speech) -> tuple[str, str]:
    words = staff_words.TROUBLES[trouble]
    first = speech.pick(words.alarm).format(lane=lane.lane, side=speech.label(lane.side))
    second = speech.pick(words.remedy)
    others = [other.lane for other in status.lanes if other.state is LaneState.OPEN]
    if others:
        nearest = min(others, key=lambda other: abs(other - lane.lane))
        second += speech.pick(staff_words.USE_LANE).format(to=nearest)
    since = speech.time(lane.since_ms)
    return first, second + speech.pick(("。", ". ")) + (speech.label("since", t=since) if since else "")
