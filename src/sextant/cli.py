"""The command line."""

import asyncio
import os
import sys
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from data.collect.command import Since, Symbols, Until, With, utc
from data.collect.gaps import Means
from data.collect.venues import Exchange
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
    epilog="Start with `sextant run --config config/rehearsal.toml`: a made-up market at an "
    "exchange of our own, an embedded database; no key, no account, no network.",
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
def rehearse(
    seed: Annotated[int, typer.Option(min=0, help="Another seed is another market.")] = 7,
    speed: Annotated[
        float, typer.Option(min=0.01, help="Market seconds a second; 60 is a bar a second.")
    ] = 60.0,
    port: Annotated[
        int, typer.Option(min=0, max=65_535, help="On 127.0.0.1; 0 takes a free one.")
    ] = 8_880,
    symbols: Annotated[
        list[str] | None, typer.Option("--symbol", help="A pair; may be given again.")
    ] = None,
    cash: Annotated[int, typer.Option(min=1, help="USDT that the account opens with.")] = 10_000,
    bars: Annotated[
        list[Path] | None,
        typer.Option(help="Play recorded bars instead, as `sextant replay` reads them."),
    ] = None,
    trades: Annotated[
        Path | None,
        typer.Option(
            help="Play recorded trades of the first --symbol instead: CSV with the header "
            "ts_ms,id,side,type,price,amount, plain or .gz."
        ),
    ] = None,
    faults: Annotated[
        list[str] | None,
        typer.Option(
            "--fault",
            help="What goes wrong, drawn from the seed: refused, lost, unanswered, late, "
            "duplicated, reordered, dropped, sockets_closed or tokens_expired=SHARE, answer_delay, "
            "lateness_delay or event_delay=SECONDS; may be given again.",
        ),
    ] = None,
    state: Annotated[
        Path | None,
        typer.Option(
            help="A file in which the account is kept; the next time it goes on from there."
        ),
    ] = None,
) -> None:
    """Run an exchange on this machine that speaks Kraken's REST and WebSocket v2.

    Prints its addresses, and a key and secret that are made up and work nowhere else. Money is
    made up too, and without --state nothing is kept when it ends.
    """
    from sextant.rehearsal.command import Rehearsal, run_rehearsal
    from sextant.rehearsal.faults import faults_of

    wanted = Rehearsal(
        seed=seed,
        speed=speed,
        port=port,
        symbols=symbols or ["BTC/USDT", "XRP/USDT", "XRP/BTC"],
        cash=Decimal(cash),
        bars=bars or [],
        trades=trades,
        faults=faults_of(faults or (), seed=seed),
        state=state,
    )
    asyncio.run(run_rehearsal(wanted, Console()))


@app.command()
def fidelity(
    files: Annotated[
        list[Path],
        typer.Argument(
            help="Recorded frames of one venue, plain or .gz: Binance, Hyperliquid or Kraken's "
            "WebSocket v1, as hftbacktest or cryptofeed write them; books and trades may be apart."
        ),
    ],
    symbol: Annotated[
        str | None, typer.Option(help="The market as the venue names it, if there are several.")
    ] = None,
    config: Config = Path("config/paper.toml"),
    seed: Annotated[int, typer.Option(min=0, help="Another seed sends other probes.")] = 7,
    probes: Annotated[
        int, typer.Option(min=1, help="Of each size of market order, and each place of a limit.")
    ] = 100,
    lifetime: Annotated[
        float, typer.Option(min=0.1, help="Seconds that a limit order waits.")
    ] = 10.0,
    warm_up: Annotated[
        float, typer.Option(min=0, help="Seconds of the recording before the first probe.")
    ] = 2.0,
    latency_spread: Annotated[
        float,
        typer.Option(
            min=1, help="How far real latencies are from [paper_venue]'s: so many times, or parts."
        ),
    ] = 2.0,
    cancelled_ahead: Annotated[
        float | None,
        typer.Option(
            min=0,
            max=1,
            help="Of what is cancelled in a queue, the believed part of our share before us; "
            "[paper_venue.book]'s if not given.",
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
) -> None:
    """Score how paper fills against recorded books and trades, beside the rules of simpler bots.

    Sends probe orders that nobody saw into the recording: what each rule says of their slippage
    and fills, and what the market says. Needs no network; the same seed gives the same scores.
    """
    from sextant.fidelity.command import Wanted, run_fidelity

    settings = _settings(config)
    book = settings.paper_venue.book
    if cancelled_ahead is not None:
        book = book.model_copy(update={"cancelled_ahead": Decimal(str(cancelled_ahead))})
    wanted = Wanted(
        files=files,
        market=symbol,
        terms=settings.paper_terms,
        book_terms=book.terms,
        seed=seed,
        probes=probes,
        latency_spread=latency_spread,
        lifetime=timedelta(seconds=lifetime),
        warm_up=timedelta(seconds=warm_up),
    )
    run_fidelity(wanted, as_json=as_json, console=Console())


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
def report(
    config: Config = Path("config/paper.toml"),
    journal: Annotated[
        Path | None,
        typer.Option(help="A replay's journal.jsonl, written with --all-records, instead."),
    ] = None,
    since: Annotated[
        datetime | None,
        typer.Option(help="Count from this market time on, in UTC."),
    ] = None,
    until: Annotated[
        datetime | None,
        typer.Option(help="Count what was before this time, in UTC."),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", help="Also write report.json and report.html there."),
    ] = None,
) -> None:
    """Tell from the journal alone how it went, and what each risk rule was worth.

    The daemon may be running; nothing is changed. Its restarts count as one run.
    """
    from sextant.report_command import Window, run_file_report, run_report

    window, console = Window(since=utc(since), until=utc(until)), Console()
    if journal is not None:
        asyncio.run(run_file_report(journal, window, out=out, console=console))
    else:
        asyncio.run(run_report(_settings(config), window, out=out, console=console))


@app.command()
def check(config: Config = Path("config/paper.toml")) -> None:
    """Validate configuration and environment, and say in plain words what is wrong.

    Where real money and the venue's keys are there, it is asked whether it would take our orders;
    none is placed.
    """
    from sextant.check import inspect_environment, inspect_orders

    settings = _settings(config)
    findings = inspect_environment(settings, config)
    findings += asyncio.run(inspect_orders(settings))
    console = Console(soft_wrap=True)
    for finding in findings:
        console.print(f"{finding.severity.upper():8} {finding.text}", markup=False)
    raise typer.Exit(1 if any(f.severity == "error" for f in findings) else 0)


@app.command()
def promote(config: Config = Path("config/micro.toml")) -> None:
    """Say whether a configuration may trade real money, and what is missing; nothing is started.

    Reads the record of the stage before and what stands in the environment; `sextant run` asks for
    the same each time. Ends with exit code 1 where a condition is not met.
    """
    from sextant.promotion import run_promote

    met = asyncio.run(run_promote(_settings(config), os.environ, Console()))
    raise typer.Exit(0 if met else 1)


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
def halt(by: By, why: Why, config: Config = Path("config/paper.toml")) -> None:
    """Let nothing be entered until `sextant resume`; what is held keeps its stops and exits.

    Where no daemon runs, the next one starts halted.
    """
    _order(Command(verb=Verb.HALT, by=by, why=why), config)


@app.command()
def flatten(by: By, why: Why, config: Config = Path("config/paper.toml")) -> None:
    """Throw the kill switch: cancel our orders, close our positions, and let nothing be entered.

    It is kept at, over restarts too, until the venue itself says that no position and no order of
    ours is left; `sextant waiting` says what still is. Orders that are not ours are left alone.
    Where no daemon runs, the next one does it first. SIGUSR1 to the daemon does the same.
    """
    _order(Command(verb=Verb.FLATTEN, by=by, why=why), config)


@app.command()
def resume(by: By, why: Why, config: Config = Path("config/paper.toml")) -> None:
    """Lift a halt, or a kill switch that has done its work; who and why go on record.

    Entries are let in again, of a daemon that runs or at the next start. What ends by itself, as a
    day's loss limit does, is not shortened.
    """
    _order(Command(verb=Verb.RESUME, by=by, why=why), config)


@app.command()
def waiting(config: Config = Path("config/paper.toml")) -> None:
    """List the orders that wait for a person's consent, and what the kill switch has yet to end."""
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


data_app = typer.Typer(no_args_is_help=True, help="The market's history: is it there, and whole?")
app.add_typer(data_app, name="data")


@data_app.command()
def status(
    config: Config = Path("config/paper.toml"),
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
) -> None:
    """Show coverage, gaps, age and rows of all that is kept, by symbol and size of bars.

    Parts are rows made of fewer minutes than they have, such as the interval that is open.
    """
    from sextant.data_command import run_status

    asyncio.run(run_status(_settings(config), as_json=as_json, console=Console()))


@data_app.command("check")
def check_data(
    config: Config = Path("config/paper.toml"),
    days: Annotated[int, typer.Option(min=1, help="So many days back from now.")] = 7,
) -> None:
    """Verify what is kept: complete day by day, in order, no jumps, not dead, not too old.

    Says of everything that is wrong what to do, and then ends with exit code 1.
    """
    from sextant.data_command import run_check

    console = Console(soft_wrap=True)
    sound = asyncio.run(run_check(_settings(config), days=days, console=console))
    raise typer.Exit(0 if sound else 1)


@data_app.command()
def fill(
    exchange: Annotated[Exchange, typer.Option(help="Whose history.")] = Exchange.KRAKEN,
    symbols: Symbols = [],  # noqa: B006 - typer wants a list, and makes its own
    since: Since = None,
    until: Until = None,
    means: With = Means.TRADES,
    config: Config = Path("config/paper.toml"),
) -> None:
    """Find what is missing of an exchange's history, and fill it; a second run changes nothing."""
    from sextant.data_command import run_fill

    work = run_fill(
        _settings(config),
        exchange,
        symbols,
        since=utc(since),
        until=utc(until),
        means=means,
        console=Console(),
    )
    asyncio.run(work)


@data_app.command("import")
def import_history(
    paths: Annotated[list[Path], typer.Argument(help="Files, zip archives or folders.")],
    exchange: Annotated[str, typer.Option(help="Whose history it is.")] = "kraken",
    symbols: Symbols = [],  # noqa: B006 - typer wants a list, and makes its own
    max_bad: Annotated[
        float, typer.Option(min=0, max=1, help="The share of rows that a file may lose.")
    ] = 0.01,
    again: Annotated[
        bool, typer.Option("--again", help="Import also what was imported before.")
    ] = False,
    config: Config = Path("config/paper.toml"),
) -> None:
    """Import downloaded history: Kraken's OHLCVT and trade archives, or bars with a header."""
    from sextant.data_command import run_import

    work = run_import(
        _settings(config),
        paths,
        exchange=exchange,
        symbols=symbols,
        max_bad=max_bad,
        again=again,
        console=Console(soft_wrap=True),
    )
    asyncio.run(work)


def _order(command: Command, config: Path) -> None:
    """Have a running daemon obey, or put it on record for the next one."""
    from sextant.offline import obey_offline

    settings = _settings(config)
    try:
        text = _ordered(settings, command)
    except NobodyThere:
        text = asyncio.run(obey_offline(settings, command)).in_words
    _tell(text)


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
