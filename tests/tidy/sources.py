"""What the tidy tests read: our own source files, parsed once, and findings that say where."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGES = (
    "wire",
    "hardware",
    "gate_agent",
    "sync_server",
    "sandbox_provider",
    "sandbox_card_platform",
    "demo",
    "provisioning",
    "benchmarks",
)


@dataclass(frozen=True)
class Source:
    """One Python file: its place in the checkout, its text and its syntax tree."""

    place: str
    text: str

    @property
    def tree(self) -> ast.Module:
        """Parsed once per file."""
        return parse(self.text)

    @property
    def lines(self) -> list[str]:
        """Line n of the file is `lines[n - 1]`."""
        return self.text.splitlines()

    def at(self, node: ast.AST | int, finding: str) -> str:
        """`finding` with the place to click on."""
        line = node if isinstance(node, int) else getattr(node, "lineno", 1)
        return f"{self.place}:{line}: {finding}"


@cache
def parse(text: str) -> ast.Module:
    """The syntax tree; cached, since every rule walks it."""
    return ast.parse(text)


@cache
def sources(*folders: str) -> tuple[Source, ...]:
    """The Python files under these top folders, in order."""
    return tuple(
        Source(path.relative_to(ROOT).as_posix(), path.read_text(encoding="utf-8"))
        for folder in folders
        for path in sorted((ROOT / folder).rglob("*.py"))
    )


def functions(tree: ast.AST) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    """Every function and method, nested ones too."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node
