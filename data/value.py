"""Values of which every bar makes new ones, made faster."""

from dataclasses import MISSING, fields
from typing import Any, TypeVar

T = TypeVar("T")


def quick(cls: type[T]) -> type[T]:
    """Give a frozen, slotted, keyword-only dataclass an `__init__` in two thirds of the time.

    The one that `dataclasses` writes has `object.__setattr__` find each slot anew by its name; this
    one, written the same way, calls the setters of the slots. It takes and checks the same.

    Raises:
        TypeError: a field is no keyword, or its default is made by a factory.
    """
    known: dict[str, Any] = {}
    given, lines = [], []
    for field in fields(cls):  # type: ignore[arg-type]  # raises for what is no dataclass
        if not field.kw_only or not field.init or field.default_factory is not MISSING:
            raise TypeError(f"{cls.__qualname__}.{field.name} is no keyword with a plain default")
        known[f"set_{field.name}"] = cls.__dict__[field.name].__set__
        known[f"{field.name}_"] = field.default
        default = "" if field.default is MISSING else f"={field.name}_"
        given.append(f"{field.name}{default}")
        lines.append(f" set_{field.name}(self, {field.name})")
    if hasattr(cls, "__post_init__"):
        lines.append(" self.__post_init__()")
    exec("\n".join([f"def __init__(self, *, {', '.join(given)}):", *lines]), known)  # noqa: S102
    cls.__init__ = known["__init__"]  # type: ignore[method-assign]
    return cls
