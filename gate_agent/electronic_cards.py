"""What an electronic social-security card's code stands for: the one question of a scan that the centre answers."""

from __future__ import annotations

import logging
import threading
from concurrent.futures import Future

from gate_agent.asking import Asker
from gate_agent.centre_client import Patience
from gate_agent.recognition import Resolved
from gate_agent.sync_state import LinkTrouble
from wire import electronic_card
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

    def __init__(self, lane: int, asker: Asker) -> None:
        self._lane = lane
        self._asker = asker
        self._free = threading.Lock()

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
        body = electronic_card.encode_question(code, self._asker.token_bytes(electronic_card.NONCE_BYTES))
        told = self._asker.ask("POST", PATH, MAX_ANSWER_BYTES, body, "whose electronic card it is")
        if isinstance(told, LinkTrouble):
            return self._cut_off(f"{told.kind}: {told.detail}")
        digest = electronic_card.digest_of(body)
        said = electronic_card.read_answer(told.body, told.keys, told.device, digest, told.now.at_ms)
        if isinstance(said, SealFlaw):
            return self._cut_off(f"an answer that is {said}")
        return REFUSALS.get(said.finding) or said.hashes

    def _cut_off(self, why: str) -> Reason:
        """Whose card it was stands in no log."""
        log.warning("lane %d: an electronic card could not be looked up: %s", self._lane, why)
        return Reason.NEEDS_NETWORK
