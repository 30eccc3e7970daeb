"""Sheets handed out to the staff's browsers: each is good for one act, however often its form is sent."""

from __future__ import annotations

import secrets
import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

SHEETS_LIMIT = 64
"""Sheets that may be open at a time; beyond it the oldest is no longer taken."""
NUMBER_BYTES = 12
SAME_AGAIN_WAIT_S = 10.0
"""How long the same form, sent again, waits for the answer to the first."""

T = TypeVar("T")


@dataclass(slots=True)
class _Sheet(Generic[T]):
    sending: threading.Lock = field(default_factory=threading.Lock)
    asked: object = None
    answer: T | None = None


class Sheets(Generic[T]):
    """Kept in memory alone: after a restart no sheet from before is taken, so none is carried out a second time."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._open: OrderedDict[str, _Sheet[T]] = OrderedDict()

    def hand_out(self) -> str:
        """The one-time number of a new sheet."""
        once = secrets.token_hex(NUMBER_BYTES)
        with self._lock:
            self._open[once] = _Sheet()
            while len(self._open) > SHEETS_LIMIT:
                self._open.popitem(last=False)
        return once

    def take(self, once: str, asked: object, carry_out: Callable[[], tuple[T, bool]], busy: T, unknown: T) -> T:
        """What the sheet came to. `carry_out` gives the answer and whether the sheet is used up by it; then the same
        answer is given again without it to whoever asks the same, and to nobody who `asked` something else with it.
        `busy`: the same sheet is still being carried out. A sheet whose act failed in no known way is used up: whether
        something moved is for people to see."""
        with self._lock:
            sheet = self._open.get(once)
        if sheet is None:
            return unknown
        if not sheet.sending.acquire(timeout=SAME_AGAIN_WAIT_S):
            return busy
        try:
            if sheet.answer is not None:
                return sheet.answer if sheet.asked == asked else unknown
            answer, used_up = carry_out()
            if used_up:
                sheet.asked, sheet.answer = asked, answer
            return answer
        except Exception:  # raised again below: whatever failed, nobody may carry this sheet out a second time
            with self._lock:
                self._open.pop(once, None)
            raise
        finally:
            sheet.sending.release()
