"""A gateway for short messages as Aliyun documents it: checks each signature, keeps what it took, plays faults.

Written from the documentation of Dysmsapi 2017-05-25 and of signature V3, apart from `sync_server.notices.aliyun`.
"""

from __future__ import annotations

import hashlib
import hmac
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from urllib.parse import parse_qsl, quote_plus

from flask import Flask, Response, jsonify, request
from werkzeug.serving import make_server

KEY_ID, KEY_SECRET, SIGN_NAME = "LTAI-test", "a secret of 30 characters here", "汴京旅游"
SKEW = timedelta(minutes=15)
CHINA = timezone(timedelta(hours=8))
POLL_S = 0.02
ENDLESS_BYTES, PIECE_BYTES = 64 * 1024 * 1024, 64 * 1024


@dataclass
class Taken:
    """A message that was accepted."""

    values: dict[str, str]
    biz_id: str
    day: str
    status: int = 1  # 1 waits for the network, 2 failed, 3 delivered
    err_code: str = ""


@dataclass
class SmsGateway:
    """What it took, by our number; `faults` strike one request each, in order."""

    now_ms: Callable[[], int]
    taken: dict[str, list[Taken]] = field(default_factory=dict)
    requests: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    faults: deque[str] = field(default_factory=deque)
    nonces: set[str] = field(default_factory=set)
    lock: threading.Lock = field(default_factory=threading.Lock)
    streamed_bytes: int = 0
    url: str = ""

    def answer(self) -> Response:
        with self.lock:
            return self._answer()

    def _answer(self) -> Response:
        flaw = self._flaw()
        if flaw is not None:
            self.refused.append(flaw)
            return _told({"Code": flaw, "Message": "refused", "RequestId": "0"}, 400)
        action = request.headers["x-acs-action"]
        self.requests.append(action)
        fault = self.faults.popleft() if self.faults else ""
        if fault == "lost":
            return Response("gateway time-out", 504)
        if fault.startswith(("isv.", "isp.")):
            return _told({"Code": fault, "Message": "as the test wants", "RequestId": "0"})
        told = {"SendSms": self._send, "QuerySendDetails": self._details}[action](dict(request.args))
        match fault:
            case "lost_answer":
                return Response("gateway time-out", 504)
            case "nonsense":
                return Response("<html>", 200)
            case "endless":
                return Response(self._endless(), 200)
            case "redirect":
                return Response("", 302, {"Location": "http://127.0.0.1:1/"})
        return _told(told)

    def _endless(self) -> Iterator[bytes]:
        for _ in range(ENDLESS_BYTES // PIECE_BYTES):
            self.streamed_bytes += PIECE_BYTES
            yield b"[" * PIECE_BYTES

    def _send(self, values: dict[str, str]) -> dict[str, Any]:
        biz_id = f"{len(self.requests)}^{sum(map(len, self.taken.values()))}"
        self.taken.setdefault(values["OutId"], []).append(Taken(values, biz_id, self._day()))
        return {"Code": "OK", "Message": "OK", "BizId": biz_id, "RequestId": "0"}

    def _details(self, asked: dict[str, str]) -> dict[str, Any]:
        size, page = int(asked["PageSize"]), int(asked["CurrentPage"])
        assert 1 <= size <= 50
        of_number = [
            (out_id, one)
            for out_id, many in self.taken.items()
            for one in many
            if (one.values["PhoneNumbers"], one.day) == (asked["PhoneNumber"], asked["SendDate"])
            and asked.get("BizId") in (None, one.biz_id)
        ]
        shown = [
            {"PhoneNum": one.values["PhoneNumbers"], "OutId": out_id, "SendStatus": one.status, "ErrCode": one.err_code}
            for out_id, one in of_number[size * (page - 1) : size * page]
        ]
        found = {"SmsSendDetailDTO": shown}
        return {"Code": "OK", "Message": "OK", "TotalCount": str(len(of_number)), "SmsSendDetailDTOs": found}

    def _day(self) -> str:
        return datetime.fromtimestamp(self.now_ms() / 1000, CHINA).strftime("%Y%m%d")

    def _flaw(self) -> str | None:
        """Why a request is not the customer's, as the gateway names it."""
        algorithm, _, rest = request.headers.get("Authorization", "").partition(" ")
        parts = dict(part.split("=", 1) for part in rest.split(",") if "=" in part)
        if algorithm != "ACS3-HMAC-SHA256" or parts.get("Credential") != KEY_ID:
            return "InvalidAccessKeyId.NotFound"
        names = parts["SignedHeaders"].split(";")
        needed = [
            "host",
            "x-acs-action",
            "x-acs-content-sha256",
            "x-acs-date",
            "x-acs-signature-nonce",
            "x-acs-version",
        ]
        if not set(needed) <= set(names) or names != sorted(names):
            return "IncompleteSignature"
        body = hashlib.sha256(request.get_data()).hexdigest()
        pairs = sorted(parse_qsl(request.query_string.decode(), keep_blank_values=True, strict_parsing=True))
        lines = [request.method, request.path, "&".join(f"{_encoded(name)}={_encoded(value)}" for name, value in pairs)]
        lines += [f"{name}:{request.headers[name].strip()}" for name in names]
        canonical = "\n".join([*lines, "", parts["SignedHeaders"], body])
        text = "ACS3-HMAC-SHA256\n" + hashlib.sha256(canonical.encode()).hexdigest()
        signature = hmac.new(KEY_SECRET.encode(), text.encode(), hashlib.sha256).hexdigest()
        if body != request.headers["x-acs-content-sha256"] or signature != parts["Signature"]:
            return "SignatureDoesNotMatch"
        at = datetime.strptime(request.headers["x-acs-date"], "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
        if abs(datetime.fromtimestamp(self.now_ms() / 1000, UTC) - at) > SKEW:
            return "InvalidTimeStamp.Expired"
        if (nonce := request.headers["x-acs-signature-nonce"]) in self.nonces:
            return "SignatureNonceUsed"
        self.nonces.add(nonce)
        return None if request.headers["x-acs-version"] == "2017-05-25" else "InvalidVersion"


@contextmanager
def running(now_ms: Callable[[], int]) -> Iterator[SmsGateway]:
    """One over HTTP, in a thread."""
    gateway, app = SmsGateway(now_ms), Flask("sms_gateway")
    app.add_url_rule("/", "answer", gateway.answer, methods=["GET", "POST"])
    server = make_server("127.0.0.1", 0, app, threaded=True)
    thread = threading.Thread(target=server.serve_forever, args=(POLL_S,), daemon=True)
    thread.start()
    gateway.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield gateway
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _told(body: dict[str, Any], status: int = 200) -> Response:
    response = jsonify(body)
    response.status_code = status
    return response


def _encoded(text: str) -> str:
    """As the documentation writes it: of the form's encoding, but %20, * encoded, and ~ plain."""
    return quote_plus(text).replace("+", "%20").replace("*", "%2A").replace("%7E", "~")
