"""Hangs the operators' pages on the application: language, guard, words, error pages, and every page."""

from __future__ import annotations

import secrets
from importlib.metadata import version

from flask import Flask, Response, current_app, redirect, render_template, request, url_for
from flask_login import current_user
from flask_wtf.csrf import CSRFError
from werkzeug.exceptions import HTTPException, InternalServerError, NotFound

from sync_server.admin import (  # noqa: F401  importing a page declares it
    access,
    audit_page,
    book_words,
    calendar_page,
    entries_page,
    gates_page,
    language,
    ledger_page,
    menu,
    orders_page,
    overview_page,
    passes_page,
    payouts_page,
    products_page,
    shown,
    sign_in_page,
    stock_page,
    users_page,
)
from sync_server.admin.access import Open, blueprint, page
from sync_server.admin.words import CHIPS, PERMISSION_WORDS, PRODUCT_KINDS
from sync_server.centre import Centre


def register(app: Flask, centre: Centre) -> None:  # noqa: ARG001  every web folder registers alike
    """Called once per application by `create_app`."""
    language.install(app)
    access.install(app)
    app.jinja_env.filters.update(shown.FILTERS, booked=book_words.booked)
    app.jinja_env.globals.update(shown.GLOBALS, place_of=menu.place_of)
    app.register_blueprint(blueprint)
    app.add_url_rule("/", "front_door", lambda: redirect(url_for("admin.overview")))


@blueprint.after_request
def _keep_out_of_caches(response: Response) -> Response:
    """What was shown to somebody signed in is not to be found by the back button after the sign-out."""
    if request.endpoint != "admin.static":
        response.headers["Cache-Control"] = "no-store"
    return response


@blueprint.context_processor
def _for_every_page() -> dict[str, object]:
    settings = shown.centre().settings
    operator = access.who() if current_user.is_authenticated else None
    return {
        "portal_name": settings.portal_name,
        "release": version("offline-gates"),
        "language": language.language(),
        "operator": operator,
        "menu": menu.menu_of(operator) if operator else (),
        "chips": CHIPS,
        "permission_words": PERMISSION_WORDS,
        "product_kinds": PRODUCT_KINDS,
        "now_ms": shown.centre().now_ms(),
    }


@page("/<path:_anything>", needs=Open.SIGNED_IN)
def unknown_page(_anything: str) -> tuple[str, int]:
    return render_template("admin/missing.html"), 404


@blueprint.errorhandler(NotFound)
def _missing(_error: NotFound) -> tuple[str, int]:
    return render_template("admin/missing.html"), 404


@blueprint.errorhandler(CSRFError)
def _stale(_error: CSRFError) -> tuple[str, int]:
    """The form's token does not belong to this session: signed out meanwhile, or sent from elsewhere."""
    return render_template("admin/stale.html"), 400


@blueprint.errorhandler(InternalServerError)
def _broken(_error: InternalServerError) -> tuple[str, int]:
    """Flask has logged the exception; the number ties the page a person saw to that line."""
    number = f"E-{secrets.token_hex(2).upper()}-{secrets.token_hex(2).upper()}"
    current_app.logger.error("problem %s on %s %s", number, request.method, request.endpoint)
    return render_template("admin/broken.html", number=number), 500


@blueprint.errorhandler(HTTPException)
def _refused(error: HTTPException) -> tuple[str, int]:
    return render_template("admin/refused.html", error=error), error.code or 500
