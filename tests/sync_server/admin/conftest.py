"""A filled centre with its web application, and operators who are signed in."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import sqlalchemy as sa
from flask import Flask
from flask.testing import FlaskClient
from jinja2 import BytecodeCache, FileSystemBytecodeCache

from sync_server.create_app import app_of
from sync_server.crypto import Secrets
from sync_server.people.sessions import open_session
from sync_server.people.tables import operator
from tests.sync_server.admin.town import Town, build
from tests.sync_server.conftest import Clock, centre_at

SignedInAs = Callable[[str], FlaskClient]


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory, sqlite_template: Path, secrets: Secrets) -> Town:
    """Built once; each test works on a copy of its database."""
    folder = tmp_path_factory.mktemp("town")
    clock = Clock()
    shutil.copy(sqlite_template, folder / "centre.db")
    made = build(centre_at(f"sqlite:///{folder / 'centre.db'}", folder, secrets, clock), clock)
    with made.centre.engine.connect() as connection:
        connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
    made.centre.engine.dispose()
    return made


@pytest.fixture
def town(built: Town, tmp_path: Path) -> Iterator[Town]:
    shutil.copy(built.centre.settings.secret_file.parent / "centre.db", tmp_path / "centre.db")
    clock = Clock(built.clock.now_ms)
    centre = centre_at(f"sqlite:///{tmp_path / 'centre.db'}", tmp_path, built.centre.secrets, clock)
    yield replace(built, centre=centre, clock=clock)
    centre.engine.dispose()


@pytest.fixture(scope="session")
def compiled_pages(tmp_path_factory: pytest.TempPathFactory) -> BytecodeCache:
    """Jinja compiles a page once for all applications: it takes longer than all else that a test does."""
    return FileSystemBytecodeCache(str(tmp_path_factory.mktemp("pages")))


@pytest.fixture
def app(town: Town, compiled_pages: BytecodeCache) -> Flask:
    app = app_of(town.centre)
    app.jinja_env.bytecode_cache = compiled_pages
    app.testing = True
    return app


@pytest.fixture
def signed_in_as(app: Flask, town: Town) -> SignedInAs:
    """`signed_in_as("zhoumin")`: a browser with that operator's session (zhoumin operations, qianwen finance,
    xulan platform_admin, shenji auditor, qiaozhang venue_manager)."""

    def open_browser(account: str) -> FlaskClient:
        with town.centre.write() as connection:
            operator_id = connection.scalars(sa.select(operator.c.id).where(operator.c.account == account)).one()
            token = open_session(connection, operator_id, "127.0.0.1", town.clock.now_ms)
        browser = app.test_client()
        with browser.session_transaction() as session:
            session["_user_id"] = token
        return browser

    return open_browser
