"""The JSON schema of an answer, from the model that also reads it."""

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel

# Strict modes take types, enums, references and "required", and refuse the rest: the common subset
# of https://developers.openai.com/api/docs/guides/structured-outputs and
# https://platform.claude.com/docs/en/build-with-claude/structured-outputs.
_BOUNDS = (
    "minimum",
    "maximum",
    "exclusiveMinimum",
    "exclusiveMaximum",
    "minLength",
    "maxLength",
    "minItems",
    "maxItems",
    "pattern",
    "format",
)
_DROPPED = frozenset({*_BOUNDS, "title", "default"})


def answer_schema(form: type[BaseModel]) -> Mapping[str, Any]:
    """The schema of `form` in the subset that every vendor's strict mode takes.

    Bounds move into the descriptions: a model reads them there, and `form` checks them. Every
    property is required and no other is allowed.
    """
    return _strict(form.model_json_schema())


def _strict(schema: Mapping[str, Any]) -> dict[str, Any]:
    kept = {key: _inner(key, value) for key, value in schema.items() if key not in _DROPPED}
    bounds = [f"{key} {schema[key]}" for key in _BOUNDS if key in schema]
    if bounds:
        kept["description"] = "; ".join([*filter(None, [schema.get("description")]), *bounds])
    if "properties" in schema:
        kept["required"] = list(schema["properties"])
        kept["additionalProperties"] = False
    return kept


def _inner(key: str, value: Any) -> Any:
    if key in ("properties", "$defs"):
        return {name: _strict(inner) for name, inner in value.items()}
    if key == "items":
        return _strict(value)
    if key in ("anyOf", "allOf"):
        return [_strict(inner) for inner in value]
    return value
