from datetime import timedelta

import pytest

from agents.llm.model import Answer, ModelUnavailable
from agents.llm.recorded import NotRecorded, Occasion, RecordedModel
from agents.llm.scripted import ScriptedModel, ScriptExhausted
from agents.vote import VoterId
from data.clock import ManualClock
from tests.builders_models import NOON, a_question, an_answer


async def test_a_script_is_said_line_by_line():
    fault = ModelUnavailable("down")
    model = ScriptedModel("m", ["one", fault, an_answer("three")], clock=ManualClock(NOON))
    assert (await model.ask(a_question())).text == "one"
    with pytest.raises(ModelUnavailable):
        await model.ask(a_question())
    assert await model.ask(a_question()) == an_answer("three")
    with pytest.raises(ScriptExhausted, match="BTC/USDT"):
        await model.ask(a_question())


async def test_a_function_may_answer_by_the_question():
    model = ScriptedModel("m", lambda question: question.subject, clock=ManualClock(NOON))
    assert await model.ask(a_question(subject="XRP/BTC")) == Answer(
        text="XRP/BTC", model="m", input_tokens=6, output_tokens=1, latency=timedelta(0)
    )


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"subject": "XRP/USDT"}, id="another subject"),
        pytest.param({"as_of": NOON + timedelta(hours=1)}, id="another time"),
    ],
)
async def test_nothing_is_played_back_for_another_occasion(changes):
    voter = VoterId("gpt")
    model = RecordedModel("m", voter, {Occasion(voter, "BTC/USDT", NOON): an_answer("{}")})
    with pytest.raises(NotRecorded, match="no answer of gpt about"):
        await model.ask(a_question(**changes))
    assert await model.ask(a_question()) == an_answer("{}")
