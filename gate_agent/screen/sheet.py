"""A sheet over the staff's face as its template needs it: what will happen, to which lane, why, and by whose PIN."""

from __future__ import annotations

from dataclasses import dataclass

from gate_agent.staff import MAX_PIN_DIGITS, MIN_PIN_DIGITS

PIN_DOTS = 6
"""Circles drawn before anything is typed; a longer PIN draws more."""


@dataclass(frozen=True, slots=True)
class Choice:
    """One thing to pick: the reason, or for how long. `options` are value and words."""

    name: str
    label: str
    options: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Typed:
    """A number typed on the pad before the PIN: how many persons, or a ticket's number."""

    name: str
    label: str
    longest: int
    value: str = ""
    letter: str = ""
    """A key for the letter an ID number may end with."""


@dataclass(frozen=True, slots=True)
class Text:
    """A line typed on a keyboard: the centre's address, the enrolment code."""

    name: str
    label: str
    longest: int
    value: str = ""


@dataclass(frozen=True, slots=True)
class Sheet:
    """One act about to be done. `fixed` goes along unseen (lane, seq, lang); `do` is what the action key says."""

    action: str
    icon: str
    title: str
    effect: str
    do: str
    told: str = ""
    lane: int | None = None
    target: str = ""
    fixed: tuple[tuple[str, str], ...] = ()
    choices: tuple[Choice, ...] = ()
    typed: Typed | None = None
    texts: tuple[Text, ...] = ()
    note: str = ""
    pin: bool = True
    pin_least: int = MIN_PIN_DIGITS
    pin_most: int = MAX_PIN_DIGITS
    pin_dots: int = PIN_DOTS
    wait_s: int = 0
    """How long no PIN is taken, after too many wrong ones."""
