"""The staff's sheets over HTTP: a sheet is fetched, filled in and sent once; what came of it is said in a sentence.

GET  /staff/sheet/ACT?lane=N&seq=S&pass=HEX   the sheet as HTML
POST /staff/act/ACT                           its form: 200, or a sentence with 400 what lacks, 403 wrong PIN or role,
                                              409 not possible now, 429 too many wrong PINs, 503 no answer
GET  /staff/find?lane=N                       the sheet that looks for a pass
POST /staff/find                              what it found; posted, so that no number stands in an address
POST /staff/trial                             one key of a commissioning: number, step, word, arm; 409 not asked now
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import replace

from flask import Blueprint, Response, abort, make_response, render_template, request, url_for

from gate_agent.acting import Acts
from gate_agent.acts import TERMS, Act, Ask, Came, Result, Unfit, read_wish
from gate_agent.board import Board, Scan, Snapshot
from gate_agent.commission_acts import Answer
from gate_agent.commissioning import Step
from gate_agent.faces import FAMILY, Family
from gate_agent.list_find import NotSought
from gate_agent.screen import act_sheets, act_words
from gate_agent.screen.act_sheets import NOT_NOW, STATUS, Opened
from gate_agent.screen.speech import LANGUAGES, Speech
from gate_agent.status import LaneStatus

FIELD_LIMIT = 256
"""Characters of one field; the longest is the centre's address."""
FORM_PARTS = 16
_NUMBER = re.compile(r"-?[0-9]{1,9}")


def act_pages(
    acts: Acts, board: Board, now_ms: Callable[[], int | None], browser: Callable[[], str] = lambda: ""
) -> Blueprint:
    """The pages by which staff act. `now_ms` is the gate's time (UTC), None while it does not know it; `browser` tells
    what the paired browser is called that asks, empty on this machine."""
    pages = Blueprint("acts", __name__, url_prefix="/staff")

    def speak(lang: str | None) -> Speech:
        return Speech(lang if lang in LANGUAGES else LANGUAGES[0], board.snapshot().status.zone, now_ms())

    @pages.get("/sheet/<act>")
    def sheet(act: str) -> str:
        known, speech = _act(act), speak(request.args.get("lang"))
        opened = _opened(known, acts, board.snapshot(), speech)
        drawn = act_sheets.sheet(known, opened, url_for("acts.carry_out", act=known), speech)
        return render_template("staff_sheet.html", speech=speech, label=speech.label, sheet=drawn)

    @pages.post("/act/<act>")
    def carry_out(act: str) -> Response:
        known, form = _act(act), _form()
        speech = speak(form.get("lang"))
        wish = read_wish(known, form, acts.lanes)
        if isinstance(wish, Unfit):
            return _said(act_sheets.objection(wish, speech), 400)
        return _told(known, acts.carry_out(replace(wish, browser=browser()), form.get("pin", "")), speech)

    @pages.post("/trial")
    def answer_trial() -> Response:
        form = _form()
        came = acts.answer_trial(*_answer(form))
        if came is Came.DONE:
            return make_response("", 204)
        return _said(speak(form.get("lang")).pick(act_words.CAME[came]), STATUS.get(came, NOT_NOW))

    @pages.get("/find")
    def find() -> str:
        speech = speak(request.args.get("lang"))
        lane, number = _lane(board.snapshot()), request.args.get("number", "")[:FIELD_LIMIT]
        drawn = act_sheets.find_sheet(url_for("acts.found"), lane, number, speech)
        return render_template("staff_sheet.html", speech=speech, label=speech.label, sheet=drawn)

    @pages.post("/find")
    def found() -> Response:
        form = _form()
        speech = speak(form.get("lang"))
        passes = acts.find(form.get("number", ""))
        if isinstance(passes, NotSought):
            return _said(act_sheets.objection(passes, speech), NOT_NOW)
        shown = act_sheets.found(passes, speech)
        given = {"title": act_sheets.found_title(shown, speech), "found": shown, "lane": form.get("lane", "")}
        return make_response(render_template("staff_found.html", speech=speech, label=speech.label, **given))

    return pages


def _act(name: str) -> Act:
    if name not in set(Act):
        abort(404)
    return Act(name)


def _form() -> dict[str, str]:
    request.max_form_parts = FORM_PARTS
    return {name: value[:FIELD_LIMIT] for name, value in request.form.items()}


def _answer(form: Mapping[str, str]) -> tuple[int, Step, Answer, int]:
    """A key of a commissioning: which one and at which step, what it says, and the arm it names; 400 for any other."""
    number, step, word, arm = (form.get(name, "") for name in ("number", "step", "word", "arm"))
    if step not in set(Step) or word not in set(Answer) or not (_NUMBER.fullmatch(number) and _NUMBER.fullmatch(arm)):
        abort(400)
    return int(number), Step(step), Answer(word), int(arm)


def _opened(act: Act, acts: Acts, snapshot: Snapshot, speech: Speech) -> Opened:
    """Everything a sheet of this act is opened with; 404 for a lane or a pass that is not there."""
    terms = TERMS[act]
    lane = _lane(snapshot) if terms.at_lane else None
    once, wait_ms = acts.open_sheet()
    subject = ""
    fixed: tuple[tuple[str, str], ...] = ()
    if terms.asks is Ask.ENTRY:
        scan = _entry(snapshot, lane)
        subject, fixed = act_sheets.entry_line(scan, speech), (("seq", str(scan.intent_seq if scan else 0)),)
    elif terms.asks is Ask.LISTED:
        found = acts.listed(request.args.get("pass", ""))
        if found is None:
            abort(404)
        subject, fixed = act_sheets.found((found,), speech)[0].headline, (("pass", found.listed.pass_id.hex()),)
    return Opened(once, wait_ms, lane, subject, fixed, acts.let_in_per_day, acts.centre_url, acts.has_staff())


def _lane(snapshot: Snapshot) -> LaneStatus:
    """The lane the page asks for; the first one unless it names one."""
    number = request.args.get("lane", snapshot.status.lanes[0].lane, type=int)
    lane = next((lane for lane in snapshot.status.lanes if lane.lane == number), None)
    if lane is None:
        abort(404)
    return lane


def _entry(snapshot: Snapshot, lane: LaneStatus | None) -> Scan | None:
    """The entry a sheet would return: the one the page names, else the newest at the lane that somebody passed for."""
    seq = request.args.get("seq", type=int)
    let_in = [scan for scan in snapshot.scans if scan.intent_seq and FAMILY[scan.verdict] is Family.GO]
    if seq:
        return next((scan for scan in let_in if scan.intent_seq == seq), None)
    return next((scan for scan in let_in if lane is not None and scan.lane == lane.lane and scan.passed), None)


def _told(act: Act, result: Result, speech: Speech) -> Response:
    said = act_sheets.answer(act, result, speech)
    if result.came is not Came.DONE:
        told = _said(said, STATUS.get(result.came, NOT_NOW))
        if result.wait_ms:
            told.headers["Retry-After"] = str(-(-result.wait_ms // 1000))
        return told
    title = speech.label(f"act_{act}")
    return make_response(
        render_template(
            "staff_done.html",
            speech=speech,
            label=speech.label,
            title=title,
            text=said,
            icon=Family.GO,
            stays=act is Act.PAIR,
        )
    )


def _said(sentence: str, status: int) -> Response:
    told = make_response(sentence, status)
    told.content_type = "text/plain; charset=utf-8"
    return told
