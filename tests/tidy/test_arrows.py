"""Who may import whom: import-linter's contracts hold, and each breaks when something points the wrong way."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.tidy.sources import PACKAGES, ROOT, Source, sources

# What besides the standard library and our own packages (which import-linter checks) a package may know.
THIRD_PARTY = {
    "wire": {"nacl", "cryptography", "msgspec"},
    "hardware": {
        *("cv2", "numpy", "zxingcpp", "pyzbar", "serial", "segno", "smartcard"),
        *("gpiod", "gpiozero", "lgpio", "requests", "urllib3"),
    },
    "sandbox_provider": {"flask", "werkzeug", "waitress", "click", "msgspec", "requests", "cryptography"},
    "sandbox_card_platform": {"flask", "werkzeug", "waitress", "click", "msgspec"},
    "provisioning": set(),
}
STANDARD = sys.stdlib_module_names


def lint_imports(folder: Path) -> str:
    """What import-linter says of the packages in `folder` under our contracts; empty when all are kept."""
    program = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run(
        [program, "--no-logo", "--no-cache", "--config", ROOT / "pyproject.toml"],
        cwd=folder, env={"PYTHONPATH": str(folder), "COLUMNS": "200"}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    return "" if done.returncode == 0 else done.stdout + done.stderr


def strangers(source: Source, allowed: set[str]) -> Iterator[str]:
    """Imports of libraries that the package has no business with."""
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Import):
            imported = [name.name for name in node.names]
        elif isinstance(node, ast.ImportFrom) and not node.level:
            imported = [node.module or ""]
        else:
            continue
        for name in imported:
            top = name.partition(".")[0]
            if top not in STANDARD and top not in PACKAGES and top not in allowed:
                yield source.at(node, f"imports {top}")


def test_the_arrows_point_one_way() -> None:
    assert not lint_imports(ROOT)


@pytest.mark.slow
@pytest.mark.parametrize("package", THIRD_PARTY)
def test_a_package_knows_only_its_libraries(package: str) -> None:
    findings = [finding for source in sources(package) for finding in strangers(source, THIRD_PARTY[package])]
    assert not findings, "\n" + "\n".join(findings)


def test_a_stranger_is_found() -> None:
    sample = Source("wire/token.py", "import json\nfrom flask import request\nfrom wire import signing\n")
    assert list(strangers(sample, THIRD_PARTY["wire"])) == ["wire/token.py:2: imports flask"]


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """Our packages as they are, in a place where they may be spoilt."""
    for source in sources(*PACKAGES):
        copied = tmp_path / source.place
        copied.parent.mkdir(parents=True, exist_ok=True)
        copied.write_text(source.text, encoding="utf-8")
    return tmp_path


@pytest.mark.slow
@pytest.mark.parametrize(
    ("place", "line", "contract"),
    [
        ("wire/token.py", "import hardware", "wire is the contract"),
        ("hardware/turnstile.py", "import wire.token", "hardware knows no tickets"),
        ("gate_agent/decision.py", "import sync_server.money", "the gate never imports the centre"),
        ("gate_agent/decision.py", "import flask", "Flask stands only at the edge"),
        ("gate_agent/uses.py", "import time", "the gate's core looks at no clock"),
        ("gate_agent/venue.py", "import gate_agent.journal", "the gate's core looks at no clock"),
        ("sync_server/ledger/__init__.py", "import sync_server.orders", "each importing only from those before it"),
        ("sync_server/money.py", "import gate_agent", "the centre never imports the gate"),
        ("demo/__init__.py", "import sync_server", "demo and provisioning talk HTTP"),
        ("sandbox_provider/__init__.py", "import wire", "the payment stand-in imports nothing of ours"),
        ("sandbox_card_platform/__init__.py", "import wire", "the card platform's stand-in imports nothing of ours"),
    ],
)
def test_an_arrow_the_wrong_way_is_found(copy: Path, place: str, line: str, contract: str) -> None:
    spoilt = copy / place
    spoilt.write_text(f"{line}\n{spoilt.read_text(encoding='utf-8')}", encoding="utf-8")
    broken = [said for said in lint_imports(copy).splitlines() if said.endswith("BROKEN")]
    assert any(contract in said for said in broken), broken
