"""The exact bytes of the contract: a change here is a change of the contract and needs a new version number.

`python -m tests.wire.test_vectors` writes wire/vectors.json anew.
"""

from __future__ import annotations

import json
from importlib import resources
from pathlib import Path

import pytest

from tests.wire import samples
from wire.electronic_card import Finding
from wire.keyset import KeyState
from wire.messages import ClockTrust, EntryKind, Outcome, Presentation
from wire.reasons import Reason
from wire.signing import Purpose


def vectors() -> dict[str, dict[str, object]]:
    loaded: dict[str, dict[str, object]] = json.loads(
        resources.files("wire").joinpath("vectors.json").read_text("utf-8")
    )
    return loaded


def contract() -> dict[str, dict[str, object]]:
    return {
        "bytes": dict(samples.exact_bytes()),
        "purposes": {item.name: item.value for item in Purpose},
        "key_states": {item.name: item.value for item in KeyState},
        "entry_kinds": {item.name: item.value for item in EntryKind},
        "outcomes": {item.name: item.value for item in Outcome},
        "presentations": {item.name: item.value for item in Presentation},
        "electronic_card_findings": {item.name: item.value for item in Finding},
        "clock_trust": {item.name: item.value for item in ClockTrust},
        "reasons": {item.name: item.value for item in Reason},
    }


@pytest.mark.parametrize("section", sorted(contract()))
def test_the_contract_is_byte_for_byte_what_vectors_json_says(section: str) -> None:
    assert contract()[section] == vectors()[section]


if __name__ == "__main__":
    target = Path(__file__).resolve().parents[2] / "wire" / "vectors.json"
    target.write_text(json.dumps(contract(), indent=1) + "\n", encoding="utf-8")
