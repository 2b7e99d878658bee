"""The rule book as a page: `python -m sextant.risk_document` writes docs/risk-rules.md.

The page names for every rule and every input the test that proves it; tests/architecture fails
where the page is not what this makes, or a test that it names does not exist.
"""

from collections.abc import Iterator

from risk.rulebook import BOOK, Kind, RuleInfo
from sextant.settings import PROJECT

PAGE = PROJECT / "docs" / "risk-rules.md"
AT_ITS_LIMIT = "tests/unit/risk/test_risk_rules.py::test_every_rule_is_shown_to_object_and_to_pass"
"""Of each rule, by its name."""
DOES_WHAT_IT_SAYS = "tests/unit/sextant/test_risk_rows.py::test_a_row_does_what_it_says"
"""Of each scale, breaker and alert, by its name."""
UNREADABLE = "tests/unit/sextant/test_risk_rows.py::test_an_input_that_cannot_be_read"
"""Of each row and each of its inputs, as "row: input"."""

_HEAD = """\
# The risk rules

Made by `python -m sextant.risk_document` from `risk/rulebook.py`; do not edit. What the numbers are
now, and where they come from, says `sextant limits`.

Tests, by the name in brackets:

- at its limit: `{at_its_limit}[rule]`
- does what it says: `{does}[row]`
- unreadable: `{unreadable}[row: input]`
"""

_PEAKS = """\
Rules reject a peak that is not known, or no amount above zero. A judgement marks the account
first: a peak that a resume has forgotten is then measured anew from the equity of that moment,
where that is known; one that is no amount stays, and rejects.
"""


def document() -> str:
    """The whole page."""
    head = _HEAD.format(at_its_limit=AT_ITS_LIMIT, does=DOES_WHAT_IT_SAYS, unreadable=UNREADABLE)
    return "\n".join([head, *_rows(), *_inputs()]) + "\n"


def proof_of(info: RuleInfo) -> str:
    """The id of the test that proves a row."""
    suite = AT_ITS_LIMIT if info.kind is Kind.RULE else DOES_WHAT_IT_SAYS
    return f"{suite}[{info.name}]"


def proof_of_input(info: RuleInfo, name: str) -> str:
    """The id of the test that proves what becomes of an input that cannot be read."""
    return f"{UNREADABLE}[{info.name}: {name}]"


def _rows() -> Iterator[str]:
    yield "## Rules, scales, breakers and alerts\n"
    yield _line("name", "kind", "what it does", "limits", "judges", "shadow", "rows", "proof")
    yield _line(*["---"] * 8)
    for info in BOOK:
        yield _line(
            f"`{info.name}`",
            info.kind,
            info.text,
            _code(info.limits),
            _judges(info),
            "may be" if info.can_be_shadowed else "never",
            ", ".join(info.rows),
            f"{_suite(proof_of(info))} `[{info.name}]`",
        )


def _inputs() -> Iterator[str]:
    yield "\n## What becomes of an input that is missing, stale, or no number\n"
    yield _PEAKS
    yield _line("name", "input", "unreadable or missing", "proof")
    yield _line(*["---"] * 4)
    for info in BOOK:
        for name, way in info.inputs.items():
            proof = f"unreadable `[{info.name}: {name}]`"
            yield _line(f"`{info.name}`", f"`{name}`", way, proof)
        if not info.inputs:
            yield _line(f"`{info.name}`", "none that can be unreadable", "", "")


def _suite(proof: str) -> str:
    return "at its limit" if proof.startswith(AT_ITS_LIMIT) else "does what it says"


def _judges(info: RuleInfo) -> str:
    if info.kind is not Kind.RULE:
        return "entries" if info.kind is Kind.SCALE else ""
    judged = {"entries": info.entries, "reductions": info.reductions, "exchanges": info.exchanges}
    return ", ".join(name for name, does in judged.items() if does)


def _code(names: tuple[str, ...]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def _line(*cells: str) -> str:
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


def main() -> None:
    """Write the page."""
    PAGE.parent.mkdir(exist_ok=True)
    PAGE.write_text(document(), encoding="utf-8")


if __name__ == "__main__":
    main()
