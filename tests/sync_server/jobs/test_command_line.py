"""The centre as people start it: init, demo data, run, worker, orders, check and export, as real processes."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import requests

from sync_server import schema
from tests.sync_server.operators import PASSWORD
from tests.sync_server.sandbox import Sandbox
from tests.waiting import until

pytestmark = pytest.mark.story

COMMAND = [sys.executable, "-m", "sync_server"]
TIMEOUT_S = 60


class Installation:
    """A centre in a folder, reached only by its command line."""

    def __init__(self, folder: Path, **environment: str) -> None:
        self.folder, self.database = folder, f"sqlite:///{folder / 'centre.db'}"
        self.environment = {**os.environ, **environment}

    def run(self, *arguments: str, code: int = 0, typed: str | None = None) -> str:
        done = subprocess.run(
            [*COMMAND, "--database", self.database, *arguments],
            capture_output=True, text=True, timeout=TIMEOUT_S, env=self.environment, check=False, input=typed,
        )  # fmt: skip
        assert done.returncode == code, done.stderr + done.stdout
        return done.stdout if code == 0 else done.stderr + done.stdout

    def start(self, *arguments: str) -> tuple[subprocess.Popen[str], dict[str, Any]]:
        """A process that says READY, and what it said."""
        process = subprocess.Popen(
            [*COMMAND, "--database", self.database, *arguments],
            stdout=subprocess.PIPE, text=True, env=self.environment,
        )  # fmt: skip
        assert process.stdout is not None
        word, _, ready = process.stdout.readline().partition(" ")
        assert word == "READY"
        return process, json.loads(ready)


def stop(process: subprocess.Popen[str]) -> int:
    process.send_signal(signal.SIGTERM)
    assert process.stdout is not None
    process.stdout.close()
    return process.wait(TIMEOUT_S)


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder after `init`; each test goes on in a copy."""
    folder = tmp_path_factory.mktemp("installed")
    Installation(folder).run("init")
    return folder


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory, installed: Path) -> Path:
    """The same after `demo-data`."""
    folder = tmp_path_factory.mktemp("filled")
    shutil.copytree(installed, folder, dirs_exist_ok=True)
    Installation(folder).run("demo-data")
    return folder


@pytest.fixture
def installation(tmp_path: Path, installed: Path) -> Installation:
    shutil.copytree(installed, tmp_path, dirs_exist_ok=True)
    return Installation(tmp_path)


@pytest.fixture
def selling(tmp_path: Path, filled: Path, sandbox: Sandbox) -> Installation:
    """With demo data and a provider that knows the parties."""
    shutil.copytree(filled, tmp_path, dirs_exist_ok=True)
    installation = Installation(tmp_path)
    sandbox.book.add_merchant("platform", (tmp_path / "centre.merchant.pub.pem").read_text())
    sandbox.book.top_up("distributor-bianjing", 1_000_000)
    installation.environment["SYNC_SERVER_PROVIDER_URL"] = sandbox.url
    installation.environment["SYNC_SERVER_PROVIDER_PUBLIC_KEY_FILE"] = str(sandbox.public_key_file)
    return installation


def test_init_says_what_it_did_and_can_be_run_again(tmp_path: Path) -> None:
    installation = Installation(tmp_path)
    first, second = (json.loads(installation.run("init")) for _ in range(2))
    assert first["database"] == {"from": None, "to": schema.HEAD}
    assert (first["secrets_made"], first["keys_made"]) == (True, True)
    assert second["database"] == {"from": schema.HEAD, "to": schema.HEAD}
    assert (second["secrets_made"], second["keys_made"]) == (False, False)
    assert (tmp_path / "centre.secrets").stat().st_mode & 0o777 == 0o600
    assert "all" in installation.run("check")


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    away = Installation(tmp_path / "not-made")
    assert f"{tmp_path / 'not-made'}/centre.secrets: No such file or directory; make its folder" in away.run(
        "init", code=78
    )
    away.environment["SYNC_SERVER_SECRET_FILE"] = str(tmp_path / "centre.secrets")
    assert f"the folder {tmp_path / 'not-made'} of the database is not there" in away.run("init", code=78)


def test_a_centre_without_a_provider_says_that_no_money_moves(installation: Installation) -> None:
    installation.run("demo-data")
    shown = json.loads(installation.run("order", "place", "--product", "3", "--distributor", "3001"))
    assert (shown["payment"], "no money moves at ALIPAY" in shown["payment_reason"]) == ("CREATED", True)
    told = subprocess.run(
        [*COMMAND, "--database", installation.database, "worker", "--once"],
        capture_output=True, text=True, timeout=TIMEOUT_S, env=installation.environment, check=True,
    )  # fmt: skip
    assert "no money moves at ALIPAY, HUIJINBAO: the settings name no such provider" in told.stderr


def test_the_web_process_answers_and_stops(installation: Installation) -> None:
    process, ready = installation.start("run", "--port", "0")
    try:
        answer = requests.get(ready["url"] + "/healthz", timeout=TIMEOUT_S)
        assert answer.json() == {"ok": True}
        missing = requests.get(ready["url"] + "/device/nothing", timeout=TIMEOUT_S)
        assert (missing.status_code, missing.json()["error"]) == (404, "not_found")
    finally:
        assert stop(process) == 0


def test_an_order_through_the_worker_to_its_pass(selling: Installation) -> None:
    worker, _ = selling.start("worker")
    try:
        arguments = ("order", "place", "--product", "3", "--count", "2", "--distributor", "3001", "--key", "k1")
        first, second = (json.loads(selling.run(*arguments)) for _ in range(2))
        assert first["number"] == second["number"]
        assert first["amount_fen"] == 10_462
        shown = until(
            lambda: (found := json.loads(selling.run("order", "show", first["number"])))["state"] == "ISSUED" and found,
            TIMEOUT_S,
        )
        assert (shown["paid_fen"], len(shown["tickets"])) == (10_462, 2)
        assert "another content" in selling.run(*arguments[:4], *arguments[6:], code=1)
    finally:
        assert stop(worker) == 0
    postings = [json.loads(line) for line in selling.run("export", "ledger").splitlines()]
    assert sum(line["amount_fen"] for line in postings) == 0
    assert selling.run("export", "redemptions") == ""
    assert "all" in selling.run("check")


def test_an_order_that_is_not_taken_says_why(selling: Installation) -> None:
    assert "holders" in selling.run("order", "place", "--product", "1", code=1)
    assert "no product has the number 99" in selling.run("order", "place", "--product", "99", code=1)
    assert "organisation number '9'" in selling.run("order", "place", "--product", "3", "--distributor", "9", code=1)
    assert "no such order" in selling.run("order", "show", "0", code=1)
    selling.run("order", "place", "--product", "1", "--holder", "李小花,11010519491231002X,13812341234")
    again = selling.run("order", "place", "--product", "1", "--holder", "李小花,11010519491231002X,13812341234", code=1)
    assert "李*花 has this pass already" in again
    assert "李小花" not in again


def test_a_distributor_without_money_is_resumed_by_a_person(selling: Installation, sandbox: Sandbox) -> None:
    sandbox.book.top_up("distributor-bianjing", -1_000_000)
    arguments = ("order", "place", "--product", "3", "--distributor", "3001")
    placed = json.loads(selling.run(*arguments))
    assert (placed["payment"], placed["hold"]) == ("INSUFFICIENT", "INSUFFICIENT")
    (lacking,) = selling.run("transfer", "list", "--state", "INSUFFICIENT", "--party", "3001").splitlines()
    told = json.loads(lacking)
    assert (told["party"], told["title"]) == ("3001", f"订单 {placed['number']}")
    assert told["changed_at_ms"] >= told["created_at_ms"] > 0
    assert told["next_try_at_ms"] is None  # a person lets it go
    refused = selling.run("order", "apply", placed["number"], code=1)
    assert f"order {placed['number']} is held again: the charge was refused" in refused and '"state": "held"' in refused
    transfer_id = told["id"]
    sandbox.book.top_up("distributor-bianjing", 1_000_000)
    who = ("--organisation", "1000", "--account", "qian")
    made = ("--name", "钱", "--role", "finance", "--password-stdin")
    selling.run("user", "add", *who, *made, typed=PASSWORD)
    resume = ("transfer", "resume", transfer_id, "--reason", "topped up", *who, "--password-stdin")
    selling.run(*resume, typed=PASSWORD)
    assert "only one that failed" in selling.run(*resume, code=1, typed=PASSWORD)
    selling.run("worker", "--once")
    assert json.loads(selling.run("order", "show", placed["number"]))["state"] == "ISSUED"


def test_check_names_the_row_and_ends_with_1(selling: Installation) -> None:
    with sqlite3.connect(selling.folder / "centre.db") as connection:
        connection.execute("PRAGMA ignore_check_constraints=ON")
        connection.execute("UPDATE stock SET sold = total + 1")
    connection.close()
    assert selling.run("check", code=1).count("I16 (no stock row") == 4


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (("--database", "sqlite:///{folder}/none.db", "check"), 78, "run sync-server init once"),
        (("--database", "mysql://h/d", "check"), 78, "secret_file"),
        (("check",), 78, "no database is named"),
        (
            ("--database", "sqlite:///{folder}/centre.db", "run", "--processes", "2"),
            78,
            "SQLite serves one web process",
        ),
        (("--database", "sqlite:///{folder}/centre.db", "dance"), 2, "No such command"),
        (("--database", "sqlite:///{folder}/centre.db", "demo-data", "--now"), 2, "No such option"),
    ],
)
def test_a_wrong_call_says_so_with_its_code(
    installation: Installation, arguments: tuple[str, ...], code: int, says: str
) -> None:
    called = [argument.format(folder=installation.folder) for argument in arguments]
    done = subprocess.run([*COMMAND, *called], capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
    assert (done.returncode, says in done.stderr) == (code, True), done.stderr


def test_nothing_runs_on_a_database_of_another_version(installation: Installation) -> None:
    with sqlite3.connect(installation.folder / "centre.db") as connection:
        connection.execute("UPDATE alembic_version SET version_num = '0000'")
    connection.close()
    for command in ("run", "worker"):
        assert "run sync-server init" in installation.run(command, code=78)
