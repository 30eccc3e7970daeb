"""The platform over HTTP: customers ask whose code it is, the control endpoint plays the phones and the faults."""

from __future__ import annotations

import hmac
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

import msgspec
from flask import Blueprint, Flask, Response, abort, current_app, request
from werkzeug.exceptions import HTTPException

from sandbox_card_platform.faults import Fault, FaultKind, Faults
from sandbox_card_platform.signing import HEADER, is_signed, sign
from sandbox_card_platform.wallets import Full, Outcome, Person, Wallets

MAX_BODY_BYTES = 16 * 1024
MAX_NUMBERS = 100_000
CONTROL_HEADER = "Sandbox-Control"
CHUNK = b"x" * 4096

T = TypeVar("T")


@dataclass
class Platform:
    """What all requests share. `customers` are their secrets by app id, `numbers` the requests that were made."""

    wallets: Wallets
    faults: Faults
    customers: Mapping[str, bytes]
    control_token: str
    stopping: threading.Event = field(default_factory=threading.Event)
    numbers: dict[tuple[str, str], None] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def first_use(self, app_id: str, number: str) -> bool:
        """Whether a customer's request bears a number it has not used; the oldest of many are forgotten."""
        with self.lock:
            if (app_id, number) in self.numbers:
                return False
            self.numbers[app_id, number] = None
            if len(self.numbers) > MAX_NUMBERS:
                del self.numbers[next(iter(self.numbers))]
            return True


class Asked(msgspec.Struct, forbid_unknown_fields=True):
    """A customer's request: whose code is this? Each bears a number of its own."""

    app_id: str
    number: str
    code: str


class Drawer(msgspec.Struct, forbid_unknown_fields=True):
    """Whose phone is to draw a code."""

    id_number: str


class NewPerson(msgspec.Struct, forbid_unknown_fields=True):
    """Somebody who gets an electronic card."""

    id_number: str
    identification: str | None = None


def create_app(platform: Platform) -> Flask:
    """One WSGI application for one platform."""
    app = Flask("sandbox_card_platform", static_folder=None)
    app.config["MAX_CONTENT_LENGTH"] = MAX_BODY_BYTES
    app.extensions["platform"] = platform
    app.add_url_rule("/cards/resolve", "resolve", _resolve, methods=["POST"])
    app.register_blueprint(control)
    app.register_error_handler(HTTPException, _refused)
    app.add_url_rule("/healthz", "healthz", lambda: {"ok": True})
    return app


def _resolve() -> Response:
    """Signed by a customer; answered once for each number, and once for each code."""
    platform, asked = _platform(), _decoded(Asked)
    secret = platform.customers.get(asked.app_id)
    signature = request.headers.get(HEADER, "")
    if secret is None or not is_signed(secret, "request", asked.number, request.get_data(), signature):
        abort(403, "the request is not signed by a customer we know")
    if not platform.first_use(asked.app_id, asked.number):
        abort(409, "this request was made before: give each a number of its own")
    fault = platform.faults.take()
    if fault is not None and fault.kind is FaultKind.DOWN:
        abort(503, "played: the platform is down")
    if fault is not None and fault.kind is FaultKind.ENDLESS:
        return Response(_endless(platform.stopping), content_type="application/json")
    is_over = fault is not None and fault.kind is FaultKind.EXPIRED
    found = Outcome.EXPIRED if is_over else platform.wallets.resolve(asked.code)
    return _spoiled(fault, asked, secret, _told(asked, found))


def _told(asked: Asked, found: Person | Outcome) -> bytes:
    said = {"app_id": asked.app_id, "number": asked.number}
    if isinstance(found, Outcome):
        return msgspec.json.encode({**said, "outcome": found})
    person = {"id_number": found.id_number, "identification": found.identification}
    return msgspec.json.encode({**said, "outcome": Outcome.FOUND, **person})


def _spoiled(fault: Fault | None, asked: Asked, secret: bytes, body: bytes) -> Response:
    """What a fault leaves of a good answer."""
    number = asked.number
    match None if fault is None else fault.kind:
        case FaultKind.SLOW if fault is not None:
            _platform().stopping.wait(fault.delay_ms / 1000)
        case FaultKind.WRONG_SIGNATURE:
            secret = bytes(len(secret))
        case FaultKind.OTHER_ANSWER:
            number = f"not-{number}"
            body = body.replace(asked.number.encode(), number.encode())
        case FaultKind.NONSENSE:
            return Response("<html><body>please log in to the network</body></html>", content_type="text/html")
    return Response(body, content_type="application/json", headers={HEADER: sign(secret, "answer", number, body)})


def _endless(stopping: threading.Event) -> Iterator[bytes]:
    while not stopping.wait(0.01):
        yield CHUNK


control = Blueprint("control", __name__, url_prefix="/control")


@control.before_request
def check_token() -> None:
    """Nobody else plays phones and faults here."""
    given = request.headers.get(CONTROL_HEADER, "")
    if not hmac.compare_digest(given.encode(), _platform().control_token.encode()):
        abort(403, f"the control endpoint needs the token that READY printed, in the header {CONTROL_HEADER}")


@control.post("/people")
def add_person() -> dict[str, object]:
    """Give somebody an electronic card."""
    new = _decoded(NewPerson)
    try:
        _platform().wallets.add(Person(new.id_number, new.identification))
    except Full as error:
        abort(409, str(error))
    return {"ok": True}


@control.post("/codes")
def draw_code() -> dict[str, str]:
    """The next code on somebody's phone."""
    try:
        return {"code": _platform().wallets.draw(_decoded(Drawer).id_number)}
    except KeyError:
        abort(404, "nobody of that ID number has an electronic card: add the person first")
    except Full as error:
        abort(409, str(error))


@control.post("/faults")
def add_fault() -> dict[str, object]:
    """Play one more fault."""
    try:
        _platform().faults.add(_decoded(Fault))
    except ValueError as error:
        abort(409, str(error))
    return {"ok": True}


@control.delete("/faults")
def clear_faults() -> dict[str, object]:
    """Behave well from now on."""
    _platform().faults.clear()
    return {"ok": True}


def _platform() -> Platform:
    platform: Platform = current_app.extensions["platform"]
    return platform


def _decoded(what: type[T]) -> T:
    try:
        return msgspec.json.decode(request.get_data(), type=what)
    except (ValueError, RecursionError) as error:  # no such JSON, no UTF-8; brackets without end
        abort(400, str(error))


def _refused(error: HTTPException) -> tuple[dict[str, object], int]:
    return {"error": error.description}, error.code or 500
