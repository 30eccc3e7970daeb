"""The centre's keys: their life, the signed key set, what lies on disk, and who opens what."""

from __future__ import annotations

import json
from itertools import product
from pathlib import Path

import click
import pytest
import sqlalchemy as sa
from click.testing import CliRunner

import sync_server
from sync_server.backups import copy_database
from sync_server.centre import Centre
from sync_server.checks import check
from sync_server.errors import ConfigurationError, NotAllowedError
from sync_server.keys import key_set, pairs
from sync_server.keys.commands import keys
from sync_server.keys.outlook import LONGEST_PASS_MS, WARNED_MS, warnings
from sync_server.keys.pairs import MOVES, KeyEvent, UnusableKeyError, check_usable
from sync_server.keys.root import make_root, next_root_file, read_root, root_key_file
from sync_server.keys.tables import signing_key
from tests.sync_server.town import Clock
from wire import keyset, signing
from wire.keyset import KeySet, KeyState, keys_file, read_chain, read_key_set, read_keys_file
from wire.signing import Purpose, SealFlaw

VECTORS = Path(__file__).parents[4] / "shared/vectors/cctv/ed25519vectors.json"


@pytest.fixture
def keyed(centre: Centre) -> Centre:
    assert key_set.create_first(centre)
    return centre


def published(centre: Centre) -> KeySet:
    with centre.read() as connection:
        newest = key_set.newest(connection)
    found = read_key_set(newest.document, newest.root_public)
    assert isinstance(found, KeySet)
    assert found.version == newest.version
    return found


def states(centre: Centre) -> dict[int, str]:
    return {key.id: key.state.value for key in published(centre).keys}


def test_the_first_set_has_one_signing_key_of_each_purpose_and_is_made_once(keyed: Centre) -> None:
    first = published(keyed)
    assert [(key.id, key.purpose, key.state) for key in first.keys] == [
        (1, Purpose.PASS, KeyState.SIGNING),
        (2, Purpose.LIST, KeyState.SIGNING),
        (3, Purpose.SERVICE, KeyState.SIGNING),
    ]
    assert not key_set.create_first(keyed)
    assert published(keyed) == first
    with keyed.read() as connection:
        for key, opened in zip(
            first.keys,
            (pairs.open_pass_key, pairs.open_list_key, pairs.open_service_key),
            strict=True,
        ):
            private = opened(connection, keyed.secrets)
            assert (private.id, signing.public_key_of(private.private)) == (key.id, key.public)


def test_a_key_is_announced_then_signs_and_the_one_before_it_only_verifies(keyed: Centre) -> None:
    new = key_set.create_key(keyed, Purpose.PASS, "test")
    assert states(keyed) == {1: "signing", 2: "signing", 3: "signing", 4: "announced"}
    key_set.start_key(keyed, new, "test")
    assert states(keyed) == {1: "verify-only", 2: "signing", 3: "signing", 4: "signing"}
    assert published(keyed).version == 3
    with keyed.read() as connection:
        assert pairs.open_pass_key(connection, keyed.secrets).id == new
        assert connection.scalar(sa.select(signing_key.c.private_sealed).where(signing_key.c.id == 1)) is None


def test_a_revoked_key_that_signed_has_a_successor_at_once(keyed: Centre) -> None:
    key_set.revoke_key(keyed, 2, "leaked", "test")
    assert states(keyed) == {1: "signing", 2: "revoked", 3: "signing", 4: "signing"}
    announced = key_set.create_key(keyed, Purpose.SERVICE, "test")
    key_set.revoke_key(keyed, 3, "leaked", "test")
    assert states(keyed)[announced] == "signing"
    assert published(keyed).find(Purpose.LIST, 2, None) is None


@pytest.mark.parametrize(("state", "event"), [pair for pair in product(KeyState, KeyEvent) if pair not in MOVES])
def test_no_other_move_is_possible(keyed: Centre, clock: Clock, state: KeyState, event: KeyEvent) -> None:
    assert clock() == keyed.now_ms()
    if event is KeyEvent.RETIRE:
        return  # no command asks for it; it follows from another key's start
    key_id = key_set.create_key(keyed, Purpose.PASS, "test")
    if state is not KeyState.ANNOUNCED:
        key_set.start_key(keyed, key_id, "test")
    if state is KeyState.VERIFY_ONLY:
        key_set.start_key(keyed, key_set.create_key(keyed, Purpose.PASS, "test"), "test")
    if state is KeyState.REVOKED:
        key_set.revoke_key(keyed, key_id, "test", "test")
    assert states(keyed)[key_id] == state
    before = published(keyed)
    with pytest.raises(NotAllowedError, match=f"the key {key_id} is {state}: it cannot {event}"):
        if event is KeyEvent.START:
            key_set.start_key(keyed, key_id, "test")
        else:
            key_set.revoke_key(keyed, key_id, "again", "test")
    assert published(keyed) == before


def test_the_root_key_lies_in_a_file_of_its_own_and_may_be_taken_away(keyed: Centre) -> None:
    file = root_key_file(keyed.settings)
    assert file.stat().st_mode & 0o777 == 0o600
    root = read_root(file)
    assert signing.public_key_of(root) == published(keyed).root
    away = file.rename(file.with_suffix(".away"))
    with pytest.raises(ConfigurationError, match="kept off-line"):
        key_set.create_key(keyed, Purpose.PASS, "test")
    file.write_text("00" * 32, encoding="ascii")
    file.chmod(0o644)
    with pytest.raises(ConfigurationError, match="chmod 600"):
        read_root(file)
    file.chmod(0o600)
    with pytest.raises(ConfigurationError, match="another root key"):
        key_set.create_key(keyed, Purpose.PASS, "test")
    file.write_text("nonsense", encoding="ascii")
    with pytest.raises(ConfigurationError, match="damaged"):
        read_root(file)
    away.rename(file)
    key_set.create_key(keyed, Purpose.PASS, "test")


def test_no_private_key_lies_open_in_the_database(keyed: Centre) -> None:
    with keyed.read() as connection:
        opened = [pairs.open_pass_key(connection, keyed.secrets), pairs.open_service_key(connection, keyed.secrets)]
        salt = key_set.deployment_salt(connection, keyed.secrets)
    keyed.engine.dispose()
    folder = root_key_file(keyed.settings).parent
    stored = b"".join(file.read_bytes() for file in folder.glob("centre.db*"))
    for secret in [*(key.private for key in opened), salt, read_root(root_key_file(keyed.settings))]:
        assert secret not in stored and secret.hex().encode() not in stored
    assert repr(opened[0]) == "SigningKey(1)"


def test_the_exported_file_is_what_verify_token_reads(keyed: Centre) -> None:
    with keyed.read() as connection:
        keys = key_set.public_keys(connection)
    assert read_keys_file(keys_file(keys)).keys == keys


def test_low_order_and_non_canonical_keys_cannot_be_added() -> None:
    if not VECTORS.exists():
        pytest.skip(f"the public vectors are not at {VECTORS}")
    flags = {"low_order_A", "non_canonical_A"}
    rows = json.loads(VECTORS.read_text())
    bad = {row["key"] for row in rows if flags & set(row["flags"] or ())}
    assert len(bad) >= 14
    for key in bad:
        with pytest.raises(UnusableKeyError, match=key):
            check_usable(bytes.fromhex(key))


def test_web_folders_open_no_key_but_the_service_key() -> None:
    root = Path(sync_server.__file__).parent
    web = ("admin", "device_api", "provider_callbacks", "visitor_site", "distributor_api")
    opening = {
        f"{file.relative_to(root)}: {name}"
        for folder in web
        for file in (root / folder).rglob("*.py")
        for name in ("open_pass_key", "open_list_key", "read_root", "make_root")
        if name in file.read_text(encoding="utf-8")
    }
    assert opening == set()


def test_a_gate_cut_off_through_three_root_keys_walks_to_the_newest(keyed: Centre) -> None:
    pinned = published(keyed).root
    for _ in range(3):
        key_set.rotate_root(keyed, "test")
        key_set.create_key(keyed, Purpose.LIST, "test")
    with keyed.read() as connection:
        newest, chain = key_set.newest(connection), key_set.chain(connection)
    assert len(chain) == 3
    assert read_key_set(newest.document, pinned) is SealFlaw.FORGED
    walked = read_chain((*chain, newest.document), pinned)
    assert isinstance(walked, KeySet)
    assert (walked.version, walked.root) == (7, newest.root_public)
    assert read_chain((*chain[1:], newest.document), pinned) is SealFlaw.FORGED  # a link is missing
    assert read_chain((*chain, newest.document), walked.root) == walked  # and one that knows all of it


def test_a_gate_follows_however_often_the_root_key_was_changed(keyed: Centre, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is told of all changes is no more than gates read, or none of them would read any configuration."""
    monkeypatch.setattr(keyset, "MAX_CHAIN", 4)
    monkeypatch.setattr(key_set, "MAX_ROOT_CHANGES_TOLD", 3)
    roots, warned = [published(keyed).root], list[bool]()
    for _ in range(5):
        key_set.rotate_root(keyed, "test")
        roots.append(published(keyed).root)
        with keyed.read() as connection:
            documents = (*key_set.chain(connection), key_set.newest(connection).document)
            warned.append(any("enrolled anew" in one for one in warnings(connection, keyed.now_ms())))
        assert isinstance(read_chain(documents, roots[-1]), KeySet)
        assert isinstance(read_chain(documents, roots[max(0, len(roots) - 4)]), KeySet)
    assert read_chain(documents, roots[0]) is SealFlaw.FORGED
    assert warned == [True] * 5, "with so little room"


def test_what_of_the_keys_has_to_be_done_soon_is_told(keyed: Centre, clock: Clock) -> None:
    def told() -> list[str]:
        with keyed.read() as connection:
            return warnings(connection, clock.now_ms)

    def shown(command: click.Command, *arguments: str) -> str:
        return CliRunner().invoke(command, arguments, obj=lambda: keyed, catch_exceptions=False).stderr

    assert told() == []
    life_ms = pairs.LIFETIME_MS
    clock.pass_ms(life_ms - LONGEST_PASS_MS - WARNED_MS)
    assert told() == []
    clock.pass_ms(1)
    assert [one[:14] for one in told()] == ["the pass key 1"]
    assert shown(keys, "list") == shown(check) == f"warning: {told()[0]}\n"
    successor = key_set.create_key(keyed, Purpose.PASS, "test")
    assert len(told()) == 1, "it does not sign yet"
    key_set.start_key(keyed, successor, "test")
    assert told() == []
    clock.pass_ms(LONGEST_PASS_MS)
    assert [one.partition(" ends in ")[0] for one in told()] == ["the list key 2", "the service key 3"]
    clock.pass_ms(WARNED_MS - 1)
    assert [one.partition(" ended ")[0] for one in told()][:2] == ["the list key 2", "the service key 3"]


def test_the_old_root_key_file_stays_for_the_operator_to_destroy(keyed: Centre) -> None:
    file = root_key_file(keyed.settings)
    old = read_root(file)
    public = key_set.rotate_root(keyed, "test")
    assert signing.public_key_of(read_root(file)) == public
    assert read_root(file.with_name(file.name + ".old-1")) == old


def test_a_crash_before_the_new_root_key_has_its_name_is_made_good(
    keyed: Centre, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(key_set, "take_over", lambda *_: None)
        public = key_set.rotate_root(keyed, "test")
    key_set.create_key(keyed, Purpose.PASS, "test")
    assert published(keyed).root == public
    assert signing.public_key_of(read_root(root_key_file(keyed.settings))) == public


def test_a_crash_before_the_new_root_key_is_published_changes_nothing(keyed: Centre) -> None:
    before = published(keyed).root
    make_root(next_root_file(root_key_file(keyed.settings)))
    key_set.create_key(keyed, Purpose.PASS, "test")
    assert published(keyed).root == before
    assert key_set.rotate_root(keyed, "test") != before


def test_a_key_set_that_no_gate_would_read_is_not_published(keyed: Centre, monkeypatch: pytest.MonkeyPatch) -> None:
    before = published(keyed)
    monkeypatch.setattr(keyset, "MAX_KEYS", len(before.keys))
    with pytest.raises(NotAllowedError, match="no gate would read"):
        key_set.create_key(keyed, Purpose.LIST, "test")
    assert published(keyed) == before and len(states(keyed)) == len(before.keys)


def test_a_root_key_that_was_changed_since_the_backup_is_taken_again(keyed: Centre, tmp_path: Path) -> None:
    """The gates have pinned it: as docs/operate.md says, both files get their old names back."""
    database, file = Path(keyed.engine.url.database or ""), root_key_file(keyed.settings)
    copy_database(database, tmp_path / "backup.db")
    pinned = key_set.rotate_root(keyed, "test")
    keyed.engine.dispose()
    database.unlink()
    copy_database(tmp_path / "backup.db", database)
    with pytest.raises(ConfigurationError, match="another root key"):
        key_set.create_key(keyed, Purpose.LIST, "test")
    file.rename(next_root_file(file))
    file.with_name(file.name + ".old-1").rename(file)
    assert key_set.rotate_root(keyed, "test") == pinned
    with keyed.read() as connection:
        walked = read_chain((*key_set.chain(connection), key_set.newest(connection).document), pinned)
    assert isinstance(walked, KeySet) and walked.root == pinned
