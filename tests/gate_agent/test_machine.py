"""What the computer tells of itself, where it tells anything; and when the processor is spared."""

from __future__ import annotations

from pathlib import Path

import pytest

from gate_agent.machine import COOL_AGAIN_C, SUPPLY_HOLDS_AGAIN_MS, TOO_HOT_C, Machine, Strain, look_at


def tell(sys: Path, place: str, word: str) -> None:
    """A file as a driver shows it."""
    path = sys / place
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(word + "\n", encoding="ascii")


def test_a_machine_that_tells_nothing(tmp_path: Path) -> None:
    machine = look_at(tmp_path, tmp_path)
    assert 0 <= machine.disk_percent <= 100
    assert (machine.temperature_c, machine.under_voltage) == (None, None)


@pytest.mark.parametrize(
    ("place", "word", "under_voltage"),
    [
        ("devices/platform/soc/soc:firmware/get_throttled", "0", False),
        ("devices/platform/soc/soc:firmware/get_throttled", "50005", True),
        ("devices/platform/soc/soc:firmware/get_throttled", "50000", False),  # it was weak once: not now
        ("devices/platform/soc@107c000000/soc@107c000000:firmware/get_throttled", "1", True),
        ("devices/platform/soc/soc:firmware/get_throttled", "no number", None),
        ("class/hwmon/hwmon1/in0_lcrit_alarm", "1", True),
        ("class/hwmon/hwmon1/in0_lcrit_alarm", "0", False),
    ],
)
def test_a_weak_supply(tmp_path: Path, place: str, word: str, under_voltage: bool | None) -> None:
    tell(tmp_path, "class/hwmon/hwmon0/name", "cpu_thermal")
    tell(tmp_path, "class/hwmon/hwmon0/in0_lcrit_alarm", "1")  # another sensor's
    tell(tmp_path, "class/hwmon/hwmon1/name", "rpi_volt")
    tell(tmp_path, place, word)
    assert look_at(tmp_path, tmp_path).under_voltage is under_voltage


def test_the_temperature(tmp_path: Path) -> None:
    tell(tmp_path, "class/thermal/thermal_zone0/temp", "81234")
    assert look_at(tmp_path, tmp_path).temperature_c == 81


def test_heat_strains_until_it_has_cooled_down() -> None:
    strain = Strain()
    told = [strain.judge(Machine(1, c), 0) for c in (TOO_HOT_C - 1, TOO_HOT_C, COOL_AGAIN_C, COOL_AGAIN_C - 1)]
    assert told == [False, True, True, False]
    assert strain.judge(Machine(1, TOO_HOT_C - 1), 0) is False


def test_a_supply_that_gave_way_strains_for_a_minute() -> None:
    strain = Strain()
    assert strain.judge(Machine(1, under_voltage=True), 1_000)
    assert strain.judge(Machine(1, under_voltage=False), SUPPLY_HOLDS_AGAIN_MS)
    assert strain.weak
    assert not strain.judge(Machine(1, under_voltage=False), 1_000 + SUPPLY_HOLDS_AGAIN_MS)
