"""The journal's words for what is neither an admission nor a refusal: all of them, written and read here (pure).

docs/journal.md explains each.
"""

from __future__ import annotations

import re
from enum import StrEnum
from typing import NewType

from wire.messages import MAX_WORD_CHARACTERS

EventText = NewType("EventText", str)
"""A word, a colon and what more there is to say of the event."""


class EventWord(StrEnum):
    """What happened. With `refused: WHY` behind it the name of an act tells one that was not done."""

    # at the arms
    SECOND_PERSON = "second_person"
    BACKWARDS = "backwards"
    FORCED = "forced"
    ANNULLED_OFTEN = "annulled_often"
    REOPENED = "reopened"
    EXIT = "exit"
    """Somebody left; at a lane out of the venue the pass id stands beside it."""
    EXIT_ANNULLED = "exit_annulled"
    """Nobody walked out on the newest of these: who only shows his pass has not left."""
    EXIT_UNRESOLVED = "exit_unresolved"
    """The turnstile's driver failed at the newest of these: who is not known to have left counts as inside."""
    GROUP = "group"
    GROUP_BY_HAND = "group_by_hand"
    # inputs and wires
    SENSOR_STUCK = "sensor_stuck"
    TAMPER = "tamper"
    FIRE = "fire"
    FIRE_OVER = "fire_over"
    LANE_MOVED = "lane_moved"
    LANES_CROSSED = "lanes_crossed"
    COMMISSION = "commission"
    TEST_PULSE = "test_pulse"
    COMMISSIONED = "commissioned"
    COMMISSION_ENDED = "commission_ended"
    # by staff
    LANE_OPENED = "lane_opened"
    LANE_CLOSED = "lane_closed"
    LANE_HELD_OPEN = "lane_held_open"
    HELD_OPEN_ENDED = "held_open_ended"
    CHECKED = "checked"
    TEST_CARD = "test_card"
    SYNC = "sync"
    EXPORT = "export"
    ENROL = "enrol"
    ENROL_SCAN = "enrol_scan"
    ENROLLED = "enrolled"
    WRONG_PIN = "wrong_pin"
    PAIR = "pair"
    BY_BROWSER = "by_browser"
    BROWSER_PAIRED = "browser_paired"
    PAIRING_ENDED = "pairing_ended"
    # the journal itself
    JOURNAL_LOST = "journal_lost"
    JOURNAL_SET_ASIDE = "journal_set_aside"
    JOURNAL_SUPERSEDED = "journal_superseded"
    JOURNAL_CLOSED = "journal_closed"
    JOURNAL_REOPENED = "journal_reopened"


EventName = EventWord | EventText
_GROUP_TOLD = re.compile(rf"{EventWord.GROUP}: (\d+) of \d+")
_HOLD_TOLD = re.compile(rf"{EventWord.HELD_OPEN_ENDED}: (\d+) through, (\d+) back")


def say(word: EventWord, more: str) -> EventName:
    """The event with what more there is to say of it, as far as an entry has room; the word alone without."""
    return EventText(f"{word}: {more}"[:MAX_WORD_CHARACTERS]) if more else word


def refused(act: str, why: str) -> EventText:
    """An act of staff that was not done."""
    return EventText(f"{act} refused: {why}"[:MAX_WORD_CHARACTERS])


def group_over(through: int, persons: int, by_hand: bool) -> EventName:
    """Of the people of one party so many walked through; by hand each of them has an entry too."""
    return say(EventWord.GROUP_BY_HAND if by_hand else EventWord.GROUP, f"{through} of {persons}")


def hold_over(through: int, back: int, counted: bool) -> EventName:
    """The lane is no longer held open. `counted`: it has a sensor that told."""
    return say(EventWord.HELD_OPEN_ENDED, f"{through} through, {back} back" if counted else "not counted")


def came_and_went(text: str) -> tuple[int, int]:
    """How many people an event says came in, and left, beside those with an entry of their own."""
    match text.partition(":")[0]:
        case EventWord.EXIT:
            return 0, 1
        case EventWord.EXIT_ANNULLED | EventWord.EXIT_UNRESOLVED:
            return 0, -1
    if group := _GROUP_TOLD.fullmatch(text):
        return max(0, int(group[1]) - 1), 0  # the first is the intent's own
    if held := _HOLD_TOLD.fullmatch(text):
        return int(held[1]), int(held[2])
    return 0, 0
