"""闸机: the gates with what they last told us; one gate; letting a box in by its six characters; putting one out."""

from __future__ import annotations

from hashlib import sha256
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import sqlalchemy as sa
from flask import Response, abort, flash, jsonify, redirect, render_template, request, session, url_for
from flask_babel import gettext as _
from sqlalchemy.engine import Connection
from werkzeug.wrappers import Response as AnyResponse

from sync_server.admin import filters
from sync_server.admin.access import page, who
from sync_server.admin.entries_page import venue_choices
from sync_server.admin.paging import whole_sum
from sync_server.admin.shown import centre
from sync_server.admin.words import CHIPS
from sync_server.errors import NotAllowedError
from sync_server.gates import enrolment, registry
from sync_server.gates.alarms import SILENT
from sync_server.gates.enrolment_qr import enrolment_svg
from sync_server.gates.tables import device, enrolment_code, gate_alarm, incarnation
from sync_server.keys import key_set
from sync_server.parties.calendars import openings
from sync_server.parties.tables import party, venue
from sync_server.people.permissions import Permission
from wire import moments
from wire.entitlement import judge_opening
from wire.messages import read_enrolment_code
from wire.signing import check_characters

HERE = "admin.gates"
ONLINE_MS = 30_000
MAX_GATES = 2_000
MAX_REASON_CHARACTERS = 200
MIN_REASON_CHARACTERS = 2

# Rows that need a person come first.
ORDER_OF_STATES = ("pending", "frozen", "offline", "waiting", "online", "closed", "revoked")


def gate_state(row: sa.Row[Any], now_ms: int, *, shut: bool) -> str:
    """The chip of a gate: what the registry says, else when it was last heard of.

    `shut`: its venue is closed; then silence is not news, unless it was silent while the venue was open.
    """
    if row.state != "active":
        return str(row.state)
    if row.frozen:
        return "frozen"
    if row.last_seen_ms is None:
        return "waiting"
    if now_ms - row.last_seen_ms <= ONLINE_MS:
        return "online"
    return "closed" if shut and not row.silent else "offline"


def gates_now(connection: Connection) -> list[tuple[sa.Row[Any], str]]:
    """Every gate with its state now."""
    now_ms, opened = centre().now_ms(), openings(connection)
    found = []
    for row in all_gates(connection):
        wall = moments.wall_time(now_ms, ZoneInfo(row.zone))
        shut = judge_opening(opened[row.venue_id], now_ms, wall) is not None
        found.append((row, gate_state(row, now_ms, shut=shut)))
    return found


def all_gates(connection: Connection) -> list[sa.Row[Any]]:
    """Every gate with its venue; `frozen`: one of its journals cannot be true; `silent`: it called for that."""
    journals = (
        sa.select(
            incarnation.c.device_id,
            sa.func.max(incarnation.c.frozen_at_ms).label("frozen_at_ms"),
            whole_sum(incarnation.c.through_seq).label("entries"),
        )
        .group_by(incarnation.c.device_id)
        .subquery()
    )
    silent = sa.exists().where(
        gate_alarm.c.device_id == device.c.id, gate_alarm.c.cause == SILENT, gate_alarm.c.cleared_at_ms.is_(None)
    )
    query = (
        sa.select(
            device,
            silent.label("silent"),
            venue.c.zone,
            venue.c.number.label("venue_number"),
            party.c.name_zh.label("venue_zh"),
            party.c.name_en.label("venue_en"),
            journals.c.frozen_at_ms.is_not(None).label("frozen"),
            journals.c.entries,
        )
        .join(venue, venue.c.id == device.c.venue_id)
        .join(party, party.c.id == device.c.venue_id)
        .outerjoin(journals, journals.c.device_id == device.c.id)
        .order_by(venue.c.number, device.c.enrolled_at_ms)
        .limit(MAX_GATES)
    )
    return list(connection.execute(query))


def _listed(connection: Connection) -> dict[str, Any]:
    """The list with its figures, as list and dialogs show it."""
    arguments = filters.asked("venue", "state")
    rows = gates_now(connection)
    sums = {state: sum(1 for _row, one in rows if one == state) for state in ORDER_OF_STATES}
    waiting = sum(row.waiting or 0 for row, state in rows if state != "revoked")
    if number := arguments.get("venue"):
        rows = [(row, state) for row, state in rows if str(row.venue_number) == number]
    if wanted := filters.one_of(arguments.get("state"), CHIPS["gate"]):
        rows = [(row, state) for row, state in rows if state == wanted]
    rows.sort(key=lambda pair: ORDER_OF_STATES.index(pair[1]))
    found = {"gates": rows, "sums": sums, "waiting": waiting, "arguments": arguments}
    return {**found, "here": HERE, "venues": venue_choices(connection)}


@page("/gates", needs=Permission.GATES_VIEW)
def gates() -> str:
    with centre().read() as connection:
        listed = _listed(connection)
    return render_template("admin/gates.html", **listed)


@page("/gates/<device_hex>", needs=Permission.GATES_VIEW)
def gate_detail(device_hex: str) -> str:
    with centre().read() as connection:
        row, state = _gate_now(connection, device_hex)
        journals = connection.execute(
            sa.select(incarnation).where(incarnation.c.device_id == row.id).order_by(incarnation.c.first_seen_ms.desc())
        ).all()
    check = check_characters(row.public_key)
    return render_template("admin/gate.html", here=HERE, gate=row, state=state, journals=journals, check=check)


def _gate(connection: Connection, device_hex: str) -> sa.Row[Any]:
    return _gate_now(connection, device_hex)[0]


def _gate_now(connection: Connection, device_hex: str) -> tuple[sa.Row[Any], str]:
    found = next((pair for pair in gates_now(connection) if pair[0].id.hex() == device_hex), None)
    if found is None:
        abort(404)
    return found


@page("/gates/enrol", needs=Permission.GATES_ENROL, methods=("GET", "POST"))
def enrol_gate() -> str | AnyResponse:
    """Choose the venue; POST makes a one-time code, which only this session is shown."""
    if request.method == "GET":
        with centre().read() as connection:
            listed = _listed(connection)
        return render_template("admin/gate_enrol.html", **listed, step="venue")
    wanted = request.form.get("venue", "")
    with centre().write() as connection:
        chosen = next((row for row in venue_choices(connection) if str(row.number) == wanted), None)
        if chosen is None:
            abort(400)
        root_public = key_set.newest(connection).root_public
        code = enrolment.make_code(connection, chosen.id, root_public, centre().now_ms(), who().actor)
        made = sa.select(enrolment_code.c.id).where(enrolment_code.c.secret_hash == sha256(code.secret).digest())
        code_id: UUID = connection.scalars(made).one()
    session["enrolment"] = [code_id.hex, code.text()]
    return redirect(url_for("admin.enrolment_steps", code_hex=code_id.hex))


@page("/gates/enrol/<code_hex>", needs=Permission.GATES_ENROL)
def enrolment_steps(code_hex: str) -> str:
    """Where this code stands: shown, spent by a box, its six characters to compare, let in or refused."""
    with centre().read() as connection:
        row, place = _code(connection, code_hex)
        listed = _listed(connection)
        box = None if row.device_id is None else _gate(connection, row.device_id.hex())
    kept_hex, text = session.get("enrolment", ["", ""])
    left_s = max(0, (row.expires_at_ms - centre().now_ms()) // 1000)
    if box is not None:
        step = "compare" if box.state == "pending" else "done"
    else:
        step = "scan" if left_s else "expired"
    shown = {"code_hex": code_hex, "code": text if kept_hex == code_hex else "", "place": place, "left_s": left_s}
    check = check_characters(box.public_key).replace("-", "") if box else ""
    return render_template("admin/gate_enrol.html", **listed, **shown, step=step, box=box, check=check)


def _code(connection: Connection, code_hex: str) -> tuple[sa.Row[Any], sa.Row[Any]]:
    """The enrolment code and the venue it is for."""
    try:
        code_id = UUID(hex=code_hex)
    except ValueError:
        abort(404)
    row = connection.execute(sa.select(enrolment_code).where(enrolment_code.c.id == code_id)).one_or_none()
    if row is None:
        abort(404)
    place = next(place for place in venue_choices(connection) if place.id == row.venue_id)
    return row, place


@page("/gates/enrol/<code_hex>/came.json", needs=Permission.GATES_ENROL)
def enrolment_came(code_hex: str) -> Response:
    """Has a box spent this code? The open page asks every two seconds."""
    with centre().read() as connection:
        row, _place = _code(connection, code_hex)
    return jsonify({"came": row.device_id is not None})


@page("/gates/enrol/<code_hex>/code.svg", needs=Permission.GATES_ENROL)
def enrolment_picture(code_hex: str) -> Response:
    """The code as a QR, for the session that made it."""
    kept_hex, text = session.get("enrolment", ["", ""])
    code = read_enrolment_code(text)
    if kept_hex != code_hex or code is None:
        abort(404)
    with centre().read() as connection:
        root_public = key_set.newest(connection).root_public
    return Response(enrolment_svg(centre().settings, code, root_public, border=0), mimetype="image/svg+xml")


@page("/gates/<device_hex>/approve", needs=Permission.GATES_ENROL, methods=("POST",))
def approve_gate(device_hex: str) -> AnyResponse:
    """The six characters were the same on both screens; the form carries those that were compared."""
    with centre().write() as connection:
        row = _gate(connection, device_hex)
        if request.form.get("check") != check_characters(row.public_key).replace("-", ""):
            abort(400)
        reads = request.form.get("reads_id_numbers") == "yes"
        try:
            registry.approve(connection, row.id, centre().now_ms(), who().actor, reads_id_numbers=reads)
        except NotAllowedError:  # somebody else decided meanwhile: the page shows what
            return redirect(url_for("admin.gate_detail", device_hex=device_hex))
    flash(_("%(gate)s 已启用，开始收名单", gate=row.name))
    return redirect(url_for("admin.gate_detail", device_hex=device_hex))


@page("/gates/<device_hex>/revoke", needs=Permission.GATES_REVOKE, methods=("GET", "POST"))
def revoke_gate(device_hex: str) -> str | tuple[str, int] | AnyResponse:
    """GET asks and says what will happen; POST does it."""
    with centre().read() as connection:
        row, state = _gate_now(connection, device_hex)
        listed = _listed(connection)
    reason = request.form.get("reason", "").strip()[:MAX_REASON_CHARACTERS]
    shown = {"gate": row, "state": state, "reason": reason}
    if request.method == "GET":
        return render_template("admin/gate_revoke.html", **listed, **shown)
    if len(reason) < MIN_REASON_CHARACTERS or request.form.get("sure") != "yes":
        return render_template("admin/gate_revoke.html", **listed, **shown, incomplete=True), 400
    with centre().write() as connection:
        try:
            registry.revoke(connection, row.id, reason, centre().now_ms(), who().actor)
        except NotAllowedError:  # it is revoked already: the page shows it
            return redirect(url_for("admin.gate_detail", device_hex=device_hex))
    flash(_("%(gate)s 已吊销", gate=row.name))
    return redirect(url_for("admin.gate_detail", device_hex=device_hex))
