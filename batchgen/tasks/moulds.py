"""Rows that differ in nothing but prompt, id, file name and variables, as most of a long list do.

The first of a kind goes the whole way; what the others share with it is kept: the model, the
checked parameters, the beginning of the digest. Any row that could come to more than that takes
the whole way itself: templates, files, references, copies, nulls, anything to be told of it.
"""

from collections.abc import Callable, Mapping

import msgspec

from batchgen.manifest.values import UnsoundError, canonical
from batchgen.tasks.drafts import Draft
from batchgen.tasks.fields import Fields
from batchgen.tasks.names import Resolved
from batchgen.types import Json, Row

_MOST_REMEMBERED = 4096
_LONGEST_REMEMBERED = 1000  # bytes of what a row says besides its texts
_TEXTS = frozenset({"prompt", "id", "filename"})


class Mould(msgspec.Struct, frozen=True):
    """What rows of a kind share.

    variables: the names among their fields that only templates see.
    pattern: of file names, where a row has none of its own.
    digest: gives the request's for a prompt.
    shortest, longest: characters of a prompt about which there is no doubt.
    """

    endpoint: str
    model: str
    params: Mapping[str, Json]
    variables: tuple[str, ...]
    pattern: str
    digest: Callable[[str], str]
    shortest: int
    longest: float


class _Kind(msgspec.Struct):
    """Rows whose fields are read alike; deciding: those of them that parameters are made of."""

    deciding: tuple[str, ...]
    moulds: dict[bytes, Mould]


class Moulds:
    """The moulds of one manifest's rows; of very many kinds the latest. identify: see Expander."""

    def __init__(self, *, identify: bool = True) -> None:
        self._identify = identify
        self._entry: Mapping[str, Json] | None = None
        self._kinds: dict[object, _Kind] = {}
        self._count = 0

    def keep(
        self,
        fields: Fields,
        entry: Mapping[str, Json] | None,
        draft: Draft,
        make: Callable[[], Mould],
    ) -> None:
        """Remember what a row came to, if others may come to the same; make: gives its mould."""
        own = fields.row.fields
        if not (_stands_alone(fields) and _is_plain(draft, own)):
            return
        if entry is not self._entry or self._count >= _MOST_REMEMBERED:
            self._entry = entry
            self._kinds.clear()
            self._count = 0
        deciding = tuple(name for name in own if name not in _TEXTS and name not in draft.variables)
        told = _told(own, deciding)
        if len(told) <= _LONGEST_REMEMBERED:
            key = _key(fields.row)
            kind = self._kinds.get(key)
            if kind is None or kind.deciding != deciding:
                kind = self._kinds[key] = _Kind(deciding, {})
            if told not in kind.moulds:  # a prompt of its own may be a template
                kind.moulds[told] = make()
                self._count += 1

    def cast(
        self, row: Row, entry: Mapping[str, Json] | None
    ) -> tuple[Resolved, str | None, str] | None:
        """A row's request, its id where it has one, the pattern of its file name; None where the
        row is like none that was kept.
        """
        own = row.fields
        if entry is not self._entry or not (row.textual or _is_sound(own)):
            return None
        kind = self._kinds.get(_key(row))
        mould = None if kind is None else kind.moulds.get(_told(own, kind.deciding))
        if mould is None:
            return None
        prompt, given, pattern = own["prompt"], own.get("id"), own.get("filename", mould.pattern)
        if (
            type(prompt) is not str
            or not mould.shortest <= len(prompt) <= mould.longest
            or not _is_literal(prompt)
            or prompt.isspace()
        ):
            return None
        if given is not None:
            if type(given) is int:
                given = str(given)
            elif type(given) is not str or not _is_literal(given):
                return None
        if type(pattern) is not str or not pattern:
            return None
        resolved = Resolved(
            mould.endpoint, mould.model, prompt, mould.params,
            {name: own[name] for name in mould.variables},
            mould.digest(prompt) if self._identify or given is None else "",
        )  # fmt: skip
        return resolved, given, pattern


def _key(row: Row) -> object:
    """What decides how fields are read: their names, the model, whether they are cells."""
    return tuple(row.fields), row.fields.get("model"), row.textual


def _told(own: Mapping[str, Json], deciding: tuple[str, ...]) -> bytes:
    """The fields that the parameters are made of, as bytes: 1, 1.0 and true are not the same."""
    return canonical([own[name] for name in deciding]) if deciding else b""


def _is_literal(text: str) -> bool:
    """Whether a text stands for itself: neither empty nor a template."""
    return text != "" and "{" not in text and "}" not in text


def _is_sound(own: Mapping[str, Json]) -> bool:
    """Whether values of any type can be stored, and none is null."""
    if None in own.values() or not isinstance(own.get("model", ""), str):
        return False
    try:
        canonical(dict(own))
    except UnsoundError:
        return False
    return True


def _stands_alone(fields: Fields) -> bool:
    """Whether a row's texts and variables are its own, not of the job or of its `from:` item."""
    own, given = fields.row.fields, fields.given
    return (
        fields.inner_prompt is None
        and given.get("vars") is None
        and "prompt" in own
        and None not in own.values()
        and all(given.get(name) is own.get(name) for name in _TEXTS)
    )


def _is_plain(draft: Draft, own: Mapping[str, Json]) -> bool:
    """Whether the parameters are no templates, and variables come from the row alone."""
    return draft.variables.keys() <= own.keys() and all(
        isinstance(value, int | float) or (isinstance(value, str) and _is_literal(value))
        for value in draft.params.values()
    )
