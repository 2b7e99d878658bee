from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from agents.llm.answer_schema import answer_schema


class Part(BaseModel):
    weight: Annotated[float, Field(ge=0, le=1, description="a share")]


class Form(BaseModel):
    model_config = ConfigDict(extra="forbid")
    parts: Annotated[list[Part], Field(max_length=3)]
    title: Annotated[str, Field(min_length=1)] = "none"
    note: str | None = None


def test_bounds_become_words_and_everything_is_required():
    schema = answer_schema(Form)
    assert schema == {
        "$defs": {
            "Part": {
                "type": "object",
                "properties": {
                    "weight": {"type": "number", "description": "a share; minimum 0; maximum 1"}
                },
                "required": ["weight"],
                "additionalProperties": False,
            }
        },
        "type": "object",
        "properties": {
            "parts": {
                "type": "array",
                "items": {"$ref": "#/$defs/Part"},
                "description": "maxItems 3",
            },
            "title": {"type": "string", "description": "minLength 1"},
            "note": {"anyOf": [{"type": "string"}, {"type": "null"}]},
        },
        "required": ["parts", "title", "note"],
        "additionalProperties": False,
    }
