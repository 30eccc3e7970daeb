"""The sandbox provider's client: RSA-signed JSON over HTTP; nothing is believed that the provider did not sign.

Signed is `<purpose>\\n<number>\\n` ‖ body with RSA PKCS #1 v1.5 and SHA-256, base64 in the header Sandbox-Signature.
The purposes "request", "answer" and "notice" keep one kind from passing as another; the number binds an answer to its
request.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from datetime import date, datetime, time
from functools import lru_cache
from urllib.parse import urlsplit

import msgspec
import requests
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from sync_server.centre import Centre
from sync_server.errors import ConfigurationError
from sync_server.payments.provider import (
    CALENDAR,
    Answer,
    Instruction,
    Insufficient,
    Notice,
    NotKnown,
    Refused,
    StatementLine,
    Succeeded,
    Unclear,
    Waiting,
)
from wire.unreadable import UNREADABLE

CALL_TIMEOUT_S = (3.05, 10)  # connecting, then waiting for the answer; well inside the outbox lease
MAX_ANSWER_BYTES = 64 * 1024
DAY_MS = 24 * 3_600_000
MAX_PAGE_BYTES = 512 * 1024  # of a statement
MAX_STATEMENT_LINES = 1_000_000
NOTICE_PATH = "/callbacks/"  # and the provider's name, as in the address of its gateway


class _Transfer(msgspec.Struct):
    """What the provider says about one of our numbers."""

    app_id: str
    out_no: str
    status: str
    amount_fen: int = 0
    yield_fen: int = 0
    provider_ref: str | None = None
    reason: str | None = None
    pay_url: str | None = None


class _Line(msgspec.Struct):
    line_no: int
    out_no: str
    kind: str
    amount_fen: int
    fee_fen: int
    at_ms: int
    provider_ref: str
    account: str | None = None
    original: str | None = None


class _Page(msgspec.Struct):
    """Some lines of a statement."""

    app_id: str
    out_no: str
    status: str
    from_ms: int
    to_ms: int
    after: int
    lines: list[_Line]
    more: bool


class SandboxClient:
    """One per process and thread; see `payments.provider.Provider`."""

    def __init__(self, url: str, app_id: str, private_key_pem: str, public_key_pem: bytes, notice_url: str) -> None:
        self._private, self._public = _keys_of(private_key_pem, public_key_pem)
        self._url, self._app_id, self._notice_url = url.rstrip("/"), app_id, notice_url
        self._session = requests.Session()
        self._session.trust_env = False  # no proxy of the environment stands between us and the money

    def send(self, instruction: Instruction) -> Answer:
        body: dict[str, object] = {
            "app_id": self._app_id,
            "out_no": instruction.out_no,
            "account": instruction.account_ref,
            "amount_fen": instruction.amount_fen,
            "title": instruction.title,
            "notice_url": self._notice_url,
            "original": instruction.original_out_no,
        }
        return self._call(instruction.kind.lower(), instruction.out_no, body)

    def query(self, instruction: Instruction) -> Answer:
        return self._call("query", instruction.out_no, {"app_id": self._app_id, "out_no": instruction.out_no})

    def cancel(self, instruction: Instruction) -> Answer:
        return self._call("cancel", instruction.out_no, {"app_id": self._app_id, "out_no": instruction.out_no})

    def statement(self, day: date) -> tuple[StatementLine, ...] | Unclear:
        from_ms = int(datetime.combine(day, time(), CALENDAR).timestamp() * 1000)
        span = {"app_id": self._app_id, "from_ms": from_ms, "to_ms": from_ms + DAY_MS}
        lines: list[StatementLine] = []
        after, more = 0, True
        while more:
            asked = {**span, "out_no": f"statement-{day}-{after}", "after": after}
            data = self._ask("statement", str(asked["out_no"]), asked, MAX_PAGE_BYTES)
            if isinstance(data, Unclear):
                return data
            try:
                page = msgspec.json.decode(data, type=_Page)
            except UNREADABLE as error:
                return Unclear(f"the provider's statement cannot be read: {error}")
            if any(getattr(page, name) != value for name, value in asked.items()):
                return Unclear(f"the provider answered about another statement than that of {day}")
            lines += [_line(told) for told in page.lines]
            more = page.more and bool(page.lines)
            if len(lines) > MAX_STATEMENT_LINES:
                return Unclear(f"the statement of {day} has more than {MAX_STATEMENT_LINES} lines")
            after = page.lines[-1].line_no if page.lines else after
        return tuple(lines)

    def read_notice(self, headers: Mapping[str, str], body: bytes) -> Notice | None:
        try:
            told = msgspec.json.decode(body, type=_Transfer)
        except UNREADABLE:
            return None
        signature = headers.get("Sandbox-Signature", "")
        if told.app_id != self._app_id or not self._verify("notice", told.out_no, body, signature):
            return None
        return Notice(told.out_no, _answer(told))

    def close(self) -> None:
        """Let go of the connections."""
        self._session.close()

    def _call(self, method: str, out_no: str, values: dict[str, object]) -> Answer:
        data = self._ask(method, out_no, values, MAX_ANSWER_BYTES)
        if isinstance(data, Unclear):
            return data
        try:
            told = msgspec.json.decode(data, type=_Transfer)
        except UNREADABLE as error:
            return Unclear(f"the provider's answer cannot be read: {error}")
        if told.out_no != out_no or told.app_id != self._app_id:
            return Unclear(f"the provider answered about another number: {told.out_no}")
        return _answer(told)

    def _ask(self, method: str, out_no: str, values: dict[str, object], max_bytes: int) -> bytes | Unclear:
        """What the provider says and signed, or why it is not to be had."""
        body = msgspec.json.encode(values)
        signature = self._private.sign(signed_bytes("request", out_no, body), padding.PKCS1v15(), hashes.SHA256())
        headers = {"Content-Type": "application/json", "Sandbox-Signature": base64.b64encode(signature).decode()}
        try:
            with self._session.post(
                f"{self._url}/gateway/{method}",
                data=body,
                headers=headers,
                timeout=CALL_TIMEOUT_S,
                allow_redirects=False,
                stream=True,
            ) as response:
                data = _read_limited(response, max_bytes)
                said, status = response.headers.get("Sandbox-Signature", ""), response.status_code
        except (requests.RequestException, OSError) as error:
            return Unclear(f"no answer from {urlsplit(self._url).netloc}: {type(error).__name__}")
        if not self._verify("answer", out_no, data, said):
            return Unclear(f"the answer (status {status}) is not signed by the provider")
        return data

    def _verify(self, purpose: str, out_no: str, body: bytes, signature: str) -> bool:
        try:
            raw = base64.b64decode(signature, validate=True)
            self._public.verify(raw, signed_bytes(purpose, out_no, body), padding.PKCS1v15(), hashes.SHA256())
        except (InvalidSignature, binascii.Error, ValueError):
            return False
        return True


@lru_cache(maxsize=2)
def _keys_of(private_key_pem: str, public_key_pem: bytes) -> tuple[rsa.RSAPrivateKey, rsa.RSAPublicKey]:
    """Kept: reading an RSA key checks it for tens of ms, and the worker makes a client with every turn."""
    private = serialization.load_pem_private_key(private_key_pem.encode(), password=None)
    public = serialization.load_pem_public_key(public_key_pem)
    if not isinstance(private, rsa.RSAPrivateKey) or not isinstance(public, rsa.RSAPublicKey):
        raise ConfigurationError("the payment provider's keys must be RSA keys in PEM")
    return private, public


def _read_limited(response: requests.Response, max_bytes: int) -> bytes:
    """The body, cut where it grows beyond the limit: a cut one has no good signature."""
    data = b""
    for piece in response.iter_content(MAX_ANSWER_BYTES):
        data += piece
        if len(data) > max_bytes:
            break
    return data


def signed_bytes(purpose: str, out_no: str, body: bytes) -> bytes:
    """What a signature of this interface is over."""
    return f"{purpose}\n{out_no}\n".encode() + body


def client_of(centre: Centre, provider: str) -> SandboxClient:
    """The client of one of the two providers in the sandbox, as the centre's settings describe it."""
    file = centre.settings.provider_public_key_file
    if file is None:
        raise ConfigurationError("the setting provider_public_key_file is missing: it names the provider's RSA key")
    try:
        public_key_pem = file.read_bytes()
    except OSError as error:
        raise ConfigurationError(f"cannot read the provider's public key {file}: {error.strerror}") from error
    settings = centre.settings
    name = provider.lower()
    url, notice_url = f"{settings.provider_url.rstrip('/')}/{name}", settings.base_url.rstrip("/") + NOTICE_PATH + name
    private_key_pem = centre.secrets.provider_private_key
    try:
        return SandboxClient(url, settings.provider_app_id, private_key_pem, public_key_pem, notice_url)
    except ValueError as error:
        raise ConfigurationError(f"the provider's public key {file} is not a PEM key: {error}") from error


def _line(told: _Line) -> StatementLine:
    kind = told.kind.upper()
    return StatementLine(
        str(told.line_no), told.out_no, kind, told.amount_fen, told.fee_fen, told.at_ms, told.provider_ref
    )


def _answer(told: _Transfer) -> Answer:
    """The provider's words as ours; a word we do not know is an unclear outcome, never a failure."""
    reason = told.reason or told.status
    match told.status:
        case "SUCCESS" if told.provider_ref:
            return Succeeded(told.provider_ref, told.amount_fen, told.yield_fen)
        case "WAITING":
            return Waiting(told.pay_url)
        case "FAILED":
            return Refused(reason)
        case "INSUFFICIENT":
            return Insufficient(reason)
        case "NOT_KNOWN":
            return NotKnown()
        case _:
            return Unclear(reason)
