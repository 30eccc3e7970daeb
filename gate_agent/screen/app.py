"""The status screen's pages and event streams: read-only, for the browsers beside the lanes and the staff's tablets."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence

from flask import Blueprint, Flask, Response, abort, g, jsonify, render_template, request
from werkzeug.exceptions import NotFound

from gate_agent import health_report, heartbeat
from gate_agent.board import Board, Scan, Snapshot
from gate_agent.screen import scans, strip, times, visitor, words
from gate_agent.screen.commission_words import TrialLine, trial_line
from gate_agent.screen.server import HOST, REQUEST_BODY_LIMIT, Server
from gate_agent.screen.sounds import Sounds
from gate_agent.screen.speech import LANGUAGES, Speech
from gate_agent.screen.streams import BEAT_S, Streams
from gate_agent.status import Status
from wire.heartbeat import encode_heartbeat

TRUSTED_HOSTS = [HOST, "localhost"]
STAFF_PAUSE_S = 0.25
FOREIGN = frozenset({"cross-site", "same-site"})
"""What browsers call another host, and another port of this one (Sec-Fetch-Site)."""
ALL_HEARD = Sounds()

FindPhoto = Callable[[bytes, bytes], bytes | None]

HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}


class Screen:
    """What the pages are made of: the board, the gate's time (UTC ms, None while unknown), the streams."""

    def __init__(
        self,
        board: Board,
        now_ms: Callable[[], int | None],
        beat_s: float,
        sounds: Sounds,
        can: Collection[str],
        photo: FindPhoto,
    ) -> None:
        self.board = board
        self.photo = photo
        self.sounds = sounds
        self.can = can
        self.now_ms = now_ms
        self.streams = Streams(board, lambda: times.clock(now_ms(), board.snapshot().status.zone), beat_s)

    def face(self, snapshot: Snapshot, lane: int) -> dict[str, object]:
        """What the template of a lane's visitor face is given; 404 for a lane this gate does not have."""
        status = next((own for own in snapshot.status.lanes if own.lane == lane), None)
        if status is None or lane not in snapshot.shown:
            abort(404)
        now_ms = self.now_ms()
        return {
            "face": visitor.view(status, snapshot.shown[lane], snapshot.status, now_ms),
            "heard": self.sounds.heard(lane, now_ms, snapshot.status.zone),
        }

    def staff(self, snapshot: Snapshot, lang: str) -> dict[str, object]:
        """What the staff's templates are given."""
        status = snapshot.status
        speech = Speech(lang, status.zone, self.now_ms())
        return {
            "speech": speech,
            "can": self.can,
            "label": speech.label,
            "strip": strip.strip(status, speech),
            "trial": self._trial(status, speech),
            "counters": status.counters,
            "refused": sum(status.counters.refused.values()),
            "bars": scans.bars(status.counters.refused, speech),
            "rows": scans.rows(snapshot.scans, speech),
            "detail": self.detail(snapshot.scans[0], speech) if snapshot.scans else None,
        }

    def _trial(self, status: Status, speech: Speech) -> TrialLine | None:
        """The lane that is being commissioned, or was just now."""
        lanes = [lane.lane for lane in status.lanes]
        return None if status.trial is None else trial_line(status.trial, lanes, speech.pick)

    def detail(self, scan: Scan, speech: Speech) -> scans.Detail:
        """One scan whole, with the holder's photo if it can be shown."""
        seen = bool(scan.photo) and self.photo(scan.pass_id, scan.photo) is not None
        return scans.detail(scan, speech, self.can, photo=seen)


def create_app(
    board: Board,
    now_ms: Callable[[], int | None],
    simulation: Blueprint | None = None,
    beat_s: float = BEAT_S,
    acts: Blueprint | None = None,
    can: Collection[str] = (),
    sounds: Sounds = ALL_HEARD,
    hosts: Sequence[str] = TRUSTED_HOSTS,
    photo: FindPhoto = lambda _pass_id, _name: None,
) -> Flask:
    """The status screen of one agent. `now_ms` is the gate's time (UTC), None while it does not know it;
    `simulation` is the control port of simulated lanes, only with --simulate; `acts` are the pages by which staff act,
    `can` the acts that have a key; `hosts` are the names under which browsers may ask; `photo` gives the JPEG of a
    pass's holder by its name, and is left out where others than the box's own browser may look."""
    app = Flask(__name__)
    app.config.update(TRUSTED_HOSTS=list(hosts), MAX_CONTENT_LENGTH=REQUEST_BODY_LIMIT)
    app.jinja_options = {"trim_blocks": True, "lstrip_blocks": True}
    app.json.ensure_ascii = False  # type: ignore[attr-defined]
    app.extensions["screen"] = screen = Screen(board, now_ms, beat_s, sounds, can, photo)
    app.before_request(_same_origin)
    app.after_request(_headers)
    app.register_error_handler(NotFound, _missing)
    app.register_blueprint(_pages(screen, simulated=simulation is not None))
    for more in (simulation, acts):
        if more is not None:
            app.register_blueprint(more)
    return app


def serve(app: Flask, port: int) -> tuple[Server, str]:
    """Serves the screen from threads of its own; the server and its address. Port 0: any free one.

    OSError: the port is taken."""
    server = Server(app, app.extensions["screen"].streams, port)
    return server, server.url


def _pages(screen: Screen, simulated: bool) -> Blueprint:
    pages = Blueprint("screen", __name__)

    @pages.get("/")
    def index() -> str:
        return render_template("index.html", status=screen.board.snapshot().status, simulated=simulated)

    @pages.get("/lane/<int:lane>")
    def lane_page(lane: int) -> str:
        return render_template("visitor.html", frozen=words.FROZEN, **screen.face(screen.board.snapshot(), lane))

    @pages.get("/events/lane/<int:lane>")
    def lane_events(lane: int) -> Response:
        screen.face(screen.board.snapshot(), lane)

        def parts(snapshot: Snapshot) -> Mapping[str, str]:
            return {"face": render_template("face.html", **screen.face(snapshot, lane))}

        return screen.streams.open(parts)

    @pages.get("/healthz")
    def healthz() -> Response:
        return jsonify(health_report.report(screen.board))

    @pages.get(heartbeat.PATH)
    def told_to_the_centre() -> Response:
        told = heartbeat.heartbeat_of(screen.board, screen.now_ms(), screen.streams.taken)
        return Response(encode_heartbeat(told), mimetype="application/msgpack")

    _staff_pages(pages, screen)
    return pages


def _staff_pages(pages: Blueprint, screen: Screen) -> None:
    @pages.get("/staff")
    def staff() -> str:
        return render_template("staff.html", **screen.staff(screen.board.snapshot(), _language()))

    @pages.get("/events/staff")
    def staff_events() -> Response:
        lang = _language()

        def parts(snapshot: Snapshot) -> Mapping[str, str]:
            given = screen.staff(snapshot, lang)
            names = ("strip", "alarm", "trial", "counters", "list", "detail")
            return {name: render_template(f"staff_{name}.html", **given) for name in names}

        return screen.streams.open(parts, pause_s=STAFF_PAUSE_S, may_go_on=g.get("may_go_on", lambda: True))

    @pages.get("/staff/state")
    def staff_state() -> str:
        return render_template("staff_state.html", **screen.staff(screen.board.snapshot(), _language()))

    @pages.get("/staff/photo/<int:number>")
    def staff_photo(number: int) -> Response:
        """Of somebody whose scan is among the last ones, and of nobody else."""
        scan = _scan(screen.board.snapshot(), number)
        picture = screen.photo(scan.pass_id, scan.photo)
        if picture is None:
            abort(404)
        return Response(picture, mimetype="image/jpeg")

    @pages.get("/staff/scan/<int:number>")
    def staff_detail(number: int) -> str:
        snapshot = screen.board.snapshot()
        scan = _scan(snapshot, number)
        speech = Speech(_language(), snapshot.status.zone, screen.now_ms())
        given = {"speech": speech, "label": speech.label, "can": screen.can}
        return render_template("staff_detail.html", detail=screen.detail(scan, speech), **given)


def _scan(snapshot: Snapshot, number: int) -> Scan:
    scan = next((scan for scan in snapshot.scans if scan.number == number), None)
    if scan is None:
        abort(404)
    return scan


def _language() -> str:
    lang = request.args.get("lang", LANGUAGES[0])
    return lang if lang in LANGUAGES else LANGUAGES[0]


def _same_origin() -> None:
    """A page of another origin may neither act here nor hold a stream. Host is checked by TRUSTED_HOSTS.

    Browsers name no Origin when a page only loads something; a link from elsewhere that somebody follows is welcome."""
    origin, site = request.headers.get("Origin"), request.headers.get("Sec-Fetch-Site")
    if origin is not None and origin != request.host_url.rstrip("/"):
        abort(403)
    if site in FOREIGN and request.headers.get("Sec-Fetch-Dest") != "document":
        abort(403)


def _missing(_error: NotFound) -> tuple[str, int]:
    return render_template("missing.html"), 404


def _headers(response: Response) -> Response:
    for name, value in HEADERS.items():
        response.headers.setdefault(name, value)
    return response
