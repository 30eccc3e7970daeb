"""`./dev bench` without a name: which benchmarks there are and what each measures."""

from __future__ import annotations

import importlib
import pkgutil
from pathlib import Path

NOT_BENCHMARKS = ("__main__", "rounds", "venue")


def main() -> None:
    """Print a line per benchmark: its name and the first line of its docstring."""
    for module in pkgutil.iter_modules([str(Path(__file__).parent)]):
        if module.name not in NOT_BENCHMARKS:
            story = importlib.import_module(f"benchmarks.{module.name}").__doc__ or ""
            print(f"{module.name:12} {story.splitlines()[0]}")


if __name__ == "__main__":
    main()
