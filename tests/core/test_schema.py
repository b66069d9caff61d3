"""Values from files held against types: what fits is built, what does not is named."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import pytest

from core.schema import faults, plain, rebuilt, salvaged, setting, settings_of, taken


class Colour(StrEnum):
    RED = "red"


@dataclass(frozen=True)
class Inner:
    place: Path
    sizes: tuple[float, float] = (1.0, 2.0)


@dataclass(frozen=True)
class Outer:
    inner: tuple[Inner, ...] = ()
    colour: Colour = Colour.RED
    folder: Path | None = None
    count: int = 3
    more: dict[str, Path] = field(default_factory=dict)


@dataclass(frozen=True)
class Judged:
    part: Annotated[float, setting("Part", "Of a whole.", ge=0, lt=1)] = 0.5
    free: int = 0


def test_json_values_and_back() -> None:
    built = Outer((Inner(Path("a/b"), (3.0, 4.0)),), folder=Path("c"), more={"x": Path("d")})
    values = plain(built)
    assert values["folder"] == "c"
    assert rebuilt(Outer, json.loads(json.dumps(values))) == built
    assert rebuilt(Outer, {"inner": [{"place": "a", "sizes": [1, 2]}], "later": 1}).count == 3
    with pytest.raises(TypeError, match="object is no JSON value"):
        plain(object())


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"inner": [{"place": "a"}, {"place": 3}]}, r"inner\[1\]\.place: expected a path, got int"),
        ({"inner": [{}]}, r"inner\[0\]: .*missing required field place"),
        ({"count": "3"}, "count: expected int, got str"),
        ({"colour": "blue"}, "colour: invalid enum value 'blue'"),
        ({"inner": [{"place": "a", "sizes": [1]}]}, "sizes: expected array of length 2, got 1"),
        ([], "expected object, got array"),
    ],
)
def test_what_does_not_fit_is_named(values: object, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        rebuilt(Outer, values)


def test_salvage_keeps_what_fits() -> None:
    values = {"count": 5, "colour": "blue", "inner": 3, "unknown": 1}
    assert salvaged(Outer, values) == Outer(count=5)


def test_settings_of_a_dataclass() -> None:
    (one,) = settings_of(Judged).values()
    assert (one.name, one.label, one.about, one.default) == ("part", "Part", "Of a whole.", 0.5)
    assert one.expected == "a number at least 0 and below 1"
    assert one.check(0) == 0.0
    assert faults(Judged(part=1.0), "x.") == [
        "x.part must be a number at least 0 and below 1; found 1.0"
    ]
    assert taken(Judged, {"part": 0, "free": "x"}) == ({"part": 0.0}, [])
