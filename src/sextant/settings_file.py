"""TOML files laid over each other, and what is wrong with them in the operator's words."""

import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

_LIST_NAMES = ("voter", "strategy_id", "symbol")  # what a table of a list is known by


class BadSettings(Exception):
    """The configuration cannot be used; each line names the file, the key, and what is allowed."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


@dataclass(frozen=True, slots=True, kw_only=True)
class Layer:
    """What one file says."""

    path: Path
    tables: Mapping[str, Any]


def read_layers(path: Path, above: tuple[Path, ...] = ()) -> list[Layer]:
    """The file and those that it extends, the topmost first; `above` are the files extended by it.

    Raises:
        BadSettings: a file cannot be read, is not TOML, or extends itself.
    """
    if path.resolve() in above:
        raise BadSettings([f"{path}: extends: it extends itself; name a file that does not"])
    tables = _parsed(path)
    base = tables.pop("extends", None)
    layer = Layer(path=path, tables=tables)
    if base is None:
        return [layer]
    if not isinstance(base, str):
        raise BadSettings(
            [f"{path}: extends: must be the name of a file beside it, such as paper.toml"]
        )
    return [layer, *read_layers(path.parent / base, (*above, path.resolve()))]


def _parsed(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise BadSettings(
            [f"{path}: cannot be read: {error.strerror}; name it with --config"]
        ) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise BadSettings([f"{path}: not TOML: {error}"]) from error


def merged(layers: Sequence[Layer]) -> dict[str, Any]:
    """One set of tables: what stands further up goes before what stands below."""
    tables: dict[str, Any] = {}
    for layer in reversed(layers):
        tables = _laid_over(tables, layer.tables)
    return tables


def _laid_over(base: Mapping[str, Any], top: Mapping[str, Any]) -> dict[str, Any]:
    """Tables are merged key by key; anything else, lists of tables too, is replaced.

    A table that names another `source` or `kind` is another thing, and replaces the whole.
    """
    joined = dict(base)
    for key, value in top.items():
        below = joined.get(key)
        if isinstance(value, dict) and isinstance(below, dict) and _same_kind(below, value):
            joined[key] = _laid_over(below, value)
        else:
            joined[key] = value
    return joined


def _same_kind(below: Mapping[str, Any], above: Mapping[str, Any]) -> bool:
    return all(above.get(tag, below.get(tag)) == below.get(tag) for tag in ("source", "kind"))


def told(error: ValidationError) -> list[ErrorDetails]:
    """The errors that say something: not that a list is short of the items that are wrong in it."""
    errors = error.errors()
    places = {e["loc"][:depth] for e in errors for depth in range(len(e["loc"]))}
    return [e for e in errors if e["type"] != "too_short" or e["loc"] not in places]


def in_words(
    error: Mapping[str, Any], layers: Sequence[Layer], model: type[BaseModel]
) -> Iterator[str]:
    """What one of pydantic's errors says, a line a problem: the file, the key, what is wrong."""
    loc, kind = error["loc"], error["type"]
    key = _key(loc, merged(layers), missing=kind == "missing")
    file = _file_of(loc[:-1] if kind == "missing" else loc, layers)
    place = f"{file}: {key}" if key else f"{file}"
    match kind:
        case "extra_forbidden":
            yield f"{place}: no such key; {_instead(loc, model)}"
        case "missing":
            yield f"{place}: missing, and has no default"
        case "value_error":
            for line in str(error["ctx"]["error"]).splitlines():
                yield f"{place}: {line}{_given(key, error)}"
        case _:
            yield f"{place}: {error['msg']}{_given(key, error)}"


def _given(key: str, error: Mapping[str, Any]) -> str:
    """The wrong value, unless a secret may stand where its variable's name is wanted."""
    given = error.get("input")
    if key.endswith("_env") or not isinstance(given, str | int | float | bool):
        return ""
    return f" (given: {given!r})"


def _steps(loc: Sequence[int | str], tables: Any) -> Iterator[tuple[int | str, Any]]:
    """Each part of `loc` that `tables` have, and what is there; a union's tags are passed over."""
    here = tables
    for part in loc:
        if isinstance(here, list):
            found = isinstance(part, int) and part < len(here)
        else:
            found = isinstance(here, Mapping) and part in here
        if found:
            here = here[part]
            yield part, here


def _key(loc: Sequence[int | str], tables: Mapping[str, Any], *, missing: bool) -> str:
    """The key as one would look for it: `risk.max_drawdown`, `seat[opus].model`."""
    text = ""
    for part, there in _steps(loc, tables):
        text += f"[{_name(part, there)}]" if isinstance(part, int) else f".{part}"
    return (f"{text}.{loc[-1]}" if missing else text).removeprefix(".")


def _name(index: int, item: object) -> str:
    """What an item of a list is known by: its name, itself, or else its place, counted from 1."""
    if isinstance(item, Mapping):
        return next((str(item[name]) for name in _LIST_NAMES if name in item), str(index + 1))
    return item if isinstance(item, str) else str(index + 1)


def _file_of(loc: Sequence[int | str], layers: Sequence[Layer]) -> Path:
    """The topmost file that goes furthest along `loc`: the one to mend."""
    depths = [sum(1 for _ in _steps(loc, layer.tables)) for layer in layers]
    return layers[depths.index(max(depths))].path


def _instead(loc: Sequence[int | str], model: type[BaseModel]) -> str:
    """What may stand where `loc` ends, and what was perhaps meant."""
    allowed = sorted({name for table in _tables_at(loc[:-1], model) for name in table.model_fields})
    meant = get_close_matches(str(loc[-1]), allowed, n=1)
    guess = f"did you mean {meant[0]}? " if meant else ""
    return f"{guess}allowed: {', '.join(allowed)}"


def _tables_at(loc: Sequence[int | str], model: type[BaseModel]) -> set[type[BaseModel]]:
    """The tables that `loc` may lead to."""
    tables = {model}
    for part in loc:
        if isinstance(part, str):
            inner = {
                found
                for table in tables
                if part in table.model_fields
                for found in _tables_in(table.model_fields[part].annotation)
            }
            tables = inner or {t for t in tables if _is_tagged(t, part)} or tables
    return tables


def _tables_in(annotation: object) -> set[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return {annotation}
    return {found for part in get_args(annotation) for found in _tables_in(part)}


def _is_tagged(table: type[BaseModel], tag: str) -> bool:
    return any(get_args(field.annotation) == (tag,) for field in table.model_fields.values())
