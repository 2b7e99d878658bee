"""Mutation testing of `risk/`: what the tables of named cases let live is argued, or the run fails.

Run by `make mutants`, outside CI, in a copy of the sources and with that as working directory.
mutmut tries every mutant in a fork of one process, where what was reckoned at import, or once and
for all, is the same for all; what lives there is looked at once more in a process of its own. What
then lives must stand in docs/mutants.md, and that page may name no other.
"""

import os
import re
import subprocess
import sys
from configparser import ConfigParser
from pathlib import Path

import libcst as cst
from mutmut.__main__ import cli
from mutmut.mutation import file_mutation
from mutmut.mutation.data import SourceFileMutationData
from mutmut.mutation.diff_apply import get_diff_for_mutant
from mutmut.stats import status_by_exit_code

TRANSPARENT = {"_Reckoned", "cached_property", "lru_cache", "model_validator", "property"}
"""Decorators that take any function of the same signature, so that a mutant fits beneath them."""
KILLED = {"killed", "timeout", "segfault"}
SECONDS = 120  # for all the tests; they take two
LEAST = 0.95  # of all mutants, killed


def reach_decorated_functions():
    """mutmut leaves decorated functions alone; here their mutants are put beneath the decorators.

    It knows no hook for that: these are two of its own functions, of the version that
    requirements-mutants.lock pins.
    """
    visitor, arranged = file_mutation.MutationVisitor, file_mutation.function_trampoline_arrangement
    skips = visitor._skip_node_and_children

    def skips_unless_transparent(self, node):
        if isinstance(node, cst.FunctionDef) and decorators(node) <= TRANSPARENT:
            return False
        return skips(self, node)

    def arranged_beneath(function, mutants, class_name):
        bare = function.with_changes(decorators=[])
        before, nodes, after, names = arranged(bare, mutants, class_name)
        outside = [*function.decorators, *nodes[0].decorators]
        return before, [nodes[0].with_changes(decorators=outside), *nodes[1:]], after, names

    visitor._skip_node_and_children = skips_unless_transparent
    file_mutation.function_trampoline_arrangement = arranged_beneath


def decorators(function):
    names = (getattr(d.decorator, "func", d.decorator) for d in function.decorators)
    return {getattr(name, "value", None) for name in names}


def statuses():
    """What became of every mutant in its fork, by name."""
    found = {}
    for path in sorted(Path("risk").glob("*.py")):
        data = SourceFileMutationData(path=path)
        data.load()
        found |= {name: status_by_exit_code[code] for name, code in data.exit_code_by_key.items()}
    return found


def lives_afresh(mutant):
    """Whether the same tests let `mutant` live in a process that has imported nothing yet."""
    config = ConfigParser()
    config.read("setup.cfg")
    selected, extra = (
        config["mutmut"][key].split()
        for key in ("pytest_add_cli_args_test_selection", "pytest_add_cli_args")
    )
    command = [sys.executable, "-m", "pytest", "-x", "-q", *extra, *selected]
    environment = os.environ | {"MUTANT_UNDER_TEST": mutant, "PYTHONPATH": "."}
    try:
        done = subprocess.run(
            command, cwd="mutants", env=environment, capture_output=True, timeout=SECONDS
        )
    except subprocess.TimeoutExpired:
        return False
    return done.returncode == 0


def row(mutant):
    """The start of the row that argues `mutant`: function, what it was, what it became."""
    module, _, name = mutant.removeprefix("risk.").partition(".")
    function = re.sub(r"^(x_|xǁ)|__mutmut_\d+$", "", name).replace("ǁ", ".")
    lines = get_diff_for_mutant(mutant).splitlines()[3:]
    was, became = (
        " ".join(line[1:].strip() for line in lines if line.startswith(sign)) for sign in "-+"
    )
    cells = (f"`{cell}`".replace("|", "\\|") for cell in (f"{module}.{function}", was, became))
    return "| " + " | ".join(cells) + " |"


def main():
    page = Path(sys.argv[1]).read_text().splitlines()
    argued = {" | ".join(line.split(" | ")[:3]) + " |" for line in page if line.startswith("| `")}
    reach_decorated_functions()
    cli(["run", "--max-children", "1"], standalone_mode=False)
    assert lives_afresh(""), "the tests fail without a mutant"
    found = statuses()
    alive = [name for name, status in found.items() if status not in KILLED and lives_afresh(name)]
    rows = {name: row(name) for name in alive}
    forks = sum(status in KILLED for status in found.values())
    timeouts = sum(status == "timeout" for status in found.values())
    print(
        f"{len(found)} mutants: {forks} killed in forks ({timeouts} timed out), "
        f"{len(found) - forks - len(alive)} afresh, {len(alive)} alive; "
        f"score {1 - len(alive) / len(found):.2%}"
    )
    unargued = sorted(name for name in alive if rows[name] not in argued)
    stale = sorted(argued - set(rows.values()))
    print(f"{len(alive) - len(unargued)} argued, {len(unargued)} not argued")
    for name in unargued:
        print(f"alive: {name}\n{rows[name]} |")
    for line in stale:
        print(f"argued, and not alive: {line}")
    if unargued or stale or len(alive) > (1 - LEAST) * len(found):
        sys.exit(1)


if __name__ == "__main__":
    main()
