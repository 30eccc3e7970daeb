"""The control port of simulated lanes: hold up codes, tap cards, send visitors, break things, read what happened.

Only with --simulate; without it none of these addresses exists. Like every page here it answers this machine alone.

    POST /sim/lane/N/show   {"text": "GATE:…", "to": "camera" | "scanner", "seed": 7}
    POST /sim/lane/N/card   the fields of a card read, or {"fault": "…"}
    POST /sim/lane/N/walk   {"how": "pass" | "balk" | "back" | "tailgate" | "slow" | "out" | "force"}
    POST /sim/lane/N/fault  {"what": "sensor_stuck" | "fire" | … | "none"}
    GET  /sim/history?newest=20

A body that is not understood is answered 400 {"error": sentence}.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar, get_origin

import msgspec
from flask import Blueprint, Response, abort, jsonify, render_template, request
from werkzeug.exceptions import HTTPException

from hardware.simulated import TROUBLES, SimulatedLane
from hardware.simulated_turnstile import Walk


class Show(msgspec.Struct, forbid_unknown_fields=True):
    """A code is shown. `seed`: how the phone is held; None: by chance."""

    text: str
    to: str = "camera"
    seed: int | None = None


class Visitor(msgspec.Struct, forbid_unknown_fields=True):
    """Somebody steps up to the arm."""

    how: Walk


class Fault(msgspec.Struct, forbid_unknown_fields=True):
    """Something breaks, or with `none` is whole again."""

    what: str

    def __post_init__(self) -> None:
        if self.what not in ("none", *TROUBLES):
            raise ValueError("no such trouble")


# What a body has to be, said to whoever sent another.
EXPECTED: dict[type, str] = {
    Show: 'expected {"text": the code, "to": "camera" or "scanner", "seed": a whole number or null}',
    dict: 'expected {"area": …, "number": …, "identification": …} or {"fault": …}, each of them text',
    Visitor: f'expected {{"how": one of {", ".join(Walk)}}}',
    Fault: f'expected {{"what": one of none, {", ".join(TROUBLES)}}}',
}

Body = TypeVar("Body", Show, Visitor, Fault, dict[str, str])


def simulation(lanes: Mapping[int, SimulatedLane]) -> Blueprint:
    """The pages that move these lanes."""
    pages = Blueprint("simulation", __name__, url_prefix="/sim")

    def lane_of(number: int) -> SimulatedLane:
        if number not in lanes:
            abort(404)
        return lanes[number]

    @pages.get("")
    def page() -> str:
        return render_template("simulation.html", lanes=list(lanes), walks=list(Walk), troubles=TROUBLES)

    @pages.get("/history")
    def history() -> Response:
        newest = request.args.get("newest", type=int)
        return jsonify(lanes=[_told(lane, newest) for lane in lanes.values()])

    @pages.post("/lane/<int:number>/show")
    def show(number: int) -> Response:
        lane, asked = lane_of(number), _asked(Show)
        lane.show(asked.text, asked.to, asked.seed)
        return jsonify(lane.state())

    @pages.post("/lane/<int:number>/card")
    def card(number: int) -> Response:
        lane = lane_of(number)
        lane.card(_asked(dict[str, str]))
        return jsonify(lane.state())

    @pages.post("/lane/<int:number>/walk")
    def walk(number: int) -> Response:
        lane, asked = lane_of(number), _asked(Visitor)
        lane.walk(asked.how)
        return jsonify(lane.state())

    @pages.post("/lane/<int:number>/fault")
    def fault(number: int) -> Response:
        lane, asked = lane_of(number), _asked(Fault)
        lane.fault(asked.what)
        return jsonify(lane.state())

    @pages.errorhandler(ValueError)  # what a lane does not understand, and a body that is not as EXPECTED
    def not_understood(error: ValueError) -> tuple[Response, int]:
        return jsonify(error=str(error)), 400

    @pages.errorhandler(HTTPException)
    def not_done(error: HTTPException) -> tuple[Response, int]:
        """No such lane, or a body too large to read."""
        return jsonify(error=error.description), error.code or 500

    return pages


def _asked(kind: type[Body]) -> Body:
    """The body of this request. ValueError: it is not as EXPECTED."""
    try:
        return msgspec.json.decode(request.get_data(), type=kind)
    except msgspec.MsgspecError:
        raise ValueError(EXPECTED[get_origin(kind) or kind]) from None


def _told(lane: SimulatedLane, newest: int | None) -> dict[str, object]:
    moments = lane.history()
    return {**lane.state(), "moments": moments if newest is None else moments[max(0, len(moments) - newest) :]}
