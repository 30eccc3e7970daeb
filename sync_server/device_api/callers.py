"""Who is asking: the signature of a request, its time, its nonce, and whether the registry lets that gate do this."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from sqlalchemy.engine import Connection

from sync_server.centre import Centre
from sync_server.gates import registry
from sync_server.gates.registry import Device
from wire.envelope import EnvelopeFlaw, check_request, read_envelope


class Refusal(StrEnum):
    """The word a refused gate reads in `error`."""

    MALFORMED = "malformed"
    UNKNOWN_DEVICE = "unknown_device"
    FORGED = "forged"
    OUTSIDE_WINDOW = "outside_window"
    REPLAYED = "replayed"
    PENDING = "pending"
    REVOKED = "revoked"


SENTENCES = {
    Refusal.MALFORMED: "the headers of the signature are missing or unreadable",
    Refusal.UNKNOWN_DEVICE: "this centre has enrolled no gate of that id",
    Refusal.FORGED: "the signature is not the one of that gate",
    Refusal.OUTSIDE_WINDOW: "the gate's clock is too far off; take the time from the header Gate-Clock and ask again",
    Refusal.REPLAYED: "this request was made before; sign a new one",
    Refusal.PENDING: "an operator has to approve this gate first",
    Refusal.REVOKED: "this gate was revoked",
}

_OF_FLAW = {
    EnvelopeFlaw.MALFORMED: Refusal.MALFORMED,
    EnvelopeFlaw.OUTSIDE_WINDOW: Refusal.OUTSIDE_WINDOW,
    EnvelopeFlaw.FORGED: Refusal.FORGED,
}
_OF_STATE = {"pending": Refusal.PENDING, "revoked": Refusal.REVOKED}


class Request(NamedTuple):
    """What is signed: `path` with its query, `body` as it came over the wire. `headers`: those of the signature."""

    method: str
    path: str
    body: bytes
    headers: Mapping[str, str]


@dataclass(frozen=True)
class Caller:
    """A gate that is who it says, and may do this. `spend` its nonce before anything is done for it."""

    device: Device
    nonce: bytes


def identify(
    centre: Centre, request: Request, states: Collection[str], find: Callable[[bytes], Device | None] | None = None
) -> Caller | Refusal:
    """Check signature and time, and that the registry has this gate in one of the `states` that may do this.

    `find` looks devices up elsewhere than in the registry itself.
    """
    envelope = read_envelope(request.headers)
    if isinstance(envelope, EnvelopeFlaw):
        return _OF_FLAW[envelope]
    if find is not None:
        device = find(envelope.device)
    else:
        with centre.read() as connection:
            device = registry.find_device(connection, envelope.device)
    if device is None:
        return Refusal.UNKNOWN_DEVICE
    flaw = check_request(envelope, device.public_key, request.method, request.path, request.body, centre.now_ms())
    if flaw is not None:
        return _OF_FLAW[flaw]
    return Caller(device, envelope.nonce) if device.state in states else _OF_STATE[device.state]


def spend(connection: Connection, caller: Caller, now_ms: int) -> bool:
    """Spend the request's nonce in the transaction that acts on it; False when the request was made before."""
    return registry.first_use(connection, caller.device.id, caller.nonce, now_ms)
