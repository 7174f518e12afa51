"""References in parameters to files of other rows, such as `image_url: {from: hero}`."""

from collections.abc import Callable, Iterable, Mapping

from batchgen.job import template
from batchgen.job.canonical import MAX_DEPTH, as_text, describe_value
from batchgen.manifest.expand.fields import RowError
from batchgen.media.formats import Family
from batchgen.provider import catalog
from batchgen.types import Input, Json, LocalFile, Reference

MAX_ARTIFACTS = 10_000
_IMAGE_FAMILIES = frozenset({"images", "edits"})
# The media families that a parameter accepts, by a part of its name; any file if no part fits.
_ACCEPTED: tuple[tuple[str, tuple[Family, ...]], ...] = (
    ("image", ("image",)),
    ("video", ("video",)),
    ("audio", ("audio", "video")),  # the sound of a video
    ("mesh", ("model",)),
    ("mask", ("image",)),
    ("refer_", ("audio",)),
)


def read_reference(name: str, value: Mapping[str, Json]) -> Reference:
    """Parse `{from: ID, n: N}`, the parameter `name`; raise RowError for a bad id or number."""
    source, n = value["from"], value.get("n", 1)
    if isinstance(source, bool | list | dict | None) or source == "":
        message = f"`from` is {describe_value(source)}; it must be the id of another row"
        raise RowError(f"`{name}`: {message}")
    if type(n) is not int or not 1 <= n <= MAX_ARTIFACTS:
        message = f"`n` is {describe_value(n)}; it must be the number of a file of"
        raise RowError(f"`{name}`: {message} {as_text(source)}, from 1")
    return Reference(as_text(source), n)


def map_references(
    value: Json, replace: Callable[[dict[str, Json]], Json], *, depth: int = MAX_DEPTH
) -> Json:
    """Return a value with each `{from: ID}` in it replaced by the result of `replace`.

    depth: how many levels to search; deeper nesting is refused when the value is encoded.
    """
    match value:
        case dict() if catalog.is_reference(value):
            return replace(value)
        case dict() if depth:
            return {
                name: map_references(item, replace, depth=depth - 1) for name, item in value.items()
            }
        case list() if depth:
            return [map_references(item, replace, depth=depth - 1) for item in value]
        case _:
            return value


def has_reference(value: Json) -> bool:
    """Return whether a value is a reference or contains one."""
    match value:
        case dict():
            return catalog.is_reference(value) or any(map(has_reference, value.values()))
        case list():
            return any(map(has_reference, value))
        case _:
            return False


def parse_references(name: str, value: Json, model: catalog.Model | None) -> Input:
    """Return a value with Reference values; name: the parameter. Raise RowError for a bad one."""
    match value:
        case dict() if catalog.is_reference(value):
            return _reference(name, value, model)
        case dict():
            # A chat's messages contain `image_url: {url: …}`: the outer name shows the type.
            return {
                key: parse_references(name if key == "url" else key, item, model)
                for key, item in value.items()
            }
        case list():
            return tuple(parse_references(name, item, model) for item in value)
        case _:
            return value


def _reference(name: str, value: Mapping[str, Json], model: catalog.Model | None) -> Reference:
    parsed = read_reference(name, value)
    form = None
    if model is not None and name in model.parameters:
        form = catalog.upload_form(model, name)
    return Reference(
        parsed.source,
        parsed.n,
        _families(name, model),
        () if form is None else form.media,
        None if form is None else form.max_bytes,
    )


def _families(name: str, model: catalog.Model | None) -> tuple[str, ...]:
    """Return the media families that a parameter accepts; () if they are not known."""
    if model is None or model.family in _IMAGE_FAMILIES:
        return ("image",)
    if model.family == "stt":
        return ("audio", "video")
    return next((families for part, families in _ACCEPTED if part in name), ())


def digest_form(value: Input) -> Json:
    """Return an input as JSON for the digest of its request: a file is its SHA-256."""
    match value:
        case tuple():
            return [digest_form(item) for item in value]
        case LocalFile():
            return f"sha256:{value.sha256}"
        case Reference():
            return {"from": value.source, "n": value.n}
        case Mapping():
            return {name: digest_form(item) for name, item in value.items()}
        case _:
            return value  # type: ignore[return-value]  # only plain JSON is left


def variables_in_references(fields: Mapping[str, Json]) -> frozenset[str]:
    """Return the variables in ids of references; raise TemplateError for an unmatched brace."""
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
