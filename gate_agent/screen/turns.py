"""Requests take turns: whatever is asked of the screen, answering takes no more than a share of one core from lanes."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable
from typing import TYPE_CHECKING

from gate_agent.trusted_time import device_clock_ns

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

SHARE = 0.2
"""Of one core, in the long run. Open streams are beside it: they are few, and draw at most so often."""
AT_ONCE_S = 1.0
"""Computing that may be done before anybody waits: for those who open the staff's face at the same moment."""
LEAST_S = 0.001
"""What a request is taken to cost before it is answered: the server has read it, and writes it down."""
LONGEST_WAIT_S = 0.25
RETRY_AFTER_S = 2


class Turns:
    """What answering has cost lately, by a clock that only rises; every second takes `share` of a second off it."""

    def __init__(self, share: float = SHARE, at_once_s: float = AT_ONCE_S) -> None:
        self._share = share
        self._at_once_s = at_once_s
        self._lock = threading.Lock()
        self._cost_s = 0.0
        self._at_s = 0.0

    def wait_s(self, now_s: float) -> float | None:
        """How long until it is the turn of a request that came now; None: too long, and it takes no turn."""
        with self._lock:
            self._cost_s = max(0.0, self._cost_s - (now_s - self._at_s) * self._share)
            self._at_s = now_s
            wait_s = max(0.0, self._cost_s - self._at_once_s) / self._share
            if wait_s > LONGEST_WAIT_S:
                return None
            self._cost_s += LEAST_S
            return wait_s

    def took(self, cost_s: float) -> None:
        """Answering one took so much computing beyond LEAST_S."""
        with self._lock:
            self._cost_s += cost_s


def in_turn(answer: WSGIApplication, turns: Turns, closing: threading.Event) -> WSGIApplication:
    """As `answer`, each request in its turn and before anything of it is looked at; beyond that 503.

    Who is told so has waited first, so that a flood is told seldom. Nobody waits once `closing` is set.
    """

    def wait_and_answer(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        wait_s = turns.wait_s(device_clock_ns() / 1e9)
        closing.wait(LONGEST_WAIT_S if wait_s is None else wait_s)
        if wait_s is None:
            headers = [("Content-Type", "text/plain"), ("Retry-After", str(RETRY_AFTER_S))]
            start_response("503 Service Unavailable", headers)
            return [b"too much is asked of this screen\n"]
        began_s = time.thread_time()
        try:
            return answer(environ, start_response)
        finally:
            turns.took(time.thread_time() - began_s)

    return wait_and_answer
