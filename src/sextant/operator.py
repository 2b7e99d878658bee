"""A person's hand on a running daemon: what each command does to a session."""

from datetime import datetime

from execution.journal import OrderJournal
from risk.breaker import Halt, Reset, RiskState, TradingState
from risk.referral import consent
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
            return "\n".join(map(in_words, session.referrals)) or "no order waits for consent"
        case Verb.HALT:
            journal.write(Commanded(at=now, command=command))
            session.book.note(Halt(by=command.by, why=command.why, at=now))
            return f"{session.book.state.reason}; `sextant reset` lets entries in again"
        case Verb.RESET:
            return _reset(session, command, journal, now)
        case Verb.APPROVE:
            return _approve(session, command, journal, now)
        case Verb.DENY:
            waiting = session.referrals.take(command.subject, now)
            intent_id = waiting.referral.intent.intent_id
            journal.write(Commanded(at=now, command=command))
            session.referrals.end(intent_id, End.DENIED, at=now)
            return f"denied: {intent_id}"


def _reset(session: Session, command: Command, journal: OrderJournal, now: datetime) -> str:
    book = session.book
    halted = [s for s in (book.state, *book.desk_states.values()) if is_halted(s)]
    if not halted:
        raise CannotObey(nothing_to_reset(book.state))
    journal.write(Commanded(at=now, command=command))
    book.lift(Reset(by=command.by, why=command.why, at=now))
    lifted = ", ".join(sorted({state.reason for state in halted}))
    return f"lifted: {lifted}; trading is {book.state.trading}"


def is_halted(state: RiskState) -> bool:
    """Whether only a person lets entries in again."""
    return state.trading is TradingState.HALTED


def nothing_to_reset(state: RiskState | None) -> str:
    """Why a person can lift nothing."""
    match state:
        case RiskState(trading=TradingState.REDUCING):
            return f"a stop for {state.reason} ends by itself; only a halt is lifted by hand"
        case RiskState():
            return "nothing is halted, so there is nothing to reset"
        case None:
            return "nothing is on record yet, so there is nothing to reset"


def _approve(session: Session, command: Command, journal: OrderJournal, now: datetime) -> str:
    waiting = session.referrals.take(command.subject, now)
    given = consent(waiting.referral, by=command.by, why=command.why, now=now)
    journal.write(Commanded(at=now, command=command))
    ruling = session.judge_again(waiting, given, now=now)
    return f"{given.intent_id}: {ruling_in_words(ruling)}"
