"""The card platform's client: signed JSON over HTTP, few questions at a time, nothing believed that is not signed.

Signed is `<purpose>\\n<number>\\n` ‖ body with HMAC-SHA256 under the secret of `card_platform_key_file`, in hex in the
header Card-Signature. The purposes "request" and "answer" keep one from passing as the other; the number, fresh for
each question, binds an answer to it.
"""

from __future__ import annotations

import hmac
import queue
import secrets
import stat
from collections.abc import Callable
from pathlib import Path

import msgspec
import requests
import structlog
import urllib3

from sync_server.centre import Centre
from sync_server.electronic_cards.verifier import CardHolder, EssCardVerifier, NoPlatform
from sync_server.errors import ConfigurationError
from wire.electronic_card import Finding
from wire.unreadable import UNREADABLE

CONNECT_TIMEOUT_S, READ_TIMEOUT_S = 0.2, 0.4
"""The gate gives all of it 800 ms (wire.md §4)."""
LIMIT_MS = 600
MAX_AT_ONCE = 4
"""Questions under way in one web process, of its 16 threads; one more is told that the platform cannot be reached."""
MAX_ANSWER_BYTES = 4096
CHUNK_BYTES = 1024
MIN_SECRET_BYTES = 16
HEADER = "Card-Signature"

_log = structlog.get_logger("electronic_cards")


class _Said(msgspec.Struct):
    """What the platform says of a code."""

    app_id: str
    number: str
    outcome: str
    id_number: str | None = None
    identification: str | None = None


class PlatformClient:
    """One per process, for all its threads. See `EssCardVerifier`."""

    def __init__(self, url: str, app_id: str, secret: bytes, now_ms: Callable[[], int]) -> None:
        self._url, self._app_id, self._secret, self._now_ms = url.rstrip("/"), app_id, secret, now_ms
        self._sessions: queue.LifoQueue[requests.Session] = queue.LifoQueue()  # the newest connection is still open
        for _ in range(MAX_AT_ONCE):
            session = requests.Session()
            session.trust_env = False  # no proxy of the environment sees whose card it is
            self._sessions.put(session)

    def resolve(self, code: str) -> CardHolder | Finding:
        try:
            session = self._sessions.get_nowait()
        except queue.Empty:
            return _unreachable("too many questions at once")
        try:
            return self._ask(session, code)
        finally:
            self._sessions.put(session)

    def close(self) -> None:
        while not self._sessions.empty():
            self._sessions.get_nowait().close()

    def _ask(self, session: requests.Session, code: str) -> CardHolder | Finding:
        number = secrets.token_hex(16)
        body = msgspec.json.encode({"app_id": self._app_id, "number": number, "code": code})
        deadline_ms = self._now_ms() + LIMIT_MS
        try:
            with session.post(
                f"{self._url}/cards/resolve",
                data=body,
                headers={"Content-Type": "application/json", HEADER: self._sign("request", number, body)},
                timeout=(CONNECT_TIMEOUT_S, READ_TIMEOUT_S),
                allow_redirects=False,
                stream=True,
            ) as response:
                data = self._read(response, deadline_ms)
                signature = response.headers.get(HEADER, "")
        except (requests.RequestException, urllib3.exceptions.HTTPError, OSError) as error:
            return _unreachable(type(error).__name__)
        if not hmac.compare_digest(self._sign("answer", number, data).encode(), signature.encode()):
            return _unreachable(f"status {response.status_code}, not signed by the platform")
        try:
            said = msgspec.json.decode(data, type=_Said)
        except UNREADABLE:
            return _unreachable("an answer that cannot be read")
        return self._understand(said) if said.app_id == self._app_id else _unreachable("another customer's answer")

    def _read(self, response: requests.Response, deadline_ms: int) -> bytes:
        """The body, cut where it grows too long or comes too slowly: a cut one has no good signature."""
        data = b""
        while chunk := response.raw.read1(CHUNK_BYTES):
            data += chunk
            if len(data) > MAX_ANSWER_BYTES or self._now_ms() > deadline_ms:
                response.close()  # what is still to come must not stand before the next answer
                break
        return data

    def _understand(self, said: _Said) -> CardHolder | Finding:
        """The platform's words as ours; one that we do not know says nothing of the code."""
        match said.outcome:
            case "FOUND" if said.id_number or said.identification:
                return CardHolder(said.id_number, said.identification)
            case "UNKNOWN" | "EXPIRED" | "USED":
                return Finding[said.outcome]
        return _unreachable("an answer of an unknown kind")

    def _sign(self, purpose: str, number: str, body: bytes) -> str:
        return hmac.digest(self._secret, f"{purpose}\n{number}\n".encode() + body, "sha256").hex()


def verifier_of(centre: Centre) -> EssCardVerifier:
    """The platform that the centre's settings describe. Raises ConfigurationError for a secret that cannot be used."""
    settings = centre.settings
    if settings.card_platform_url is None or settings.card_platform_key_file is None:
        return NoPlatform()
    secret = read_secret(settings.card_platform_key_file)
    return PlatformClient(settings.card_platform_url, settings.card_platform_app_id, secret, centre.now_ms)


def read_secret(file: Path) -> bytes:
    """The secret in a file of mode 0600, as hex."""
    try:
        mode, text = stat.S_IMODE(file.stat().st_mode), file.read_text(encoding="ascii")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"cannot read the card platform's secret {file}: {error}") from error
    if mode & 0o077:
        raise ConfigurationError(f"the card platform's secret {file} has mode {mode:o}: run chmod 600 {file}")
    try:
        secret = bytes.fromhex(text)
    except ValueError:
        secret = b""
    if len(secret) < MIN_SECRET_BYTES:
        raise ConfigurationError(f"{file} holds no secret: write at least {MIN_SECRET_BYTES} bytes as hex")
    return secret


def _unreachable(why: str) -> Finding:
    """Whose card it was, and its code, stand in no log."""
    _log.warning("card platform", trouble=why)
    return Finding.UNREACHABLE
