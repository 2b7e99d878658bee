"""The command line."""

import asyncio
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from data.faults import Fault
from sextant.command import Command, NobodyThere, Verb, send
from sextant.settings import Settings, load_settings
from sextant.settings_file import BadSettings

app = typer.Typer(
    name="sextant",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="markdown",  # so that paragraphs fill the terminal
    pretty_exceptions_enable=False,
    help="A trading daemon: six sightings of one bar, one consensus, a deterministic veto, "
    "and a journal that replays to the same decisions.",
    epilog="Start with `sextant run --config config/rehearsal.toml`: a made-up market, a paper "
    "venue, an embedded database; no key, no account, no network.",
)
errors = Console(stderr=True, soft_wrap=True)

Config = Annotated[
    Path,
    typer.Option("--config", "-c", help="The TOML file that says everything; see config/."),
]


@app.command()
def run(
    config: Config = Path("config/paper.toml"),
    view: Annotated[
        bool | None,
        typer.Option(
            "--view/--no-view",
            help="The live view in the terminal; by default only where there is a terminal. "
            "Without it, JSON logs go to stderr.",
        ),
    ] = None,
    bars: Annotated[
        int | None, typer.Option(min=1, help="Stop by yourself after so many bars.")
    ] = None,
) -> None:
    """Start the daemon and trade until Ctrl-C or SIGTERM.

    A stop drains: no new decision is made, what is on the wire ends on record, the journal is
    flushed and a summary is printed. Started again, it goes on where it was.
    """
    from sextant.daemon import run_daemon  # the adapters' libraries take a second to import

    settings = _settings(config)
    shown = sys.stdout.isatty() if view is None else view
    asyncio.run(run_daemon(settings, view=shown, max_bars=bars))


@app.command()
def replay(
    files: Annotated[
        list[Path],
        typer.Argument(
            help="Bars as CSV (ts,open,high,low,close,volume; ts is the bar's open in seconds), "
            "plain or .gz; the name holds pair and timeframe, such as BTCUSDT_1m.",
        ),
    ],
    config: Config = Path("config/rehearsal.toml"),
    out: Annotated[
        Path, typer.Option("--out", "-o", help="Folder for the report and the journal.")
    ] = Path("var/replay"),
    all_records: Annotated[
        bool,
        typer.Option(
            "--all-records",
            help="Put every bar and decision on record, so that `sextant audit --journal` can "
            "decide everything again from the journal alone.",
        ),
    ] = False,
    ask_models: Annotated[
        bool,
        typer.Option(
            "--ask-models",
            help="Ask the models whose keys are set, and pay for it; their answers differ from "
            "run to run. Without it every seat is filled by its stand-in.",
        ),
    ] = False,
) -> None:
    """Run the same decision cycle over recorded bars, as fast as it goes.

    The same files and configuration give the same decisions, byte for byte. Writes report.json,
    report.html and journal.jsonl into the folder of --out.
    """
    from sextant.replay import run_replay

    run_replay(
        _settings(config),
        files,
        out=out,
        keep_all=all_records,
        ask_models=ask_models,
        console=Console(),
    )


@app.command()
def audit(
    config: Config = Path("config/paper.toml"),
    journal: Annotated[
        Path | None,
        typer.Option(help="A replay's journal.jsonl, written with --all-records, instead."),
    ] = None,
    export: Annotated[
        Path | None,
        typer.Option(
            help="Also write the journal there, as TOPIC/date=YYYY-MM-DD/TOPIC.jsonl.",
        ),
    ] = None,
) -> None:
    """Verify the journal of a daemon that is not running, and decide everything again from it.

    Recomputes the hash chain, replays the recorded facts and model answers, and compares every
    decision and order with the record; then holds the ledger against the venue's books.
    """
    from sextant.audit import run_audit, run_file_audit

    console = Console()
    if journal is not None:
        sound = asyncio.run(run_file_audit(journal, export=export, console=console))
    else:
        sound = asyncio.run(run_audit(_settings(config), export=export, console=console))
    raise typer.Exit(0 if sound else 1)


@app.command()
def check(config: Config = Path("config/paper.toml")) -> None:
    """Validate configuration and environment, and say in plain words what is wrong."""
    from sextant.check import inspect_environment

    settings = _settings(config)
    findings = inspect_environment(settings, config)
    console = Console(soft_wrap=True)
    for finding in findings:
        console.print(f"{finding.severity.upper():8} {finding.text}", markup=False)
    raise typer.Exit(1 if any(f.severity == "error" for f in findings) else 0)


@app.command()
def limits(config: Config = Path("config/paper.toml")) -> None:
    """Print every risk rule: its number now, where that comes from, and whether it binds now.

    Reads the journal if there is one, and changes nothing; a daemon may be running.
    """
    from sextant.limits import numbers_of, render
    from sextant.settings_file import read_layers
    from sextant.standing import read_standing

    settings = _settings(config)
    numbers = numbers_of(settings.risk, read_layers(config))
    standing = asyncio.run(read_standing(settings))
    Console().print(render(settings, numbers, standing))


def _said(text: str) -> str:
    if not text.strip():
        raise typer.BadParameter("say it: it goes on record")
    return text


By = Annotated[str, typer.Option(help="Who orders it.", callback=_said)]
Why = Annotated[str, typer.Option(help="Why; both go on record.", callback=_said)]
Waiting = Annotated[str, typer.Argument(help="The order's id, or how it begins.")]


@app.command()
def reset(by: By, why: Why, config: Config = Path("config/paper.toml")) -> None:
    """Lift a halt that only a person may lift; who and why go on record.

    Entries are let in again, of a daemon that runs or at the next start. What ends by itself, as a
    day's loss limit does, is not shortened.
    """
    from sextant.reset import run_reset

    settings = _settings(config)
    try:
        text = _ordered(settings, Command(verb=Verb.RESET, by=by, why=why))
    except NobodyThere:
        lifted = asyncio.run(run_reset(settings, by=by, why=why))
        after = lifted.after.trading
        text = f"lifted: {', '.join(lifted.lifted)}; trading is {after} from the next start on"
    _tell(text)


@app.command()
def halt(by: By, why: Why, config: Config = Path("config/paper.toml")) -> None:
    """Let nothing be entered until `sextant reset`; what is held keeps its stops and exits.

    Where no daemon runs, the next one starts halted.
    """
    from sextant.reset import run_halt

    settings = _settings(config)
    try:
        text = _ordered(settings, Command(verb=Verb.HALT, by=by, why=why))
    except NobodyThere:
        halted = asyncio.run(run_halt(settings, by=by, why=why))
        text = f"{halted.after.reason}; the next start lets no entry in"
    _tell(text)


@app.command()
def waiting(config: Config = Path("config/paper.toml")) -> None:
    """List the orders that wait for a person's consent."""
    _tell(_ordered(_settings(config), Command(verb=Verb.WAITING, by="", why="")))


@app.command()
def approve(order: Waiting, by: By, why: Why, config: Config = Path("config/paper.toml")) -> None:
    """Consent to an order that waits; it is judged again, and sent if every rule still agrees."""
    command = Command(verb=Verb.APPROVE, by=by, why=why, subject=order)
    _tell(_ordered(_settings(config), command))


@app.command()
def deny(order: Waiting, by: By, why: Why, config: Config = Path("config/paper.toml")) -> None:
    """End an order that waits for consent."""
    _tell(_ordered(_settings(config), Command(verb=Verb.DENY, by=by, why=why, subject=order)))


def _ordered(settings: Settings, command: Command) -> str:
    return asyncio.run(send(settings.state_folder, command))


def _tell(text: str) -> None:
    Console(soft_wrap=True).print(text, markup=False, highlight=False)


def _settings(config: Path) -> Settings:
    try:
        return load_settings(config)
    except BadSettings as error:
        _say(str(error))
        raise typer.Exit(2) from error


def _say(text: str) -> None:
    errors.print(text, style="red", markup=False, highlight=False)


def main() -> None:
    """Run the command line; what the outside world does to us is said in a sentence."""
    try:
        app()
    except Fault as fault:
        _say(f"sextant: {fault}")
        sys.exit(1)
    except OSError as error:
        if error.filename is None:
            raise
        _say(f"sextant: {error.filename}: {error.strerror}")
        sys.exit(1)
    except ExceptionGroup as group:
        faults, rest = group.split(Fault)
        if rest is not None or faults is None:
            raise
        for leaf in _leaves(faults):
            _say(f"sextant: {leaf}")
        sys.exit(1)


def _leaves(group: ExceptionGroup[Fault]) -> list[Fault]:
    flat: list[Fault] = []
    for error in group.exceptions:
        flat.extend(_leaves(error) if isinstance(error, ExceptionGroup) else [error])
    return flat
