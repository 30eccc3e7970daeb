"""A provider's Flask application: the gateway for merchants, the cashier for visitors, the control endpoint."""

from __future__ import annotations

from collections.abc import Sequence

from flask import Flask
from werkzeug.exceptions import HTTPException, NotFound
from werkzeug.middleware.dispatcher import DispatcherMiddleware

from sandbox_provider import cashier, control, gateway
from sandbox_provider.provider import Provider

MAX_BODY_BYTES = 64 * 1024


def create_apps(providers: Sequence[Provider]) -> DispatcherMiddleware:
    """All providers in one WSGI application, each under its name."""
    return DispatcherMiddleware(NotFound(), {f"/{each.name}": create_app(each) for each in providers})


def create_app(provider: Provider) -> Flask:
    """One WSGI application for one provider."""
    app = Flask("sandbox_provider")
    app.config["MAX_CONTENT_LENGTH"] = MAX_BODY_BYTES
    app.extensions["provider"] = provider
    for pages in (gateway.blueprint, cashier.blueprint, control.blueprint):
        app.register_blueprint(pages)
    app.register_error_handler(HTTPException, _refused)
    app.add_url_rule("/healthz", "healthz", lambda: {"ok": True})
    return app


def _refused(error: HTTPException) -> tuple[dict[str, object], int]:
    return {"error": error.description}, error.code or 500
