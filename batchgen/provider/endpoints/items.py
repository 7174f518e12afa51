"""Find the files in a reply of any shape.

Providers agree on the content of a reply (a list of items, each with its bytes or its URL), not on
its names: `data[]`, `data.image_urls`, `images[]` of strings or objects, `output`, `artifacts[]`
(Stability), `predictions[].bytesBase64Encoded` and `candidates[].content.parts[].inlineData`
(Google), `choices[].message.images[].image_url.url` (OpenRouter). Names that are known are tried in
order; files under other names are found by their bytes or extensions. What a reply repeats of its
request, previews and addresses of other kinds are not files.
"""

import re
from collections.abc import Iterator, Mapping, Sequence

import msgspec

from batchgen.media.formats import Family, sniff
from batchgen.types import HttpResponse, Json, Payload, RemotePayload, Spooled

_PAYLOAD = re.compile(r"batchgen-payload:([0-9]{1,6})", re.ASCII)
_BROKEN = re.compile(r"batchgen-broken:[0-9]{1,6}", re.ASCII)
_WEB = re.compile(r"https?://[^\s/?#][^\s]*", re.IGNORECASE)
_EXTENSIONS: Mapping[str, str] = {
    "image": "png|jpe?g|jfif|webp|gif|avif|hei[cf]|svg|tiff?|bmp",
    "video": "mp4|webm|mov|mkv|m4v|avi",
    "audio": "mp3|wav|ogg|oga|opus|flac|m4a|aac|pcm|aiff?",
    "model": "glb|gltf|obj|fbx|usdz?|stl|ply|zip",
}
# A path below the provider's host, or (with an extension) relative to its base URL.
_PATH = re.compile(r"(?://[^\s/]+)?(?:\.{0,2}/)(?!/)[^\s<>\"{}|\\^`]+")
_USUAL = re.compile(r"batchgen-payload:[0-9]{1,6}\Z|https?://[^\s/?#][^\s]*\Z", re.ASCII)
_ANY_EXTENSION = "|".join(_EXTENSIONS.values())
_RELATIVE = re.compile(
    rf"[\w.~%-]+(?:/[\w.~%@+-]+)*\.(?:{_ANY_EXTENSION})(?:[?#]\S*)?", re.IGNORECASE
)
_MAX_DEPTH = 12
_MAX_ITEMS = 10_000
_MAX_ADDRESS = 16_384  # characters

# Keys of one file, in order: bytes before addresses.
_KEYS = (
    "b64_json", "b64Json", "bytesBase64Encoded", "image_base64", "imageBase64", "base64", "b64",
    "image_b64", "base64_image", "audio_base64", "audioContent", "video_base64", "inlineData",
    "inline_data", "imageBytes", "videoBytes", "binary",
    "url", "image_url", "imageUrl", "imageURL", "img_url", "video_url", "videoUrl", "videoURL",
    "audio_url", "audioUrl", "file_url", "fileUrl", "download_url", "downloadUrl", "uri",
    "image_uri", "imageUri", "video_uri", "videoUri", "fileUri", "gcsUri", "src", "href", "link",
    "signed_url", "public_url", "output_url", "outputUrl", "result_url", "resultUrl",
)  # fmt: skip
# Keys of one file that also occur with other values, used if none of the above has a file.
_WEAK_KEYS = (
    "image", "img", "picture", "video", "audio", "audio_file", "model_mesh", "mesh", "file",
    "data", "content", "asset", "resource", "path", "output",
)  # fmt: skip
# Keys of lists of files, or of what contains them, in order.
_LIST_KEYS = (
    "data", "images", "image_urls", "imageUrls", "urls", "output_images", "generated_images",
    "generatedImages", "output", "outputs", "result", "results", "artifacts", "predictions",
    "generations", "videos", "video_urls", "generatedVideos", "generated_videos", "video",
    "assets", "audios", "audio", "audio_file", "items", "files", "pictures", "samples",
    "candidates", "choices", "message", "content", "parts", "response", "task_result",
    "taskResult", "image", "media",
)  # fmt: skip
# Words in the names of what is not a result: the request, small versions, other addresses.
_OTHER_WORDS = frozenset(
    {
        *("input", "inputs", "request", "requested", "param", "params", "parameter", "parameters"),
        *("prompt", "prompts", "option", "options", "config", "settings", "init", "mask", "masks"),
        *("reference", "references", "ref", "control", "source", "sources", "before", "original"),
        *("thumb", "thumbs", "thumbnail", "thumbnails", "preview", "previews", "poster", "cover"),
        *("small", "low", "icon", "logo", "avatar", "profile", "webhook", "webhooks", "callback"),
        *("hook", "doc", "docs", "documentation", "help", "status", "cancel", "poll", "stream"),
        *("self", "next", "prev", "previous", "home", "homepage", "terms", "support", "license"),
        *("error", "errors", "message", "endpoint", "api", "get", "usage", "metadata", "meta"),
        *("response", "web", "tracking", "billing", "user", "account"),
    }
)
_WORD = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])")
_FILE_WORDS = frozenset(
    {
        *("image", "images", "img", "imgs", "picture", "pictures", "photo", "photos", "artwork"),
        *("url", "urls", "uri", "file", "files", "output", "outputs", "result", "results"),
        *("media", "asset", "assets", "download", "render", "generated", "video", "videos"),
        *("audio", "audios", "mesh", "data", "link", "src", "content"),
    }
)
_MARKDOWN = re.compile(r"!\[[^\]\n]{0,300}\]\(\s*(https?://[^\s()<>]+)")
_IN_PROGRESS = frozenset(
    {
        *("queued", "queueing", "in_queue", "pending", "processing", "in_progress", "running"),
        *("in progress", "starting", "started", "submitted", "waiting", "scheduled"),
    }
)


class Item(msgspec.Struct, frozen=True):
    """One item of a list of results.

    value: as in the reply. texts: where its file may be, the best first; empty if it has none.
    """

    value: Json
    texts: tuple[str, ...]


def find_items(
    body: Mapping[str, Json], family: Family, echoes: frozenset[str] = frozenset()
) -> list[Item]:
    """Return the items of a reply in their order; never raise an error.

    echoes: texts of the request, which are no results. Items without a file are returned as well.
    """
    usual = _usual_items(body.get("data"), echoes)
    if usual:
        return usual
    found = _top_items(dict(body), echoes)
    if not (any(item.texts for item in found) or body.get("error") or is_in_progress(body)):
        found = _search(dict(body), family, echoes) or found
    return found[:_MAX_ITEMS]


def is_in_progress(body: Mapping[str, Json]) -> bool:
    """Return whether a reply says that its work has not ended."""
    words = (body.get(key) for key in ("status", "state", "task_status"))
    return any(isinstance(word, str) and word.strip().casefold() in _IN_PROGRESS for word in words)


def resolve(text: str, response: HttpResponse) -> Payload | None:
    """Return the payload for a text: bytes that arrived with the reply, or an address."""
    text = text.strip()
    reference = _PAYLOAD.fullmatch(text)
    if reference:
        index = int(reference[1])
        return response.payloads[index] if index < len(response.payloads) else None
    return RemotePayload(text) if _is_address(text) else None


def why_unusable(payload: Payload, family: Family) -> str:
    """Return why a payload is no result of this family; empty if it may be one."""
    if not isinstance(payload, Spooled):
        return ""
    if payload.cut:
        return f"the file is truncated: {payload.cut}"
    media = sniff(payload.head)
    if family == "image" and (media is None or media.family != "image"):
        return f"{payload.size_bytes} bytes that are not an image: {payload.head[:24]!r}"
    return ""


def text_of(value: Json) -> str:
    """Return the first text under a file's key of an item without a file; empty if none."""
    if isinstance(value, str):
        return value.strip()
    fields = value if isinstance(value, dict) else {}
    texts = (fields.get(key) for key in (*_KEYS, *_WEAK_KEYS))
    return next((text.strip() for text in texts if isinstance(text, str) and text.strip()), "")


def is_broken(text: str) -> bool:
    """Return whether a text stands for base64 that could not be decoded."""
    return _BROKEN.fullmatch(text) is not None


def _is_address(text: str) -> bool:
    if len(text) > _MAX_ADDRESS or not text.isprintable():
        return False
    return any(pattern.fullmatch(text) for pattern in (_WEB, _PATH, _RELATIVE))


def _is_source(text: str, echoes: frozenset[str]) -> bool:
    if text in echoes:
        return False
    return bool(_PAYLOAD.fullmatch(text)) or is_broken(text) or _is_address(text)


def _usual_items(data: Json, echoes: frozenset[str]) -> list[Item]:
    """Return the items of OpenAI's shape, which most replies have; none if one is different."""
    items = []
    for value in data if isinstance(data, list) else ():
        text = value.get("b64_json") or value.get("url") if isinstance(value, dict) else None
        if not isinstance(text, str) or text in echoes or not _USUAL.match(text):
            return []
        items.append(Item(value, (text,)))
    return items


def _top_items(body: dict[str, Json], echoes: frozenset[str]) -> list[Item]:
    """Return what a list contains, else the file that the reply itself names."""
    listed = _contained(body, echoes, 1)
    if any(item.texts for item in listed) or body.get("error") or is_in_progress(body):
        return listed
    texts = _texts(body, _KEYS, echoes, 1) or _texts(body, _WEAK_KEYS, echoes, 1)
    return [Item(body, texts)] if texts else listed


def _items_of(value: Json, echoes: frozenset[str], depth: int) -> list[Item]:
    if depth > _MAX_DEPTH:
        return []
    match value:
        case str():
            text = value.strip()
            return [Item(value, (text,) if _is_source(text, echoes) else ())] if text else []
        case list():
            return [item for part in value for item in _items_of(part, echoes, depth + 1)]
        case dict():
            return _items_of_object(value, echoes, depth)
        case _:
            return []


def _items_of_object(value: dict[str, Json], echoes: frozenset[str], depth: int) -> list[Item]:
    texts = _texts(value, _KEYS, echoes, depth)
    if texts:
        return [Item(value, texts)]
    contained = _contained(value, echoes, depth + 1)
    if any(item.texts for item in contained):
        return contained
    texts = _texts(value, _WEAK_KEYS, echoes, depth)
    if texts or not contained:
        return [Item(value, texts)]
    return contained


def _contained(value: dict[str, Json], echoes: frozenset[str], depth: int) -> list[Item]:
    """Return the items of the first key that has a file, else of the first that has items."""
    first: list[Item] = []
    for key in _LIST_KEYS:
        found = _items_of(value.get(key), echoes, depth)
        if any(item.texts for item in found):
            return found
        first = first or found
    return first


def _texts(
    value: dict[str, Json], keys: Sequence[str], echoes: frozenset[str], depth: int
) -> tuple[str, ...]:
    texts: list[str] = []
    for key in keys:
        match value.get(key):
            case str() as text if _is_source(text.strip(), echoes):
                texts.append(text.strip())
            case dict() as inner if depth < _MAX_DEPTH:
                texts += _texts(inner, (*_KEYS, *_WEAK_KEYS), echoes, depth + 1)[:1]
            case _:
                continue
    return tuple(texts)


def _search(body: Json, family: Family, echoes: frozenset[str]) -> list[Item]:
    """Return the files under unknown names: bytes, else addresses with a file's extension or key.

    Pictures in a text in Markdown are among them.
    """
    found = [(words, text) for words, text in _walk(body, frozenset(), 0) if text not in echoes]
    sources = [(words, text) for words, text in found if _is_source(text, echoes)]
    names = _EXTENSIONS.get(family, "bin")
    extension = re.compile(rf"[^?#]*\.(?:{names})(?:[?#].*)?", re.IGNORECASE)
    choices = (
        [text for _, text in sources if not _is_address(text)],
        [text for _, text in sources if extension.fullmatch(text)],
        [text for words, text in sources if words & _FILE_WORDS and _WEB.fullmatch(text)],
        [url for _, text in found for url in _MARKDOWN.findall(text)],
    )
    texts = next((texts for texts in choices if texts), [])
    return [Item(text, (text,)) for text in dict.fromkeys(texts)]


def _walk(value: Json, words: frozenset[str], depth: int) -> Iterator[tuple[frozenset[str], str]]:
    """Yield the texts in a value with the words of their keys, without what is no result."""
    if depth > _MAX_DEPTH:
        return
    match value:
        case str():
            yield words, value.strip()
        case list():
            for part in value:
                yield from _walk(part, words, depth + 1)
        case dict():
            for key, part in value.items():
                names = frozenset(word.lower() for word in _WORD.findall(key))
                if not names & _OTHER_WORDS or (names == {"message"} and isinstance(part, dict)):
                    yield from _walk(part, names or words, depth + 1)
        case _:
            return
