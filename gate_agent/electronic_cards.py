"""What an electronic social-security card's code stands for: the one question of a scan that the centre answers."""

from __future__ import annotations

import logging
import secrets
import threading
from collections.abc import Callable
from concurrent.futures import Future
from http import HTTPStatus
from pathlib import Path

from gate_agent.centre_client import Answer, Centre, Patience, ca_of, trouble_of
from gate_agent.recognition import Resolved
from gate_agent.sync_state import DEVICE_KEY, SyncView, Trouble
from gate_agent.trusted_time import Clocks, TrustedTime
from wire import electronic_card, envelope
from wire.electronic_card import Finding
from wire.reasons import Reason
from wire.signing import SealFlaw

PATH = "/device/v1/electronic-card"
LIMIT_S = 0.8
"""How long a visitor and the lane behind him wait for the centre, whatever becomes of the question (wire.md §4)."""
PATIENCE = Patience(connect_s=0.5, read_s=LIMIT_S, answer_ms=round(LIMIT_S * 1000))
MAX_ANSWER_BYTES = 1024
REFUSALS = {
    Finding.UNKNOWN: Reason.CARD_UNKNOWN,
    Finding.EXPIRED: Reason.CODE_TOO_OLD,
    Finding.USED: Reason.CODE_REUSED,
    Finding.UNREACHABLE: Reason.NEEDS_NETWORK,
}

log = logging.getLogger(__name__)


class CardQuestions:
    """One lane's questions to the centre, one at a time, over a connection of their own.

    A question that the network holds up beyond the limit ends in a thread of its own; until it has, the lane's next
    ones are answered that there is no network. So nothing a network does holds up the lane, or another one.
    """

    def __init__(
        self,
        lane: int,
        data_dir: Path,
        sync: SyncView,
        clocks: Clocks,
        time: TrustedTime,
        token_bytes: Callable[[int], bytes] = secrets.token_bytes,
    ) -> None:
        self._lane = lane
        self._data_dir = data_dir
        self._sync = sync
        self._clocks = clocks
        self._time = time
        self._token_bytes = token_bytes
        self._free = threading.Lock()
        self._centre: Centre | None = None

    def ask(self, code: str) -> Resolved:
        """The hashes under which the list may know the card's holder, or why there are none; within LIMIT_S."""
        if not self._free.acquire(blocking=False):
            return Reason.NEEDS_NETWORK
        answer: Future[Resolved] = Future()
        threading.Thread(
            target=self._work, args=(code, answer), name=f"lane {self._lane} electronic card", daemon=True
        ).start()
        try:
            return answer.result(LIMIT_S)
        except TimeoutError:
            return self._cut_off(f"no answer within {round(LIMIT_S * 1000)} ms")

    def _work(self, code: str, answer: Future[Resolved]) -> None:
        try:
            answer.set_result(self._resolve(code))
        except Exception as fault:  # the lane's, which tells its visitor and goes on
            answer.set_exception(fault)
        finally:
            self._free.release()

    def _resolve(self, code: str) -> Resolved:
        state = self._sync.read()
        if state.url is None or state.device is None or state.key_set is None:
            return self._cut_off("this box is not enrolled")
        body = electronic_card.encode_question(code, self._token_bytes(electronic_card.NONCE_BYTES))
        private_key = (self._data_dir / DEVICE_KEY).read_bytes()
        nonce, now = self._token_bytes(envelope.NONCE_BYTES), self._time.now()
        headers = envelope.sign_request(private_key, state.device, "POST", PATH, body, now.record_ms, nonce)
        told = self._connected(state.url).exchange("POST", PATH, MAX_ANSWER_BYTES, body, headers)
        if isinstance(told, Answer) and told.status != HTTPStatus.OK:
            told = trouble_of(told, "whose electronic card it is")
        if isinstance(told, Trouble):
            return self._cut_off(f"{told.kind}: {told.detail}")
        digest = electronic_card.digest_of(body)
        said = electronic_card.read_answer(told.body, state.key_set, state.device, digest, now.at_ms)
        if isinstance(said, SealFlaw):
            return self._cut_off(f"an answer that is {said}")
        return REFUSALS.get(said.finding) or said.hashes

    def _connected(self, url: str) -> Centre:
        if self._centre is None or self._centre.url != url:
            if self._centre is not None:
                self._centre.close()
            self._centre = Centre(url, self._clocks, ca_of(self._data_dir), PATIENCE)
        return self._centre

    def _cut_off(self, why: str) -> Reason:
        """Whose card it was stands in no log."""
        log.warning("lane %d: an electronic card could not be looked up: %s", self._lane, why)
        return Reason.NEEDS_NETWORK
