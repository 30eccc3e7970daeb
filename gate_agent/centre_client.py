"""HTTP to the centre: bounded in time and size, signed by the device; an answer is only bytes until it was verified."""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http.cookiejar import DefaultCookiePolicy
from pathlib import Path

import requests
import urllib3

from gate_agent.centre_tls import CentreTls, Trust, Untrusted, trust_of
from gate_agent.sync_state import DEVICE_KEY, LinkTrouble, SyncState, TroubleKind
from gate_agent.sync_store import SyncStore
from gate_agent.time_trust import NO_EVIDENCE, Now, SignedTime
from gate_agent.trusted_time import Clocks, TrustedTime
from wire import envelope
from wire.envelope import EnvelopeFlaw

OPEN_LIMIT_MS = 5_000
"""A signed time is used only from a request that was open no longer."""
CHUNK_BYTES = 65_536
MAX_ERROR_BYTES = 4_096
UNTRUSTED = "CERTIFICATE_VERIFY_FAILED"
"""How OpenSSL calls a certificate of somebody else, or for another name."""
BY_PUBLIC_CA = Trust()
MAX_CENTRES = 2
"""Connections kept: the centre's own, and one to the cache in front of it."""


@dataclass(frozen=True, slots=True)
class Patience:
    """How long to wait: for a connection, through the longest silence of an answer, for all of it, however it drips."""

    connect_s: float = 5.0
    read_s: float = 10.0
    answer_ms: int = 60_000


USUAL_PATIENCE = Patience()


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back, not yet believed; header names in lower case. The boot clock when asked and when answered."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    asked_boot_ms: int
    answered_boot_ms: int


@dataclass(frozen=True, slots=True)
class Rest:
    """A task with the centre went well: how long until the next attempt, and whether the centre was really asked."""

    pause_s: float
    asked: bool = True


class Centre:
    """One connection to one centre, for one thread. No redirects, no proxies or passwords from the environment.

    `now`: the gate's time, by which the centre's certificate is judged; None while it cannot know any.
    """

    def __init__(
        self,
        url: str,
        clocks: Clocks,
        trust: Trust = BY_PUBLIC_CA,
        patience: Patience = USUAL_PATIENCE,
        now: Callable[[], Now] | None = None,
    ) -> None:
        self.url = url
        self._clocks = clocks
        self._patience = patience
        self._session = requests.Session()
        self._session.mount("https://", CentreTls(trust, now or TrustedTime(lambda: NO_EVIDENCE, clocks).now))
        self._session.trust_env = False
        self._session.cookies.set_policy(
            DefaultCookiePolicy(allowed_domains=[])
        )  # no portal's cookie goes to the centre
        self._session.headers.update({"User-Agent": "gate-agent", "Accept-Encoding": "identity"})

    def close(self) -> None:
        """Let go of the connection."""
        self._session.close()

    def exchange(
        self, method: str, path: str, limit_bytes: int, body: bytes = b"", headers: Mapping[str, str] | None = None
    ) -> Answer | LinkTrouble:
        """One request and its whole answer, whatever its status."""
        asked_boot_ms = self._clocks.boot_ms()
        try:
            with self._session.request(
                method,
                self.url + path,
                data=body or None,
                headers=headers,
                timeout=(self._patience.connect_s, self._patience.read_s),
                allow_redirects=False,
                stream=True,
            ) as response:
                read = self._read(response, limit_bytes, asked_boot_ms + self._patience.answer_ms)
        except (requests.RequestException, urllib3.exceptions.HTTPError, OSError) as error:
            cause = _innermost(error)
            untrusted = isinstance(cause, Untrusted) or UNTRUSTED in str(error)
            kind = TroubleKind.NOT_THE_CENTRE if untrusted else TroubleKind.UNREACHABLE
            return LinkTrouble(kind, f"{method} {path}: {_told(cause)}")
        if isinstance(read, LinkTrouble):
            return read
        lower = {name.lower(): value for name, value in response.headers.items()}
        return Answer(response.status_code, lower, read, asked_boot_ms, self._clocks.boot_ms())

    def _read(self, response: requests.Response, limit_bytes: int, deadline_boot_ms: int) -> bytes | LinkTrouble:
        """The body as sent, never unpacked: nothing the centre sends us is packed by HTTP."""
        if response.status_code >= requests.codes.bad_request:
            limit_bytes = MAX_ERROR_BYTES
        body = bytearray()
        while chunk := response.raw.read1(CHUNK_BYTES):
            body += chunk
            if len(body) > limit_bytes:
                return LinkTrouble(TroubleKind.NOT_THE_CENTRE, f"the answer is longer than {limit_bytes} bytes")
            if self._clocks.boot_ms() > deadline_boot_ms:
                return LinkTrouble(
                    TroubleKind.UNREACHABLE, f"the answer took longer than {self._patience.answer_ms} ms"
                )
        return bytes(body)


class Caller:
    """Calls the centre this box is enrolled at, in its own name where asked to, and what stands in front of it. One per
    thread."""

    def __init__(
        self,
        data_dir: Path,
        store: SyncStore,
        clocks: Clocks,
        time: TrustedTime,
        token_bytes: Callable[[int], bytes] = secrets.token_bytes,
        patience: Patience = USUAL_PATIENCE,
    ) -> None:
        self._patience = patience
        self._data_dir = data_dir
        self._store = store
        self._clocks = clocks
        self._time = time
        self._token_bytes = token_bytes
        self._centres: dict[tuple[str, Trust], Centre] = {}

    def close(self) -> None:
        """Let go of the connections."""
        while self._centres:
            self._centres.popitem()[1].close()

    def fetch(
        self, url: str, path: str, limit_bytes: int, headers: Mapping[str, str] | None = None
    ) -> Answer | LinkTrouble:
        """A plain GET that any cache may answer, at the centre's address or at that of its lists."""
        return self._exchange(url, "GET", path, limit_bytes, b"", headers or {})

    def signed(
        self,
        state: SyncState,
        method: str,
        path: str,
        limit_bytes: int,
        body: bytes = b"",
        headers: Mapping[str, str] | None = None,
    ) -> Answer | LinkTrouble:
        """A request signed by the device; repeated once when the centre says our time is off and tells its own."""
        answer, learnt = self._signed_once(state, method, path, limit_bytes, body, headers or {})
        if learnt and isinstance(answer, Answer) and error_word(answer) == EnvelopeFlaw.OUTSIDE_WINDOW:
            answer, _ = self._signed_once(state, method, path, limit_bytes, body, headers or {})
        return answer

    def _exchange(
        self, url: str, method: str, path: str, limit_bytes: int, body: bytes, headers: Mapping[str, str]
    ) -> Answer | LinkTrouble:
        state = self._store.read()
        trust = trust_of(self._data_dir, state.key_set if url == state.url else None)
        if (url, trust) not in self._centres:
            if len(self._centres) == MAX_CENTRES:
                self.close()
            self._centres[url, trust] = Centre(url, self._clocks, trust, self._patience, self._time.now)
        return self._centres[url, trust].exchange(method, path, limit_bytes, body, headers)

    def _signed_once(
        self, state: SyncState, method: str, path: str, limit_bytes: int, body: bytes, headers: Mapping[str, str]
    ) -> tuple[Answer | LinkTrouble, bool]:
        """The answer, and whether a signed time came with it."""
        assert state.device is not None and state.url is not None
        nonce = self._token_bytes(envelope.NONCE_BYTES)
        private_key = (self._data_dir / DEVICE_KEY).read_bytes()
        now_ms = self._time.now().record_ms
        own = envelope.sign_request(private_key, state.device, method, path, body, now_ms, nonce)
        answer = self._exchange(state.url, method, path, limit_bytes, body, {**headers, **own})
        return answer, isinstance(answer, Answer) and self._learn_time(state, answer, nonce)

    def _learn_time(self, state: SyncState, answer: Answer, nonce: bytes) -> bool:
        """The centre's signed time, taken as true in the middle of the time the request was open."""
        if state.key_set is None or answer.answered_boot_ms - answer.asked_boot_ms > OPEN_LIMIT_MS:
            return False
        at_ms = envelope.read_time(answer.headers.get(envelope.CLOCK_HEADER.lower(), ""), nonce, state.key_set)
        if not isinstance(at_ms, int):
            return False
        middle_boot_ms = (answer.asked_boot_ms + answer.answered_boot_ms) // 2
        self._store.keep_signed_time(SignedTime(at_ms, middle_boot_ms, self._clocks.boot_id))
        return True


def error_word(answer: Answer) -> str | None:
    """The word of the centre's JSON error, or None when the answer is none of its errors."""
    error = _error(answer)
    return None if error is None else error[0]


def trouble_of(answer: Answer, asked_for: str) -> LinkTrouble:
    """What to tell about an answer that is not what was asked for: the centre's own words, or a stranger's page."""
    error = _error(answer)
    if error is not None and error[0] == "pending":
        return LinkTrouble(TroubleKind.PENDING, error[1] or "an operator has not approved this gate yet")
    if error is not None:
        return LinkTrouble(TroubleKind.REFUSED, f"{error[0]}: {error[1]}" if error[1] else error[0])
    kind = answer.headers.get("content-type", "no content type")
    told = f"status {answer.status}, {kind}, {len(answer.body)} bytes"
    where = f", leading to {answer.headers['location']}" if "location" in answer.headers else ""
    return LinkTrouble(TroubleKind.NOT_THE_CENTRE, f"{told}{where} instead of {asked_for}: is a login page in between?")


def _error(answer: Answer) -> tuple[str, str] | None:
    if answer.status < requests.codes.bad_request:
        return None
    try:
        told = json.loads(answer.body)
    except (ValueError, RecursionError):  # no JSON, or brackets without end
        return None
    if not isinstance(told, dict) or not isinstance(told.get("error"), str):
        return None
    return told["error"], str(told.get("say", ""))


def _innermost(error: BaseException) -> BaseException:
    """What is behind the errors that the libraries wrapped round it."""
    reason = getattr(error, "reason", None) or (error.args[0] if error.args else None)
    while isinstance(reason, BaseException) and reason is not error:
        error, reason = reason, getattr(reason, "reason", None) or (reason.args[0] if reason.args else None)
    return error


def _told(error: BaseException) -> str:
    """What it says, without the addresses of objects that the libraries print."""
    text = str(error.args[-1]) if error.args else type(error).__name__
    return text.split(": ", 1)[-1] if " object at 0x" in text else text
