"""The sandbox provider's client: RSA-signed JSON over HTTP; nothing is believed that the provider did not sign.

Signed is `<purpose>\\n<number>\\n` ‖ body with RSA PKCS #1 v1.5 and SHA-256, base64 in the header Sandbox-Signature.
The purposes "request", "answer" and "notice" keep one kind from passing as another; the number binds an answer to its
request.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
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
    Answer,
    Instruction,
    Insufficient,
    Notice,
    NotKnown,
    Refused,
    Succeeded,
    Unclear,
    Waiting,
)
from wire.unreadable import UNREADABLE

CALL_TIMEOUT_S = (3.05, 10)  # connecting, then waiting for the answer; well inside the outbox lease
MAX_ANSWER_BYTES = 64 * 1024
NOTICE_PATH = "/callbacks/sandbox"


class _Transfer(msgspec.Struct):
    """What the provider says about one of our numbers."""

    app_id: str
    out_no: str
    status: str
    amount_fen: int = 0
    provider_ref: str | None = None
    reason: str | None = None
    pay_url: str | None = None


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

    def query(self, out_no: str) -> Answer:
        return self._call("query", out_no, {"app_id": self._app_id, "out_no": out_no})

    def cancel(self, out_no: str) -> Answer:
        return self._call("cancel", out_no, {"app_id": self._app_id, "out_no": out_no})

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
                data = _read_limited(response)
                said, status = response.headers.get("Sandbox-Signature", ""), response.status_code
        except (requests.RequestException, OSError) as error:
            return Unclear(f"no answer from {urlsplit(self._url).netloc}: {type(error).__name__}")
        if not self._verify("answer", out_no, data, said):
            return Unclear(f"the answer (status {status}) is not signed by the provider")
        try:
            told = msgspec.json.decode(data, type=_Transfer)
        except UNREADABLE as error:
            return Unclear(f"the provider's answer cannot be read: {error}")
        if told.out_no != out_no or told.app_id != self._app_id:
            return Unclear(f"the provider answered about another number: {told.out_no}")
        return _answer(told)

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


def _read_limited(response: requests.Response) -> bytes:
    """The body, cut where it grows beyond the limit: a cut one has no good signature."""
    data = b""
    for piece in response.iter_content(MAX_ANSWER_BYTES):
        data += piece
        if len(data) > MAX_ANSWER_BYTES:
            break
    return data


def signed_bytes(purpose: str, out_no: str, body: bytes) -> bytes:
    """What a signature of this interface is over."""
    return f"{purpose}\n{out_no}\n".encode() + body


def client_of(centre: Centre) -> SandboxClient:
    """The client that the centre's settings describe."""
    file = centre.settings.provider_public_key_file
    if file is None:
        raise ConfigurationError("the setting provider_public_key_file is missing: it names the provider's RSA key")
    try:
        public_key_pem = file.read_bytes()
    except OSError as error:
        raise ConfigurationError(f"cannot read the provider's public key {file}: {error.strerror}") from error
    settings = centre.settings
    notice_url = settings.base_url.rstrip("/") + NOTICE_PATH
    private_key_pem = centre.secrets.provider_private_key
    try:
        return SandboxClient(
            settings.provider_url, settings.provider_app_id, private_key_pem, public_key_pem, notice_url
        )
    except ValueError as error:
        raise ConfigurationError(f"the provider's public key {file} is not a PEM key: {error}") from error


def _answer(told: _Transfer) -> Answer:
    """The provider's words as ours; a word we do not know is an unclear outcome, never a failure."""
    reason = told.reason or told.status
    match told.status:
        case "SUCCESS" if told.provider_ref:
            return Succeeded(told.provider_ref, told.amount_fen)
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
