"""A database that goes from test to test: nobody finds another's rows, and never another's tables."""

from __future__ import annotations

import pytest
import sqlalchemy as sa

from sync_server.catalog.tables import channel
from sync_server.db import guard_flaws
from tests.sync_server.postgres_copies import Copies

pytestmark = pytest.mark.postgres


def test_the_next_one_finds_the_rows_of_the_beginning(postgres_copies: Copies) -> None:
    counts, urls = [], set()
    for _ in range(2):
        with postgres_copies.one() as url:
            urls.add(url)
            engine = sa.create_engine(url, poolclass=sa.NullPool)
            with engine.begin() as connection:
                counts.append(connection.scalar(sa.select(sa.func.count()).select_from(channel)))
                connection.execute(channel.insert().values(name="码头", name_en="Pier", position=9, open=True))
    assert len(urls) == 1
    assert counts[0] == counts[1] != 0


def test_one_whose_guards_were_taken_away_is_not_lent_again(postgres_copies: Copies) -> None:
    urls = set()
    for _ in range(2):
        with postgres_copies.one() as url:
            urls.add(url)
            engine = sa.create_engine(url, poolclass=sa.NullPool)
            with engine.begin() as connection:
                assert guard_flaws(connection) == []
                connection.exec_driver_sql("DROP TRIGGER posting__append_only_delete ON posting")
    assert len(urls) == 2
