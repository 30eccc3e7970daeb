"""The screen for tablets on the venue's network, over TLS: what visitors see is for all, the rest for paired ones."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Sequence

from flask import Blueprint, Flask, Response, abort, g, make_response, redirect, render_template, request, url_for

from gate_agent import settings
from gate_agent.acting import Acts
from gate_agent.acts import Act
from gate_agent.board import Board
from gate_agent.pairing import CODE_DIGITS, NotPaired, Pairing
from gate_agent.screen.act_words import Pair
from gate_agent.screen.acts import act_pages
from gate_agent.screen.app import create_app
from gate_agent.screen.pair_words import NOT_PAIRED, ONLY_AT_THE_BOX, UNPAIRED
from gate_agent.screen.server import Server
from gate_agent.screen.sounds import Sounds
from gate_agent.screen.tls_front import TlsFront, listen
from gate_agent.settings import ScreenSettings

COOKIE = "__Host-gate"
COOKIE_S = 400 * 24 * 3600
"""As long as browsers keep any; then it is paired again."""
OWN_PAGES = frozenset({"screen.told_to_the_centre"})
"""For programs of this machine."""
FOR_ALL = frozenset(
    {"screen.index", "screen.lane_page", "screen.lane_events", "static", "tablets.pairing_page", "tablets.pair"}
)
"""What a browser that is not paired may ask for: what every visitor sees at the lanes, and to be paired."""
PAIR_STATUS = {
    NotPaired.NO_NAME: 400,
    NotPaired.WRONG: 403,
    NotPaired.SPENT: 429,
    NotPaired.DISK: 503,
}
"""Every other is 409: not possible now."""


def serve_tablets(
    board: Board,
    now_ms: Callable[[], int | None],
    acts: Acts,
    pairing: Pairing,
    screen: ScreenSettings,
    sounds: Sounds,
    context: ssl.SSLContext,
) -> Callable[[], None]:
    """Serves tablets at `screen.listen` until the returned function is called. OSError: the port is taken."""
    where = settings.listening(screen)
    assert where is not None, "tablets are let in"
    app = create_tablets_app(board, now_ms, acts, pairing, (where[0], *screen.listen_names), sounds)
    listening = listen(where)
    server = Server(app, app.extensions["screen"].streams, 0, scheme="https")
    front = TlsFront(listening, context, server.port)

    def close() -> None:
        server.close()
        front.close()

    return close


def create_tablets_app(
    board: Board,
    now_ms: Callable[[], int | None],
    acts: Acts,
    pairing: Pairing,
    hosts: Sequence[str],
    sounds: Sounds,
) -> Flask:
    """As `create_app`, with streams of its own, so that no tablet takes one from the screens beside the lanes.

    `hosts` are the names under which tablets may ask.
    """
    pages = act_pages(acts, board, now_ms, browser=lambda: g.browser)
    app = create_app(board, now_ms, acts=pages, can=acts.can - {Act.PAIR}, sounds=sounds, hosts=hosts)
    app.before_request(lambda: _let_in(pairing))
    app.register_blueprint(_pairing_pages(pairing))
    return app


def _let_in(pairing: Pairing) -> Response | None:
    """Who asks, and what for. A browser names its origin with everything it posts; what does not is none."""
    cookie = request.cookies.get(COOKIE, "")
    g.browser = pairing.browser(cookie)
    g.may_go_on = lambda: pairing.browser(cookie) is not None
    if request.method == "POST" and "Origin" not in request.headers:
        abort(403)
    if request.endpoint in OWN_PAGES:
        abort(404)
    if request.endpoint is None or request.endpoint in FOR_ALL:  # None: there is no such page
        return None
    if g.browser is None and request.endpoint == "screen.staff":
        return make_response(redirect(url_for("tablets.pairing_page")))
    if g.browser is None:
        return _refused(UNPAIRED)
    return _refused(ONLY_AT_THE_BOX) if (request.view_args or {}).get("act") == Act.PAIR else None


def _pairing_pages(pairing: Pairing) -> Blueprint:
    pages = Blueprint("tablets", __name__, url_prefix="/staff/pair")

    @pages.get("")
    def pairing_page() -> str:
        return _page()

    @pages.post("")
    def pair() -> Response:
        name = request.form.get("name", "")
        paired = pairing.finish(request.form.get("code", ""), name)
        if isinstance(paired, NotPaired):
            return make_response(_page(NOT_PAIRED[paired], name), PAIR_STATUS.get(paired, 409))
        answer = make_response(redirect(url_for("screen.staff"), 303))
        answer.set_cookie(COOKIE, paired, COOKIE_S, secure=True, httponly=True, samesite="Strict")
        return answer

    @pages.after_request
    def name_the_origin(response: Response) -> Response:
        """Without this a browser posts the form as from nowhere."""
        response.headers["Referrer-Policy"] = "same-origin"
        return response

    return pages


def _page(told: Pair | None = None, name: str = "") -> str:
    return render_template("pair.html", digits=CODE_DIGITS, told=told, name=name)


def _refused(sentence: Pair) -> Response:
    answer = make_response(" · ".join(sentence), 403)
    answer.content_type = "text/plain; charset=utf-8"
    return answer
