"""Money for models: the worst case is held before a call, what it cost is booked after it.

Nothing here awaits, so that calls side by side on one event loop cannot spend the same dollar.
"""

from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from types import TracebackType
from typing import Self

from agents.llm.model import Answer, Question
from data.clock import Clock

_MILLION = Decimal(1_000_000)
_FRAMING = 2_000  # tokens that a vendor may wrap around a question, its schema preamble included


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenPrice:
    """USD per million tokens; a local model costs an explicit 0."""

    input: Decimal
    output: Decimal

    def __post_init__(self) -> None:
        for price in (self.input, self.output):
            if not (price.is_finite() and price >= 0):
                raise ValueError(f"a price is finite and not below 0, not {price}")

    def of_tokens(self, *, input_tokens: int, output_tokens: int) -> Decimal:
        """USD."""
        return (self.input * input_tokens + self.output * output_tokens) / _MILLION

    def of_answer(self, answer: Answer) -> Decimal:
        """USD."""
        return self.of_tokens(input_tokens=answer.input_tokens, output_tokens=answer.output_tokens)

    def worst_case(self, question: Question) -> Decimal:
        """The most, in USD, that asking can cost: a token is at least one byte of UTF-8."""
        asked = f"{question.system}{question.user}{question.schema}"
        return self.of_tokens(
            input_tokens=len(asked.encode()) + _FRAMING, output_tokens=question.max_tokens
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class OverBudget:
    """A call that would pass a limit, were it as dear as it can be."""

    detail: str


class _Pot:
    """One limit, with what is spent of it and what is held for calls on their way; USD."""

    def __init__(self, name: str, limit: Decimal, spent: Decimal) -> None:
        if not (limit.is_finite() and limit >= 0 and spent.is_finite() and spent >= 0):
            raise ValueError(f"{name}: limit {limit} and spent {spent} must be finite and not < 0")
        self.name = name
        self.limit = limit
        self.spent = spent
        self.held = Decimal(0)

    def lacks(self, amount: Decimal) -> OverBudget | None:
        """Why `amount` more is too much; reaching the limit exactly is allowed."""
        if self.spent + self.held + amount <= self.limit:
            return None
        return OverBudget(
            detail=f"{self.name} limit {self.limit} USD: {self.spent} spent, "
            f"{self.held} held, {amount:.6f} more at worst"
        )

    def hold(self, amount: Decimal) -> None:
        self.held += amount

    def book(self, held: Decimal, cost: Decimal) -> None:
        self.held -= held
        self.spent += cost


class Reservation:
    """The worst case of one call, held for as long as the `with` block runs.

    Whoever leaves the block without settling, by a deadline or a crash, pays the worst case: the
    vendor may have done the work.
    """

    def __init__(self, pots: tuple[_Pot, ...], worst: Decimal) -> None:
        self._pots = pots
        self._worst = worst
        self._cost = worst
        for pot in pots:
            pot.hold(worst)

    def settle(self, cost: Decimal) -> None:
        """Say what the call did cost, in USD, even where that is above the worst case."""
        if not (cost.is_finite() and cost >= 0):
            raise ValueError(f"a cost is finite and not below 0, not {cost}")
        self._cost = cost

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for pot in self._pots:
            pot.book(self._worst, self._cost)


class Budget:
    """The most that all models together may cost, from 00:00 to 24:00 UTC and per decision.

    The `clock` has to be the real one where the money is: a rehearsal's day is over in minutes.
    `spent` is what today has cost before this process began. What is held over midnight counts
    against both days.
    """

    def __init__(
        self,
        *,
        daily_limit: Decimal,
        decision_limit: Decimal,
        clock: Clock,
        spent: Decimal = Decimal(0),
    ) -> None:
        self._clock = clock
        self._day = clock.now().date()
        self._daily = _Pot("daily", daily_limit, spent)
        self._decision_limit = decision_limit

    @property
    def spent(self) -> Decimal:
        """USD that today has cost so far."""
        self._turn(self._clock.now().date())
        return self._daily.spent

    def now(self) -> datetime:
        """The time whose day counts."""
        return self._clock.now()

    def purse(self) -> "Purse":
        """The budget of one decision, within that of the day."""
        return Purse(self, _Pot("decision", self._decision_limit, Decimal(0)))

    def today(self) -> _Pot:
        self._turn(self._clock.now().date())
        return self._daily

    def _turn(self, day: date) -> None:
        if day > self._day:
            self._day = day
            self._daily.spent = Decimal(0)


class Purse:
    """What one decision may cost."""

    def __init__(self, budget: Budget, decision: _Pot) -> None:
        self._budget = budget
        self._decision = decision

    def reserve(self, worst: Decimal) -> Reservation | OverBudget:
        """Hold `worst` USD, or say which limit it would pass."""
        pots = (self._decision, self._budget.today())
        for pot in pots:
            if (lacking := pot.lacks(worst)) is not None:
                return lacking
        return Reservation(pots, worst)
