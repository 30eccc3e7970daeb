"""Sheets handed out to the staff's browsers: each is good for one act, however often its form is sent."""

from __future__ import annotations

import hashlib
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
ANSWER_KEPT_MS = 120_000
"""How long it is given that answer; from then on the sheet is as good as none."""
KEY_BYTES, DIGEST_BYTES = 32, 16

T = TypeVar("T")


@dataclass(slots=True)
class _Sheet(Generic[T]):
    sending: threading.Lock = field(default_factory=threading.Lock)
    asked: bytes = b""
    answer: T | None = None
    answered_ms: int | None = None


class Sheets(Generic[T]):
    """Kept in memory alone: after a restart no sheet from before is taken, so none is carried out a second time.

    Of what was asked only a digest is kept, under a key of this run alone."""

    def __init__(self, monotonic_ms: Callable[[], int]) -> None:
        self._monotonic_ms = monotonic_ms
        self._key = secrets.token_bytes(KEY_BYTES)
        self._lock = threading.Lock()
        self._open: OrderedDict[str, _Sheet[T]] = OrderedDict()

    def hand_out(self) -> str:
        """The one-time number of a new sheet."""
        once = secrets.token_hex(NUMBER_BYTES)
        with self._lock:
            self._forget_old_answers()
            self._open[once] = _Sheet()
            while len(self._open) > SHEETS_LIMIT:
                self._open.popitem(last=False)
        return once

    def take(self, once: str, asked: bytes, carry_out: Callable[[], tuple[T, bool]], busy: T, unknown: T) -> T:
        """What the sheet came to. `carry_out` gives the answer and whether the sheet is used up by it; then the same
        answer is given again without it for ANSWER_KEPT_MS to whoever `asked` the same, and to nobody else.
        `busy`: the same sheet is still being carried out. A sheet whose act failed in no known way is used up: whether
        something moved is for people to see."""
        digest = hashlib.blake2b(asked, key=self._key, digest_size=DIGEST_BYTES).digest()
        with self._lock:
            self._forget_old_answers()
            sheet = self._open.get(once)
        if sheet is None:
            return unknown
        if not sheet.sending.acquire(timeout=SAME_AGAIN_WAIT_S):
            return busy
        try:
            if sheet.answer is not None:
                return sheet.answer if sheet.asked == digest else unknown
            answer, used_up = carry_out()
            if used_up:
                sheet.asked, sheet.answer, sheet.answered_ms = digest, answer, self._monotonic_ms()
            return answer
        except Exception:  # raised again below: whatever failed, nobody may carry this sheet out a second time
            with self._lock:
                self._open.pop(once, None)
            raise
        finally:
            sheet.sending.release()

    def _forget_old_answers(self) -> None:
        too_old_ms = self._monotonic_ms() - ANSWER_KEPT_MS
        for once, sheet in list(self._open.items()):
            if sheet.answered_ms is not None and sheet.answered_ms <= too_old_ms:
                del self._open[once]
