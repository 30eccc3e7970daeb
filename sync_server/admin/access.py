"""Who may open which page: every page says what it needs when it is declared, and the guard asks before it runs.

A page is declared with `@page(rule, needs=…)`; there is no other way onto the blueprint, so none is open by oversight.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from typing import TypeVar

from flask import Blueprint, Flask, redirect, render_template, request, url_for
from flask_login import LoginManager, current_user
from flask_wtf.csrf import CSRFProtect
from werkzeug.wrappers import Response

from sync_server.admin.shown import centre
from sync_server.audit import log
from sync_server.people.permissions import Permission
from sync_server.people.sessions import SignedIn, find_session

blueprint = Blueprint(
    "admin",
    __name__,
    url_prefix="/admin",
    template_folder="templates",
    static_folder="static",
    static_url_path="/static",
)


class Open(Enum):
    """Pages that need no permission: for anyone at all, or for anyone who is signed in."""

    ANYONE = "anyone"
    SIGNED_IN = "signed in"


NEEDS: dict[str, Permission | Open] = {}  # endpoint -> what it needs

View = TypeVar("View", bound=Callable[..., object])

_csrf = CSRFProtect()
_signed_in = LoginManager()


def page(rule: str, *, needs: Permission | Open, methods: tuple[str, ...] = ("GET",)) -> Callable[[View], View]:
    """Put a view on the blueprint under its own name."""

    def declare(view: View) -> View:
        NEEDS[f"admin.{view.__name__}"] = needs
        blueprint.add_url_rule(rule, view.__name__, view, methods=list(methods))  # type: ignore[arg-type]  # any view
        return view

    return declare


class Browser:
    """What Flask-Login keeps for a request: the session behind the cookie."""

    is_authenticated = True
    is_active = True
    is_anonymous = False

    def __init__(self, signed_in: SignedIn) -> None:
        self.signed_in = signed_in

    def get_id(self) -> str:
        return self.signed_in.token


def who() -> SignedIn:
    """The operator of this request; only on pages that need a sign-in."""
    browser = current_user._get_current_object()
    assert isinstance(browser, Browser), "this page is open to anyone: it has no operator"
    return browser.signed_in


def install(app: Flask) -> None:
    """Sessions and CSRF tokens; the guard belongs to the blueprint."""
    app.config.update(WTF_CSRF_CHECK_DEFAULT=False, WTF_CSRF_TIME_LIMIT=None)  # the guard checks; lives as the session
    _csrf.init_app(app)
    _signed_in.init_app(app)


@_signed_in.user_loader  # type: ignore[untyped-decorator]  # flask_login ships no types
def _load(token: str) -> Browser | None:
    with centre().read() as connection:
        found = find_session(connection, token, centre().now_ms())
    return None if found is None else Browser(found)


@blueprint.before_request
def _guard() -> Response | tuple[str, int] | None:
    if request.endpoint == "admin.static":
        return None
    needs = NEEDS[str(request.endpoint)]
    if needs is not Open.ANYONE:
        if not current_user.is_authenticated:
            return redirect(
                url_for("admin.sign_in_page", next=request.full_path.rstrip("?") if request.method == "GET" else None)
            )
        if isinstance(needs, Permission) and not who().may(needs):
            return _denied(needs)
    if request.method not in ("GET", "HEAD", "OPTIONS"):
        _csrf.protect()
    return None


def _denied(needs: Permission) -> tuple[str, int]:
    """Says which permission is missing; the visit is in the log."""
    with centre().write() as connection:
        log.record(connection, centre().now_ms(), who().actor, "page.denied", str(request.endpoint), {"needs": needs})
    return render_template("admin/denied.html", needs=needs), 403
