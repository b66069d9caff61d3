"""Settings that explain themselves: type, range, unit and texts of a field stand once, in its type.

A field of a frozen dataclass is declared as ``Annotated[float, setting("Learning rate", "Of the
optimiser.", gt=0, le=1)] = 2e-3``. Files, the command line and forms check and explain it by that.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields
from functools import cache
from pathlib import Path
from typing import Any, TypeVar, get_type_hints

import msgspec
from msgspec import inspect

T = TypeVar("T")

NOT_SAID = "the paper does not say"
BIG = 2**63 - 1
"""The largest whole number a setting may be."""


def setting(
    label: str = "",
    about: str = "",
    *,
    unit: str = "",
    paper: str = NOT_SAID,
    group: str = "",
    choices: tuple[str, ...] = (),
    **limits: float,
) -> msgspec.Meta:
    """Describe a field; goes into its ``Annotated`` type.

    Args:
        label: what a form says; empty for what no form shows.
        about: what it does.
        unit: of the value; empty for pure numbers and words.
        paper: where the paper (Dorent et al. 2023) speaks of it, or that it does not.
        group: heading of a form it stands under; empty for its class's own.
        choices: the words it may be; empty for free values.
        limits: ``gt``, ``ge``, ``lt`` and ``le`` of a number.
    """
    extra = {
        "label": label,
        "about": about,
        "unit": unit,
        "paper": paper,
        "group": group,
        "choices": choices,
    }
    pattern = f"^({'|'.join(choices)})$" if choices else None
    return msgspec.Meta(extra=extra, pattern=pattern, **limits)  # type: ignore[call-overload]


@dataclass(frozen=True)
class Setting:
    """One field as people see it; see :func:`setting`.

    Attributes:
        name: of the field.
        kind: its type with its limits.
        default: its value unless something else is asked for.
    """

    name: str
    kind: Any
    default: Any
    label: str = ""
    about: str = ""
    unit: str = ""
    paper: str = NOT_SAID
    group: str = ""
    choices: tuple[str, ...] = ()

    @property
    def expected(self) -> str:
        """What its value may be, as a part of a sentence: ``"a number from 0 to 1"``."""
        return _expected(inspect.type_info(self.kind), self.choices)

    def check(self, value: Any) -> Any:
        """Return a value of this setting's type.

        Raises:
            ValueError: says what was expected and found, without the setting's name.
        """
        try:
            taken = msgspec.convert(value, self.kind)
        except msgspec.ValidationError:
            taken = math.nan
        if not _finite(taken):
            raise ValueError(f"must be {self.expected}; found {_short(value)}")
        return taken


@cache
def settings_of(cls: type) -> dict[str, Setting]:
    """Return the settings of a dataclass by name; fields that are dataclasses are left out."""
    hints = get_type_hints(cls, include_extras=True)
    found = {}
    for field in fields(cls):
        kind = hints[field.name]
        info = inspect.type_info(kind)
        if not isinstance(info, inspect.Metadata):
            continue
        default = field.default
        if default is MISSING:
            default = field.default_factory() if field.default_factory is not MISSING else None
        found[field.name] = Setting(field.name, kind, default, **(info.extra or {}))
    return found


def faults(owner: Any, prefix: str = "") -> list[str]:
    """Return a sentence for every setting of a dataclass's instance that has an impossible value.

    Args:
        owner: the instance.
        prefix: goes before the name in the sentence, for example ``"data."``.
    """
    wrong = []
    for name, one in _known(owner).items():
        try:
            one.check(getattr(owner, name))
        except ValueError as error:
            wrong.append(f"{prefix}{name} {error}")
    return wrong


def taken(
    cls: type, values: Mapping[str, Any], prefix: str = ""
) -> tuple[dict[str, Any], list[str]]:
    """Return those of ``values`` that are settings of a dataclass, in its types, and the faults.

    Names the dataclass does not know are neither: what they mean is the caller's to say.
    """
    found: dict[str, Any] = {}
    wrong: list[str] = []
    known = settings_of(cls)
    for name, value in values.items():
        try:
            if name in known:
                found[name] = known[name].check(value)
        except ValueError as error:
            wrong.append(f"{prefix}{name} {error}")
    return found, wrong


def rebuilt(cls: type[T], values: Any) -> T:
    """Build a type from JSON values, each held against its field's type.

    Names a dataclass does not know are left out, missing ones get their defaults; paths are text.

    Raises:
        ValueError: says which field has what instead of what.
    """
    try:
        return msgspec.convert(values, cls, dec_hook=_from_text)
    except msgspec.ValidationError as error:
        what, _, where = str(error).replace("`", "").partition(" - at ")
        place = f"{where.removeprefix('$').removeprefix('.')}: " if where else ""
        raise ValueError(place + what[:1].lower() + what[1:]) from None


def salvaged(cls: type[T], values: Mapping[str, Any]) -> T:
    """Build a dataclass from JSON values; what is missing or does not fit gets its default."""
    fitting = {}
    for name, value in values.items():
        with contextlib.suppress(ValueError):
            rebuilt(cls, {name: value})
            fitting[name] = value
    return rebuilt(cls, fitting)


def plain(value: Any) -> Any:
    """Return a dataclass as JSON values; paths are text."""
    return msgspec.to_builtins(value, enc_hook=_to_text)


def _from_text(kind: type, value: Any) -> Any:
    if kind is Path and isinstance(value, str | Path):
        return Path(value)
    raise ValueError(f"Expected a path, got {type(value).__name__}")


def _to_text(value: Any) -> str:
    if isinstance(value, Path):
        return str(value)
    raise TypeError(f"{type(value).__name__} is no JSON value")


def _known(owner: Any) -> dict[str, Setting]:
    cls: type = type(owner)
    return settings_of(cls)


def _short(value: Any) -> str:
    text = repr(list(value) if isinstance(value, tuple) else value)
    return text if len(text) <= 60 else text[:57] + "..."


def _finite(value: Any) -> bool:
    if isinstance(value, Mapping):
        return all(_finite(v) for v in value.values())
    if isinstance(value, list | tuple):
        return all(_finite(v) for v in value)
    return not isinstance(value, float) or math.isfinite(value)


def _expected(info: inspect.Type, choices: tuple[str, ...]) -> str:
    if choices:
        return f"one of {', '.join(choices)}"
    match info:
        case inspect.Metadata():
            return _expected(info.type, choices)
        case inspect.BoolType():
            return "true or false"
        case inspect.IntType():
            return "a whole number" + _range(info)
        case inspect.FloatType():
            return "a number" + _range(info)
        case inspect.UnionType():
            first = next(t for t in info.types if not isinstance(t, inspect.NoneType))
            return f"{_expected(first, ())}, or nothing"
        case inspect.TupleType():
            each = _expected(info.item_types[0], ()).removeprefix("a ")
            return f"{len(info.item_types)} values, each a {each}"
        case inspect.VarTupleType():
            words = _expected(info.item_type, ()).removeprefix("a ").split(" ")
            return " ".join(["a list of", *words[:-1], f"{words[-1]}s"])
        case inspect.DictType():
            each = _expected(info.value_type, ())
            return f"pairs like T2: 0.2, iUS: 0.05 of a word and {each}"
    return "a word"


def _range(info: inspect.IntType | inspect.FloatType) -> str:
    low = info.ge if info.ge is not None else info.gt
    high = info.le if info.le is not None else info.lt
    if low is None:
        return ""
    if high is None or high == BIG:
        return f" of at least {low:g}" if info.ge is not None else f" above {low:g}"
    if info.ge is not None and info.le is not None:
        return f" from {low:g} to {high:g}"
    first = f"at least {low:g}" if info.ge is not None else f"above {low:g}"
    return f" {first} and {'at most' if info.le is not None else 'below'} {high:g}"
