"""Talking to Alipay's gateway: signed requests, answers believed only when signed, files by an address that was."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from functools import lru_cache
from typing import Any, NamedTuple
from urllib.parse import urlencode, urlsplit

import msgspec
import requests
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from sync_server.errors import ConfigurationError
from sync_server.payments import alipay_signing
from sync_server.payments.alipay_signing import UNSIGNED_IN_NOTICES, canonical, is_signed, read_node
from sync_server.payments.provider import CALENDAR, Unclear

CALL_TIMEOUT_S = (3.05, 15)  # connecting, then waiting for the answer; well inside the outbox lease
FILE_TIMEOUT_S = (3.05, 60)
MAX_ANSWER_BYTES = 256 * 1024
MAX_FILE_BYTES = 64 * 1024 * 1024


class App(NamedTuple):
    """Who we are at Alipay: the application, our key and Alipay's, and whose account receives the money."""

    app_id: str
    private: rsa.RSAPrivateKey
    alipay: rsa.RSAPublicKey
    seller_id: str


class Gate:
    """One gateway, one application. One per process and thread."""

    def __init__(self, url: str, app: App, notify_url: str, now_ms: Callable[[], int]) -> None:
        self._url, self.app, self._notify_url, self._now_ms = url, app, notify_url, now_ms
        self._session = requests.Session()
        self._session.trust_env = False  # no proxy of the environment stands between us and the money

    def ask(self, method: str, content: Mapping[str, object]) -> dict[str, Any] | Unclear:
        """Call a method; what Alipay says and signed, or why it is not to be had."""
        body = urlencode(self._signed(method, content)).encode()
        headers = {"Content-Type": "application/x-www-form-urlencoded; charset=utf-8"}
        try:
            with self._session.post(
                self._url, data=body, headers=headers, timeout=CALL_TIMEOUT_S, allow_redirects=False, stream=True
            ) as response:
                data, status = _read_limited(response, MAX_ANSWER_BYTES), response.status_code
        except (requests.RequestException, OSError) as error:
            return Unclear(f"no answer from {urlsplit(self._url).netloc}: {type(error).__name__}")
        node = None
        if data is not None:
            node = read_node(data.decode(errors="replace"), method)
        if node is None or not is_signed(self.app.alipay, node.text, node.sign):
            return Unclear(f"the answer (status {status}) is not signed by Alipay")
        return node.said

    def address(self, method: str, content: Mapping[str, object], return_url: str | None = None) -> str:
        """A page of Alipay's that somebody opens: the request itself, signed, as an address."""
        return f"{self._url}?{urlencode(self._signed(method, content, return_url))}"

    def fetch(self, url: str) -> bytes | Unclear:
        """A file at an address that Alipay's signed answer named."""
        if urlsplit(url).scheme not in {"http", "https"}:
            return Unclear(f"Alipay names no file: {url[:100]}")
        try:
            with self._session.get(url, timeout=FILE_TIMEOUT_S, stream=True) as response:
                if response.status_code != requests.codes.ok:
                    return Unclear(f"no file from {urlsplit(url).netloc}: status {response.status_code}")
                data = _read_limited(response, MAX_FILE_BYTES)
        except (requests.RequestException, OSError) as error:
            return Unclear(f"no file from {urlsplit(url).netloc}: {type(error).__name__}")
        return data if data is not None else Unclear(f"the file has more than {MAX_FILE_BYTES} bytes")

    def told(self, parameters: Mapping[str, str]) -> bool:
        """Whether a notice is Alipay's, and about this application and account."""
        ours = parameters.get("app_id") == self.app.app_id and parameters.get("seller_id") == self.app.seller_id
        text = canonical(parameters, UNSIGNED_IN_NOTICES)
        return ours and is_signed(self.app.alipay, text, parameters.get("sign", ""))

    def close(self) -> None:
        """Let go of the connections."""
        self._session.close()

    def _signed(self, method: str, content: Mapping[str, object], return_url: str | None = None) -> dict[str, str]:
        at = datetime.fromtimestamp(self._now_ms() / 1000, CALENDAR)
        parameters = {
            "app_id": self.app.app_id,
            "method": method,
            "format": "JSON",
            "charset": "utf-8",
            "sign_type": alipay_signing.SIGN_TYPE,
            "timestamp": at.strftime("%Y-%m-%d %H:%M:%S"),
            "version": "1.0",
            "notify_url": self._notify_url,
            "return_url": return_url or "",
            "biz_content": msgspec.json.encode(content).decode(),
        }
        parameters = {name: value for name, value in parameters.items() if value}
        return {**parameters, "sign": alipay_signing.sign(self.app.private, parameters)}


@lru_cache(maxsize=2)
def app_of(app_id: str, private_key_pem: str, public_key_pem: bytes, seller_id: str) -> App:
    """Kept: reading an RSA key checks it for tens of ms, and the worker makes a client with every turn.

    Alipay hands out its public key as bare base64: that is taken too.
    """
    if b"BEGIN" not in public_key_pem:
        bare = b"".join(public_key_pem.split())
        public_key_pem = b"-----BEGIN PUBLIC KEY-----\n" + bare + b"\n-----END PUBLIC KEY-----\n"
    private = serialization.load_pem_private_key(private_key_pem.encode(), password=None)
    public = serialization.load_pem_public_key(public_key_pem)
    if not isinstance(private, rsa.RSAPrivateKey) or not isinstance(public, rsa.RSAPublicKey):
        raise ConfigurationError("the keys for Alipay must be RSA keys")
    return App(app_id, private, public, seller_id)


def _read_limited(response: requests.Response, max_bytes: int) -> bytes | None:
    """The body; None where it grows beyond the limit."""
    data = bytearray()
    for piece in response.iter_content(64 * 1024):
        data += piece
        if len(data) > max_bytes:
            return None
    return bytes(data)
