"""The control endpoint: merchants, accounts and faults of a running provider. Needs the token that READY printed."""

from __future__ import annotations

import hmac
from typing import TypeVar

import msgspec
from flask import Blueprint, abort, request

from sandbox_provider.faults import Fault
from sandbox_provider.provider import this_provider

T = TypeVar("T")

blueprint = Blueprint("control", __name__, url_prefix="/control")


class TopUp(msgspec.Struct, forbid_unknown_fields=True):
    """Put money into an account, opening it if need be."""

    name: str
    amount_fen: int = 0


class NewMerchant(msgspec.Struct, forbid_unknown_fields=True):
    """A merchant and its RSA public key (PEM)."""

    app_id: str
    public_key: str


@blueprint.before_request
def check_token() -> None:
    """Nobody else plays faults here."""
    given = request.headers.get("Sandbox-Control", "")
    if not hmac.compare_digest(given.encode(), this_provider().control_token.encode()):
        abort(403, "the control endpoint needs the token that READY printed, in the header Sandbox-Control")


@blueprint.post("/faults")
def add_fault() -> dict[str, object]:
    """Play one more fault."""
    this_provider().faults.add(_decoded(Fault))
    return {"ok": True}


@blueprint.delete("/faults")
def clear_faults() -> dict[str, object]:
    """Behave well from now on."""
    this_provider().faults.clear()
    return {"ok": True}


@blueprint.post("/accounts")
def top_up() -> dict[str, object]:
    """The account's balance afterwards."""
    wanted = _decoded(TopUp)
    return {"balance_fen": this_provider().book.top_up(wanted.name, wanted.amount_fen)}


@blueprint.get("/accounts")
def balances() -> dict[str, int]:
    """Every account's balance."""
    return this_provider().book.balances()


@blueprint.post("/merchants")
def add_merchant() -> dict[str, object]:
    """Register a merchant, or give it another key."""
    wanted = _decoded(NewMerchant)
    this_provider().book.add_merchant(wanted.app_id, wanted.public_key)
    return {"ok": True}


def _decoded(what: type[T]) -> T:
    try:
        return msgspec.json.decode(request.get_data(), type=what)
    except (ValueError, RecursionError) as error:  # no such JSON, no UTF-8; brackets without end
        abort(400, str(error))
