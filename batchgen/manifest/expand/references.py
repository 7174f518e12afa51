"""The artifacts of other rows that a row's parameters name: `image_url: {from: hero}`."""

from collections.abc import Callable, Iterable, Mapping

from batchgen.job import template
from batchgen.job.canonical import MAX_DEPTH, as_text, shown
from batchgen.manifest.expand.fields import RowError
from batchgen.media.formats import Family
from batchgen.provider import catalog
from batchgen.types import Input, Json, LocalFile, Reference

MAX_ARTIFACTS = 10_000
_DRAWING = frozenset({"images", "edits"})
# What a parameter takes by a word of its name; where none fits, any file is sent.
_TAKES: tuple[tuple[str, tuple[Family, ...]], ...] = (
    ("image", ("image",)),
    ("video", ("video",)),
    ("audio", ("audio", "video")),  # of a video, the sound
    ("mesh", ("model",)),
    ("mask", ("image",)),
    ("refer_", ("audio",)),
)


def read_reference(name: str, value: Mapping[str, Json]) -> Reference:
    """Read `{from: ID, n: N}`; raises RowError for what is neither id nor number."""
    source, n = value["from"], value.get("n", 1)
    if isinstance(source, bool | list | dict | None) or source == "":
        raise RowError(f"`{name}`: `from` is {shown(source)}; it is the id of another row")
    if type(n) is not int or not 1 <= n <= MAX_ARTIFACTS:
        raise RowError(
            f"`{name}`: `n` is {shown(n)}; it is the number of one of the files that"
            f" {as_text(source)} comes to, from 1"
        )
    return Reference(as_text(source), n)


def map_references(
    value: Json, make: Callable[[dict[str, Json]], Json], *, depth: int = MAX_DEPTH
) -> Json:
    """A value with every reference inside it made anew; all else stays as it is.

    depth: how deep to look; what is nested deeper is refused by whoever encodes it.
    """
    match value:
        case dict() if catalog.is_reference(value):
            return make(value)
        case dict() if depth:
            return {name: map_references(one, make, depth=depth - 1) for name, one in value.items()}
        case list() if depth:
            return [map_references(one, make, depth=depth - 1) for one in value]
        case _:
            return value


def has_reference(value: Json) -> bool:
    """Whether a value is a reference, or has one inside."""
    match value:
        case dict():
            return catalog.is_reference(value) or any(map(has_reference, value.values()))
        case list():
            return any(map(has_reference, value))
        case _:
            return False


def parse_references(name: str, value: Json, model: catalog.Model | None) -> Input:
    """A value with references in their places; raises RowError."""
    match value:
        case dict() if catalog.is_reference(value):
            return _reference(name, value, model)
        case dict():
            # `image_url: {url: …}` of a chat's messages is about a picture.
            return {
                inner: parse_references(name if inner == "url" else inner, one, model)
                for inner, one in value.items()
            }
        case list():
            return tuple(parse_references(name, one, model) for one in value)
        case _:
            return value


def _reference(name: str, value: Mapping[str, Json], model: catalog.Model | None) -> Reference:
    read = read_reference(name, value)
    form = None
    if model is not None and name in model.parameters:
        form = catalog.upload_form(model, name)
    return Reference(
        read.source,
        read.n,
        _families(name, model),
        () if form is None else form.media,
        None if form is None else form.max_bytes,
    )


def _families(name: str, model: catalog.Model | None) -> tuple[str, ...]:
    """What kinds of file may be sent under a name, as far as it is known."""
    if model is None or model.family in _DRAWING:
        return ("image",)
    if model.family == "stt":
        return ("audio", "video")
    return next((families for word, families in _TAKES if word in name), ())


def digest_form(value: Input) -> Json:
    """What the digest of a request has of an input: files by their content's hash."""
    match value:
        case tuple():
            return [digest_form(one) for one in value]
        case LocalFile():
            return f"sha256:{value.sha256}"
        case Reference():
            return {"from": value.source, "n": value.n}
        case Mapping():
            return {name: digest_form(one) for name, one in value.items()}
        case _:
            return value  # type: ignore[return-value]  # what else a row gives is plain JSON


def variables_in_references(fields: Mapping[str, Json]) -> frozenset[str]:
    """The variables that the ids of references name; raises TemplateError for a stray brace."""
    return frozenset(name for text in _ids(fields.values()) for name in template.names(text))


def _ids(values: Iterable[Json]) -> Iterable[str]:
    for value in values:
        match value:
            case {"from": str(text)}:
                yield text
            case dict():
                yield from _ids(value.values())
            case list():
                yield from _ids(value)
            case _:
                pass
