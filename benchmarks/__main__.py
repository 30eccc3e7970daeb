"""`./dev bench NAME …`: runs one benchmark; without a name, or with a wrong one, says which there are."""

from __future__ import annotations

import ast
import pkgutil
import runpy
import sys
from pathlib import Path

HERE = Path(__file__).parent
NOT_BENCHMARKS = ("__main__", "centre", "portal", "rounds", "row_by_row", "venue")


def main() -> int:
    """The exit code: 2 for a name that is none."""
    names = [module.name for module in pkgutil.iter_modules([str(HERE)]) if module.name not in NOT_BENCHMARKS]
    wanted = sys.argv[1:2]
    if wanted and wanted[0] in names:
        sys.argv = [f"./dev bench {wanted[0]}", *sys.argv[2:]]
        runpy.run_module(f"benchmarks.{wanted[0]}", run_name="__main__")
        return 0
    for name in names:
        story = ast.get_docstring(ast.parse((HERE / f"{name}.py").read_text("utf-8"))) or ""
        print(f"{name:10} {story.splitlines()[0]}", file=sys.stderr if wanted else sys.stdout)
    return 2 if wanted else 0


if __name__ == "__main__":
    sys.exit(main())
