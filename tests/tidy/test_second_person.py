"""Whatever two persons do is in the one list of what waits for the second: else nobody could confirm it."""

from __future__ import annotations

import ast

import pytest

from sync_server.second_person.deeds import DEEDS
from tests.tidy.sources import sources


@pytest.mark.slow
def test_every_act_of_two_persons_is_listed() -> None:
    acts = [
        node.args[0].value
        for source in sources("sync_server")
        for node in ast.walk(source.tree)
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "Act" and isinstance(node.args[0], ast.Constant)
    ]
    assert sorted(map(str, acts)) == sorted(DEEDS), "give the act a Deed in sync_server/second_person/deeds.py"
