"""Aliyun short messages 阿里云短信服务 (Dysmsapi 2017-05-25): SendSms, and QuerySendDetails for what became of them.

Requests are signed as "V3" has it, ACS3-HMAC-SHA256:
https://help.aliyun.com/zh/sdk/product-overview/v3-request-structure-and-signature
"""

from __future__ import annotations

import hmac
import secrets
import stat
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit
from zoneinfo import ZoneInfo

import msgspec
import requests

from sync_server.errors import ConfigurationError
from sync_server.notices.sender import (
    DELIVERED,
    NOT_KNOWN,
    Answer,
    Sms,
    accepted,
    later,
    refused,
    unclear,
    undelivered,
)
from wire.unreadable import UNREADABLE

ALGORITHM = "ACS3-HMAC-SHA256"
VERSION = "2017-05-25"
CALL_TIMEOUT_S = (3.05, 10)  # connecting, then waiting for the answer; well inside the outbox lease
MAX_CALL_MS = 15_000
MAX_ANSWER_BYTES = 256 * 1024  # a page of details has 50 messages
PAGE = 50
MAX_PAGES = 4  # of one number's messages of one day, when one is looked for by our number
GATEWAY_ZONE = ZoneInfo("Asia/Shanghai")  # in which the gateway counts its days
REFUSED = frozenset(
    {
        "isv.MOBILE_NUMBER_ILLEGAL",
        "isv.MOBILE_COUNT_OVER_LIMIT",
        "isv.TEMPLATE_MISSING_PARAMETERS",
        "isv.TEMPLATE_PARAMS_ILLEGAL",
        "isv.INVALID_PARAMETERS",
        "isv.INVALID_JSON_PARAM",
        "isv.PARAM_LENGTH_LIMIT",
        "isv.PARAM_NOT_SUPPORT_URL",
        "isv.BLACK_KEY_CONTROL_LIMIT",
    }
)
"""What SendSms will never take as it is; with any other code it took nothing, and people may mend the cause."""
UNCLEAR = "isp.SYSTEM_ERROR"
_FAILED, _ARRIVED = 2, 3  # of SendStatus; 1: the network has not reported


class AccessKey(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Who calls. repr shows nothing of the secret."""

    id: str
    secret: str

    def __repr__(self) -> str:
        return f"AccessKey({self.id}, …)"


class _Sent(msgspec.Struct, rename="pascal"):
    code: str
    message: str = ""
    biz_id: str | None = None


class _Detail(msgspec.Struct, rename="pascal"):
    send_status: int
    err_code: str = ""
    out_id: str = ""


class _DetailList(msgspec.Struct):
    details: list[_Detail] = msgspec.field(name="SmsSendDetailDTO", default_factory=list)


class _Details(msgspec.Struct, rename="pascal"):
    code: str
    message: str = ""
    total_count: int | str = 0
    found: _DetailList = msgspec.field(name="SmsSendDetailDTOs", default_factory=_DetailList)


class Aliyun:
    """One per process and thread; see `sender.Sender`. Our number of a message is its id, which the gateway keeps."""

    name = "aliyun"
    tells_delivery = True

    def __init__(self, url: str, key: AccessKey, sign_name: str, now_ms: Callable[[], int]) -> None:
        self._url, self._key, self._sign_name, self._now_ms = url.rstrip("/"), key, sign_name, now_ms
        self._session = requests.Session()
        self._session.trust_env = False  # no proxy of the environment sees who is told what

    def send(self, sms: Sms) -> Answer:
        if sms.template_code is None:
            return later(f"no template is set for {sms.kind}: sync-server message settings {sms.kind} --template")
        values = {
            "PhoneNumbers": sms.phone.removeprefix("+"),
            "SignName": self._sign_name,
            "TemplateCode": sms.template_code,
            "TemplateParam": msgspec.json.encode(sms.variables).decode(),
            "OutId": sms.id.hex,
        }
        told = self._call("SendSms", values, _Sent)
        if isinstance(told, Answer):
            return told
        if told.code == "OK":
            return accepted(told.biz_id)
        reason = f"{told.code} {told.message}".strip()
        if told.code == UNCLEAR:
            return unclear(reason)
        return refused(reason) if told.code in REFUSED else later(reason)

    def ask(self, sms: Sms) -> Answer:
        days = {_day(sms.tried_at_ms), _day(sms.tried_at_ms + MAX_CALL_MS)}  # two where it was sent at midnight
        answers = [self._ask(sms, day) for day in sorted(days)]
        return next((answer for answer in answers if answer != NOT_KNOWN), NOT_KNOWN)

    def _ask(self, sms: Sms, day: str) -> Answer:
        for page in range(1, MAX_PAGES + 1):
            values = {
                "PhoneNumber": sms.phone.removeprefix("+"),
                "SendDate": day,
                "PageSize": str(PAGE),
                "CurrentPage": str(page),
            }
            if sms.ref is not None:
                values["BizId"] = sms.ref
            told = self._call("QuerySendDetails", values, _Details)
            if isinstance(told, Answer):
                return unclear(told.reason or told.event)
            if told.code != "OK":
                return unclear(f"{told.code} {told.message}".strip())
            for detail in told.found.details:
                if detail.out_id == sms.id.hex:
                    return _became(detail)
            if len(told.found.details) < PAGE:
                return NOT_KNOWN
        return unclear(f"it is not among the first {MAX_PAGES * PAGE} messages of its number and day")

    def close(self) -> None:
        """Let go of the connections."""
        self._session.close()

    def _call(self, action: str, values: Mapping[str, str], shape: type[Any]) -> Any:
        """What the gateway said in this shape, or the answer that follows from its saying nothing of it."""
        parts = urlsplit(self._url)
        query = canonical_query(values)
        headers = {
            "host": parts.netloc,
            "x-acs-action": action,
            "x-acs-version": VERSION,
            "x-acs-date": datetime.fromtimestamp(self._now_ms() / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "x-acs-signature-nonce": secrets.token_hex(16),
            "x-acs-content-sha256": sha256(b"").hexdigest(),
        }
        headers["Authorization"] = authorization(self._key, "POST", f"{parts.path}/", query, headers)
        try:
            with self._session.post(
                f"{self._url}/?{query}",
                headers=headers,
                timeout=CALL_TIMEOUT_S,
                allow_redirects=False,
                stream=True,
            ) as response:
                data, status = _read_limited(response), response.status_code
        except requests.ConnectTimeout:
            return later(f"no connection to {parts.netloc}")
        except (requests.RequestException, OSError) as error:
            return unclear(f"no answer from {parts.netloc}: {type(error).__name__}")
        if status >= 500:
            return unclear(f"{parts.netloc} answers with status {status}")
        try:
            return msgspec.json.decode(data, type=shape)
        except UNREADABLE as error:
            return unclear(f"the answer (status {status}) cannot be read: {error}")


def read_key(file: Path) -> AccessKey:
    """Read the file; one that others may read is refused."""
    try:
        mode, data = stat.S_IMODE(file.stat().st_mode), file.read_bytes()
    except OSError as error:
        raise ConfigurationError(f"cannot read the access key {file}: {error.strerror}") from error
    if mode & 0o077:
        raise ConfigurationError(f"the access key {file} has mode {mode:o}: others may read it; run chmod 600 {file}")
    try:
        return msgspec.json.decode(data, type=AccessKey)
    except UNREADABLE as error:
        raise ConfigurationError(f'the access key {file} is not {{"id": "…", "secret": "…"}}: {error}') from error


def canonical_query(values: Mapping[str, str]) -> str:
    """The parameters as they are signed and sent: sorted, RFC 3986."""
    return "&".join(f"{quote(name, safe='')}={quote(value, safe='')}" for name, value in sorted(values.items()))


def authorization(key: AccessKey, method: str, path: str, query: str, headers: Mapping[str, str]) -> str:
    """The header Authorization over `host` and all `x-acs-` headers, whose names are in small letters."""
    signed = sorted(name for name in headers if name == "host" or name.startswith("x-acs-"))
    canonical = [method, path, query, *(f"{name}:{headers[name].strip()}" for name in signed)]
    request = "\n".join([*canonical, "", ";".join(signed), headers["x-acs-content-sha256"]])
    to_sign = f"{ALGORITHM}\n{sha256(request.encode()).hexdigest()}"
    signature = hmac.digest(key.secret.encode(), to_sign.encode(), sha256).hex()
    return f"{ALGORITHM} Credential={key.id},SignedHeaders={';'.join(signed)},Signature={signature}"


def _day(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms / 1000, GATEWAY_ZONE).strftime("%Y%m%d")


def _became(detail: _Detail) -> Answer:
    if detail.send_status == _ARRIVED:
        return DELIVERED
    return (
        undelivered(detail.err_code or "the network gives no reason") if detail.send_status == _FAILED else accepted()
    )


def _read_limited(response: requests.Response) -> bytes:
    """The body, cut where it grows beyond the limit: a cut one cannot be read."""
    data = b""
    for piece in response.iter_content(MAX_ANSWER_BYTES):
        data += piece
        if len(data) > MAX_ANSWER_BYTES:
            break
    return data[:MAX_ANSWER_BYTES]
