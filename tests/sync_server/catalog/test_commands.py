"""`sync-server product`: what the command line shows and changes of a product's rule."""

from __future__ import annotations

import json
from pathlib import Path

from click.testing import CliRunner, Result

from sync_server.catalog.commands import product
from sync_server.centre import Centre
from sync_server.errors import NotAllowedError
from sync_server.feed.contents import stated_by_venue
from tests.sync_server.town import build_town


def run(centre: Centre, *arguments: str, text: str = "") -> Result:
    return CliRunner().invoke(product, arguments, obj=lambda: centre, input=text)


def test_what_is_named_is_changed_and_the_rest_stays(centre: Centre) -> None:
    build_town(centre)
    first = json.loads(run(centre, "rule", "1").stdout)
    assert (first["rule_version"], first["rule"]["per_day"], first["rule"]["blackout"]) == (0, 3, [])
    pasted = "国庆节：2026年10月1日至7日\n周一\n"
    changed = run(
        centre, "rule", "1", "--per-day", "none", "--per-year", "60", "--needs-card", "--blackout", "-", text=pasted
    )
    assert changed.exit_code == 0, changed.output
    told = json.loads(changed.stdout)
    assert told["rule"] == first["rule"] | {
        "per_day": None,
        "per_year": 60,
        "needs_card": True,
        "blackout": ["周一", "2026-10-01 至 2026-10-07 国庆节"],
    }
    again = json.loads(run(centre, "rule", "1", "--no-needs-card", "--gap-min", "0").stdout)
    assert (again["rule_version"], again["rule"]["needs_card"], again["rule"]["per_year"]) == (2, False, 60)
    listed = [json.loads(line) for line in run(centre, "list").stdout.splitlines()]
    assert [row["number"] for row in listed] == [1, 2, 3]
    assert listed[0] == again


def test_how_far_a_cut_off_gate_believes_what_its_list_does_not_name_is_a_products(centre: Centre) -> None:
    town = build_town(centre)

    def told_to_gates() -> list[tuple[int, int]]:
        with centre.read() as connection:
            document = stated_by_venue(connection, centre.settings)[town.venues["bridge"]].document
        return [(one.offline_limit, one.max_unlisted_age_h) for one in document.products if one.number == 1]

    first = json.loads(run(centre, "offline", "1").stdout)
    assert told_to_gates() == [(first["offline_limit"], first["max_unlisted_age_h"])]
    assert first["max_unlisted_age_h"] == 24
    told = json.loads(run(centre, "offline", "1", "--max-unlisted-age-h", "6").stdout)
    assert told == first | {"max_unlisted_age_h": 6}
    assert run(centre, "offline", "1", "--limit", "0").exit_code == 0
    assert told_to_gates() == [(0, 6)]
    assert run(centre, "offline", "1", "--max-unlisted-age-h", "721").exit_code == 2


def test_a_wrong_line_is_named_and_nothing_is_changed(centre: Centre, tmp_path: Path) -> None:
    build_town(centre)
    slots = tmp_path / "slots"
    slots.write_text("08:00-11:00\n18:00-02:00\n", encoding="utf-8")
    said = run(centre, "rule", "1", "--slots", str(slots), "--per-day", "1")
    assert said.exit_code == 2
    assert "--slots: line 2 names hours that end before they begin" in said.output
    assert "18:00-02:00" in said.output
    assert json.loads(run(centre, "rule", "1").stdout)["rule_version"] == 0
    assert run(centre, "rule", "1", "--per-day", "0").exit_code == 2
    assert isinstance(run(centre, "rule", "2", "--total", "none").exception, NotAllowedError)


def test_a_product_is_taken_off_sale_and_put_on_again(centre: Centre) -> None:
    build_town(centre)
    assert json.loads(run(centre, "take-off", "1", "--reason", "改版").stdout) == {"number": 1, "sale": "OFF_SALE"}
    assert json.loads(run(centre, "rule", "1").stdout)["sale"] == "OFF_SALE"
    assert isinstance(run(centre, "take-off", "1", "--reason", "改版").exception, NotAllowedError)
    assert json.loads(run(centre, "put-on", "1").stdout)["sale"] == "ON_SALE"
    assert isinstance(run(centre, "put-on", "1").exception, NotAllowedError)
