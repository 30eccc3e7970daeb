"""The control endpoint: merchants, accounts, terms and faults of a running provider. Needs READY's token."""

from __future__ import annotations

import hmac
from typing import TypeVar

import msgspec
from flask import Blueprint, abort, request

from sandbox_provider.faults import Fault
from sandbox_provider.provider import this_provider
from sandbox_provider.tables import KINDS

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


class Fee(msgspec.Struct, forbid_unknown_fields=True):
    """What every movement of a kind costs the merchant from now on."""

    kind: str
    fee_fen: int

    def __post_init__(self) -> None:
        if self.kind not in KINDS or self.fee_fen < 0:
            raise ValueError(f"a fee is for one of {', '.join(KINDS)}, and at least 0")


class FundRate(msgspec.Struct, forbid_unknown_fields=True):
    """What funds yield a day from now on, in basis points."""

    bps_a_day: int


class FundYield(msgspec.Struct, forbid_unknown_fields=True):
    """What a merchant's fund has yielded so far."""

    app_id: str
    fund: str
    yield_fen: int


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


@blueprint.post("/fees")
def set_fee() -> dict[str, object]:
    """Take so much for every movement of a kind."""
    wanted = _decoded(Fee)
    this_provider().book.set_fee(wanted.kind, wanted.fee_fen)
    return {"ok": True}


@blueprint.post("/funds")
def set_fund_rate() -> dict[str, object]:
    """Let every fund yield so much a day."""
    provider = this_provider()
    provider.book.set_fund_rate(_decoded(FundRate).bps_a_day, provider.now_ms())
    return {"ok": True}


@blueprint.post("/funds/yield")
def set_fund_yield() -> dict[str, object]:
    """Let one fund have yielded so much."""
    provider, wanted = this_provider(), _decoded(FundYield)
    provider.book.set_fund_yield(wanted.app_id, wanted.fund, wanted.yield_fen, provider.now_ms())
    return {"ok": True}


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
