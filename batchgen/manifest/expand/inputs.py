"""The local files that a request's parameters name in the place of URLs."""

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
_MESSAGES = frozenset({"messages"})  # of a chat, which pictures may stand in
_TAKEN: Mapping[str, Sequence[Family]] = {
    **dict.fromkeys(("images", "edits", "chat", "moderation"), ("image",)),
    "ocr": ("document", "image"),
    "music": ("audio",),
}
_ENDINGS = (".png", ".jpg", ".jpeg", ".webp", ".gif", ".avif", ".heic", ".bmp", ".tif", ".tiff")


class InputResolver:
    """Finds the files of requests among `files`."""

    def __init__(self, files: InputFiles) -> None:
        self._files = files
        self._names: dict[str, frozenset[str]] = {}

    def may_name_files(self, draft: Draft, params: Mapping[str, Json]) -> bool:
        """Whether any parameter may name files at all; most requests have none such."""
        return not self._inputs(draft.model_id, draft.model).isdisjoint(params)

    def of(
        self, draft: Draft, params: Mapping[str, Json], folder_of: Callable[[str], Path]
    ) -> Mapping[str, Input]:
        """The parameters that name files, each with its files in the place of their names.

        What is to come of another row is among them as a Reference, wherever it stands.

        folder_of: the folder that a parameter's paths are relative to.
        Raises RowError for a file that cannot be sent.
        """
        found: dict[str, Input] = {}
        inputs = self._inputs(draft.model_id, draft.model)
        for name, value in params.items():
            if has_reference(value):
                names = value if isinstance(value, list) else [value]
            elif name in inputs:
                names = value if isinstance(value, list) else [_source(value)]
            else:
                continue
            if any(has_reference(one) or _is_local(name, one, draft.model) for one in names):
                sent = tuple(self._sent(name, one, draft, folder_of(name)) for one in names)
                found[name] = sent if isinstance(value, list) else sent[0]
        return found

    def _sent(self, name: str, value: Json, draft: Draft, folder: Path) -> Input:
        if has_reference(value):
            return parse_references(name, value, draft.model)
        if not isinstance(value, str) or not _is_local(name, value, draft.model):
            return value
        try:
            file = self._files.find(value, folder, _families(draft.model))
        except InputFileError as error:
            takes = "" if is_file_url(value) else "; `" + name + "` takes a URL or a file's path"
            raise RowError(f"`{name}`: {error}{takes}") from error
        if problem := _unfit(name, file, draft.model):
            raise RowError(problem)
        return file

    def _inputs(self, model_id: str, model: catalog.Model | None) -> frozenset[str]:
        names = self._names.get(model_id)
        if names is None:
            if len(self._names) >= _MAX_CACHED:
                self._names.clear()
            named = catalog.input_names() if model is None else catalog.inputs(model)
            names = self._names[model_id] = frozenset(named) | _MESSAGES
        return names


def canonical_content(params: Mapping[str, Json], inputs: Mapping[str, Input]) -> bytes:
    """The canonical JSON of what is sent: files by their content's hash, not by their names."""
    return canonical({**params, **{name: digest_form(value) for name, value in inputs.items()}})


def _families(model: catalog.Model | None) -> Sequence[Family]:
    """What kinds of file a model may be given."""
    return _TAKEN.get(model.family, FAMILIES) if model else ("image",)


def _unfit(name: str, file: LocalFile, model: catalog.Model | None) -> str | None:
    """Why a file is not one that can be sent under that name."""
    form = None if model is None else catalog.upload_form(model, name)
    if form is None or model is None:
        return None
    told = f"`{name}`: the file {one_line(file.name, 120)}"
    if form.media and file.media_type not in form.media:
        return f"{told} is {file.media_type}; {model.id} takes {', '.join(form.media)}"
    if form.max_bytes is not None and file.size_bytes > form.max_bytes:
        size, most = show_bytes(file.size_bytes), show_bytes(form.max_bytes)
        return f"{told} has {size}; {model.id} takes at most {most}"
    return None


def _source(value: Json) -> Json:
    """Where a document is that is given as the vendor's specs have it: by its kind and URL."""
    if not isinstance(value, dict):
        return value
    return next((value[key] for key in ("document_url", "image_url") if key in value), None)


def _is_local(name: str, value: Json, model: catalog.Model | None) -> bool:
    """Whether a text is a path.

    A model that nobody knows may take anything, so there the name has to end as a picture's does.
    """
    if not isinstance(value, str) or is_file_url(value):
        return isinstance(value, str)
    if not catalog.is_path(value) or len(value) > _MAX_PATH_LENGTH:
        return False
    if model is None:
        return value.lower().endswith(_ENDINGS)
    return not catalog.is_upload_id(model, name, value)
