"""What several tests of the gate agent begin with: a venue, and its gate on a stage."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.gate_agent.stage import Stage, stage_at
from tests.gate_agent.venue import Venue


@pytest.fixture
def venue() -> Venue:
    """A venue whose list is still to be written."""
    return Venue()


@pytest.fixture
def stage(tmp_path: Path, venue: Venue) -> Iterator[Stage]:
    """Its gate; a list may be added with `venue.settle(stage.data_dir)`."""
    with stage_at(tmp_path) as one:
        yield one
