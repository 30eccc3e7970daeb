"""Behind a reverse proxy each person counts by the own address, and nobody takes another one by saying so."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import msgspec
import pytest
import sqlalchemy as sa
from flask.testing import FlaskClient

from sync_server.centre import Centre
from sync_server.create_app import app_of
from sync_server.people.captchas import MAX_OPEN_PER_ADDRESS
from sync_server.people.tables import captcha
from sync_server.proxies import BehindProxies, networks_of

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

PROXIES = "127.0.0.1, 10.0.0.0/8 2001:db8:1::/48"


def seen_as(peer: str, forwarded: str | None, trusted: str = PROXIES) -> str:
    seen: list[str] = []

    def app(environ: WSGIEnvironment, _start: StartResponse) -> Iterable[bytes]:
        seen.append(environ["REMOTE_ADDR"])
        return []

    environ: WSGIEnvironment = {"REMOTE_ADDR": peer}
    if forwarded is not None:
        environ["HTTP_X_FORWARDED_FOR"] = forwarded
    BehindProxies(app, networks_of(trusted))(environ, lambda *_: lambda _data: None)
    return seen[0]


@pytest.mark.parametrize(
    ("peer", "forwarded", "seen"),
    [
        ("127.0.0.1", "192.0.2.7", "192.0.2.7"),
        ("127.0.0.1", "198.51.100.9, 192.0.2.7", "192.0.2.7"),  # the left one was sent by 192.0.2.7 itself
        ("127.0.0.1", "127.0.0.1, 10.0.0.1, 192.0.2.7", "192.0.2.7"),  # so were these
        ("127.0.0.1", "192.0.2.7, 10.1.2.3", "192.0.2.7"),  # two proxies one behind the other
        ("10.9.9.9", "2001:db8:2::5", "2001:db8:2::5"),
        ("::ffff:127.0.0.1", "192.0.2.7", "192.0.2.7"),
        ("127.0.0.1", None, "127.0.0.1"),
        ("127.0.0.1", "", "127.0.0.1"),
        ("127.0.0.1", "192.0.2.7, unknown", "127.0.0.1"),
        ("127.0.0.1", "192.0.2.7:5000", "127.0.0.1"),
        ("127.0.0.1", ", ".join(["192.0.2.7", *["10.0.0.1"] * 8]), "10.0.0.1"),
        ("192.0.2.8", "192.0.2.7", "192.0.2.8"),  # asked us without a proxy
        ("", "192.0.2.7", ""),
    ],
)
def test_the_first_address_that_no_proxy_of_ours_has_is_whose_request_it_is(
    peer: str, forwarded: str | None, seen: str
) -> None:
    assert seen_as(peer, forwarded) == seen


def test_unless_told_otherwise_no_proxy_is_believed() -> None:
    assert seen_as("127.0.0.1", "192.0.2.7", trusted="") == "127.0.0.1"


def captchas_by_address(centre: Centre) -> dict[str, int]:
    with centre.read() as connection:
        rows = connection.execute(sa.select(captcha.c.address, sa.func.count()).group_by(captcha.c.address))
        return {row[0]: row[1] for row in rows}


def browser_of(centre: Centre, trusted: str) -> FlaskClient:
    settings = msgspec.structs.replace(centre.settings, trusted_proxies=trusted)
    return app_of(Centre(settings, centre.engine, centre.secrets, centre.now_ms)).test_client()


def ask(browser: FlaskClient, forwarded: str) -> int:
    return browser.get("/admin/captcha.png", headers={"X-Forwarded-For": forwarded}).status_code


def test_behind_nginx_one_who_asks_too_much_stops_nobody_else(centre: Centre) -> None:
    browser = browser_of(centre, "127.0.0.1")
    invented = [f"198.51.100.{number}, 192.0.2.7" for number in range(MAX_OPEN_PER_ADDRESS)]
    assert {ask(browser, each) for each in invented} == {200}
    assert ask(browser, "203.0.113.9, 192.0.2.7") == 429
    assert ask(browser, "192.0.2.8") == 200
    assert captchas_by_address(centre) == {"192.0.2.7": MAX_OPEN_PER_ADDRESS, "192.0.2.8": 1}


def test_a_whole_ipv6_network_counts_as_one(centre: Centre) -> None:
    browser = browser_of(centre, "127.0.0.1")
    assert {ask(browser, f"2001:db8::{number}") for number in range(1, 4)} == {200}
    assert captchas_by_address(centre) == {"2001:db8::/64": 3}


def test_without_the_setting_a_header_moves_nothing(centre: Centre) -> None:
    browser = browser_of(centre, "")
    assert {ask(browser, f"192.0.2.{number}") for number in range(3)} == {200}
    assert captchas_by_address(centre) == {"127.0.0.1": 3}
