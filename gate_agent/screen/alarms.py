"""What staff must look after, the worst first: each alarm in its two lines, zh or en."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from gate_agent.board import Alarm, AlarmKind, LaneStatus, Status
from gate_agent.faces import LaneTrouble
from gate_agent.lane_state import LaneState
from gate_agent.screen import alarm_words
from gate_agent.screen.speech import Speech

WORST_FIRST = tuple(AlarmKind)


@dataclass(frozen=True, slots=True)
class AlarmLine:
    """One alarm: what is wrong and what it does to the lane; what to do and since when. `key` names it for muting."""

    key: str
    first: str
    second: str
    lane: int | None = None


def alarm_lines(status: Status, speech: Speech) -> tuple[AlarmLine, ...]:
    """Every alarm of a status, once each."""
    unique = {(alarm.kind, alarm.lane): alarm for alarm in _alarms(status)}
    ordered = sorted(unique.values(), key=lambda alarm: (WORST_FIRST.index(alarm.kind), alarm.lane or 0))
    return tuple(_line(alarm, status, speech) for alarm in ordered)


def _alarms(status: Status) -> Iterator[Alarm]:
    """Those the board names, those a lane's trouble is, and the list past its end."""
    yield from status.alarms
    told: set[int | None] = set()
    for lane in status.lanes:
        if lane.trouble is LaneTrouble.RECORD:
            yield Alarm(AlarmKind.RECORD, since_ms=_since(LaneTrouble.RECORD, status))
        elif lane.trouble is LaneTrouble.CROSSED:
            if lane.crossed_with not in told:  # two lanes, one alarm
                told.add(lane.lane)
                yield Alarm(AlarmKind.CROSSED, lane.lane, lane.since_ms, lane.crossed_with)
        elif lane.trouble is not None:
            yield Alarm(AlarmKind(lane.trouble.value), lane.lane, lane.since_ms)
    if status.list_expired:
        yield Alarm(AlarmKind.LIST_EXPIRED)


def _since(trouble: LaneTrouble, status: Status) -> int | None:
    return min((lane.since_ms for lane in status.lanes if lane.trouble is trouble and lane.since_ms), default=None)


def _line(alarm: Alarm, status: Status, speech: Speech) -> AlarmLine:
    words = alarm_words.ALARMS[alarm.kind]
    lane = next((lane for lane in status.lanes if lane.lane == alarm.lane), None)
    side = "" if lane is None else speech.label(lane.side)
    first = speech.pick(words.first).format(lane=alarm.lane, side=side, other=alarm.other_lane)
    second = speech.pick(words.remedy)
    to_lane = _nearest_open(lane, status) if words.sends_away and lane is not None else None
    if to_lane is not None:
        second += speech.pick(alarm_words.USE_LANE).format(to=to_lane)
    since = speech.time(alarm.since_ms)
    second += speech.pick(("。", ". ")) + (speech.label("since", t=since) if since else "")
    return AlarmLine(f"{alarm.kind}-{alarm.lane or 0}", first, second.rstrip(), alarm.lane)


def _nearest_open(lane: LaneStatus, status: Status) -> int | None:
    """The nearest lane that is open, if there is one for the same direction."""
    others = [other for other in status.lanes if other.state is LaneState.OPEN]
    nearest = min(others, key=lambda o: (o.side is not lane.side, abs(o.lane - lane.lane)), default=None)
    return None if nearest is None else nearest.lane
