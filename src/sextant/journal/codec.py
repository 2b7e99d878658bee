"""Facts to canonical JSON and back."""

import re
import types
from collections.abc import Iterator, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import InitVar, fields, is_dataclass
from typing import Any, NewType, Union, get_args, get_origin, get_type_hints

import orjson
from pydantic import ConfigDict, TypeAdapter
from pydantic_core import PydanticSerializationError

from data.faults import Corrupt, Malformed

_CONFIG = ConfigDict(extra="forbid", ser_json_inf_nan="strings")
_TOPIC = re.compile(r"[a-z][a-z0-9_]*\Z")


class Unencodable(Corrupt):
    """A fact that this journal has no topic for, or that JSON has no form for."""


class Undecodable(Corrupt):
    """A record that is no fact of ours: written by another version, or not by us."""


class UnfitForJournal(TypeError):
    """A type whose values would not read back as what they were."""


class Codec:
    """Which type each topic holds, and how it is written.

    Canonical JSON: fields in the order of their definition, or sorted throughout where a type holds
    mappings; Decimals as text that keeps every digit, times as RFC 3339 with Z, durations as ISO
    8601, enums by value, floats that are not finite as "NaN", "Infinity" and "-Infinity". It reads
    back equal. A type must have exactly the fields it was written with: one that changes its
    shape takes a new topic, and the old one stays readable.

    Raises:
        UnfitForJournal: a union whose members cannot be told apart by their fields, a set (it has
            no order), or a field that exists only while the value is made (a sealed type).
        ValueError: a topic that cannot be the name of a folder, or two topics for one type.
    """

    def __init__(self, topics: Mapping[str, type]) -> None:
        for topic, kind in topics.items():
            if not _TOPIC.match(topic):
                raise ValueError(f"{topic!r} is no topic: lower case, digits and _ only")
            _require_fit(kind)
        if len(set(topics.values())) < len(topics):
            raise ValueError("two topics hold the same type")
        adapters = {topic: _adapter(kind) for topic, kind in topics.items()}
        self._readers = {topic: adapter.validator for topic, adapter in adapters.items()}
        self._writers = {
            kind: (topic, adapters[topic].serializer, _holds_mapping(kind))
            for topic, kind in topics.items()
        }

    def encode(self, fact: object) -> tuple[str, bytes]:
        """The topic of `fact`, and its canonical JSON.

        Raises:
            Unencodable: its type has no topic, or a value has no JSON form.
        """
        writer = self._writers.get(type(fact))
        if writer is None:
            raise Unencodable(f"the journal has no topic for {type(fact).__qualname__}")
        topic, serializer, sort = writer
        try:
            body = serializer.to_json((fact,), warnings=False)[1:-1]
        except (PydanticSerializationError, UnicodeEncodeError) as error:
            raise Unencodable(f"{topic}: {error}") from error
        if sort:
            body = orjson.dumps(orjson.loads(body), option=orjson.OPT_SORT_KEYS)
        return topic, body

    def decode(self, topic: str, body: bytes) -> object:
        """The fact that was encoded.

        Raises:
            Undecodable: no such topic, or no fact of its type.
        """
        reader = self._readers.get(topic)
        if reader is None:
            raise Undecodable(f"the journal holds a topic that this program does not know: {topic}")
        try:
            (fact,) = reader.validate_json(b"[" + body + b"]")
        except (ValueError, Malformed) as error:
            raise Undecodable(f"{topic}: {error}") from error
        return fact


def _adapter(kind: type) -> TypeAdapter[Any]:
    """For a 1-tuple: a dataclass takes no configuration of ours, but that of a tuple around it."""
    wrapped: Any = types.GenericAlias(tuple, (kind,))
    return TypeAdapter(wrapped, config=_CONFIG)


def _require_fit(kind: type) -> None:
    for part in _parts(kind, set()):
        if isinstance(part, InitVar):
            raise UnfitForJournal(
                f"{kind.__qualname__} holds a sealed type: it cannot be read back"
            )
        if _is_generic(part, AbstractSet):
            raise UnfitForJournal(f"{kind.__qualname__} holds {part}: a set has no order")
        if get_origin(part) in (Union, types.UnionType) and _is_ambiguous(part):
            raise UnfitForJournal(f"{kind.__qualname__} holds {part}: which one was it?")


def _holds_mapping(kind: type) -> bool:
    return any(_is_generic(part, Mapping) for part in _parts(kind, set()))


def _is_generic(part: object, of: type) -> bool:
    origin = get_origin(part)
    return isinstance(origin, type) and issubclass(origin, of)


def _is_ambiguous(union: object) -> bool:
    """Whether two dataclasses have the same fields, or two others could be the same JSON."""
    members = [member for member in get_args(union) if member is not types.NoneType]
    shapes = [frozenset(f.name for f in fields(m)) for m in members if is_dataclass(m)]
    return len(set(shapes)) < len(shapes) or len(members) - len(shapes) > 1


def _parts(kind: object, seen: set[object]) -> Iterator[object]:
    """`kind` and every type that its fields and arguments name, each once."""
    while isinstance(kind, NewType):
        kind = kind.__supertype__
    if kind in seen:
        return
    seen.add(kind)
    yield kind
    inner = get_type_hints(kind).values() if isinstance(kind, type) and is_dataclass(kind) else ()
    for part in (*inner, *get_args(kind)):
        yield from _parts(part, seen)
