"""产品: what is sold, where it opens, by which rule; one product with its rule's versions; changing the rule."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID

import msgspec
import sqlalchemy as sa
from flask import abort, flash, redirect, render_template, request, url_for
from flask_babel import gettext as _
from flask_babel import ngettext
from sqlalchemy.engine import Connection
from werkzeug.wrappers import Response

from sync_server.admin import line_words
from sync_server.admin.access import page, who
from sync_server.admin.actors import names_of
from sync_server.admin.gates_page import gates_now
from sync_server.admin.language import language
from sync_server.admin.shown import centre
from sync_server.catalog import sale
from sync_server.catalog.rules import LIMITS, contradiction, rule_version, rules, set_rule, versions
from sync_server.catalog.stock import price_now
from sync_server.catalog.tables import product, product_item, stock
from sync_server.errors import NotAllowedError
from sync_server.parties.day_lines import WrongLine, read_days, read_hours, write_days, write_hours
from sync_server.parties.tables import party
from sync_server.people.permissions import Permission
from wire.entitlement import MAX_COUNT, MAX_GAP_MIN, MAX_PARTY, Rule

HERE = "admin.products"
MAX_PRODUCTS = 500  # all that a venue's list takes
MAX_VERSIONS = 20  # shown; all are kept
LINES = {"slots": read_hours, "blackout": read_days}
MOST = {**dict.fromkeys(LIMITS, MAX_COUNT), "gap_min": MAX_GAP_MIN, "party": MAX_PARTY}


@page("/products", needs=Permission.PRODUCTS_VIEW)
def products() -> str:
    with centre().read() as connection:
        newest_first = sa.select(product, price_now().label("price_fen")).order_by(product.c.number.desc())
        rows = connection.execute(newest_first.limit(MAX_PRODUCTS)).all()
        in_force, places = rules(connection), _places(connection)
    shown = [(row, places[row.id], rule_words(in_force[row.id])) for row in rows]
    return render_template("admin/products.html", here=HERE, rows=shown)


@page("/products/<int:number>", needs=Permission.PRODUCTS_VIEW)
def product_detail(number: int) -> str:
    with centre().read() as connection:
        shown = _shown(connection, number)
    return render_template("admin/product.html", **shown)


@page("/products/<int:number>/rule", needs=Permission.RULES_EDIT, methods=("GET", "POST"))
def edit_rule(number: int) -> str | tuple[str, int] | Response:
    """The whole rule as a form; what is wrong is told at its field, and nothing is changed."""
    with centre().read() as connection:
        shown = _shown(connection, number)
    sold = shown["product"]
    if request.method == "GET":
        form = _form_of(shown["rule"])
        return render_template("admin/product_rule.html", **shown, form=form, wrong={}, seen=shown["version"])
    form = {name: request.form.get(name, "").strip() for name in (*MOST, *LINES, "leave_first", "needs_card")}
    version = request.form.get("version", "")
    rule, wrong = _read(form, sold)
    if rule is None:
        return render_template("admin/product_rule.html", **shown, form=form, wrong=wrong, seen=version), 400
    if not version.isdecimal():
        abort(400)
    try:
        with centre().write() as connection:
            set_rule(connection, sold.id, rule, centre().now_ms(), who().actor, after_version=int(version))
    except NotAllowedError:  # somebody else was quicker; what was typed is kept, and saves onto theirs
        stale = {"all": _("规则刚被别人改过。请看清下面现行的内容，再保存一次。")}
        return render_template("admin/product_rule.html", **shown, form=form, wrong=stale, seen=shown["version"]), 409
    flash(_("规则已保存，在线闸机几秒内收到"))
    return redirect(url_for("admin.product_detail", number=number))


@page("/products/<int:number>/off", needs=Permission.PRODUCTS_SELL, methods=("GET", "POST"))
def take_product_off(number: int) -> str | tuple[str, int] | Response:
    """GET asks and says what will happen; POST does it."""
    with centre().read() as connection:
        shown = _shown(connection, number)
        stock_sums = _stock(connection, shown["product"].id)
    reason = request.form.get("reason", "").strip()
    if request.method == "GET":
        return render_template("admin/product_off.html", **shown, stock=stock_sums, reason=reason)
    try:
        if request.form.get("sure") != "yes":
            raise NotAllowedError("not confirmed")
        with centre().write() as connection:
            sale.take_off(connection, shown["product"].id, reason, centre().now_ms(), who().actor)
    except NotAllowedError:
        if shown["product"].sale != "ON_SALE":  # somebody else was quicker: the page shows it
            return redirect(url_for("admin.product_detail", number=number))
        incomplete = {"stock": stock_sums, "reason": reason, "incomplete": True}
        return render_template("admin/product_off.html", **shown, **incomplete), 400
    flash(_("%(product)s 已下架", product=shown["name"]))
    return redirect(url_for("admin.product_detail", number=number))


@page("/products/<int:number>/on", needs=Permission.PRODUCTS_SELL, methods=("POST",))
def put_product_on(number: int) -> Response:
    with centre().write() as connection:
        shown = _shown(connection, number)
        if shown["product"].sale == "OFF_SALE":  # else it is there already, or nobody has reviewed it
            sale.put_on(connection, shown["product"].id, centre().now_ms(), who().actor)
            flash(_("%(product)s 已上架", product=shown["name"]))
    return redirect(url_for("admin.product_detail", number=number))


def rule_words(rule: Rule) -> list[str]:
    """A rule in words, the widest limit last."""
    told: list[str] = []
    if rule.per_day is not None:
        told.append(ngettext("每天 %(num)d 次", "每天 %(num)d 次", rule.per_day))
    if rule.per_month is not None:
        told.append(ngettext("每月 %(num)d 次", "每月 %(num)d 次", rule.per_month))
    if rule.per_year is not None:
        told.append(ngettext("每年 %(num)d 次", "每年 %(num)d 次", rule.per_year))
    if rule.total is not None:
        told.append(ngettext("总共 %(num)d 次", "总共 %(num)d 次", rule.total))
    told = told or [_("不限次数")]
    if rule.gap_min:
        told.append(_("间隔 %(num)d 分钟", num=rule.gap_min))
    if rule.leave_first:
        told.append(_("出园后才能再入"))
    if rule.party > 1:
        told.append(_("一次 %(num)d 人", num=rule.party))
    if rule.needs_card:
        told.append(_("须刷社保卡"))
    return [str(words) for words in told]


def _read(form: Mapping[str, str], sold: sa.Row[Any]) -> tuple[Rule | None, dict[str, str]]:
    """The rule a form asks for, or what is wrong with which of its fields."""
    said: dict[str, Any] = {name: form[name] == "yes" for name in ("leave_first", "needs_card")}
    wrong: dict[str, str] = {}
    for name, most in MOST.items():
        least = 0 if name == "gap_min" else 1
        text = form[name] or ("" if name in LIMITS else str(least))
        if text and not (text.isascii() and text.isdecimal() and len(text) < 9 and least <= int(text) <= most):
            wrong[name] = _("写 %(least)d 至 %(most)d 的整数", least=least, most=most)
        else:
            said[name] = int(text) if text else None
    for name, read in LINES.items():
        found = read(form[name])
        if isinstance(found, WrongLine):
            wrong[name] = line_words.sentence(found)
        said[name] = found
    if sold.kind != "PASS":
        said["total"] = sold.total
    if wrong:
        return None, wrong
    rule = Rule(**said)
    if (flaw := contradiction(rule)) is not None:
        return None, {flaw[0]: _("比更长时间的次数还多，永远用不到")}
    return rule, {}


def _form_of(rule: Rule) -> dict[str, str]:
    form = {name: "" if getattr(rule, name) is None else str(getattr(rule, name)) for name in MOST}
    form |= {name: "yes" if getattr(rule, name) else "" for name in ("leave_first", "needs_card")}
    return form | {"slots": write_hours(rule.slots, language()), "blackout": write_days(rule.blackout, language())}


def _shown(connection: Connection, number: int) -> dict[str, Any]:
    """What page and dialog show of a product."""
    rows = connection.execute(sa.select(product, price_now().label("price_fen")).limit(MAX_PRODUCTS))
    sold = next((row for row in rows if row.number == number), None)
    if sold is None:
        abort(404)
    rule, later = rules(connection)[sold.id], versions(connection, sold.id, MAX_VERSIONS)
    kept = [(row, msgspec.json.decode(row.rule, type=Rule)) for row in later]
    places = _places(connection)[sold.id]
    here = {place.id for place in places}
    active = [pair for pair in gates_now(connection) if pair[0].state == "active"]
    gates = [(row, state) for row, state in active if row.venue_id in here]
    return {
        "here": HERE,
        "product": sold,
        "name": sold.name_en if language() == "en" else sold.name_zh,
        "places": places,
        "rule": rule,
        "words": rule_words(rule),
        "slots": write_hours(rule.slots, language()).splitlines(),
        "blackout": write_days(rule.blackout, language()).splitlines(),
        "version": rule_version(connection, sold.id),
        "versions": [(row, rule_words(one), one) for row, one in kept],
        "actors": names_of(connection, [row.actor for row in later]),
        "gates": gates,
        "unheard": [row.name for row, state in gates if state != "online"],
    }


def _stock(connection: Connection, product_id: UUID) -> dict[str, int]:
    """How many of all its stock rows there are, are sold, and wait for their payment."""
    rows = connection.execute(sa.select(stock).where(stock.c.product_id == product_id)).all()
    return {name: sum(getattr(row, name) for row in rows) for name in ("total", "sold", "reserved")}


def _places(connection: Connection) -> dict[UUID, list[sa.Row[Any]]]:
    """The venues each product opens, with what each is owed there."""
    query = (
        sa.select(product_item, party.c.id, party.c.name_zh, party.c.name_en)
        .join(party, party.c.id == product_item.c.venue_id)
        .order_by(party.c.id)
    )
    found: dict[UUID, list[sa.Row[Any]]] = {}
    for row in connection.execute(query):
        found.setdefault(row.product_id, []).append(row)
    return found
