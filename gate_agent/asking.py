"""Signed questions that the running agent itself asks the centre; what sync knows is only read."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path

from gate_agent.centre_client import Answer, Centre, Patience, trouble_of
from gate_agent.centre_tls import Trust, trust_of
from gate_agent.sync_state import DEVICE_KEY, LinkTrouble, SyncView, TroubleKind
from gate_agent.time_trust import Now
from gate_agent.trusted_time import Clocks, TrustedTime
from wire import envelope
from wire.keyset import KeySet


@dataclass(frozen=True, slots=True)
class Told:
    """What came back, not yet believed, and what it is to be held against."""

    body: bytes
    device: bytes
    nonce: bytes
    keys: KeySet
    now: Now


class Asker:
    """Asks over one connection of its own; for one thread at a time."""

    def __init__(
        self,
        data_dir: Path,
        sync: SyncView,
        clocks: Clocks,
        time: TrustedTime,
        patience: Patience,
        token_bytes: Callable[[int], bytes] = secrets.token_bytes,
    ) -> None:
        self.token_bytes = token_bytes
        self._data_dir = data_dir
        self._sync = sync
        self._clocks = clocks
        self._time = time
        self._patience = patience
        self._centre: tuple[Trust, Centre] | None = None

    def ask(
        self, method: str, path: str, limit_bytes: int, body: bytes = b"", what: str = "an answer"
    ) -> Told | LinkTrouble:
        """One request and its answer; `what` was asked for, in words. A clock that is off is left to sync to mend."""
        state = self._sync.read()
        if state.url is None or state.device is None or state.key_set is None:
            return LinkTrouble(TroubleKind.NOT_ENROLLED, "this box is not enrolled")
        private_key = (self._data_dir / DEVICE_KEY).read_bytes()
        nonce, now = self.token_bytes(envelope.NONCE_BYTES), self._time.now()
        headers = envelope.sign_request(private_key, state.device, method, path, body, now.record_ms, nonce)
        answer = self._connected(state.url, trust_of(self._data_dir, state.key_set)).exchange(
            method, path, limit_bytes, body, headers
        )
        if isinstance(answer, Answer) and answer.status != HTTPStatus.OK:
            return trouble_of(answer, what)
        if isinstance(answer, LinkTrouble):
            return answer
        return Told(answer.body, state.device, nonce, state.key_set, now)

    def _connected(self, url: str, trust: Trust) -> Centre:
        """The connection there is, or another one where address or trust changed."""
        if self._centre is not None and (self._centre[1].url, self._centre[0]) != (url, trust):
            self._centre[1].close()
            self._centre = None
        if self._centre is None:
            self._centre = (trust, Centre(url, self._clocks, trust, self._patience, self._time.now))
        return self._centre[1]
