"""Every page, walked from a table: nobody gets in without a sign-in, nobody past a missing permission."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import sqlalchemy as sa
from flask import Flask

from sync_server.admin import access
from sync_server.admin.access import NEEDS, Open
from sync_server.admin.menu import GROUPS
from sync_server.admin.words import PERMISSION_WORDS
from sync_server.audit.tables import event_log
from sync_server.people.permissions import SEEDED_ROLES, Permission
from tests.sync_server.admin.conftest import SignedInAs
from tests.sync_server.admin.forms import csrf_token
from tests.sync_server.admin.town import Town

ACCOUNTS = {
    "operations": "zhoumin",
    "finance": "qianwen",
    "platform_admin": "xulan",
    "auditor": "shenji",
    "venue_manager": "qiaozhang",
}


def routes(app: Flask) -> list[tuple[str, str, str]]:
    """(endpoint, method, path) of every page, with something in the place of each variable."""
    found = []
    for rule in app.url_map.iter_rules():
        if rule.endpoint.startswith("admin.") and rule.endpoint != "admin.static":
            path = re.sub(r"<[^>]+>", "00", rule.rule)
            found += [
                (rule.endpoint, method, path) for method in sorted(rule.methods or ()) if method in ("GET", "POST")
            ]
    return found


@pytest.mark.slow
def test_the_table_holds_every_page_and_nothing_else(app: Flask) -> None:
    assert {endpoint for endpoint, _, _ in routes(app)} == set(NEEDS)
    assert len(NEEDS) > 25


@pytest.mark.slow
def test_nobody_gets_in_without_signing_in(app: Flask) -> None:
    for endpoint, method, path in routes(app):
        response = app.test_client().open(path, method=method)
        if NEEDS[endpoint] is Open.ANYONE:
            assert response.status_code in (200, 302, 400), (method, path)
        else:
            assert response.status_code == 302, (method, path)
            assert response.location.startswith("/admin/sign-in"), (method, path)


@pytest.mark.slow
@pytest.mark.parametrize("role", SEEDED_ROLES, ids=lambda role: role.code)
def test_nobody_gets_past_a_missing_permission(app: Flask, signed_in_as: SignedInAs, role: object) -> None:
    assert isinstance(role, type(SEEDED_ROLES[0]))
    browser = signed_in_as(ACCOUNTS[role.code])
    refused = 0
    for endpoint, method, path in routes(app):
        needs = NEEDS[endpoint]
        if isinstance(needs, Permission) and needs not in role.permissions:
            response = browser.open(path, method=method)
            assert response.status_code == 403, (method, path)
            assert str(PERMISSION_WORDS[needs]) in response.text
            refused += 1
    assert refused > 5


@pytest.mark.slow
def test_whoever_has_the_permission_gets_in(app: Flask, signed_in_as: SignedInAs) -> None:
    for role in SEEDED_ROLES:
        browser = signed_in_as(ACCOUNTS[role.code])
        for endpoint, method, path in routes(app):
            if method == "GET" and NEEDS[endpoint] in role.permissions:
                status = browser.get(path).status_code
                assert status == (404 if "00" in path else 200), (role.code, path)


def test_a_change_without_the_forms_token_changes_nothing(app: Flask, signed_in_as: SignedInAs, town: Town) -> None:
    changes = [(endpoint, path) for endpoint, method, path in routes(app) if method == "POST"]
    assert len(changes) >= 8
    for endpoint, path in changes:
        needs = NEEDS[endpoint]
        holders = [ACCOUNTS[role.code] for role in SEEDED_ROLES if needs in role.permissions] or ["zhoumin"]
        other = csrf_token(signed_in_as(holders[0]), "/admin/orders" if holders[0] == "zhoumin" else "/admin/")
        for token in ("", "x", other):
            browser = app.test_client() if needs is Open.ANYONE else signed_in_as(holders[0])
            response = browser.post(path, data={"csrf_token": token})
            assert response.status_code == 400, (path, token)
            assert "页面已过期" in response.text


def test_a_refused_visit_is_in_the_log(signed_in_as: SignedInAs, town: Town) -> None:
    signed_in_as("shenji").get("/admin/orders")
    with town.centre.read() as connection:
        last = connection.execute(sa.select(event_log).order_by(event_log.c.day.desc(), event_log.c.seq.desc())).first()
    assert last is not None
    assert (last.action, last.subject) == ("page.denied", "admin.pass_orders")


def test_the_menu_names_pages_that_exist_and_what_they_need() -> None:
    for group in GROUPS:
        for entry in group.entries:
            assert NEEDS[entry.endpoint] is entry.needs, entry.endpoint


def test_the_menu_shows_a_role_only_its_pages(signed_in_as: SignedInAs) -> None:
    page = signed_in_as("shenji").get("/admin/").text
    assert "审计日志" in page
    for word in ("年票订单管理", "出票记录", "闸机列表", "打款", "用户"):
        assert word not in page


def test_every_permission_has_a_word() -> None:
    assert set(PERMISSION_WORDS) == set(Permission)


def test_no_page_needs_inline_styles_or_scripts() -> None:
    templates = list((Path(access.__file__).parent / "templates").rglob("*.html"))
    assert len(templates) > 20
    for template in templates:
        text = template.read_text(encoding="utf-8")
        assert not re.search(
            r"\sstyle=|<style|\son(click|load|error|submit|change|input|key[a-z]*|mouse[a-z]*)=|javascript:|<script(?![^>]*\ssrc=)",
            text,
        ), template


def test_headers_keep_strangers_code_out(app: Flask) -> None:
    policy = app.test_client().get("/admin/sign-in").headers["Content-Security-Policy"]
    assert "script-src 'self'" in policy
    assert "unsafe" not in policy


def test_whoever_manages_the_users_is_not_sent_to_a_platform_administrator(signed_in_as: SignedInAs) -> None:
    for account, advice, other in (
        ("xulan", "可在“用户”里添加", "请找平台管理员"),
        ("shenji", "请找平台管理员", "可在"),
    ):
        page = signed_in_as(account).get("/admin/orders").text
        assert advice in page
        assert other not in page


def test_the_front_door_leads_to_the_operators_pages(app: Flask) -> None:
    response = app.test_client().get("/")
    assert (response.status_code, response.location) == (302, "/admin/")
