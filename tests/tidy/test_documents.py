"""The documents: every link between them leads somewhere, every command they show exists, no address of a workshop."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import msgspec
import pytest

from gate_agent.events import EventWord
from gate_agent.settings import Settings as GateSettings
from sync_server.settings import Settings as CentreSettings
from tests.tidy.sources import ROOT

LINK = re.compile(r"\]\(([^)#\s]+)(?:#[^)]*)?\)")
COMMAND = re.compile(r"\./dev ([a-z]+)")
# Where packages come from is the machine's business, and a path of one machine means nothing on another.
WORKSHOP = re.compile(
    "|".join(
        [
            "pypi" + r"\.org",
            "python" + "hosted",
            r"deb\." + "debian",
            r"npm" + r"js\.",
            "/work" + "/",
            r"/home" + r"/\w+/",
        ]
    )
)


def documents() -> list[Path]:
    """Every Markdown file of the checkout that is ours."""
    return [path for path in files() if path.suffix == ".md"]


def files() -> list[Path]:
    """What git keeps here, and what it would keep if asked now."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=True,
    )
    return [path for name in listed.stdout.decode().split("\0") if name and (path := ROOT / name).is_file()]


def dead_links(document: Path) -> Iterator[str]:
    """Links to files that are not there."""
    for target in LINK.findall(document.read_text(encoding="utf-8")):
        if "://" not in target and not target.startswith("mailto:") and not (document.parent / target).exists():
            yield f"{document}: leads to {target}, which is not there"


def unknown_commands(document: Path) -> Iterator[str]:
    """`./dev` commands that do not exist."""
    known = set(re.findall(r"^\s*([a-z]+)\)", (ROOT / "dev").read_text(encoding="utf-8"), re.MULTILINE))
    for command in COMMAND.findall(document.read_text(encoding="utf-8")):
        if command not in known:
            yield f"{document}: shows ./dev {command}, which is not a command"


def test_links_and_commands_are_real() -> None:
    found = documents()
    assert found
    findings = [finding for document in found for rule in (dead_links, unknown_commands) for finding in rule(document)]
    assert not findings, "\n" + "\n".join(findings)


def test_a_dead_link_and_a_wrong_command_are_found(tmp_path: Path) -> None:
    document = tmp_path / "README.md"
    document.write_text("see [there](docs/there.md), [itself](README.md#top) and `./dev frobnicate`", encoding="utf-8")
    assert len(list(dead_links(document))) == 1
    assert len(list(unknown_commands(document))) == 1


def undocumented(settings: type[msgspec.Struct], document: str, table: str = "") -> Iterator[str]:
    """Keys of the settings, dotted below their tables, that have no row of their own in the document."""
    for field in msgspec.structs.fields(settings):
        inner = [kind for kind in (field.type, *get_args(field.type)) if isinstance(kind, type)]
        struct = next((kind for kind in inner if issubclass(kind, msgspec.Struct)), None)
        if struct is not None:
            yield from undocumented(struct, document, f"{table}{field.name}.")
        elif f"| `{table}{field.name}` |" not in document:
            yield f"{table}{field.name}"


@pytest.mark.parametrize("settings", [GateSettings, CentreSettings], ids=["gate", "centre"])
def test_every_setting_is_documented(settings: type[msgspec.Struct]) -> None:
    document = (ROOT / "docs/settings.md").read_text(encoding="utf-8")
    assert list(undocumented(settings, document)) == []
    assert list(undocumented(settings, document.replace("|", "")))


EVENT = re.compile(r"`([a-z_]+)")


def described_events(document: str) -> list[str]:
    """The words that the table of events has a row for."""
    table = document.partition("| word | says |")[2].partition("\n\n")[0]
    return [word for row in table.splitlines()[2:] for word in EVENT.findall(row.split("|")[1])]


def test_every_event_is_described_and_no_other() -> None:
    document = (ROOT / "docs/journal.md").read_text(encoding="utf-8")
    described = described_events(document)
    assert sorted(described) == sorted(EventWord), "each word of gate_agent/events.py once"
    assert described_events(document.replace("| `fire`, `fire_over` |", "| `fire` |")) != described


def test_nothing_names_the_workshop() -> None:
    findings = []
    for path in files():
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue  # a picture
        findings += [f"{path.relative_to(ROOT)}: {match}" for match in WORKSHOP.findall(text)]
    assert not findings


@pytest.mark.parametrize("text", ["https://" + "pypi" + ".org/simple", "see /work" + "/main/README.md"])
def test_the_workshop_is_recognised(text: str) -> None:
    assert WORKSHOP.search(text)
