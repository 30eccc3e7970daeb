"""The top of the staff's face as its template needs it: lanes, the link to the centre, the devices."""

from __future__ import annotations

from dataclasses import dataclass

from gate_agent.lane_state import LaneState
from gate_agent.machine import TOO_HOT_C
from gate_agent.screen import alarm_words
from gate_agent.screen.alarms import AlarmLine, alarm_lines
from gate_agent.screen.speech import Speech
from gate_agent.status import LaneStatus, Status
from wire.messages import ClockTrust

LIST_OLD_MS = 60 * 60 * 1000
DISK_WARN_PERCENT = 80
WARM_C = 70
TRUST_LEVELS = {ClockTrust.TRUSTED: "", ClockTrust.HELD: "w", ClockTrust.UNKNOWN: "x"}
CHIPS = {
    LaneState.OPEN: ("m-go", ""),
    LaneState.HELD_OPEN: ("i-hold", "held"),
    LaneState.OUT_OF_ORDER: ("m-fault", "bad"),
    LaneState.FIRE: ("m-fault", "bad"),
}
"""Mark and tint of a lane's chip; every other state has the barred disc and none."""


@dataclass(frozen=True, slots=True)
class Chip:
    """One lane. `tint`: "" in order, "off" not working, "held" held open, "bad" out of order."""

    lane: int
    side: str
    state: str
    mark: str
    tint: str
    stands: LaneState


@dataclass(frozen=True, slots=True)
class LinkLine:
    """The link to the centre. `parts` is all that follows the head; the small screen shows `age` and the `rest`."""

    cut: bool
    head: str
    why: str
    parts: tuple[str, ...] = ()
    age: str = ""

    @property
    def rest(self) -> tuple[str, ...]:
        """The parts without the list's age."""
        return tuple(part for part in self.parts if part != self.age)


@dataclass(frozen=True, slots=True)
class DeviceLine:
    """One kind of device. `level`: "" in order, "w" look after it, "x" wrong; `why`: what that means and what to do."""

    icon: str
    label: str
    value: str
    why: str
    level: str = ""


@dataclass(frozen=True, slots=True)
class Strip:
    """All of it in one language; `alarms` the worst first."""

    venue: str
    gate: str
    chips: tuple[Chip, ...]
    link: LinkLine
    health: tuple[DeviceLine, ...]
    alarms: tuple[AlarmLine, ...]

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
        alarms=alarm_lines(status, speech),
    )


def _chip(lane: LaneStatus, speech: Speech) -> Chip:
    mark, tint = CHIPS.get(lane.state, ("m-lane", "off"))
    return Chip(lane.lane, speech.label(lane.side), _state(lane, speech), mark, tint, lane.state)


def _state(lane: LaneStatus, speech: Speech) -> str:
    if lane.trouble is not None and lane.state is not LaneState.COMMISSIONING:
        return speech.pick(alarm_words.TROUBLES[lane.trouble].chip)
    if lane.state is LaneState.HELD_OPEN and lane.until_ms is not None:
        return speech.label("held_open_until", t=speech.time(lane.until_ms))
    return speech.label(lane.state)


def _link(status: Status, speech: Speech) -> LinkLine:
    """Since when cut, does it still work, what waits, how old is the list. Off-line is amber and no alarm."""
    if not status.enrolled:
        return LinkLine(True, speech.label("not_enrolled"), _why("not_enrolled", speech))
    waiting = speech.label("waiting", n=f"{status.waiting:,}")
    age = _list_age(status, speech)
    if status.online:
        parts = (*filter(None, [age]), waiting)
        return LinkLine(False, speech.label("link_fine"), _why("link_fine", speech), parts, age)
    since = speech.time(status.offline_since_ms)
    head = speech.label("link_cut", since=since) if since else speech.label("link_never")
    admits = any(lane.state in (LaneState.OPEN, LaneState.HELD_OPEN) for lane in status.lanes)
    still = speech.label("still_admitting") if admits and status.list_version is not None else ""
    return LinkLine(True, head, _why("link_cut", speech), tuple(filter(None, [still, waiting, age])), age)


def _list_age(status: Status, speech: Speech) -> str:
    """When the list was made, or that it is old, or past its end."""
    if status.list_at_ms is None:
        return ""
    if status.list_expired:
        return speech.label("list_expired")
    if speech.now_ms is not None and speech.now_ms - status.list_at_ms > LIST_OLD_MS:
        return speech.label("list_old", h=(speech.now_ms - status.list_at_ms) // LIST_OLD_MS)
    return speech.label("list", t=speech.time(status.list_at_ms))


def _health(status: Status, speech: Speech) -> tuple[DeviceLine, ...]:
    """What is known of the devices."""
    clock = status.clock.name.lower()
    items = [_item("clock", "clock", speech.label(clock), TRUST_LEVELS[status.clock], clock, speech)]
    if status.disk_percent is not None:
        items.append(_disk(status.disk_percent, status.disk_full, speech))
    if status.readers_all:
        items.append(_count("reader", "readers", status.readers_ok, status.readers_all, speech))
    if status.relays_all:
        items.append(_count("relay", "relays", status.relays_ok, status.relays_all, speech))
    if status.temperature_c is not None:
        items.append(_temperature(status.temperature_c, speech))
    return tuple(items)


def _disk(percent: int, full: bool, speech: Speech) -> DeviceLine:
    if full:
        return _item("disk", "disk", speech.label("disk_full"), "x", "disk_full", speech)
    if percent >= DISK_WARN_PERCENT:
        return _item("disk", "disk", speech.label("disk_warn", p=percent), "w", "disk_warn", speech)
    return _item("disk", "disk", f"{percent}%", "", "", speech)


def _temperature(celsius: int, speech: Speech) -> DeviceLine:
    if celsius >= TOO_HOT_C:
        return _item("temp", "temperature", speech.label("hot", c=celsius), "x", "hot", speech)
    level = "w" if celsius >= WARM_C else ""
    return _item("temp", "temperature", speech.label("degrees", c=celsius), level, "warm", speech)


def _count(icon: str, label: str, ok: int, all_: int, speech: Speech) -> DeviceLine:
    return _item(icon, label, f"{ok}/{all_}", "x" if ok < all_ else "", label, speech)


def _item(icon: str, label: str, value: str, level: str, why: str, speech: Speech) -> DeviceLine:
    return DeviceLine(icon, speech.label(label), value, _why(why if level else "", speech), level)


def _why(what: str, speech: Speech) -> str:
    return speech.pick(alarm_words.MEANING[what] if what else alarm_words.IN_ORDER)
