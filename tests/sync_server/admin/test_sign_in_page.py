"""The sign-in page: captcha, words that do not tell, the session cookie, and where one lands."""

from __future__ import annotations

import pytest
import sqlalchemy as sa
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from sync_server.people.captchas import MAX_OPEN_PER_ADDRESS
from sync_server.people.tables import captcha
from tests.sync_server.admin.forms import send
from tests.sync_server.admin.town import PASSWORD, Town

PAGE = "/admin/sign-in"


def captcha_answer(town: Town) -> str:
    """What stands in the picture that was drawn last, as the database knows it."""
    with town.centre.read() as connection:
        answers = list(connection.scalars(sa.select(captcha.c.answer)))
    assert len(answers) == 1
    return str(answers[0])


def sign_in(browser: FlaskClient, town: Town, page: str = PAGE, **fields: str) -> TestResponse:
    assert browser.get("/admin/captcha.png").data.startswith(b"\x89PNG")
    form = {"organisation": "1000", "account": "zhoumin", "password": PASSWORD, "captcha": captcha_answer(town)}
    return send(browser, page, **{**form, **fields})


def test_the_right_words_lead_to_the_overview(app: Flask, town: Town) -> None:
    browser = app.test_client()
    response = sign_in(browser, town)
    assert (response.status_code, response.location) == (302, "/admin/")
    page = browser.get("/admin/").text
    assert "周敏" in page
    assert "运营 · 汴京旅游年票平台" in page


def test_the_cookie_is_kept_from_scripts_and_other_sites(app: Flask, town: Town) -> None:
    cookie = sign_in(app.test_client(), town).headers["Set-Cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=Lax" in cookie


@pytest.mark.slow
def test_wrong_password_and_unknown_account_read_the_same(app: Flask, town: Town) -> None:
    wrong = sign_in(app.test_client(), town, password="wrong password")
    unknown = sign_in(app.test_client(), town, account="nobody", password="wrong password")
    assert wrong.status_code == unknown.status_code == 401
    assert "机构号、帐号或密码不正确" in wrong.text
    shown = [_between(page.text, 'role="alert"', 'id="organisation"') for page in (wrong, unknown)]
    assert shown[0] == shown[1]


def _between(text: str, start: str, end: str) -> str:
    return text[text.index(start) : text.index(end)]


def test_a_wrong_captcha_looks_at_nothing_else(app: Flask, town: Town) -> None:
    response = sign_in(app.test_client(), town, captcha="----")
    assert (response.status_code, "验证码不正确或已过期" in response.text) == (401, True)


@pytest.mark.slow
def test_the_last_tries_are_announced_then_the_account_is_locked(app: Flask, town: Town) -> None:
    texts = [sign_in(app.test_client(), town, password="wrong password").text for _ in range(5)]
    assert "还可再试" not in texts[1]
    assert "还可再试 2 次" in texts[2]
    assert "还可再试 1 次" in texts[3]
    assert "14:47 以后再试" in texts[4]
    assert "14:47 以后再试" in sign_in(app.test_client(), town).text


def test_the_typed_password_is_never_sent_back(app: Flask, town: Town) -> None:
    assert "my-wrong-password" not in sign_in(app.test_client(), town, password="my-wrong-password").text


@pytest.mark.slow
@pytest.mark.parametrize(
    ("wanted", "lands"),
    [
        ("/admin/orders?state=ISSUED", "/admin/orders?state=ISSUED"),
        ("//evil.example/admin/", "/admin/"),
        ("https://evil.example/", "/admin/"),
        ("/admin/\\evil.example", "/admin/"),
        ("/elsewhere", "/admin/"),
    ],
)
def test_only_pages_of_ours_are_gone_to_afterwards(app: Flask, town: Town, wanted: str, lands: str) -> None:
    browser = app.test_client()
    browser.get("/admin/captcha.png")
    form = {"organisation": "1000", "account": "zhoumin", "password": PASSWORD, "captcha": captcha_answer(town)}
    token_page = browser.get(PAGE).text.split('name="csrf_token" value="')[1].split('"')[0]
    response = browser.post(PAGE, query_string={"next": wanted}, data={**form, "csrf_token": token_page})
    assert response.location == lands


def test_signing_out_ends_the_session_for_good(app: Flask, town: Town) -> None:
    browser = app.test_client()
    sign_in(browser, town)
    cookie = browser.get_cookie("session")
    assert cookie is not None
    send(browser, "/admin/", "/admin/sign-out")
    thief = app.test_client()
    thief.set_cookie("session", cookie.value)
    assert thief.get("/admin/").status_code == 302


def test_the_session_begins_anew_with_the_sign_in(app: Flask, town: Town) -> None:
    browser = app.test_client()
    with browser.session_transaction() as session:
        session["planted"] = "by somebody else"
        session["language"] = "en"
    sign_in(browser, town)
    with browser.session_transaction() as session:
        assert "planted" not in session
        assert session["language"] == "en"


@pytest.mark.slow
def test_captchas_are_rationed(app: Flask, town: Town) -> None:
    browser = app.test_client()
    for _ in range(MAX_OPEN_PER_ADDRESS):
        assert browser.get("/admin/captcha.png").status_code == 200
    assert browser.get("/admin/captcha.png").status_code == 429
