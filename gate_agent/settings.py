"""The agent's settings: gate.toml, typed, every key explained in docs/settings.md; a mistake is named with its line."""

from __future__ import annotations

import ipaddress
import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from gate_agent.recognition import HOLD_MS
from gate_agent.status import Way
from hardware import DeviceFault
from hardware.devices import LaneSpec, parse_lane, share_arms
from hardware.turnstile import MAX_PULSE_MS, MIN_PULSE_MS

NAME = "gate.toml"
MAX_SETTINGS_BYTES = 64 * 1024


class SettingsError(Exception):
    """A setting that cannot be used; the message says where it stands and how to mend it. Exit code 78."""


class ScreenSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """[screen]"""

    port: int = 8020
    quiet_hours: str = ""
    listen: str = ""
    listen_names: tuple[str, ...] = ()
    tls_cert: str = ""
    tls_key: str = ""


class StaffSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """[staff]"""

    let_in_per_day: int = 20
    export_to: str = "/media/*"


class LaneSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """[[lane]]: one per lane; `devices` is what `--lane` takes on the command line."""

    devices: str
    way: Way = Way.UP
    pulse_ms: int = 300
    passage_window_ms: int = 5_000
    same_code_ms: int = HOLD_MS
    free_exit: bool = False
    sound: bool = True


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The whole file."""

    gate_name: str = ""
    sync: bool = True
    centre_url: str = ""
    screen: ScreenSettings = ScreenSettings()
    staff: StaffSettings = StaffSettings()
    lane: tuple[LaneSettings, ...] = ()


@dataclass(frozen=True, slots=True)
class LaneChoice:
    """A lane whose devices have been understood."""

    spec: LaneSpec
    settings: LaneSettings


LIMITS: Mapping[str, tuple[int, int]] = {
    "screen.port": (0, 65_535),
    "staff.let_in_per_day": (0, 1_000),
    "lane.pulse_ms": (MIN_PULSE_MS, MAX_PULSE_MS),
    "lane.passage_window_ms": (1_000, 60_000),
    "lane.same_code_ms": (200, 10_000),
}
"""Smallest and largest value of each number."""
_NAME = re.compile(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*")
_SPAN = re.compile(r"([01]\d|2[0-3]):([0-5]\d)-([01]\d|2[0-3]):([0-5]\d)")


def load(path: Path, required: bool) -> Settings:
    """The settings in `path`; the defaults where it does not exist and is not required."""
    try:
        text = path.read_bytes()[: MAX_SETTINGS_BYTES + 1].decode("utf-8")
    except FileNotFoundError:
        if required:
            raise SettingsError(f"{path}: there is no such file; name the one to use with --settings") from None
        return Settings()
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path}: cannot be read ({error}); it must be a text file this user may read") from error
    if len(text) > MAX_SETTINGS_BYTES:
        raise SettingsError(f"{path}: longer than {MAX_SETTINGS_BYTES} bytes; it cannot be a settings file")
    return read(text, str(path))


def read(text: str, name: str) -> Settings:
    """The settings in `text`; `name` is how the file is called in a complaint."""
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(f"{name}: not TOML: {error}; strings need quotes, lists need brackets") from error
    try:
        settings = msgspec.convert(table, Settings)
    except msgspec.ValidationError as error:
        raise SettingsError(_complaint(name, text, str(error))) from error
    for key, value in _numbers(settings):
        smallest, largest = LIMITS[key]
        if not smallest <= value <= largest:
            where = _line_of(text, key.rpartition(".")[2], str(value))
            raise SettingsError(f"{name}, line {where}: {key} = {value}: use a number from {smallest} to {largest}")
    if not settings.staff.export_to.startswith("/") or not settings.staff.export_to.strip("/"):
        where = _line_of(text, "export_to")
        raise SettingsError(f"{name}, line {where}: staff.export_to: name it from the root on, as /media/*")
    if settings.screen.quiet_hours and quiet_hours(settings) is None:
        where = _line_of(text, "quiet_hours")
        raise SettingsError(f'{name}, line {where}: screen.quiet_hours: write it as "21:30-07:30"')
    _check_listening(settings.screen, name, text)
    lanes(settings, (), name, text)
    return settings


def lanes(settings: Settings, from_command_line: Sequence[str], name: str = NAME, text: str = "") -> list[LaneChoice]:
    """The lanes to run: those of the command line in place of the file's, if there are any."""
    wanted = [LaneSettings(devices=devices) for devices in from_command_line] or list(settings.lane)
    chosen: dict[int, LaneChoice] = {}
    for lane in wanted:
        where = (
            "--lane" if from_command_line else f"{name}, line {_line_of(text, 'devices', lane.devices)}: lane.devices"
        )
        try:
            spec = parse_lane(lane.devices)
        except DeviceFault as fault:
            raise SettingsError(f"{where}: {fault}") from fault
        if spec.number in chosen:
            raise SettingsError(f"{where}: lane {spec.number} is there twice; give each lane a number of its own")
        chosen[spec.number] = LaneChoice(spec, lane)
    try:
        specs = share_arms([choice.spec for choice in chosen.values()])
    except DeviceFault as fault:
        raise SettingsError(f"{'--lane' if from_command_line else name}: {fault}") from fault
    return [LaneChoice(spec, chosen[spec.number].settings) for spec in specs]


def quiet_hours(settings: Settings) -> tuple[int, int] | None:
    """From which minute of the day until which no sound is made; None: none are set."""
    found = _SPAN.fullmatch(settings.screen.quiet_hours)
    if found is None:
        return None
    hours, minutes, until_hours, until_minutes = map(int, found.groups())
    return hours * 60 + minutes, until_hours * 60 + until_minutes


def listening(screen: ScreenSettings) -> tuple[str, int] | None:
    """The address and port at which tablets reach the screen; None: no browser but this machine's own does."""
    host, _, port = screen.listen.rpartition(":")
    return (host, int(port)) if screen.listen else None


def tablets_url(screen: ScreenSettings) -> str:
    """What a tablet opens: by the first name where there is one, as its certificate says."""
    host, _, port = screen.listen.rpartition(":")
    return f"https://{(*screen.listen_names, host)[0]}:{port}"


def _check_listening(screen: ScreenSettings, name: str, text: str) -> None:
    """Nobody reaches the screen over a network without TLS."""
    if not screen.listen:
        return
    if not _is_endpoint(screen.listen):
        what = "write one address of this machine and a port, as 192.168.1.20:8443"
        raise SettingsError(f"{name}, line {_line_of(text, 'listen')}: screen.listen: {what}")
    for key in ("tls_cert", "tls_key"):
        if not getattr(screen, key).startswith("/"):
            what = "screen.listen needs it: the whole path of a PEM file (docs/operate.md, A tablet of the staff)"
            raise SettingsError(f"{name}, line {_line_of(text, key)}: screen.{key}: {what}")
    for known in screen.listen_names:
        if not _NAME.fullmatch(known):
            what = f"{known!r} is no name of a machine; write it as gate-1.example, without port"
            raise SettingsError(f"{name}, line {_line_of(text, 'listen_names')}: screen.listen_names: {what}")


def _is_endpoint(text: str) -> bool:
    host, _, port = text.rpartition(":")
    try:
        address = ipaddress.IPv4Address(host)
    except ValueError:
        return False
    one = not (address.is_unspecified or address.is_multicast or int(address) == 2**32 - 1)
    return one and re.fullmatch(r"[0-9]{1,5}", port) is not None and 0 < int(port) <= 65_535


def _numbers(settings: Settings) -> list[tuple[str, int]]:
    each = [("lane", lane, key) for lane in settings.lane for key in ("pulse_ms", "passage_window_ms", "same_code_ms")]
    return [
        ("screen.port", settings.screen.port),
        ("staff.let_in_per_day", settings.staff.let_in_per_day),
        *((f"{table}.{key}", getattr(lane, key)) for table, lane, key in each),
    ]


def _complaint(name: str, text: str, problem: str) -> str:
    """A sentence of msgspec ("Expected `int`, got `str` - at `$.lane[0].pulse_ms`") with file, line and remedy."""
    what, _, path = problem.partition(" - at ")
    key = re.sub(r"\[\d*\]|[$`]", "", path).strip(".")
    unknown = re.search(r"unknown field `(.+)`", what)
    if unknown:
        key = f"{key}.{unknown[1]}".strip(".")
        remedy = "there is no such key; docs/settings.md lists those there are"
    else:
        remedy = f"{what[0].lower()}{what[1:]}; see {key} in docs/settings.md" if key else what
    return f"{name}, line {_line_of(text, key.rpartition('.')[2])}: {key}: {remedy}"


def _line_of(text: str, key: str, value: str = "") -> int:
    """The line on which `key` stands (with `value` in it); 1 when it is not found, as for a key that is missing."""
    pattern = re.compile(rf"^\s*(\[*\s*)?{re.escape(key)}\b")
    for number, line in enumerate(text.splitlines(), start=1):
        if pattern.match(line) and value in line:
            return number
    return 1
