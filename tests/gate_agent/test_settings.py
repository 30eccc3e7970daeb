"""The settings: every key documented as it is, every mistake named with its place and its remedy."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from gate_agent import settings
from gate_agent.settings import LIMITS, LaneSettings, ScreenSettings, Settings, SettingsError, StaffSettings
from gate_agent.status import Way
from tests.tidy.sources import ROOT

DOCUMENT = (ROOT / "docs" / "settings.md").read_text(encoding="utf-8")
LISTEN = '[screen]\nlisten = "192.168.1.20:8443"\n'
TABLETS = LISTEN + 'tls_cert = "/etc/gate/gate.pem"\ntls_key = "/etc/gate/gate.key"\n'
LANE = '[[lane]]\ndevices = "1:reader=sim,turnstile=sim"\n'


def test_a_file_that_is_not_there_means_the_defaults(tmp_path: Path) -> None:
    assert settings.load(tmp_path / settings.NAME, required=False) == Settings()
    with pytest.raises(SettingsError, match="no such file"):
        settings.load(tmp_path / settings.NAME, required=True)


def test_everything_can_be_set(tmp_path: Path) -> None:
    path = tmp_path / settings.NAME
    path.write_text(
        'gate_name = "东门"\nsync = false\n[screen]\nport = 0\n'
        + LANE
        + 'way = "left"\npulse_ms = 400\npassage_window_ms = 7000\nsame_code_ms = 900\n',
        encoding="utf-8",
    )
    held = settings.load(path, required=True)
    lane = LaneSettings(
        devices="1:reader=sim,turnstile=sim",
        way=Way.LEFT,
        pulse_ms=400,
        passage_window_ms=7_000,
        same_code_ms=900,
    )
    assert held == Settings(gate_name="东门", sync=False, screen=ScreenSettings(port=0), lane=(lane,))
    (choice,) = settings.lanes(held, ())
    assert (choice.spec.number, choice.settings) == (1, lane)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("lanes = 1", "gate.toml, line 1: lanes: there is no such key"),
        ("\n[screen]\nprot = 1", "gate.toml, line 3: screen.prot: there is no such key"),
        ('[screen]\nport = "8020"', "gate.toml, line 2: screen.port: expected `int`, got `str`"),
        ("[screen]\nport = 70000", "gate.toml, line 2: screen.port = 70000: use a number from 0 to 65535"),
        ('[screen]\nquiet_hours = "9-17"', 'gate.toml, line 2: screen.quiet_hours: write it as "21:30-07:30"'),
        ("[staff]\nlet_in_per_day = -1", "gate.toml, line 2: staff.let_in_per_day = -1: use a number from 0 to 1000"),
        ('[staff]\nexport_to = "usb"', "gate.toml, line 2: staff.export_to: name it from the root on"),
        ('[screen]\nlisten = "192.168.1.20"', "gate.toml, line 2: screen.listen: write one address of this machine"),
        ('[screen]\nlisten = "0.0.0.0:8443"', "gate.toml, line 2: screen.listen: write one address"),
        ('[screen]\nlisten = "gate.lan:8443"', "gate.toml, line 2: screen.listen: write one address"),
        ('[screen]\nlisten = "192.168.1.20:70000"', "gate.toml, line 2: screen.listen: write one address"),
        (LISTEN, "gate.toml, line 1: screen.tls_cert: screen.listen needs it"),
        (LISTEN + 'tls_cert = "/a"\ntls_key = "gate.key"', "gate.toml, line 4: screen.tls_key: screen.listen needs it"),
        (TABLETS + 'listen_names = ["gate.lan:8443"]', "gate.toml, line 5: screen.listen_names: 'gate.lan:8443' is no"),
        (LANE + "pulse_ms = 50", "gate.toml, line 3: lane.pulse_ms = 50: use a number from 100 to 5000"),
        (LANE + 'way = "down"', "gate.toml, line 3: lane.way"),
        ("[[lane]]\npulse_ms = 300", "gate.toml, line 1: lane: object missing required field `devices`"),
        ('[[lane]]\ndevices = "1:reader=sim"', "gate.toml, line 2: lane.devices: lane 1: name exactly one turnstile"),
        (LANE + LANE, "lane 1 is there twice"),
        ('[[lane]]\ndevices = "1:turnstile=sim"', "gate.toml, line 2: lane.devices: lane 1: name 1 to 8 readers"),
        ("gate_name = east", "gate.toml: not TOML"),
    ],
)
def test_a_mistake_is_named_with_its_place(text: str, says: str) -> None:
    with pytest.raises(SettingsError, match=re.escape(says)):
        settings.read(text, "gate.toml")


def test_tablets_open_the_first_name_there_is() -> None:
    assert settings.listening(ScreenSettings()) is None
    held = settings.read(TABLETS, "gate.toml").screen
    assert (settings.listening(held), settings.tablets_url(held)) == (
        ("192.168.1.20", 8443),
        "https://192.168.1.20:8443",
    )
    held = settings.read(TABLETS + 'listen_names = ["gate-1.lan", "gate"]', "gate.toml").screen
    assert settings.tablets_url(held) == "https://gate-1.lan:8443"


def test_quiet_hours_are_minutes_of_the_day() -> None:
    assert settings.quiet_hours(settings.read('[screen]\nquiet_hours = "21:30-07:05"', "gate.toml")) == (1290, 425)
    assert settings.quiet_hours(Settings()) is None


def test_lanes_of_the_command_line_replace_those_of_the_file() -> None:
    held = settings.read(LANE, "gate.toml")
    choices = settings.lanes(held, ["3:reader=sim,turnstile=sim", "4:reader=sim,turnstile=sim"])
    assert [choice.spec.number for choice in choices] == [3, 4]
    with pytest.raises(SettingsError, match="--lane: lane 'x'"):
        settings.lanes(held, ["x"])


@pytest.mark.parametrize("bad", [b"\xff\xfe", b"#" * (settings.MAX_SETTINGS_BYTES + 1)], ids=["not text", "too long"])
def test_a_file_that_is_no_settings_file(tmp_path: Path, bad: bytes) -> None:
    path = tmp_path / settings.NAME
    path.write_bytes(bad)
    with pytest.raises(SettingsError, match=str(path)):
        settings.load(path, required=True)


def keys() -> dict[str, object]:
    """Every key there is and its default."""
    found: dict[str, object] = {}
    tables = (("screen.", ScreenSettings()), ("staff.", StaffSettings()), ("lane.", LaneSettings(devices="")))
    for prefix, table in (("", Settings()), *tables):
        for name in table.__struct_fields__:
            if name not in ("screen", "staff", "lane"):
                found[prefix + name] = getattr(table, name)
    return found


def documented() -> dict[str, tuple[str, str]]:
    """Key → kind and default, from the document's table."""
    rows = re.findall(r"^\| `([\w.]+)` \| (.+?) \| (.+?) \| .{20,} \|$", DOCUMENT, re.MULTILINE)
    return {key: (kind, default) for key, kind, default in rows}


def test_every_key_is_documented_and_nothing_else() -> None:
    assert documented().keys() == keys().keys()


def test_the_document_tells_defaults_and_limits_as_they_are() -> None:
    for key, (kind, default) in documented().items():
        if key in LIMITS:
            assert kind == f"{LIMITS[key][0]} to {LIMITS[key][1]}"
        value = keys()[key]
        empty = "empty" if kind == "text" and key != "lane.devices" else "–"
        shown = {"": empty, (): "none", True: "`true`", False: "`false`"}.get(value, f"`{value}`")
        assert default == shown


def test_the_documents_example_is_a_settings_file() -> None:
    (example,) = re.findall(r"```toml\n(.+?)```", DOCUMENT, re.DOTALL)
    assert len(settings.read(example, "docs/settings.md").lane) == 2
