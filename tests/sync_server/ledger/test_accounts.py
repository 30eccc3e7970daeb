"""The chart of accounts is that of the model: every code, what it is kept for, and none besides."""

from __future__ import annotations

from sync_server.ledger.accounts import CHART, COVERED_CODES

# money.md §3, written down by hand a second time
MODEL = """
1010 1020 1030 1090 1110:order 1220:venue 1310 2010:distributor 2110:item 2120:order 2210:venue 2310:distributor
2320:order 2410:partner 2510:order 3010 4010 4020 4030 4040 4050 4060 5010 5020 5030 5040 5090
"""


def test_the_chart_is_the_models() -> None:
    assert [f"{code}:{kept.owner}" if kept.owner else code for code, kept in CHART.items()] == MODEL.split()


def test_all_that_is_owed_to_somebody_is_covered() -> None:
    assert [code for code in CHART if code.startswith("2")] == list(COVERED_CODES)
