"""Which rows of the requirements have a test: `python -m tests.requirements [REQUIREMENTS.md]`.

Tests name the rows they prove with `@pytest.mark.req("S0-19")`. With the path of the requirements
(by default beside the checkout, if it is there) the rows without a test are listed too.
"""

import ast
import re
import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

TESTS = Path(__file__).parent
REQUIREMENTS = TESTS.parent.parent / "shared" / "REQUIREMENTS.md"
_ROW = re.compile(r"^\| (S\d-\d+) \|", re.MULTILINE)


def cited(tree: ast.AST) -> Iterator[tuple[str, str]]:
    """(row, test) for every mark in a module, a class's marks included."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            for mark in node.decorator_list:
                yield from ((row, node.name) for row in _rows(mark))


def _rows(mark: ast.expr) -> Iterator[str]:
    if isinstance(mark, ast.Call) and ast.unparse(mark.func) == "pytest.mark.req":
        yield from (a.value for a in mark.args if isinstance(a, ast.Constant))


def tests_by_row(folder: Path) -> dict[str, list[str]]:
    """Every cited row with the tests that cite it."""
    found = defaultdict(list)
    for path in sorted(folder.rglob("test_*.py")):
        for row, name in cited(ast.parse(path.read_text(encoding="utf-8"))):
            found[row].append(f"{path.relative_to(folder.parent)}::{name}")
    return dict(found)


def _order(row: str) -> tuple[int, int]:
    source, number = row[1:].split("-")
    return int(source), int(number)


def main(arguments: list[str]) -> int:
    """Print the table; exit 1 if a test cites a row that does not exist."""
    found = tests_by_row(TESTS)
    for row in sorted(found, key=_order):
        print(f"{row:8} {', '.join(found[row])}")
    path = Path(arguments[0]) if arguments else REQUIREMENTS
    if not path.is_file():
        print(f"{len(found)} rows have a test; no {path.name} here to compare with")
        return 0
    rows = set(_ROW.findall(path.read_text(encoding="utf-8")))
    unknown = sorted(set(found) - rows, key=_order)
    missing = sorted(rows - set(found), key=_order)
    print(f"{len(rows & set(found))} of {len(rows)} rows have a test")
    print("without one: " + " ".join(missing))
    if unknown:
        print("cited, but no such row: " + " ".join(unknown))
    return 1 if unknown else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
