"""Parameters of models: the accepted forms of a value, and fast checks built from them."""

from collections.abc import Callable, Mapping
from enum import StrEnum
from math import isfinite
from typing import TypeAlias, assert_never

import msgspec

from batchgen.types import Json, Severity

Scalar: TypeAlias = bool | int | float | str
Accepts: TypeAlias = Callable[[Json], bool]

SIDES = ("width", "height")
_MAX_SCHEME_LENGTH = 16
_MAX_DIGITS = 6


class ValueType(StrEnum):
    """The types of value. SIDES and WXH are two notations for a width and a height."""

    TEXT = "string"
    INTEGER = "integer"
    NUMBER = "number"
    BOOLEAN = "boolean"
    LIST = "array"
    RECORD = "record"
    SIDES = "sides"  # {"width": 1024, "height": 768}
    WXH = "WxH"  # "1024x768"
    ANY = "any"  # the vendor's spec leaves it open or has too many forms


class Form(msgspec.Struct, frozen=True, kw_only=True):
    """One accepted form of a value, with its limits (inclusive; None if there is no limit).

    minimum, maximum: of the number, or of each side in pixels.
    multiple_of: of the number, or of each side.
    min_chars, max_chars: length of a text in characters.
    uri: the text is a URL (`data:` included) or a file's path, which is checked on disk when its
        row is read; a reference to another row's artifact is accepted too.
    file: only a file's path is accepted; the file is uploaded. max_bytes, media: of such a file.
    ids: a word without dots and slashes is the id of an earlier upload, not a path.
    max_ratio, max_pixels: ratio of the long side to the short side, and the area, of a `WxH`.
    items, min_items, max_items: of a list. fields: of a record; needs: its required fields.
    partial: one of the two sides may be missing.
    """

    type: ValueType
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
    """A request field of a model; a value must match one of its forms.

    forms: accepted by the vendor's current spec; empty if that does not have the field.
    old_forms: accepted by the spec of 2025-05; None if equal to `forms` or unknown.
    default: the provider's value for a missing field; None if undocumented.
    """

    name: str
    forms: tuple[Form, ...]
    old_forms: tuple[Form, ...] | None = None
    default: Scalar | None = None
    required: bool = False

    @property
    def all_forms(self) -> tuple[Form, ...]:
        """The forms of both specs without duplicates, the current ones first."""
        return self.forms + tuple(f for f in self.old_forms or () if f not in self.forms)

    def is_old_only(self, value: Json) -> bool:
        """Return whether the spec of 2025-05 accepts the value and the current one does not."""
        return (
            bool(self.old_forms)
            and any_of(self.old_forms or ())(value)
            and not (any_of(self.forms)(value))
        )


class Finding(msgspec.Struct, frozen=True):
    """A problem in a request: an error stops the run, a warning is only shown."""

    severity: Severity
    message: str


def any_of(forms: tuple[Form, ...]) -> Accepts:
    """Return a check that a value matches one of the forms."""
    match [acceptor(form) for form in forms]:
        case []:
            return lambda _: False
        case [only]:
            return only
        case [first, second]:
            return lambda value: first(value) or second(value)
        case checks:
            return lambda value: any(accepts(value) for accepts in checks)


def acceptor(form: Form) -> Accepts:  # noqa: PLR0911 - one return per type
    """Return a check that a value matches this form; built once per model, it runs on every row."""
    if form.enum:
        return _enumerated(form)
    match form.type:
        case ValueType.BOOLEAN:
            return lambda value: type(value) is bool
        case ValueType.INTEGER | ValueType.NUMBER:
            return _number(form)
        case ValueType.TEXT:
            return _text(form)
        case ValueType.SIDES:
            return _sides(form)
        case ValueType.WXH:
            return _wxh(form)
        case ValueType.LIST:
            return _list(form)
        case ValueType.RECORD:
            return _record(form)
        case ValueType.ANY:
            return lambda _: True
        case _:
            assert_never(form.type)


def is_uri(text: str) -> bool:
    """Return whether the text begins with a URL scheme; a single letter is a drive."""
    scheme = text[: max(text.find(":", 0, _MAX_SCHEME_LENGTH), 0)]  # the rest may be megabytes
    return len(scheme) > 1 and scheme.replace("+", "").isalnum()


def is_input(form: Form) -> bool:
    """Return whether the form accepts the path or URL of a file."""
    return form.uri or form.file


def is_path(text: str) -> bool:
    """Return whether the text is a local path or a `file:` URL."""
    return bool(text) and (not is_uri(text) or text[:5].lower() == "file:")


def is_id(form: Form, text: str) -> bool:
    """Return whether the form accepts ids of uploads and the text can be one."""
    return form.ids and text.isascii() and text.replace("-", "").replace("_", "").isalnum()


def is_reference(value: Json) -> bool:
    """Return whether a value is a reference to another row: `{from: ID}` or `{from: ID, n: 2}`."""
    return type(value) is dict and "from" in value and value.keys() <= {"from", "n"}


def split_wxh(text: str) -> tuple[int, int] | None:
    """Parse `1024x768` into (1024, 768); None for any other text."""
    width, _, height = text.partition("x")
    if not (_is_digits(width) and _is_digits(height)):
        return None
    return int(width), int(height)


def _is_digits(text: str) -> bool:
    # Without leading zeros the text survives a round trip; no image needs more digits.
    return text.isascii() and text.isdigit() and text[0] != "0" and len(text) <= _MAX_DIGITS


def _enumerated(form: Form) -> Accepts:
    allowed = frozenset(form.enum)
    value_type = type(form.enum[0])  # checked because 1 == True == 1.0
    return lambda value: type(value) is value_type and value in allowed


def _number(form: Form) -> Accepts:
    low, high = _bounds(form)
    step = form.multiple_of or 1
    if form.type is ValueType.INTEGER:
        return lambda value: type(value) is int and low <= value <= high and not value % step
    return lambda value: (
        (type(value) is int or (type(value) is float and isfinite(value))) and low <= value <= high
    )


def _bounds(form: Form) -> tuple[float, float]:
    low = float("-inf") if form.minimum is None else form.minimum
    high = float("inf") if form.maximum is None else form.maximum
    return low, high


def _text(form: Form) -> Accepts:
    min_chars, max_chars = form.min_chars, form.max_chars
    if form.file:
        return lambda value: (type(value) is str and is_path(value)) or is_reference(value)
    if form.uri:
        return lambda value: (type(value) is str and bool(value)) or is_reference(value)
    if max_chars is None:
        return lambda value: type(value) is str and len(value) >= min_chars
    return lambda value: type(value) is str and min_chars <= len(value) <= max_chars


def side(form: Form) -> Form:
    """Return the form of one side of a size."""
    return Form(
        type=ValueType.INTEGER,
        minimum=form.minimum,
        maximum=form.maximum,
        multiple_of=form.multiple_of,
    )


def _sides(form: Form) -> Accepts:
    fits = _number(side(form))
    min_sides = 0 if form.partial else len(SIDES)
    names = frozenset(SIDES)

    def accepts(value: Json) -> bool:
        if type(value) is not dict or len(value) < min_sides or not value.keys() <= names:
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
    min_items = form.min_items
    max_items = float("inf") if form.max_items is None else form.max_items
    return lambda value: (
        type(value) is list and min_items <= len(value) <= max_items and all(map(fits, value))
    )


def _record(form: Form) -> Accepts:
    fits = {name: acceptor(inner) for name, inner in form.fields.items()}
    needs = frozenset(form.needs)

    def accepts(value: Json) -> bool:
        if type(value) is not dict or not (needs <= value.keys() <= fits.keys()):
            return False
        return all(fits[name](inner) for name, inner in value.items())

    return accepts
