"""The centre of a small town over HTTP, and a box at its bridge that asks."""

from __future__ import annotations

import pytest
from flask.testing import FlaskClient

from sync_server.centre import Centre
from sync_server.create_app import app_of
from tests.sync_server.device_api.handheld import Handheld
from tests.sync_server.town import Town, build_town


@pytest.fixture
def town(any_centre: Centre) -> Town:
    return build_town(any_centre)


@pytest.fixture
def http(town: Town) -> FlaskClient:
    return app_of(town.centre).test_client()


@pytest.fixture
def device(http: FlaskClient, town: Town) -> Handheld:
    return Handheld(http, town, town.gate())
