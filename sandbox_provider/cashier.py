"""The visitor's cashier: one page, one button."""

from __future__ import annotations

from flask import Blueprint, abort, redirect, render_template, request
from werkzeug.wrappers import Response

from sandbox_provider.provider import this_provider
from sandbox_provider.tables import Transfer

blueprint = Blueprint("cashier", __name__, url_prefix="/cashier")


@blueprint.get("/<token>")
def cashier(token: str) -> str:
    """What is to be paid, or that it was."""
    return render_template("cashier.html", transfer=_of(token))


@blueprint.post("/<token>")
def pay(token: str) -> Response:
    """The visitor pays; a second click changes nothing."""
    provider, transfer = this_provider(), _of(token)
    if provider.book.settle(transfer.out_no, provider.now_ms()) is not None:
        provider.promise_notices(transfer.out_no, provider.faults.take("cashier"))
    return redirect(request.root_path + request.path, code=303)


def _of(token: str) -> Transfer:
    transfer = this_provider().book.find_cashier(token)
    if transfer is None:
        abort(404)
    return transfer
