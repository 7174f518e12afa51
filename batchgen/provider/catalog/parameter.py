"""What a model takes under one name: the forms of a value, and quick tests made from them."""

from collections.abc import Callable, Mapping
from enum import StrEnum
from math import isfinite
from typing import TypeAlias, assert_never

import msgspec

from batchgen.types import Json, Severity

Scalar: TypeAlias = bool | int | float | str
Accepts: TypeAlias = Callable[[Json], bool]

SIDES = ("width", "height")
_LONGEST_SCHEME = 16
_MOST_DIGITS = 6


class Kind(StrEnum):
    """The kinds of value; SIDES and WXH are the ways of giving a width and a height."""

    TEXT = "string"
    WHOLE = "integer"
    NUMBER = "number"
    FLAG = "boolean"
    LIST = "array"
    RECORD = "record"
    SIDES = "sides"  # {"width": 1024, "height": 768}
    WXH = "WxH"  # "1024x768"
    ANY = "any"  # what the vendor's spec leaves open, or has in too many forms


class Form(msgspec.Struct, frozen=True, kw_only=True):
    """One form that a value may have, with its limits (inclusive; None where there is none).

    minimum, maximum: of the number, or of each side in pixels.
    multiple_of: of the number, or of each side.
    min_chars, max_chars: characters of a text. uri: the text is a URL, `data:` included,
        or a file's path, which is held against the disk when its row is read. Where a file may
        stand, a reference to another row's may too.
    file: only a file's path will do; it is sent along. max_bytes, media: of such a file.
    ids: a word without dots and slashes is no path, but the id of an earlier upload.
    max_ratio, max_pixels: long side to short side, and the area, of a `WxH`.
    items, min_items, max_items: of a list. fields, needs: of a record; needs: its required ones.
    partial: one of the two sides may be left out.
    """

    type: Kind
    enum: tuple[Scalar, ...] = ()
    minimum: float | None = None
    maximum: float | None = None
    multiple_of: int | None = None
    min_chars: int = 0
    max_chars: int | None = None
    uri: bool = False
    file: bool = False
    ids: bool = False
    max_bytes: int | None = None
    media: tuple[str, ...] = ()
    max_ratio: float | None = None
    max_pixels: int | None = None
    items: "Form | None" = None
    min_items: int = 0
    max_items: int | None = None
    fields: "Mapping[str, Form]" = msgspec.field(default_factory=dict)
    needs: tuple[str, ...] = ()
    partial: bool = False


class Parameter(msgspec.Struct, frozen=True):
    """A request field of a model: any one of its forms will do.

    forms: what the current spec takes, empty where it does not have the field.
    seed_forms: what the spec of 2025-05 took; None where nothing else is known than `forms`.
    default: what the provider takes when the field is not given, None where undocumented.
    """

    name: str
    forms: tuple[Form, ...]
    seed_forms: tuple[Form, ...] | None = None
    default: Scalar | None = None
    required: bool = False

    @property
    def all_forms(self) -> tuple[Form, ...]:
        """The forms of either date, each once, the current ones first."""
        return self.forms + tuple(f for f in self.seed_forms or () if f not in self.forms)

    def is_seed_only(self, value: Json) -> bool:
        """Whether only the spec of 2025-05 took the value."""
        return (
            bool(self.seed_forms)
            and any_of(self.seed_forms or ())(value)
            and not (any_of(self.forms)(value))
        )


class Finding(msgspec.Struct, frozen=True):
    """Something wrong or doubtful in a request; an error forbids it, a warning is only told."""

    severity: Severity
    message: str


def any_of(forms: tuple[Form, ...]) -> Accepts:
    """The test that a value has one of the forms."""
    match [acceptor(form) for form in forms]:
        case []:
            return lambda _: False
        case [only]:
            return only
        case [first, second]:
            return lambda value: first(value) or second(value)
        case several:
            return lambda value: any(accepts(value) for accepts in several)


def acceptor(form: Form) -> Accepts:  # noqa: PLR0911 - a return for each kind
    """The test that a value has this form; made once a model, it runs for every row."""
    if form.enum:
        return _enumerated(form)
    match form.type:
        case Kind.FLAG:
            return lambda value: type(value) is bool
        case Kind.WHOLE | Kind.NUMBER:
            return _number(form)
        case Kind.TEXT:
            return _text(form)
        case Kind.SIDES:
            return _sides(form)
        case Kind.WXH:
            return _wxh(form)
        case Kind.LIST:
            return _list(form)
        case Kind.RECORD:
            return _record(form)
        case Kind.ANY:
            return lambda _: True
        case _:
            assert_never(form.type)


def is_uri(text: str) -> bool:
    """Whether the text begins with a scheme; one letter before the colon is a drive's."""
    scheme = text[: max(text.find(":", 0, _LONGEST_SCHEME), 0)]  # the rest may be megabytes
    return len(scheme) > 1 and scheme.replace("+", "").isalnum()


def is_input(form: Form) -> bool:
    """Whether the text names a file or where one is to be had."""
    return form.uri or form.file


def is_path(text: str) -> bool:
    """Whether the text names a file of this machine: by its path, or by a `file:` URL."""
    return bool(text) and (not is_uri(text) or text[:5].lower() == "file:")


def is_id(form: Form, text: str) -> bool:
    """Whether the text is the provider's id of an upload, where the form takes such."""
    return form.ids and text.isascii() and text.replace("-", "").replace("_", "").isalnum()


def is_reference(value: Json) -> bool:
    """Whether a value is to be an artifact of another row: `{from: ID}`, or `{from: ID, n: 2}`."""
    return type(value) is dict and "from" in value and value.keys() <= {"from", "n"}


def split_wxh(text: str) -> tuple[int, int] | None:
    """`1024x768` as (1024, 768); None for any other text."""
    width, _, height = text.partition("x")
    if not (_is_digits(width) and _is_digits(height)):
        return None
    return int(width), int(height)


def _is_digits(text: str) -> bool:
    # No leading zero, and no more digits than pixels need: the text survives a round trip.
    return text.isascii() and text.isdigit() and text[0] != "0" and len(text) <= _MOST_DIGITS


def _enumerated(form: Form) -> Accepts:
    allowed = frozenset(form.enum)
    kind = type(form.enum[0])  # told apart by type, for 1 == True == 1.0
    return lambda value: type(value) is kind and value in allowed


def _number(form: Form) -> Accepts:
    low, high = _bounds(form)
    step = form.multiple_of or 1
    if form.type is Kind.WHOLE:
        return lambda value: type(value) is int and low <= value <= high and not value % step
    return lambda value: (
        (type(value) is int or (type(value) is float and isfinite(value))) and low <= value <= high
    )


def _bounds(form: Form) -> tuple[float, float]:
    low = float("-inf") if form.minimum is None else form.minimum
    high = float("inf") if form.maximum is None else form.maximum
    return low, high


def _text(form: Form) -> Accepts:
    shortest, longest = form.min_chars, form.max_chars
    if form.file:
        return lambda value: (type(value) is str and is_path(value)) or is_reference(value)
    if form.uri:
        return lambda value: (type(value) is str and bool(value)) or is_reference(value)
    if longest is None:
        return lambda value: type(value) is str and len(value) >= shortest
    return lambda value: type(value) is str and shortest <= len(value) <= longest


def side(form: Form) -> Form:
    """The form of each side of a size."""
    return Form(
        type=Kind.WHOLE,
        minimum=form.minimum,
        maximum=form.maximum,
        multiple_of=form.multiple_of,
    )


def _sides(form: Form) -> Accepts:
    fits = _number(side(form))
    least = 0 if form.partial else len(SIDES)
    names = frozenset(SIDES)

    def accepts(value: Json) -> bool:
        if type(value) is not dict or len(value) < least or not value.keys() <= names:
            return False
        return all(map(fits, value.values()))

    return accepts


def _wxh(form: Form) -> Accepts:
    fits = _number(side(form))
    ratio = form.max_ratio or float("inf")
    area = form.max_pixels or float("inf")

    def accepts(value: Json) -> bool:
        pair = split_wxh(value) if type(value) is str else None
        if pair is None or not all(map(fits, pair)):
            return False
        return max(pair) <= ratio * min(pair) and pair[0] * pair[1] <= area

    return accepts


def _list(form: Form) -> Accepts:
    fits = acceptor(form.items) if form.items else (lambda _: True)
    least = form.min_items
    most = float("inf") if form.max_items is None else form.max_items
    return lambda value: (
        type(value) is list and least <= len(value) <= most and all(map(fits, value))
    )


def _record(form: Form) -> Accepts:
    fits = {name: acceptor(inner) for name, inner in form.fields.items()}
    needs = frozenset(form.needs)

    def accepts(value: Json) -> bool:
        if type(value) is not dict or not (needs <= value.keys() <= fits.keys()):
            return False
        return all(fits[name](inner) for name, inner in value.items())

    return accepts
