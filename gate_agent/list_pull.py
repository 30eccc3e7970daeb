"""One visit to the feed: the head, what it names that is not here yet, and the list swapped in (wire.md §5)."""

from __future__ import annotations

import logging
import random
import shutil
from collections.abc import Callable
from pathlib import Path

from gate_agent import list_install, pass_list
from gate_agent.centre_client import Answer, Caller, Rest, trouble_of
from gate_agent.list_file import NotInstalled
from gate_agent.sync_state import LinkTrouble, SyncState, TroubleKind
from gate_agent.sync_store import SyncStore
from wire import feed, messages
from wire.feed import Head
from wire.signing import SealFlaw

HEAD_EVERY_S = 3.0
HEAD_SPREAD = 0.2
CONFIG_AGAIN_MS = 60_000
"""How soon the configuration is asked for again when a head speaks of keys it did not bring."""
CONFIG_EVERY_MS = 3_600_000
"""How often it is asked for anyway: the centre may have moved its lists to another address."""
QUIET_MS = 120_000
"""The centre signs a head every half minute: a cache that brings no newer one for so long may stand still."""
MAX_CONFIG_BYTES = 256 * 1024
INCOMING = "incoming"

log = logging.getLogger(__name__)


class SegmentMissing(Exception):
    """A segment cannot be had; carries why out of the building of a list."""

    def __init__(self, trouble: LinkTrouble) -> None:
        super().__init__(trouble.detail)
        self.trouble = trouble


class ListPull:
    """Keeps the list at what the centre's head says."""

    def __init__(
        self, data_dir: Path, store: SyncStore, caller: Caller, boot_ms: Callable[[], int], chance: random.Random
    ) -> None:
        self._data_dir = data_dir
        self._store = store
        self._caller = caller
        self._boot_ms = boot_ms
        self._chance = chance
        self._incoming = data_dir / pass_list.FOLDER / INCOMING
        self._etag: str | None = None
        self._config_asked_boot_ms: int | None = None
        self._config_asked_for: tuple[int, int] | None = None
        self._newest_signed_ms = 0
        self._news_boot_ms = boot_ms()
        self._cache_trouble: TroubleKind | None = None
        self.segments = 0
        """Rises with every segment that was needed, so that a long transfer shows that it moves."""

    def pull_once(self) -> Rest | LinkTrouble:
        """Ask for the head and, when it is newer, fetch, verify and swap in the list. A LinkTrouble changed nothing."""
        state = self._configured()
        if isinstance(state, LinkTrouble):
            return state
        assert state.config is not None and state.url is not None
        if state.config.feed_url:
            return self._pull_through_cache(state.config.feed_url, state.url, state)
        return self._pull_from(state.url, state)

    def _pull_through_cache(self, cache: str, centre: str, state: SyncState) -> Rest | LinkTrouble:
        """From the cache that the centre named; from the centre itself where the cache fails or stands still."""
        told = self._pull_from(cache, state)
        trouble = told.kind if isinstance(told, LinkTrouble) else None
        if trouble is not self._cache_trouble:
            said = f"{told.kind}: {told.detail}" if isinstance(told, LinkTrouble) else "in order again"
            log.warning("lists from %s: %s", cache, said)
            self._cache_trouble = trouble
        if trouble is None and self._boot_ms() - self._news_boot_ms < QUIET_MS:
            return told
        self._news_boot_ms = self._boot_ms()
        direct = self._pull_from(centre, state)
        return direct if isinstance(direct, Rest) or trouble is TroubleKind.UNREACHABLE else told

    def _pull_from(self, url: str, state: SyncState) -> Rest | LinkTrouble:
        answer = self._ask_head(url, state)
        if isinstance(answer, LinkTrouble):
            return answer
        if answer.status == 304 and self._etag is not None:
            return self._rest()
        if answer.status != 200:
            return trouble_of(answer, "the list's head")
        keyed = self._with_its_keys(state, answer.body)
        if isinstance(keyed, LinkTrouble):
            return keyed
        trouble = self._install(url, keyed, answer.body)
        if trouble is not None:
            return trouble
        self._etag = answer.headers.get("etag")
        return self._rest()

    def _rest(self) -> Rest:
        return Rest(HEAD_EVERY_S * self._chance.uniform(1 - HEAD_SPREAD, 1 + HEAD_SPREAD))

    def _configured(self) -> SyncState | LinkTrouble:
        """The state with a configuration: asked for at start, and until there is one. An old one serves meanwhile."""
        state = self._store.read()
        if state.device is None:
            return LinkTrouble(TroubleKind.NOT_ENROLLED, "this gate is not enrolled: gate-agent enrol --url … --code …")
        asked_boot_ms = self._config_asked_boot_ms
        if state.config is not None and asked_boot_ms is not None and self._boot_ms() - asked_boot_ms < CONFIG_EVERY_MS:
            return state
        trouble = self._fetch_config(state)
        lost = trouble is not None and trouble.kind is TroubleKind.UNREACHABLE
        if trouble is not None and (state.config is None or (lost and not state.config.feed_url)):
            return trouble
        return self._store.read()

    def _fetch_config(self, state: SyncState) -> LinkTrouble | None:
        self._config_asked_boot_ms = self._boot_ms()
        assert state.device is not None and state.key_set is not None
        answer = self._caller.signed(state, "GET", "/device/v1/config", MAX_CONFIG_BYTES)
        if isinstance(answer, LinkTrouble):
            return answer
        if answer.status != 200:
            return trouble_of(answer, "the gate's configuration")
        read = messages.read_config(answer.body, state.device, state.key_set.root)
        if read in (SealFlaw.MALFORMED, SealFlaw.NEEDS_UPDATE):
            return trouble_of(answer, "the gate's configuration")
        if isinstance(read, SealFlaw) or read[1].version < state.key_set.version:
            why = read if isinstance(read, SealFlaw) else "older than the one held"
            return LinkTrouble(TroubleKind.NOT_THE_CENTRE, f"the gate's configuration or its key set is refused: {why}")
        config, key_set = read
        self._store.keep_config(config, key_set.root)
        return None

    def _ask_head(self, url: str, state: SyncState) -> Answer | LinkTrouble:
        assert state.config is not None
        if not (self._data_dir / pass_list.FOLDER / pass_list.CURRENT).exists():
            self._etag = None  # the list was deleted under us: all of it is wanted again
        headers = {} if self._etag is None else {"If-None-Match": self._etag}
        return self._caller.fetch(url, f"/feed/{state.config.feed_id.hex()}/head", feed.MAX_HEAD_BYTES, headers)

    def _with_its_keys(self, state: SyncState, head: bytes) -> SyncState | LinkTrouble:
        """The state, with a newer configuration if the head speaks of keys we lack; for the same ones once a minute."""
        assert state.config is not None and state.key_set is not None
        read = feed.read_head(head, state.key_set, state.config.feed_id)
        lacking = read is SealFlaw.UNKNOWN_KEY or (
            isinstance(read, Head)
            and (
                read.key_set_version > state.key_set.version
                or read.list_key_id not in {key_id for key_id, _ in state.config.list_keys}
            )
        )
        wanted = (read.key_set_version, read.list_key_id) if isinstance(read, Head) else None
        asked_boot_ms, asked_for = self._config_asked_boot_ms, self._config_asked_for
        again = wanted == asked_for and asked_boot_ms is not None
        if not lacking or (again and self._boot_ms() - (asked_boot_ms or 0) < CONFIG_AGAIN_MS):
            return state
        self._config_asked_for = wanted
        return self._fetch_config(state) or self._store.read()

    def _install(self, url: str, state: SyncState, head: bytes) -> LinkTrouble | None:
        assert state.config is not None and state.key_set is not None
        try:
            installed = list_install.install(
                self._data_dir, head, lambda name: self._segment(url, name), state.key_set, state.config
            )
        except SegmentMissing as problem:
            return problem.trouble
        if isinstance(installed, NotInstalled):
            return LinkTrouble(TroubleKind.BAD_LIST, f"the list is refused, the one held stays: {installed}")
        self._store.raise_floor(installed.signed_at_ms)
        if installed.signed_at_ms > self._newest_signed_ms:
            self._newest_signed_ms, self._news_boot_ms = installed.signed_at_ms, self._boot_ms()
        shutil.rmtree(self._incoming, ignore_errors=True)
        return None

    def _segment(self, url: str, name: bytes) -> bytes:
        """A segment's bytes, from disk if an earlier attempt brought it; raises SegmentMissing otherwise."""
        self.segments += 1
        path = self._incoming / name.hex()
        if path.exists():
            data = path.read_bytes()
            if feed.segment_name(data) == name:
                return data
        answer = self._caller.fetch(url, f"/feed/segments/{name.hex()}", feed.MAX_SEGMENT_BYTES)
        if isinstance(answer, LinkTrouble):
            raise SegmentMissing(answer)
        if answer.status != 200 or feed.segment_name(answer.body) != name:
            raise SegmentMissing(trouble_of(answer, f"the list's segment {name.hex()[:12]}…"))
        self._incoming.mkdir(mode=0o700, parents=True, exist_ok=True)
        path.write_bytes(answer.body)
        return answer.body
