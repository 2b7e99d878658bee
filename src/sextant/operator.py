"""A person's hand on a running daemon: what each command does to a session."""

from collections.abc import Iterable, Iterator
from datetime import datetime

from execution.journal import OrderJournal
from risk.breaker import Flatten, Halt, Resume, RiskState, TradingState
from risk.referral import consent
from sextant.book import Book
from sextant.command import CannotObey, Command, Verb
from sextant.cycle import ruling_in_words
from sextant.facts import Commanded
from sextant.referrals import End, in_words
from sextant.session import Session


def obey(session: Session, command: Command, journal: OrderJournal, *, now: datetime) -> str:
    """Do what a person has ordered, and put it on record; what came of it, in words.

    Nothing is awaited on the way.

    Raises:
        CannotObey: there is nothing to which it applies; nothing has changed.
    """
    if command.verb is not Verb.WAITING and not (command.by.strip() and command.why.strip()):
        raise CannotObey("say who orders it, and why: it goes on record")
    match command.verb:
        case Verb.WAITING:
            waits = (*map(in_words, session.referrals), *_latched_in_words(session.book, now))
            return "\n".join(waits) or "no order waits for consent"
        case Verb.HALT:
            journal.write(Commanded(at=now, command=command))
            session.book.note(Halt(by=command.by, why=command.why, at=now))
            return f"{session.book.state.reason}; `sextant resume` lets entries in again"
        case Verb.FLATTEN:
            journal.write(Commanded(at=now, command=command))
            session.book.note(Flatten(by=command.by, why=command.why, at=now))
            session.book.guard(now=now)
            return "\n".join(_latched_in_words(session.book, now))
        case Verb.RESUME:
            return _resume(session, command, journal, now)
        case Verb.APPROVE:
            return _approve(session, command, journal, now)
        case Verb.DENY:
            waiting = session.referrals.take(command.subject, now)
            intent_id = waiting.referral.intent.intent_id
            journal.write(Commanded(at=now, command=command))
            session.referrals.end(intent_id, End.DENIED, at=now)
            return f"denied: {intent_id}"


def _latched_in_words(book: Book, now: datetime) -> Iterator[str]:
    """What the kill switch has yet to end, a line each; nothing where it is off."""
    states = (book.state, *book.risks.desk_states.values())
    for latch in (state.latch for state in states if state.latch is not None):
        done = ": the venue says that nothing is left" if latch.is_done else ""
        yield f"kill switch since {latch.since:%Y-%m-%d %H:%M:%S}, {latch.reason}{done}"
    for left in book.latches.unfinished(now):
        yield f"  still open: {left}"


def _resume(session: Session, command: Command, journal: OrderJournal, now: datetime) -> str:
    book = session.book
    states = (book.state, *book.risks.desk_states.values())
    require_liftable(states)
    if left := book.latches.unfinished(now):
        raise CannotObey(f"the kill switch has not done its work: {'; '.join(left)}")
    journal.write(Commanded(at=now, command=command))
    book.risks.lift(Resume(by=command.by, why=command.why, at=now))
    return f"lifted: {', '.join(halts_of(states))}; trading is {book.state.trading}"


def halts_of(states: Iterable[RiskState]) -> list[str]:
    """Why a person has to let entries in again, each reason once."""
    return sorted({state.reason for state in states if state.trading is TradingState.HALTED})


def require_liftable(states: Iterable[RiskState]) -> None:
    """Make sure that there is a halt to lift; the first state is the account's.

    Raises:
        CannotObey: there is none.
    """
    account, *desks = states
    if halts_of((account, *desks)):
        return
    if account.trading is TradingState.REDUCING:
        raise CannotObey(
            f"a stop for {account.reason} ends by itself; only a halt is lifted by hand"
        )
    raise CannotObey("nothing is halted, so there is nothing to resume")


def _approve(session: Session, command: Command, journal: OrderJournal, now: datetime) -> str:
    waiting = session.referrals.take(command.subject, now)
    given = consent(waiting.referral, by=command.by, why=command.why, now=now)
    journal.write(Commanded(at=now, command=command))
    ruling = session.judge_again(waiting, given, now=now)
    return f"{given.intent_id}: {ruling_in_words(ruling)}"
