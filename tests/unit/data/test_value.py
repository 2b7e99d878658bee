"""A quick value is the frozen dataclass that it was."""

from dataclasses import FrozenInstanceError, dataclass, field, fields, replace

import pytest

from data.value import quick


@dataclass(frozen=True, slots=True, kw_only=True)
class Plain:
    name: str
    size: int = 1

    def __post_init__(self):
        if self.size < 0:
            raise ValueError(f"{self.name}: {self.size}")


@quick
@dataclass(frozen=True, slots=True, kw_only=True)
class Quick:
    name: str
    size: int = 1

    def __post_init__(self):
        if self.size < 0:
            raise ValueError(f"{self.name}: {self.size}")


@pytest.mark.parametrize("given", [{"name": "a"}, {"name": "a", "size": 2}])
def test_it_holds_what_it_was_given(given):
    plain, made = Plain(**given), Quick(**given)
    assert [getattr(made, f.name) for f in fields(made)] == [plain.name, plain.size]
    assert made == Quick(**given) != replace(made, size=3)
    assert hash(made) == hash(Quick(**given))
    assert repr(made) == repr(plain).replace("Plain", "Quick")


@pytest.mark.parametrize(
    ("given", "error"),
    [
        pytest.param({}, TypeError, id="one is missing"),
        pytest.param({"name": "a", "weight": 1}, TypeError, id="one is unknown"),
        pytest.param({"name": "a", "size": -1}, ValueError, id="refused by the class"),
    ],
)
def test_it_refuses_what_a_plain_one_refuses(given, error):
    for kind in (Plain, Quick):
        with pytest.raises(error):
            kind(**given)
    with pytest.raises(TypeError):
        Quick("a")


def test_it_never_changes():
    made = Quick(name="a")
    with pytest.raises(FrozenInstanceError):
        made.size = 2
    assert not hasattr(made, "__dict__")


def test_a_class_that_it_would_change_is_refused():
    @dataclass(frozen=True, slots=True, kw_only=True)
    class Made:
        names: list = field(default_factory=list)

    @dataclass(frozen=True, slots=True)
    class Positional:
        name: str

    for kind in (Made, Positional):
        with pytest.raises(TypeError, match="no keyword"):
            quick(kind)
