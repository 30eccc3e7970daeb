"""A gate's side of the conversation with the centre, request by request, for tests of what the centre answers."""

from __future__ import annotations

import gzip
from typing import Any

from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from sync_server.keys import key_set
from tests.sync_server.town import Gate, Town
from wire.envelope import CLOCK_HEADER, read_time, sign_request
from wire.keyset import KeySet, read_key_set
from wire.messages import GateConfig, read_config
from wire.signing import SealFlaw


class Box:
    """A gate with its keys; every request is signed and its answer tells the time."""

    def __init__(self, http: FlaskClient, town: Town, gate: Gate) -> None:
        self.http, self.town, self.gate, self.requests = http, town, gate, 0

    def ask(self, method: str, path: str, body: bytes = b"", **changed: Any) -> TestResponse:
        """A signed request; `changed` spoils what is signed or sent."""
        self.requests += 1
        nonce = changed.get("nonce", self.requests.to_bytes(16, "big"))
        now_ms = changed.get("now_ms", self.town.clock.now_ms)
        private = changed.get("private", self.gate.private)
        device_id = changed.get("device_id", self.gate.device.id)
        headers = sign_request(private, device_id, method, path, changed.get("signed_body", body), now_ms, nonce)
        headers["Content-Encoding"] = "gzip"
        answer = self.http.open(path, method=method, data=body, headers=headers)
        keys = town_keys(self.town)
        assert read_time(answer.headers[CLOCK_HEADER], nonce, keys) == self.town.clock.now_ms
        return answer

    def send(self, body: bytes, **changed: Any) -> TestResponse:
        return self.ask("POST", "/device/v1/entries", gzip.compress(body), **changed)


def town_keys(town: Town) -> KeySet:
    with town.centre.read() as connection:
        published = key_set.newest(connection)
    keys = read_key_set(published.document, published.root_public)
    assert isinstance(keys, KeySet)
    return keys


def config_of(box: Box) -> GateConfig:
    """The configuration, read as the gate reads it: sealed for this device by a service key of the pinned root."""
    data = box.ask("GET", "/device/v1/config").data
    read = read_config(data, box.gate.device.id, town_keys(box.town).root)
    assert isinstance(read, tuple), read
    assert read_config(data, bytes(16), town_keys(box.town).root) is SealFlaw.FORGED
    return read[0]


def error(answer: TestResponse) -> tuple[int, str]:
    assert answer.json is not None and answer.json["say"]
    return answer.status_code, answer.json["error"]
