"""Lamps and sounds of a lane: one distinct signal for each family of verdicts."""

from __future__ import annotations

from enum import StrEnum
from typing import Protocol

from hardware import Device


class Signal(StrEnum):
    """The families of what a lane says; never told by colour alone, so each has a sound of its own too."""

    IDLE = "idle"  # show your code
    GO = "go"  # walk through
    RETRY = "retry"  # that was not readable: show it again
    LATER = "later"  # right code, not now
    STOP = "stop"  # not valid here
    STAFF = "staff"  # somebody will help you
    LANE = "lane"  # use another lane
    FAULT = "fault"  # out of order


class Indicator(Device, Protocol):
    """What is lit and heard at a lane; closed, it is dark and silent."""

    def show(self, signal: Signal) -> None:
        """Light and sound `signal` until the next one; returns at once, never raises: a lamp must not stop a lane."""
