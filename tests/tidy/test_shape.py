"""The shape of the code: names that say something, a sentence on top of every file, nothing longer than it is worth."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator

import pytest

from tests.tidy.sources import PACKAGES, Source, functions, sources

LONGEST_FILE_LINES = 400
LONGEST_FUNCTION_LINES = 60
WORTH_IT = "# long because"
EMPTY_NAMES = re.compile(r"(^|_)(utils?|helpers?|common|managers?)(_|$)", re.IGNORECASE)
EMPTY_CLASS_NAMES = re.compile(r"(Utils?|Helpers?|Common|Managers?)([A-Z]|$)")


def names_that_say_nothing(source: Source) -> Iterator[str]:
    """Folders, files, functions and classes called utils, helpers, common or manager."""
    for part in source.place.removesuffix(".py").split("/"):
        if EMPTY_NAMES.search(part):
            yield source.at(1, f"'{part}' says nothing about what is inside")
    for node in ast.walk(source.tree):
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            continue
        if (EMPTY_CLASS_NAMES if isinstance(node, ast.ClassDef) else EMPTY_NAMES).search(node.name):
            yield source.at(node, f"'{node.name}' says nothing about what it does")


def files_without_a_first_sentence(source: Source) -> Iterator[str]:
    """The first line of a file places it."""
    if source.text.strip() and not ast.get_docstring(source.tree):
        yield source.at(1, "no docstring on top: one sentence that says what this file is for")


def public_things_without_words(source: Source) -> Iterator[str]:
    """Public classes and functions say what their name cannot; one-liners and pages (whose address says it) may not."""
    for node in source.tree.body:
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) or node.name.startswith("_"):
            continue
        page = any("('/" in ast.unparse(decorator) for decorator in node.decorator_list)
        if not ast.get_docstring(node) and not page and not (isinstance(node, ast.FunctionDef) and len(node.body) == 1):
            yield source.at(node, f"public '{node.name}' has no docstring")


def too_long(source: Source) -> Iterator[str]:
    """Files past 400 lines and functions past 60, unless a comment on top says why; a migration is as long as it is."""
    if "/migrations/versions/" in source.place:
        return
    if len(source.lines) > LONGEST_FILE_LINES and not any(WORTH_IT in line for line in source.lines[:10]):
        yield source.at(1, f"{len(source.lines)} lines, at most {LONGEST_FILE_LINES} (or '{WORTH_IT} …' on top)")
    for function in functions(source.tree):
        lines = (function.end_lineno or function.lineno) - function.lineno + 1
        head = source.lines[function.lineno - 1 : function.body[0].lineno]
        if lines > LONGEST_FUNCTION_LINES and not any(WORTH_IT in line for line in head):
            yield source.at(function, f"'{function.name}' has {lines} lines, at most {LONGEST_FUNCTION_LINES}")


def blanket_excepts(source: Source) -> Iterator[str]:
    """`except Exception` that keeps what it caught needs its reason on the same line."""
    for node in ast.walk(source.tree):
        if not isinstance(node, ast.ExceptHandler):
            continue
        caught = "everything" if node.type is None else ast.unparse(node.type)
        blanket = caught == "everything" or re.search(r"\b(Base)?Exception\b", caught)
        passed_on = isinstance(node.body[-1], ast.Raise) and node.body[-1].exc is None
        if blanket and not passed_on and "# " not in source.lines[node.lineno - 1].replace("# noqa", ""):
            yield source.at(node, f"catches {caught} without a reason on the line")


def floats_near_money(source: Source) -> Iterator[str]:
    """An amount in fen is an int: never divided by `/`, never made a float, never multiplied by one."""
    for node in ast.walk(source.tree):
        if isinstance(node, ast.BinOp) and _speaks_of_money(node):
            if isinstance(node.op, ast.Div):
                yield source.at(node, "'/' makes a float of an amount in fen")
            elif any(isinstance(part, ast.Constant) and isinstance(part.value, float) for part in ast.walk(node)):
                yield source.at(node, "a float meets an amount in fen")
        elif isinstance(node, ast.Call) and ast.unparse(node.func) == "float" and _speaks_of_money(node):
            yield source.at(node, "float() of an amount in fen")
        elif isinstance(node, ast.AnnAssign | ast.arg) and node.annotation and "float" in ast.unparse(node.annotation):
            name = node.arg if isinstance(node, ast.arg) else ast.unparse(node.target)
            if name.endswith("_fen"):
                yield source.at(node, f"'{name}' is annotated float")


def _speaks_of_money(node: ast.AST) -> bool:
    names = (getattr(part, "id", None) or getattr(part, "attr", None) or "" for part in ast.walk(node))
    return any(name == "fen" or name.endswith("_fen") for name in names)


Rule = Callable[[Source], Iterator[str]]
EVERYWHERE = (*PACKAGES, "tests")
RULES: list[tuple[Rule, tuple[str, ...], str]] = [  # the rule, where it holds, a sample it must find
    (names_that_say_nothing, EVERYWHERE, "class VenueManager:\n    pass\n"),
    (names_that_say_nothing, EVERYWHERE, "def date_utils() -> None: ...\n"),
    (files_without_a_first_sentence, EVERYWHERE, "import os\n"),
    (public_things_without_words, PACKAGES, '"""A file."""\ndef charge() -> int:\n    x = 1\n    return x\n'),
    (too_long, EVERYWHERE, "x = 1\n" * 401),
    (too_long, EVERYWHERE, "def f():\n" + "    x = 1\n" * 60),
    (blanket_excepts, EVERYWHERE, "try:\n    pass\nexcept Exception:\n    pass\n"),
    (blanket_excepts, EVERYWHERE, "try:\n    pass\nexcept (OSError, BaseException):  # noqa: BLE001\n    pass\n"),
    (blanket_excepts, EVERYWHERE, "try:\n    pass\nexcept:\n    pass\n"),
    (floats_near_money, PACKAGES, "yuan = order.total_fen / 100\n"),
    (floats_near_money, PACKAGES, "fee_fen = round(price_fen * 0.006)\n"),
    (floats_near_money, PACKAGES, "def pay(amount_fen: float) -> None: ...\n"),
    (floats_near_money, PACKAGES, "show(float(fen))\n"),
]


@pytest.mark.slow
@pytest.mark.parametrize(("rule", "folders"), {rule: folders for rule, folders, _ in RULES}.items())
def test_the_code_keeps_the_rule(rule: Rule, folders: tuple[str, ...]) -> None:
    findings = [finding for source in sources(*folders) for finding in rule(source)]
    assert not findings, "\n" + "\n".join(findings)


@pytest.mark.parametrize(("rule", "sample"), [(rule, sample) for rule, _, sample in RULES])
def test_the_rule_finds_what_breaks_it(rule: Rule, sample: str) -> None:
    assert list(rule(Source("wire/sample.py", sample)))


@pytest.mark.parametrize(
    ("rule", "sample"),
    [
        (
            blanket_excepts,
            "try:\n    pass\nexcept Exception:  # a plug-in of the vendor's may raise anything\n    pass\n",
        ),
        (too_long, "def f():  # long because it is one table\n" + "    x = 1\n" * 60),
        (floats_near_money, "yuan, fen = divmod(total_fen, 100)\nshare_fen = total_fen * 3 // 10\n"),
        (names_that_say_nothing, "class Commons: ...\nfrom flask_login import LoginManager\n"),
    ],
)
def test_the_rule_leaves_good_code_alone(rule: Rule, sample: str) -> None:
    assert not list(rule(Source("wire/sample.py", sample)))
