"""Local files and references to other rows among the parameters of a request."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from batchgen.job.canonical import canonical
from batchgen.manifest.expand.drafts import Draft
from batchgen.manifest.expand.fields import RowError
from batchgen.manifest.expand.references import digest_form, has_reference, parse_references
from batchgen.manifest.input_files import InputFileError, InputFiles, is_file_url
from batchgen.media.formats import FAMILIES, Family
from batchgen.provider import catalog
from batchgen.text import one_line, show_bytes
from batchgen.types import Input, Json, LocalFile

_MAX_CACHED = 4096
_MAX_PATH_LENGTH = 4096  # longer texts are base64
_MESSAGES = frozenset({"messages"})  # of a chat; they may contain images
_ACCEPTED: Mapping[str, Sequence[Family]] = {
    **dict.fromkeys(("images", "edits", "chat", "moderation"), ("image",)),
    "ocr": ("document", "image"),
    "music": ("audio",),
}
_IMAGE_SUFFIXES = (
    ".png",
    ".jpg",
    ".jpeg",
    ".webp",
    ".gif",
    ".avif",
    ".heic",
    ".bmp",
    ".tif",
    ".tiff",
)


class InputResolver:
    """Replaces paths and `{from: ID}` in parameters by files and references."""

    def __init__(self, files: InputFiles) -> None:
        self._files = files
        self._names: dict[str, frozenset[str]] = {}

    def may_name_files(self, draft: Draft, params: Mapping[str, Json]) -> bool:
        """Return whether a parameter may name files; most requests have no such parameter."""
        return not self._input_names(draft.model_id, draft.model).isdisjoint(params)

    def resolve(
        self, draft: Draft, params: Mapping[str, Json], folder_of: Callable[[str], Path]
    ) -> Mapping[str, Input]:
        """Return the parameters that name files or other rows, with LocalFile and Reference values.

        folder_of: returns the folder that a parameter's paths are relative to.
        Raise RowError for a file that cannot be sent, or a bad reference.
        """
        resolved: dict[str, Input] = {}
        input_names = self._input_names(draft.model_id, draft.model)
        for name, value in params.items():
            if has_reference(value):
                items = value if isinstance(value, list) else [value]
            elif name in input_names:
                items = value if isinstance(value, list) else [_document_url(value)]
            else:
                continue
            if any(has_reference(item) or _is_local(name, item, draft.model) for item in items):
                inputs = tuple(self._input(name, item, draft, folder_of(name)) for item in items)
                resolved[name] = inputs if isinstance(value, list) else inputs[0]
        return resolved

    def _input(self, name: str, value: Json, draft: Draft, folder: Path) -> Input:
        if has_reference(value):
            return parse_references(name, value, draft.model)
        if not isinstance(value, str) or not _is_local(name, value, draft.model):
            return value
        try:
            file = self._files.find(value, folder, _families(draft.model))
        except InputFileError as error:
            hint = "" if is_file_url(value) else f"; `{name}` takes a URL or the path of a file"
            raise RowError(f"`{name}`: {error}{hint}") from error
        if message := _upload_error(name, file, draft.model):
            raise RowError(message)
        return file

    def _input_names(self, model_id: str, model: catalog.Model | None) -> frozenset[str]:
        names = self._names.get(model_id)
        if names is None:
            if len(self._names) >= _MAX_CACHED:
                self._names.clear()
            own = catalog.input_names() if model is None else catalog.inputs(model)
            names = self._names[model_id] = frozenset(own) | _MESSAGES
        return names


def canonical_content(params: Mapping[str, Json], inputs: Mapping[str, Input]) -> bytes:
    """Return the canonical JSON of a request's parameters, with hashes instead of file names."""
    return canonical({**params, **{name: digest_form(value) for name, value in inputs.items()}})


def _families(model: catalog.Model | None) -> Sequence[Family]:
    """Return the media families that a model accepts."""
    return _ACCEPTED.get(model.family, FAMILIES) if model else ("image",)


def _upload_error(name: str, file: LocalFile, model: catalog.Model | None) -> str | None:
    """Return the message if the model does not take this file as this parameter."""
    form = None if model is None else catalog.upload_form(model, name)
    if form is None or model is None:
        return None
    subject = f"`{name}`: the file {one_line(file.name, 120)}"
    if form.media and file.media_type not in form.media:
        return f"{subject} is {file.media_type}; {model.id} takes {', '.join(form.media)}"
    if form.max_bytes is not None and file.size_bytes > form.max_bytes:
        size, limit = show_bytes(file.size_bytes), show_bytes(form.max_bytes)
        return f"{subject} is {size}; {model.id} takes at most {limit}"
    return None


def _document_url(value: Json) -> Json:
    """Return the URL in a document of the form `{type: document_url, document_url: URL}`."""
    if not isinstance(value, dict):
        return value
    return next((value[key] for key in ("document_url", "image_url") if key in value), None)


def _is_local(name: str, value: Json, model: catalog.Model | None) -> bool:
    """Return whether a value is the path of a file.

    A model outside the catalogue may take any text, so only names of images count as paths there.
    """
    if not isinstance(value, str) or is_file_url(value):
        return isinstance(value, str)
    if not catalog.is_path(value) or len(value) > _MAX_PATH_LENGTH:
        return False
    if model is None:
        return value.lower().endswith(_IMAGE_SUFFIXES)
    return not catalog.is_upload_id(model, name, value)
