"""Signing in and out, the captcha's picture, and the choice of language."""

from __future__ import annotations

from flask import Response, abort, redirect, render_template, request, session, url_for
from flask_babel import gettext as _
from flask_login import current_user, login_user, logout_user
from werkzeug.wrappers import Response as AnyResponse

from sync_server.admin.access import Browser, Open, page, who
from sync_server.admin.language import LANGUAGES
from sync_server.admin.shown import centre, local
from sync_server.people import captchas, sign_in
from sync_server.people.guard import network_of
from sync_server.people.sessions import find_session


@page("/sign-in", needs=Open.ANYONE, methods=("GET", "POST"))
def sign_in_page() -> str | tuple[str, int] | AnyResponse:
    if current_user.is_authenticated:
        return redirect(url_for("admin.overview"))
    if request.method == "GET":
        return render_template("admin/sign_in.html", problem=None, form={})
    form = request.form
    outcome = sign_in.sign_in(
        centre(),
        sign_in.Attempt(
            form.get("organisation", ""),
            form.get("account", ""),
            form.get("password", ""),
            str(session.pop("captcha", "")),
            form.get("captcha", ""),
            _address(),
        ),
    )
    if isinstance(outcome, sign_in.Welcome):
        return _welcome(outcome.token)
    return render_template("admin/sign_in.html", problem=_problem(outcome), form=form), 401


def _welcome(token: str) -> AnyResponse:
    kept = session.get("language")
    session.clear()  # nothing of the time before the sign-in is carried over, the CSRF token least of all
    if kept:
        session["language"] = kept
    with centre().read() as connection:
        signed_in = find_session(connection, token, centre().now_ms())
    if signed_in is None:  # disabled in this very moment
        return redirect(url_for("admin.sign_in_page"))
    login_user(Browser(signed_in))
    return redirect(_local_path(request.args.get("next")) or url_for("admin.overview"))


def _local_path(address: str | None) -> str | None:
    """Only a page of ours may be gone to after the sign-in."""
    home = url_for("admin.overview")
    plain = address is not None and address.isprintable() and "\\" not in address and "//" not in address
    return address if address and plain and address.startswith(home) else None


def _problem(outcome: sign_in.Outcome) -> tuple[str, str]:
    """What went wrong and what to do now; the same words whether the account exists or not."""
    match outcome:
        case sign_in.WrongCaptcha():
            return _("验证码不正确或已过期"), _("请按新图重新输入。")
        case sign_in.Locked(until_ms):
            time = local(until_ms).strftime("%H:%M")
            return _("尝试次数过多，已暂停登录"), _("%(time)s 以后再试。忘记密码请联系本机构管理员。", time=time)
        case sign_in.Busy():
            return _("现在登录的人太多"), _("请稍等几秒再试，这次没有计入次数。")
        case sign_in.WrongPassword(tries_left):
            left = _("还可再试 %(count)d 次；之后此帐号暂停登录 15 分钟。", count=tries_left) if tries_left <= 2 else ""
            return _("机构号、帐号或密码不正确"), left + _("忘记密码请联系本机构管理员。")
        case _:
            raise AssertionError(outcome)


@page("/captcha.png", needs=Open.ANYONE)
def captcha_picture() -> Response:
    """A fresh captcha with every request; its text stays in the database, the session knows only its number."""
    with centre().write() as connection:
        opened = captchas.open_captcha(connection, network_of(_address()), centre().now_ms())
    if opened is None:
        abort(429)
    session["captcha"], answer = opened
    return Response(captchas.picture(answer), mimetype="image/png")


@page("/sign-out", needs=Open.SIGNED_IN, methods=("POST",))
def sign_out() -> AnyResponse:
    sign_in.sign_out(centre(), who())
    logout_user()
    return redirect(url_for("admin.sign_in_page"))


@page("/language", needs=Open.ANYONE, methods=("POST",))
def choose_language() -> AnyResponse:
    chosen = request.form.get("language", "")
    if chosen in LANGUAGES:
        session["language"] = chosen
    back = _local_path(request.form.get("back"))
    return redirect(back or url_for("admin.overview"))


def _address() -> str:
    """Where the request came from (`trusted_proxies`)."""
    return request.remote_addr or "0.0.0.0"  # noqa: S104  an address to count under, not one to listen on
