"""`./dev demo`: the whole product on this machine; `--once` plays the story to the end and prints one JSON line."""

from __future__ import annotations

import argparse
import itertools
import json
import signal
import sys
import tempfile
import threading
import time
from pathlib import Path

from demo.centre import VENUE, Centre, running_centre
from demo.gate import Gate, running_gate
from demo.processes import ProgramFailed
from demo.story import CARD, Story, StoryFailed

VISITOR_EVERY_S = 6.0
CABLE_EVERY_VISITORS = 5
LAST_WORDS_CHARS = 2_000


def main() -> int:
    """0 only when everything came out as it must."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _interrupt)
    options = argparse.ArgumentParser(prog="./dev demo", description=__doc__)
    options.add_argument("--once", action="store_true", help="play it to the end, print one JSON line, and stop")
    once = options.parse_args().once
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="demo-") as scratch:
        folder = Path(scratch)
        try:
            with running_centre(folder) as centre, running_gate(folder, centre, VENUE) as gate:
                _greet(centre, gate)
                story = Story(centre, gate, lambda line: print(line, file=sys.stderr, flush=True))
                story.sell()
                story.open_doors()
                story.cut_and_go_on()
                story.reconnect()
                figures = {**story.settle(), "wall_s": round(time.monotonic() - began, 1)}
                if once:
                    print(json.dumps(figures, ensure_ascii=False), flush=True)
                    return 0
                _invite(story)
                _go_on(story)
        except (StoryFailed, ProgramFailed) as failure:
            print(f"demo: {failure}", file=sys.stderr)
            _last_words(folder)
            return 1
        except KeyboardInterrupt:
            return 0
    return 0


def _interrupt(_number: int, _frame: object) -> None:
    """However it is ended, what it started is stopped and its folder goes."""
    raise KeyboardInterrupt


def _last_words(folder: Path) -> None:
    """What the programs said last."""
    for log in sorted(folder.glob("*.log")):
        print(f"--- {log.stem}\n{log.read_text('utf-8', 'replace')[-LAST_WORDS_CHARS:]}", file=sys.stderr)


def _greet(centre: Centre, gate: Gate) -> None:
    lines = [
        f"管理端 admin             {centre.url}/admin/",
        *(
            f"  机构号 {each['organisation']}  帐号 {each['account']:<10}  密码 {each['password']}"
            for each in centre.seeded["operators"]
        ),
        f"游客画面 visitor face    {gate.screen}/lane/1   {gate.screen}/lane/2",
        f"工作人员画面 staff face  {gate.screen}/staff",
        f"模拟通道 simulated lanes {gate.screen}/sim",
        f"命令行 sync-server      {centre.shell_words}",
    ]
    print("\n".join(lines), file=sys.stderr, flush=True)


def _invite(story: Story) -> None:
    """What a person can show on the page of the simulated lanes."""
    print("在 /sim 上自己试 try these on /sim:", file=sys.stderr)
    for issued in story.unused():
        print(f"  {issued.code}", file=sys.stderr)
    print(f"  卡 card: {json.dumps(CARD)}", file=sys.stderr)


def _go_on(story: Story) -> None:
    """Visitors keep coming, now and then without the network, until Ctrl-C."""
    print("游客继续到来，Ctrl-C 结束。Visitors keep coming; Ctrl-C ends it.", file=sys.stderr, flush=True)
    pause = threading.Event()
    plugged = True
    for visitor in itertools.count(1):
        story.welcome(1 + visitor % 2)
        if visitor % CABLE_EVERY_VISITORS == 0:
            plugged = not plugged
            story.gate.cable.plug() if plugged else story.gate.cable.cut()
            story.tell("联网 the cable is back" if plugged else "断网 the cable is out")
        pause.wait(VISITOR_EVERY_S)


if __name__ == "__main__":
    sys.exit(main())
