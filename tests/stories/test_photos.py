"""A holder's photo, from a file at the centre to the staff's screen and away again, with everything real."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
import requests
from PIL import Image

from demo.centre import VENUE, running_centre
from demo.gate import running_gate
from tests.waiting import until

PATIENCE_S = 60.0
HOLDER = "李小花,11010519491231002X,13812341234"


def content(path: Path) -> bytes:
    """Of a file that may be gone: databases end their logs meanwhile."""
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return b""


@pytest.mark.story
def test_staff_see_whose_pass_it_is_until_the_photo_is_removed(tmp_path: Path) -> None:
    face = tmp_path / "face.png"
    Image.radial_gradient("L").resize((600, 800)).save(face)
    with running_centre(tmp_path) as centre, running_gate(tmp_path, centre, VENUE) as gate:
        centre._command("venue", "set", str(VENUE), "--photos")
        order = centre.buy_pass(centre.product("annual_pass"), HOLDER)
        until(lambda: centre.is_issued(order), PATIENCE_S, "the pass is issued")
        (issued,) = centre.codes(order)
        assert centre._command("pass", "photo", issued.number, str(face))["bytes"] <= 20_000
        folder = tmp_path / "gate" / "photos"
        until(lambda: folder.is_dir() and list(folder.iterdir()), PATIENCE_S, "the photo is at the gate")
        gate.show(1, issued.code, "scanner")
        staff = f"{gate.screen}/staff"
        until(lambda: 'class="portrait"' in requests.get(staff, timeout=5).text, PATIENCE_S, "the staff see the holder")
        where = requests.get(staff, timeout=5).text.partition('class="portrait" src="')[2].partition('"')[0]
        shown = requests.get(gate.screen + where, timeout=5)
        assert Image.open(io.BytesIO(shown.content)).format == "JPEG"
        held = [path for path in tmp_path.rglob("*") if path.is_file() and path != face]
        assert not any(shown.content[200:400] in content(path) for path in held), "no file shows anybody"
        centre._command("pass", "photo", issued.number, "--remove")
        until(lambda: not list(folder.iterdir()), PATIENCE_S, "the photo is gone from the gate")
        assert requests.get(gate.screen + where, timeout=5).status_code == 404
