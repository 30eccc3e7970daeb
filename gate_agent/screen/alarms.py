"""What staff must look after, the worst first: each alarm in its two lines, zh or en."""

from __future__ import annotations

from dataclasses import dataclass

from gate_agent.screen import alarm_words
from gate_agent.screen.speech import Speech
from gate_agent.status import Alarm, Status, alarms_of, nearest_lane


@dataclass(frozen=True, slots=True)
class AlarmLine:
    """One alarm: what is wrong and what it does to the lane; what to do and since when. `key` names it for muting."""

    key: str
    first: str
    second: str
    lane: int | None = None


def alarm_lines(status: Status, speech: Speech) -> tuple[AlarmLine, ...]:
    """Every alarm of a status."""
    return tuple(_line(alarm, status, speech) for alarm in alarms_of(status))


def _line(alarm: Alarm, status: Status, speech: Speech) -> AlarmLine:
    words = alarm_words.ALARMS[alarm.kind]
    lane = next((lane for lane in status.lanes if lane.lane == alarm.lane), None)
    side = "" if lane is None else speech.label(lane.side)
    first = speech.pick(words.first).format(lane=alarm.lane, side=side, other=alarm.other_lane)
    second = speech.pick(words.remedy)
    to_lane = nearest_lane(lane.side, lane.lane, status.lanes) if words.sends_away and lane is not None else None
    if to_lane is not None:
        second += speech.pick(alarm_words.USE_LANE).format(to=to_lane)
    since = speech.time(alarm.since_ms)
    second += speech.pick(("。", ". ")) + (speech.label("since", t=since) if since else "")
    return AlarmLine(f"{alarm.kind}-{alarm.lane or 0}", first, second.rstrip(), alarm.lane)
