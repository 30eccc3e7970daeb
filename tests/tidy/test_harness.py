"""The tests' own tools: they must fail when they should, or everything built on them says nothing."""

from __future__ import annotations

from pathlib import Path

import pytest
import sqlalchemy

from tests.waiting import until

pytestmark = pytest.mark.slow

pytest_plugins = ["pytester"]
CONFTEST = Path(__file__).parents[1] / "conftest.py"


@pytest.mark.postgres
def test_a_database_of_ones_own(postgres_url: str) -> None:
    engine = sqlalchemy.create_engine(postgres_url)
    with engine.begin() as connection:
        connection.execute(sqlalchemy.text("CREATE TABLE visit (id integer)"))
        assert connection.scalar(sqlalchemy.text("SELECT count(*) FROM visit")) == 0
    engine.dispose()


def test_until_gives_the_first_true_answer_or_says_what_did_not_happen() -> None:
    answers = iter([0, 0, 7])
    assert until(lambda: next(answers)) == 7
    with pytest.raises(AssertionError, match="the arm turns"):
        until(lambda: False, timeout_s=0.02, what="the arm turns")


@pytest.mark.parametrize(("require_all", "outcome"), [("0", {"skipped": 1}), ("1", {"failed": 1})])
def test_a_missing_tool_is_a_failure_where_all_is_required(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, require_all: str, outcome: dict[str, int]
) -> None:
    monkeypatch.setenv("REQUIRE_ALL", require_all)
    monkeypatch.setenv("PYTHONPATH", str(CONFTEST.parents[1]))
    pytester.makeconftest(CONFTEST.read_text(encoding="utf-8"))
    pytester.makepyfile("import pytest\ndef test_tool():\n    pytest.skip('no such tool')\n")
    pytester.runpytest_subprocess("-p", "no:cacheprovider").assert_outcomes(**outcome)


@pytest.mark.parametrize(("options", "count"), [([], 100), (["--slow", "kills"], 1000)])
def test_counts_are_a_tenth_unless_the_group_is_asked_for(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, options: list[str], count: int
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(CONFTEST.parents[1]))
    pytester.makeconftest(CONFTEST.read_text(encoding="utf-8"))
    pytester.makeini("[pytest]\nmarkers = slow")
    pytester.makepyfile(
        f"""
        import pytest

        @pytest.mark.slow("kills")
        def test_in_the_group(times):
            assert times(1000) == {count}
        """
    )
    pytester.runpytest_subprocess(*options, "-p", "no:cacheprovider").assert_outcomes(passed=1)


@pytest.mark.parametrize(("options", "count"), [([], 6), (["--slow", "money"], 2)])
def test_postgres_plays_the_first_case_and_with_its_group_the_others(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, options: list[str], count: int
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(CONFTEST.parents[1]))
    pytester.makeconftest(CONFTEST.read_text(encoding="utf-8"))
    pytester.makeini("[pytest]\nmarkers = slow")
    pytester.makepyfile(
        f"""
        import pytest

        @pytest.fixture(params=["sqlite", "postgres"])
        def any_centre(request):
            return request.param

        @pytest.mark.parametrize("case", [1, 2, 3])
        def test_on_both(any_centre, case):
            assert any_centre == "sqlite" or case == 1 or {bool(options)}

        def test_alone(any_centre):
            pass
        """
    )
    pytester.runpytest_subprocess(*options, "-p", "no:cacheprovider").assert_outcomes(passed=count)
