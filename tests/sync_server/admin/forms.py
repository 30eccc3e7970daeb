"""Sending forms as a browser does: with the token that stands in the page."""

from __future__ import annotations

import re

from flask.testing import FlaskClient
from werkzeug.test import TestResponse

CSRF_TOKEN = r'name="csrf_token" value="([^"]+)"'


def csrf_token(browser: FlaskClient, page: str) -> str:
    """The token of the first form on a page."""
    found = re.search(CSRF_TOKEN, browser.get(page).text)
    assert found is not None, f"{page} has no form"
    return found[1]


def send(browser: FlaskClient, page: str, to: str | None = None, **fields: str) -> TestResponse:
    """Fill in the form of a page and send it there (or to `to`)."""
    return browser.post(to or page, data={"csrf_token": csrf_token(browser, page), **fields})
