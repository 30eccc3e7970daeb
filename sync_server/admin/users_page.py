"""用户: the operators' accounts of every organisation; adding one, and closing or opening one again."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import sqlalchemy as sa
from flask import abort, flash, redirect, render_template, request, url_for
from flask_babel import gettext as _
from sqlalchemy.engine import Connection
from werkzeug.wrappers import Response

from sync_server.admin.access import page, who
from sync_server.admin.shown import centre
from sync_server.errors import NotAllowedError, NotFoundError
from sync_server.parties.tables import party
from sync_server.people import operators
from sync_server.people.passwords import MAX_CHARACTERS, MIN_CHARACTERS
from sync_server.people.permissions import Permission
from sync_server.people.tables import OPERATOR_STATES, role

HERE = "admin.users"


def _listed(connection: Connection) -> dict[str, Any]:
    roles = connection.execute(sa.select(role).order_by(role.c.code)).all()
    kinds = sorted({one.organisation for one in roles})
    organisations = connection.execute(
        sa.select(party.c.org_number, party.c.name_zh, party.c.name_en)
        .where(party.c.kind.in_(kinds))
        .order_by(party.c.org_number)
    ).all()
    rows = operators.list_operators(connection)
    return {"here": HERE, "rows": rows, "roles": roles, "organisations": organisations}


@page("/users", needs=Permission.USERS_MANAGE)
def users() -> str:
    with centre().read() as connection:
        listed = _listed(connection)
    return render_template("admin/users.html", **listed)


@page("/users/new", needs=Permission.USERS_MANAGE, methods=("GET", "POST"))
def new_user() -> str | tuple[str, int] | Response:
    form = {name: request.form.get(name, "").strip() for name in ("organisation", "account", "name", "role")}
    problem = _add(form, request.form.get("password", "")) if request.method == "POST" else None
    if request.method == "POST" and problem is None:
        flash(_("已添加 %(name)s，可以登录了", name=form["name"]))
        return redirect(url_for("admin.users"))
    with centre().read() as connection:
        listed = _listed(connection)
    text = render_template("admin/user_new.html", **listed, form=form, problem=problem)
    return (text, 400) if problem else text


def _add(form: dict[str, str], password: str) -> str | None:
    """Add the operator; what is wrong with the form, or None."""
    if not operators.ACCOUNT_PATTERN.fullmatch(form["account"]):
        return str(_("帐号要 3 至 32 个小写字母或数字，字母开头"))
    if not form["name"]:
        return str(_("请写姓名"))
    if not MIN_CHARACTERS <= len(password) <= MAX_CHARACTERS:
        return str(_("密码要 %(min)d 至 %(max)d 个字符", min=MIN_CHARACTERS, max=MAX_CHARACTERS))
    chosen = form["organisation"], form["account"], form["name"], form["role"]
    try:
        operators.add_operator(centre(), *chosen, password, who().actor)
    except (NotFoundError, NotAllowedError):
        return str(_("这个机构已有同名帐号，或不能用这个角色"))
    return None


@page("/users/<operator_hex>/state", needs=Permission.USERS_MANAGE, methods=("POST",))
def set_user_state(operator_hex: str) -> Response:
    """Close an account, which ends its sessions at once, or open it again; never one's own."""
    state = request.form.get("state", "")
    try:
        operator_id = UUID(hex=operator_hex)
    except ValueError:
        abort(404)
    if state not in OPERATOR_STATES or operator_id == who().id:
        abort(400)
    try:
        operators.set_state(centre(), operator_id, state, who().actor)
    except NotFoundError:
        abort(404)
    return redirect(url_for("admin.users"))
