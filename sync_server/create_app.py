"""The Flask application: security headers, body limit, errors, and one `register(app, centre)` per web folder.

A web folder (admin, device_api, provider_callbacks …) has a `web.py` with `register(app: Flask, centre: Centre)`;
it hangs its blueprint on the app and is added to WEB_FOLDERS below, in order. Machines' interfaces live under the
prefixes of MACHINE_PATHS: they get JSON errors and no cookies; people's pages everywhere else get HTML.
"""

from __future__ import annotations

import psycopg
import sqlalchemy as sa
from flask import Flask, Request, Response, abort, current_app, jsonify, request
from flask.sessions import SecureCookieSession, SecureCookieSessionInterface
from werkzeug.exceptions import HTTPException, ServiceUnavailable

import sync_server.admin.web
import sync_server.device_api.web
import sync_server.provider_callbacks.web
from sync_server.centre import Centre, open_centre
from sync_server.db import can_be_kept
from sync_server.proxies import BehindProxies, networks_of
from sync_server.settings import Settings

WEB_FOLDERS = (
    sync_server.admin.web.register,
    sync_server.device_api.web.register,
    sync_server.provider_callbacks.web.register,
)
MACHINE_PATHS = ("/callbacks/", "/device/", "/feed/", "/healthz")

RETRY_AFTER_S = 2
"""A database that is started again answers by then."""

SECURITY_HEADERS = {
    "Content-Security-Policy": "default-src 'self'; script-src 'self'; style-src 'self'; img-src 'self' blob:; "
    "object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
}


class PeopleSessions(SecureCookieSessionInterface):
    """Sessions for people's pages only: what machines and caches are answered never varies by cookie."""

    def open_session(self, app: Flask, request: Request) -> SecureCookieSession | None:
        return None if request.path.startswith(MACHINE_PATHS) else super().open_session(app, request)


def create_app(settings: Settings) -> Flask:
    """The whole centre as one WSGI application on the settings' database."""
    return app_of(open_centre(settings))


def app_of(centre: Centre) -> Flask:
    """The same for a centre that is open already (tests bring their own clock)."""
    app = Flask("sync_server", static_folder=None)
    app.session_interface = PeopleSessions()
    app.config.update(
        SECRET_KEY=centre.secrets.session_key,
        MAX_CONTENT_LENGTH=centre.settings.max_body_bytes,
        SESSION_COOKIE_HTTPONLY=True,
        SESSION_COOKIE_SAMESITE="Lax",
        SESSION_COOKIE_SECURE=centre.settings.base_url.startswith("https://"),
    )
    app.extensions["centre"] = centre
    app.wsgi_app = BehindProxies(app.wsgi_app, networks_of(centre.settings.trusted_proxies))  # type: ignore[method-assign]
    app.before_request(_refuse_what_cannot_be_kept)
    app.after_request(_add_security_headers)
    app.register_error_handler(HTTPException, _answer_error)
    for broken in (sa.exc.OperationalError, sa.exc.TimeoutError, psycopg.OperationalError):
        app.register_error_handler(broken, _ask_again)
    app.add_url_rule("/healthz", "healthz", _healthz)
    for register in WEB_FOLDERS:
        register(app, centre)
    return app


def _healthz() -> Response:
    return jsonify({"ok": True})


def _refuse_what_cannot_be_kept() -> None:
    """What people type or ask for, wherever it would go; machines' bodies are read by their own formats."""
    if request.path.startswith(MACHINE_PATHS):
        return
    for asked in (request.args, request.form):
        if not all(can_be_kept(text) for pair in asked.items(multi=True) for text in pair):
            abort(422, "a text holds a character that cannot be kept: take it out")
    if not can_be_kept(request.path):
        abort(404)


def _add_security_headers(response: Response) -> Response:
    response.headers.extend(SECURITY_HEADERS)
    return response


def _ask_again(error: Exception) -> Response:
    """The database was away, or too busy, perhaps for a moment only. What a gate asks twice is done once."""
    current_app.logger.error("no answer to %s %s: %s", request.method, request.endpoint, error)
    refusal = ServiceUnavailable("the database does not answer: ask again soon")
    response = current_app.make_response(current_app.handle_http_exception(refusal))
    response.headers["Retry-After"] = str(RETRY_AFTER_S)
    return response


def _answer_error(error: HTTPException) -> Response | HTTPException:
    """JSON to machines; people's folders bring their own error pages (blueprint error handlers)."""
    if not request.path.startswith(MACHINE_PATHS):
        return error
    response = jsonify({"error": error.name.lower().replace(" ", "_"), "say": error.description})
    response.status_code = error.code or 500
    return response
