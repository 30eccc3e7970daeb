"""A small centre over real HTTP that speaks the contract, remembers what it was sent, and misbehaves on demand."""

from __future__ import annotations

import gzip
import hashlib
import json
import ssl
import threading
from collections import deque
from collections.abc import Callable
from enum import Enum, auto

import msgspec

from tests.gate_agent.lists import CONFIG, KEY_SET, Feed
from tests.loopback import PORTAL, Handler, LoopbackServer
from tests.wire import samples
from wire import electronic_card, envelope, messages, photo, signing
from wire.electronic_card import Finding, Hashed
from wire.envelope import EnvelopeFlaw
from wire.messages import EnrolmentCode, EnrolReply, EnrolRequest, GateConfig, Outcome, ReadBatch, Receipt


class Fault(Enum):
    """What the centre, or something between it and the gate, does to one answer."""

    PORTAL = auto()
    REDIRECT = auto()
    ERROR_PAGE = auto()
    REFUSE = auto()
    DROP_BEFORE_STORING = auto()
    DROP_AFTER_STORING = auto()
    TRUNCATE = auto()
    HALF = auto()
    ENDLESS = auto()
    YESTERDAY = auto()
    TWICE = auto()
    WRONG_DIGEST = auto()
    OTHER_DEVICE = auto()
    OTHER_JOURNAL = auto()
    OTHER_KEY = auto()
    UNKNOWN_KEY = auto()
    TOO_FAR = auto()
    NONE_TAKEN = auto()


class SmallCentre:
    """Use as a context manager; `faults` are met one by one, `lists` is the feed it serves."""

    def __init__(self, now_ms: Callable[[], int] = lambda: samples.NOW_MS, tls: ssl.SSLContext | None = None) -> None:
        self.now_ms = now_ms
        self._scheme = "http" if tls is None else "https"
        self.lists = Feed()
        self.config: GateConfig = CONFIG
        self.approved = True
        self.code = messages.make_enrolment_code(bytes(range(10)), signing.public_key_of(samples.ROOT))
        self.devices = {samples.DEVICE_ID: signing.public_key_of(samples.DEVICE)}
        self.stored: dict[tuple[bytes, bytes], dict[int, tuple[bytes, bytes]]] = {}
        self.batches: list[ReadBatch] = []
        self.requests: list[tuple[str, str]] = []
        self.faults: deque[Fault | None] = deque()  # None: this request is answered well
        self.last_receipt = b""
        self.forks_allowed = False
        self.photos: dict[bytes, bytes] = {}
        self.photo_keys: dict[int, bytes] = {}
        self.cards: dict[str, tuple[Finding, tuple[Hashed, ...]]] = {}  # what is said of an electronic card's code
        self.cards_wait = threading.Event()  # cleared: whoever asks about one is kept waiting
        self.cards_wait.set()
        self.lock = threading.Lock()
        self._server = _Server(self)
        if tls is not None:
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True)

    def __enter__(self) -> SmallCentre:
        self._server.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.__exit__()

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"{self._scheme}://127.0.0.1:{self._server.server_port}"

    def entries(self, device: bytes, incarnation: bytes) -> dict[int, tuple[bytes, bytes]]:
        """What is stored of one journal: seq → (bytes, hash)."""
        return self.stored.setdefault((device, incarnation), {})

    def asked_for(self, method: str, part: str) -> int:
        """How many requests had `part` in their path."""
        with self.lock:
            return sum(1 for asked, path in self.requests if asked == method and part in path)


class _Server(LoopbackServer):
    def __init__(self, centre: SmallCentre) -> None:
        self.centre = centre
        super().__init__(_Handler)


class _Handler(Handler):
    server: _Server

    def answer(self, body: bytes) -> None:
        centre, method = self.server.centre, self.command
        with centre.lock:
            centre.requests.append((method, self.path))
            fault = centre.faults.popleft() if centre.faults else None
        if fault in _PAGES:
            status, headers, page = _PAGES[fault]
            self.send(status, headers, page)
        elif fault is Fault.DROP_BEFORE_STORING:
            self.close_connection = True
        elif fault is Fault.ENDLESS:
            self._send_endless()
        elif self.path.startswith("/feed/"):
            self._spoil(fault, *self._feed())
        else:
            self._spoil(fault, *self._device(method, body, fault))

    def _feed(self) -> tuple[int, bytes, dict[str, str]]:
        centre = self.server.centre
        if self.path == f"/feed/{centre.config.feed_id.hex()}/head":
            if not centre.lists.head:
                return self._error(404, "unknown_feed")
            etag = f'"{hashlib.sha256(centre.lists.head).hexdigest()[:16]}"'
            if self.headers.get("If-None-Match") == etag:
                return 304, b"", {"ETag": etag}
            return 200, centre.lists.head, {"ETag": etag, "Content-Type": "application/octet-stream"}
        if self.path.startswith("/feed/photos/"):
            sealed = centre.photos.get(bytes.fromhex(self.path.rsplit("/", 1)[-1]))
            return self._error(404, "unknown_photo") if sealed is None else (200, sealed, {})
        segment = centre.lists.segments.get(bytes.fromhex(self.path.rsplit("/", 1)[-1]))
        return self._error(404, "unknown_segment") if segment is None else (200, segment, {})

    def _device(self, method: str, body: bytes, fault: Fault | None) -> tuple[int, bytes, dict[str, str]]:
        centre = self.server.centre
        if self.path == "/device/v1/enrol":
            return self._enrol(body)
        headers = dict(self.headers.items())
        asked = envelope.read_envelope(headers)
        if isinstance(asked, EnvelopeFlaw) or asked.device not in centre.devices:
            return self._error(401, "unknown_device")
        clock = envelope.sign_time(centre.now_ms(), asked.nonce, samples.SERVICE_KEY_ID, samples.SERVICE)
        told = {envelope.CLOCK_HEADER: clock}
        flaw = envelope.check_request(asked, centre.devices[asked.device], method, self.path, body, centre.now_ms())
        if flaw is not None:
            return self._error(401, flaw, told)
        if not centre.approved:
            return self._error(403, "pending", told)
        if self.path == "/device/v1/config":
            sealed = messages.sign_config(centre.config, asked.device, samples.SERVICE_KEY_ID, samples.SERVICE)
            return 200, sealed, told
        if self.path == "/device/v1/photo-keys":
            keys = photo.PhotoKeys(asked.device, asked.nonce, tuple(centre.photo_keys.items()))
            return 200, photo.sign_photo_keys(keys, samples.SERVICE_KEY_ID, samples.SERVICE), told
        if self.path == "/device/v1/electronic-card":
            return 200, self._card(body, asked.device, fault), told
        return 200, self._take_entries(gzip.decompress(body), fault), told

    def _enrol(self, body: bytes) -> tuple[int, bytes, dict[str, str]]:
        centre = self.server.centre
        asked = msgspec.msgpack.decode(body, type=EnrolRequest)
        if EnrolmentCode(asked.secret, centre.code.root_check) != centre.code:
            return self._error(403, "code")
        centre.devices = {samples.DEVICE_ID: asked.public_key}
        return 200, msgspec.msgpack.encode(EnrolReply(samples.DEVICE_ID, KEY_SET)), {}

    def _card(self, body: bytes, device: bytes, fault: Fault | None) -> bytes:
        centre = self.server.centre
        question = electronic_card.read_question(body)
        assert question is not None
        centre.cards_wait.wait()
        said = electronic_card.Answer(device, electronic_card.digest_of(body), *centre.cards[question.code])
        changed: dict[Fault | None, dict[str, object]] = {
            Fault.WRONG_DIGEST: {"question": bytes(32)},
            Fault.OTHER_DEVICE: {"device": bytes(16)},
        }
        key = samples.LIST if fault is Fault.OTHER_KEY else samples.SERVICE
        key_id = 99 if fault is Fault.UNKNOWN_KEY else samples.SERVICE_KEY_ID
        return electronic_card.sign_answer(msgspec.structs.replace(said, **changed.get(fault, {})), key_id, key)

    def _take_entries(self, body: bytes, fault: Fault | None) -> bytes:
        centre = self.server.centre
        read = messages.read_batch(body)
        assert isinstance(read, ReadBatch), read
        batch = read.batch
        with centre.lock:
            stored, forked_seq = centre.entries(batch.device, batch.incarnation), 0
            for entry, raw, chained in zip(read.entries, batch.entries, read.hashes, strict=True):
                if stored.get(entry.seq, (raw, chained)) != (raw, chained):
                    assert centre.forks_allowed, "the same entry with other bytes"
                    forked_seq = entry.seq
                    break
                stored[entry.seq] = (raw, chained)
            centre.batches.append(read)
            through = next((seq - 1 for seq in range(1, len(stored) + 2) if seq not in stored), 0)
        verdicts = tuple((entry.seq, Outcome.PASS_VISIT) for entry in read.entries)
        chained = stored[through][1] if through else b""
        digest = messages.batch_digest(body)
        receipt = Receipt(batch.device, batch.incarnation, through, digest, verdicts, chained, forked_seq)
        before, centre.last_receipt = centre.last_receipt, _sign(_falsified(receipt, fault), fault)
        return before if fault is Fault.YESTERDAY else centre.last_receipt

    def _spoil(self, fault: Fault | None, status: int, body: bytes, headers: dict[str, str]) -> None:
        if fault is Fault.DROP_AFTER_STORING:
            self.close_connection = True
        elif fault is Fault.TRUNCATE:
            self.send_cut(status, headers, body)
        elif fault is Fault.HALF:
            self.send_half(status, headers, body)
        else:
            self.send(status, headers, body)
            if fault is Fault.TWICE:
                self.send(status, headers, body)

    def _error(
        self, status: int, word: str, headers: dict[str, str] | None = None
    ) -> tuple[int, bytes, dict[str, str]]:
        told = json.dumps({"error": word, "say": f"the centre says {word}"}).encode()
        return status, told, {"Content-Type": "application/json", **(headers or {})}

    def _send_endless(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.close_connection = True
        try:
            while True:
                self.wfile.write(bytes(65_536))
        except OSError:
            return  # the gate had enough of it


_HTML = {"Content-Type": "text/html; charset=utf-8"}
_PAGES: dict[Fault | None, tuple[int, dict[str, str], bytes]] = {
    Fault.PORTAL: (200, _HTML, PORTAL),
    Fault.REDIRECT: (302, {"Location": "http://portal.example/login"}, b""),
    Fault.ERROR_PAGE: (502, _HTML, b"<h1>Bad gateway</h1>"),
    Fault.REFUSE: (403, {"Content-Type": "application/json"}, b'{"error": "revoked", "say": "this gate was revoked"}'),
}


def _falsified(receipt: Receipt, fault: Fault | None) -> Receipt:
    changed: dict[Fault | None, dict[str, object]] = {
        Fault.WRONG_DIGEST: {"batch_digest": bytes(32)},
        Fault.OTHER_DEVICE: {"device": bytes(16)},
        Fault.OTHER_JOURNAL: {"incarnation": b"somebody"},
        Fault.TOO_FAR: {"through_seq": receipt.through_seq + 1},
        Fault.NONE_TAKEN: {"through_seq": receipt.through_seq - len(receipt.verdicts)},
    }
    return msgspec.structs.replace(receipt, **changed.get(fault, {}))


def _sign(receipt: Receipt, fault: Fault | None) -> bytes:
    key = samples.LIST if fault is Fault.OTHER_KEY else samples.SERVICE
    key_id = 99 if fault is Fault.UNKNOWN_KEY else samples.SERVICE_KEY_ID
    return messages.sign_receipt(receipt, key_id, key)
