"""What is installed: pinned with hashes, the same everywhere, from no address written down, one OpenCV only."""

from __future__ import annotations

import importlib.metadata
import re

import pytest

from tests.tidy.sources import PACKAGES, ROOT, sources

LOCKS = ("agent", "server", "test")
NEVER_IMPORTED = {  # what is wanted all the same, and why
    "psycopg": "SQLAlchemy's driver, named in the database address",
    "setuptools": "installs this project",
    "tzdata": "the zones' rules, for a machine without its own",
}
PINNED = re.compile(r"^([a-z0-9-]+)==([^\s;]+)", re.MULTILINE)
ADDRESS = re.compile(r"://|^\s*--(index|extra-index|find-links|trusted-host)|\bfile:|@\s*[\w+]+:", re.MULTILINE)


def lock_text(name: str) -> str:
    """The text of requirements/NAME.lock."""
    return (ROOT / "requirements" / f"{name}.lock").read_text(encoding="utf-8")


def canonical(name: str) -> str:
    """A distribution's name as locks spell it."""
    return re.sub(r"[-_.]+", "-", name).lower()


@pytest.mark.parametrize("name", LOCKS)
def test_every_pin_has_hashes_and_no_address(name: str) -> None:
    text = lock_text(name)
    assert not ADDRESS.search(text)
    pins = re.split(r"\n(?=[a-z0-9])", text.partition("\n")[2].strip())
    assert [pin for pin in pins if PINNED.match(pin) and "--hash=sha256:" not in pin] == []


@pytest.mark.parametrize(
    "line", ["--index-url https://example", "--find-links wheels", "tool @ file:///tool.whl", "tool @ git+ssh:x"]
)
def test_an_address_is_found(line: str) -> None:
    assert ADDRESS.search(f"click==8 \\\n    --hash=sha256:00\n{line}\n")


def wishes(name: str) -> set[str]:
    """The distributions that requirements/NAME.in asks for."""
    lines = (ROOT / "requirements" / f"{name}.in").read_text(encoding="utf-8").splitlines()
    return {canonical(re.split(r"[\[<>=~! ]", line)[0]) for line in lines if re.match(r"[A-Za-z]", line)}


@pytest.mark.parametrize("name", LOCKS)
def test_every_wish_is_locked(name: str) -> None:
    assert wishes(name) <= {pin for pin, _ in PINNED.findall(lock_text(name))}, "run requirements/compile.sh"


@pytest.mark.slow
def test_every_wish_is_used() -> None:
    """A library nobody imports any more is taken off the list."""
    named = {
        name
        for source in sources(*PACKAGES)
        for name in re.findall(r"^ *(?:from|import) (\w+)", source.text, re.MULTILINE)
    }
    by_module = importlib.metadata.packages_distributions()
    imported = {canonical(distribution) for module in named for distribution in by_module.get(module, ())}
    assert (wishes("agent") | wishes("server")) - imported - set(NEVER_IMPORTED) == set()
    assert set(NEVER_IMPORTED) <= wishes("agent") | wishes("server")


def test_gate_and_centre_agree_on_versions() -> None:
    everything = set(PINNED.findall(lock_text("test")))
    assert set(PINNED.findall(lock_text("agent"))) <= everything
    assert set(PINNED.findall(lock_text("server"))) <= everything


def test_one_opencv_only() -> None:
    """The full opencv-python overwrites the headless one's files, and the other way round."""
    assert not any(pin.startswith("opencv-python") for pin, _ in PINNED.findall(lock_text("server")))
    for name in ("agent", "test"):
        opencvs = [(pin, version) for pin, version in PINNED.findall(lock_text(name)) if pin.startswith("opencv")]
        assert [pin for pin, _ in opencvs] == ["opencv-python-headless"]
        assert opencvs[0][1].startswith("4.")
    installed = {canonical(found.name) for found in importlib.metadata.distributions() if found.name}
    assert not installed & {"opencv-python", "opencv-contrib-python", "opencv-contrib-python-headless"}
