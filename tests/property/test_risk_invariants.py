"""What is promised of risk, and where each promise is held against everything Hypothesis can draw.

The families are those that were asked for; a statement is the id of its test, or one of a table's.

- No approval breaks a limit, after all roundings: `test_no_approval_breaks[...]`.
- Judging is deterministic and does not know the order of rules: `..._its_arguments_alone`.
- What reduces never flips a position, and nothing traps it: `test_a_reducing_order_never_flips...`.
- Less sure, wilder, deeper, wider or tighter never gives more: `test_never_larger_with[...]`,
  `test_a_tighter_limit_never_gives_more[...]`.
- What is no number, missing or stale rejects: `test_in_doubt_it_rejects[...]`,
  `test_a_number_that_is_none_is_refused[...]`.
- What was cut needs no second cut; nothing in an intent's text changes a verdict.
- No exchange of holdings breaks a limit of its own, reads what is of trades only, or does anything
  else in its name: `test_no_exchange_breaks[...]`, `test_no_exchange_is_larger_with[...]`.
- No entry is judged by holdings: `test_no_entry_is_judged_by_holdings`.
- The breaker is where a plain reading of all marks says: `TestBreaker`.
"""

import ast
import importlib.util
from pathlib import Path

import pytest

HERE = Path(__file__).parent
SUITES = sorted(HERE.glob("test_risk_*.py"))
TABLES = {
    "test_no_approval_breaks": "PROMISES",
    "test_never_larger_with": "WORSE",
    "test_a_tighter_limit_never_gives_more": "TIGHTER",
    "test_in_doubt_it_rejects": "REJECTING",
    "test_no_exchange_breaks": "PROMISES",
    "test_no_exchange_is_larger_with": "WORSE",
    "test_a_tighter_limit_never_exchanges_more": "TIGHTER",
    "test_in_doubt_it_exchanges_nothing": "REJECTING",
    "test_whatever_else_is_so_it_is_refused_and_nothing_raises": "NUMBERS",
}
FAMILIES = {
    "no approval breaks a limit": "test_no_approval_breaks",
    "the order of rules": "test_the_whole_book_rests_on_its_arguments_alone",
    "never flips, never trapped": "test_a_reducing_order_never_flips_and_is_never_trapped",
    "less confidence": "test_never_larger_with[less confidence]",
    "more volatility": "test_never_larger_with[more volatility]",
    "more drawdown": "test_never_larger_with[a higher peak]",
    "a wider spread": "test_never_larger_with[a wider spread]",
    "a tighter limit": "test_a_tighter_limit_never_gives_more",
    "no number": "test_whatever_else_is_so_it_is_refused_and_nothing_raises",
    "missing": "test_in_doubt_it_rejects",
    "stale": "test_never_larger_with[an older price]",
    "reduction is idempotent": "test_a_cut_order_needs_no_second_cut",
    "an exchange breaks no limit": "test_no_exchange_breaks",
    "an exchange's target": "test_no_exchange_breaks[its target]",
    "an exchange in a halt": "test_nothing_is_exchanged_in_a_halt",
    "an exchange's tighter limit": "test_a_tighter_limit_never_exchanges_more",
    "an exchange's order of rules": "test_an_exchange_rests_on_its_arguments_alone",
    "an exchange's unread input": "test_in_doubt_it_exchanges_nothing",
    "two books": "test_no_entry_is_judged_by_holdings",
    "text changes nothing": "test_nothing_in_an_intents_text_changes_a_verdict",
}


def properties(path):
    """The names of a module's Hypothesis tests, and of its machines' invariants."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef):
            calls = {ast.unparse(d.func) for d in node.decorator_list if isinstance(d, ast.Call)}
            if calls & {"given", "invariant"}:
                yield node.name


def table_of(path, name):
    """A table as the module has it: its keys, where it is a mapping."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return list(getattr(module, name, ()))


def statements():
    """Every property, one for each row of its table where it has one."""
    found = []
    for path in SUITES:
        for name in properties(path):
            rows = table_of(path, TABLES[name]) if name in TABLES else []
            found += [f"{name}[{row}]" for row in rows] or [name]
    return found


@pytest.fixture(scope="module")
def stated():
    return statements()


def test_at_least_forty_are_stated(stated):
    """What is asked of every field, input or limit alike is one statement."""
    alike = ("test_in_doubt_it", "test_whatever_else_is_so", "test_a_tighter_limit")
    assert len({n.partition("[")[0] if n.startswith(alike) else n for n in stated}) >= 40


@pytest.mark.parametrize("family", FAMILIES)
def test_what_was_asked_for_is_among_them(family, stated):
    wanted = FAMILIES[family]
    assert any(name == wanted or name.startswith(f"{wanted}[") for name in stated)
