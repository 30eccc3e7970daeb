"""One scan: decision and commit, refusals, lookup, idle frames, QR versions (P1, P2, P3, P4, P7).

`./dev bench scan [--passes 1000000] [--larger 10000000]`; the larger list takes some minutes to make.
"""

from __future__ import annotations

import argparse
import itertools
import os
import sqlite3
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from benchmarks import rounds
from benchmarks.venue import PASS, PHONE_KEYS, PHONE_PASS, PHONES, Venue, pass_id
from gate_agent.board import Board
from gate_agent.decision import Admit, decide
from gate_agent.entries import Entries
from gate_agent.facts import find_out
from gate_agent.gate import Gate
from gate_agent.journal import Journal
from gate_agent.lane import Lane
from gate_agent.pass_list import PassList, PassListHolder
from gate_agent.passage import LanePassages
from gate_agent.recognition import recognise
from gate_agent.sync_state import SyncView
from gate_agent.trusted_time import boot_clock_ms, clocks_of_this_machine
from gate_agent.world import WorldView
from hardware.turnstile import Direction, Edge, Note, Role
from wire import base45, holder_proof, presentation, signing, token
from wire.presentation import StaticCode

ADMISSIONS = 100  # of a round
REFUSALS = 300
LOOKUPS = 5_000
FRAMES = 90
FRAME_NS = 33_000_000
SENSOR_NOISE = 2.0  # grey levels
MOVED_PX = 40
FLOOR_ROW = bytes(120)


class Arm:
    """A turnstile through which everybody walks at once. It notes when it was pulsed: there an admission ends.

    What follows, telling the screen and the staff, no visitor waits for.
    """

    has_passage_sensor = True
    ready = True
    fire = False
    tampered = False
    fault = None
    pulsed_s = 0.0

    def open_for(self, direction: Direction, pulse_ms: int, note: Note) -> int:
        self.pulsed_s = time.perf_counter()
        return boot_clock_ms() * 1_000_000

    def passing(self, direction: Direction) -> bool:
        return False

    def watch(self, on_edge: Callable[[Edge], None]) -> None:
        return

    def close(self) -> None:
        return


@dataclass
class Bench:
    """A gate with one lane on a venue's data directory, and the floor it is measured against."""

    venue: Venue

    def __post_init__(self) -> None:
        data_dir = self.venue.data_dir
        clocks = clocks_of_this_machine()
        sync = SyncView.open(data_dir)
        self.world = WorldView(clocks, PassListHolder(data_dir), sync, bytes(32))
        self.journal = Journal(Entries.open(data_dir, lambda: os.urandom(8))[0])
        self.journal.start()
        self.arm = Arm()
        self.lane = Lane(1, self.arm, LanePassages(window_ms=5000, has_sensor=True), pulse_ms=300)
        self.gate = Gate(
            self.journal, self.world.look, Board((1,), boot_clock_ms), [self.lane], lambda: boot_clock_ms() * 1_000_000
        )
        self.numbers = itertools.count(PHONE_PASS + 1)
        self.floor_db = sqlite3.connect(data_dir / "floor.db", isolation_level=None)
        self.floor_db.execute("PRAGMA journal_mode = WAL")
        self.floor_db.execute("PRAGMA synchronous = FULL")
        self.floor_db.execute("CREATE TABLE entry (seq INTEGER PRIMARY KEY, body BLOB)")
        listed = PassList.open(data_dir)
        assert listed is not None
        self.list_db = sqlite3.connect(f"file:{listed.path}?mode=ro", uri=True)
        self.public = signing.public_key_of(PASS)

    def close(self) -> None:
        """Let go of the files."""
        self.journal.close()
        self.floor_db.close()
        self.list_db.close()

    def admissions(self) -> Iterator[tuple[str, float]]:
        """For a round of fresh passes: seconds of one admission and of its floor, one after the other."""
        for _ in range(ADMISSIONS):
            number = next(self.numbers)
            text = self.venue.token(number)
            yield "admission", self._admit(text)
            self._walk_through()
            data = base45.decode(text.removeprefix(token.PREFIX)) or b""
            yield "floor", rounds.seconds(lambda data=data, number=number: self._floor(data, number))  # type: ignore[misc]

    def admit_next(self) -> float:
        """The next visitor with a pass of their own comes and walks through: seconds until the turnstile opened."""
        taken_s = self._admit(self.venue.token(next(self.numbers)))
        self._walk_through()
        return taken_s

    def refuse(self, text: str) -> None:
        """Everything up to the verdict, without the journal that the visitor need not wait for."""
        world = self.world.look()
        known = find_out(recognise(text), world)
        verdict = decide(known.facts, world.venue, world.now)
        assert not isinstance(verdict, Admit)

    def read(self, text: str) -> None:
        """The same for a code that is good, as if it had just been drawn."""
        world = self.world.look()
        known = find_out(recognise(text), world)
        now = replace(world.now, at_ms=self.venue.now_ms)
        verdict = decide(known.facts, world.venue, now)
        assert isinstance(verdict, Admit), verdict

    def _admit(self, text: str) -> float:
        """Seconds from the code to the pulse."""
        began_s = time.perf_counter()
        verdict = self.gate.present(self.lane, StaticCode(text))
        assert isinstance(verdict, Admit), verdict
        return self.arm.pulsed_s - began_s

    def _walk_through(self) -> None:
        now_ns = (boot_clock_ms() + 2) * 1_000_000
        self.gate.edge(self.lane, Edge(Role.PASSAGE_IN, True, now_ns))
        self.gate.edge(self.lane, Edge(Role.PASSAGE_IN, False, now_ns))

    def _floor(self, data: bytes, number: int) -> None:
        """One verify, one lookup, one durable commit."""
        assert signing.verify_kind(self.public, token.KIND, token.VERSION, data[:28], data[28:])
        row = self.list_db.execute("SELECT * FROM pass WHERE pass_id = ?", (pass_id(number),)).fetchone()
        assert row is not None
        self.floor_db.execute("BEGIN IMMEDIATE")
        self.floor_db.execute("INSERT INTO entry (body) VALUES (?)", (FLOOR_ROW,))
        self.floor_db.execute("COMMIT")


def admission_ratio(bench: Bench) -> tuple[float, float, float]:
    """P1, and the medians behind it in ms."""
    ratios, all_times = [], []
    for _ in range(rounds.ROUNDS):
        times: dict[str, list[float]] = {"admission": [], "floor": []}
        for what, taken in bench.admissions():
            times[what].append(taken)
        ratios.append(statistics.median(times["admission"]) / statistics.median(times["floor"]))
        all_times.append(times)
    medians = [rounds.median_ms([t for times in all_times for t in times[what]]) for what in ("admission", "floor")]
    return statistics.median(ratios), medians[0], medians[1]


def refusal_ratios(bench: Bench) -> tuple[float, float]:
    """P2: a forgery and garbage, each ÷ one verify."""
    good = bench.venue.token(0)
    data = base45.decode(good.removeprefix(token.PREFIX)) or b""
    forged = token.PREFIX + base45.encode(data[:-1] + bytes([data[-1] ^ 1]))
    verify = lambda: signing.verify_kind(bench.public, token.KIND, token.VERSION, data[:28], data[28:])  # noqa: E731
    times = rounds.interleaved(
        {"verify": verify, "forgery": lambda: bench.refuse(forged), "garbage": lambda: bench.refuse("hello, gate")},
        {"verify": REFUSALS, "forgery": REFUSALS, "garbage": REFUSALS},
    )
    return rounds.ratio(times, "forgery", "verify"), rounds.ratio(times, "garbage", "verify")


def proof_of(venue: Venue, phone: int) -> tuple[int, bytes]:
    """Step and signature of a phone's code that is good now."""
    step = presentation.step_at(venue.now_ms)
    message = presentation.holder_message(pass_id(PHONE_PASS), PHONE_KEYS[phone].generation, step)
    return step, holder_proof.sign(PHONES[phone], message)


def short_code(venue: Venue, phone: int) -> str:
    """What a phone shows."""
    return presentation.short_text(pass_id(PHONE_PASS), *proof_of(venue, phone))


def full_code(venue: Venue) -> str:
    """What the older phone shows to a gate that may not know it."""
    claims = token.read_token(venue.token(PHONE_PASS), venue.key_set(), token.Place(3), venue.now_ms)
    assert isinstance(claims, token.Claims)
    key = PHONE_KEYS[0]
    return presentation.full_text(
        presentation.bind_holder(claims, 1, PASS, key.generation, key.public), *proof_of(venue, 0)
    )


def rotating_ratios(bench: Bench) -> tuple[float, float, float]:
    """Reading and deciding on a rotating code ÷ the one phone's signature in it: short, newer and older of two live
    keys (which costs two), and full, with the centre's signature."""
    older, newer, full = short_code(bench.venue, 0), short_code(bench.venue, 1), full_code(bench.venue)
    code, key = presentation.read_presentation(older), PHONE_KEYS[0]
    assert isinstance(code, presentation.ShortCode)
    works: dict[str, Callable[[], object]] = {
        "verify": lambda: code.is_by(key.generation, key.public),
        "newer": lambda: bench.read(newer),
        "older": lambda: bench.read(older),
        "full": lambda: bench.read(full),
    }
    times = rounds.interleaved(works, dict.fromkeys(works, REFUSALS))
    return (
        rounds.ratio(times, "newer", "verify"),
        rounds.ratio(times, "older", "verify"),
        rounds.ratio(times, "full", "verify"),
    )


def lookup_ratio(small: Venue, large: Venue) -> float:
    """P3: random lookups in the large list ÷ in the small one."""

    def lookups(venue: Venue) -> Callable[[], None]:
        listed = PassList.open(venue.data_dir)
        assert listed is not None
        numbers = itertools.cycle([n * 7919 % venue.passes for n in range(LOOKUPS * (rounds.ROUNDS + 1))])

        def look_up() -> None:
            assert listed.find(pass_id(next(numbers))) is not None

        return look_up

    works = {"small": lookups(small), "large": lookups(large)}
    return rounds.ratio(rounds.interleaved(works, {"small": LOOKUPS, "large": LOOKUPS}), "large", "small")


def frame_ratios() -> tuple[float, float]:
    """P4: an idle 720p frame through the reader ÷ bare zxing-cpp; the same while something moves (second stage)."""
    import cv2
    import numpy as np
    import zxingcpp

    from hardware.camera import Frame
    from hardware.phone_screen import Look, draw_nobody
    from hardware.qr import QrReader

    scene = cv2.resize(draw_nobody(Look()), (1280, 960), interpolation=cv2.INTER_LINEAR)[:720]
    noise = np.random.default_rng(1).normal(0, SENSOR_NOISE, scene.shape)
    still = (scene + noise).clip(0, 255).astype(np.uint8)
    moved = np.ascontiguousarray(np.roll(still, MOVED_PX, axis=1))
    frames = itertools.count()
    idle_reader, busy_reader = QrReader(), QrReader()

    def idle() -> None:
        number = next(frames)
        assert not idle_reader.read(Frame(still, number, number * FRAME_NS))

    def busy() -> None:
        number = next(frames)
        assert not busy_reader.read(Frame(moved if number % 2 else still, number, number * FRAME_NS))

    def bare() -> None:
        formats = zxingcpp.BarcodeFormats(zxingcpp.BarcodeFormat.QRCode)
        assert not zxingcpp.read_barcodes(
            still, formats=formats, try_rotate=False, try_downscale=True, try_invert=False
        )

    works = {"bare": bare, "idle": idle, "busy": busy}
    times = rounds.interleaved(works, dict.fromkeys(works, FRAMES))
    return rounds.ratio(times, "idle", "bare"), rounds.ratio(times, "busy", "bare")


def qr_versions(venue: Venue) -> dict[str, int]:
    """P7: each form of code as it is drawn, level M."""
    import segno

    texts = {"static": venue.token(PHONE_PASS), "short": short_code(venue, 0), "full": full_code(venue)}
    return {name: int(segno.make_qr(text, error="m", boost_error=False).version) for name, text in texts.items()}


def main(passes: int, larger: int, folder: Path) -> None:
    """Print the table and the JSON line."""
    small, large = Venue(folder / "small", passes), Venue(folder / "large", larger)
    small.install()
    bench = Bench(small)
    p1, admission_ms, floor_ms = admission_ratio(bench)
    forgery, garbage = refusal_ratios(bench)
    newer, older, full = rotating_ratios(bench)
    versions = qr_versions(small)
    bench.close()
    idle, busy = frame_ratios()
    large.install()
    p3 = lookup_ratio(small, large)
    rounds.table(
        [
            (
                "P1",
                f"admission until the pulse ÷ verify + lookup + commit, {passes:,} passes",
                f"{p1:.2f}",
                "≤ 1.5",
            ),
            ("", "  median of one admission / its floor, ms", f"{admission_ms:.2f} / {floor_ms:.2f}", ""),
            ("P2", "refusing a forgery ÷ verify", f"{forgery:.2f}", "≤ 2.0"),
            ("P2", "refusing garbage ÷ verify", f"{garbage:.2f}", "≤ 0.2"),
            (
                "",
                "rotating code, short ÷ one verify of P-256: newer, older of two keys",
                f"{newer:.2f}, {older:.2f}",
                "",
            ),
            ("", "rotating code, full, the centre's signature in it ÷ one verify of P-256", f"{full:.2f}", ""),
            ("P3", f"lookup at {larger:,} ÷ at {passes:,}", f"{p3:.2f}", "≤ 1.4"),
            ("P4", "idle frame ÷ bare zxing-cpp", f"{idle:.2f}", "≤ 1.3"),
            ("P4", "moving frame (second stage) ÷ bare zxing-cpp", f"{busy:.2f}", "≤ 4"),
            ("P7", "QR versions: static, short, full", "{static}, {short}, {full}".format(**versions), "6, 5, 10"),
        ],
        ("#", "what", "measured", "bar"),
    )
    rounds.last_line(
        {
            "benchmark": "scan",
            "p1_admission_ratio": round(p1, 3),
            "p2_forgery_ratio": round(forgery, 3),
            "p2_garbage_ratio": round(garbage, 3),
            "rotating_ratios": {"newer_key": round(newer, 3), "older_key": round(older, 3), "full": round(full, 3)},
            "p3_lookup_ratio": round(p3, 3),
            "p4_idle_ratio": round(idle, 3),
            "p4_second_stage_ratio": round(busy, 3),
            "p7_qr_versions": versions,
            "passes": passes,
            "larger": larger,
        }
    )


if __name__ == "__main__":
    options = argparse.ArgumentParser(prog="./dev bench scan")
    options.add_argument("--passes", type=int, default=1_000_000)
    options.add_argument("--larger", type=int, default=10_000_000)
    chosen = options.parse_args()
    with tempfile.TemporaryDirectory(prefix="bench-") as scratch:
        main(chosen.passes, chosen.larger, Path(scratch))
