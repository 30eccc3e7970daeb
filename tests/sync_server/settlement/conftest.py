"""What --fast leaves out of settlement: money's ways through a payment provider, which take longest of its tests."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.hookimpl(tryfirst=True)  # before -m looks at marks
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Settlement's tests with a provider are slow, all but the first of each file."""
    begun: set[Path] = set()
    for item in items:
        if item.path.parent == Path(__file__).parent and "sandbox" in getattr(item, "fixturenames", ()):
            if item.path in begun:
                item.add_marker("slow")
            begun.add(item.path)
