"""The OCR family: a document in, its pages as Markdown back, with their images.

`document` is an object with a `document_url` or `image_url`; Google's model takes the URL itself,
or base64 with its `mimeType` (https://docs.aimlapi.com, "OCR"). A row has a URL or a file's path; a
file is sent as a `data:` URL if the spec has a URI. There is no upload.
"""

from batchgen.provider.endpoints.items import resolve
from batchgen.provider.endpoints.replies import (
    JsonObject,
    body_fields,
    cost_usd,
    excerpt,
    find_job_error,
    read_object,
    remote_failure,
)
from batchgen.types import (
    Base64,
    Finished,
    GeneratedPayload,
    HttpRequest,
    HttpResponse,
    Json,
    LocalFile,
    Payload,
    Task,
    Unusable,
)

name: str = "ocr"
PATH: str = "/v1/ocr"
_BARE_BASE64 = "google/"  # models that take base64 without `data:`
_IMAGE_EXTENSIONS = (".png", ".jpg", ".jpeg", ".webp", ".gif", ".avif", ".bmp", ".tif", ".tiff")
_PAGE_BREAK = "\n\n---\n\n"


def build_request(task: Task, prompt_name: str = "prompt") -> HttpRequest:
    """Return the request of a task; parameters that are None count as absent."""
    body = body_fields(task, prompt_name=prompt_name)
    document = body.get("document")
    if task.model.startswith(_BARE_BASE64):
        if isinstance(document, LocalFile):
            body |= {"document": Base64(document), "mimeType": document.media_type}
    elif isinstance(document, str | LocalFile):
        kind = "image_url" if _is_image(document) else "document_url"
        body["document"] = {"type": kind, kind: document}
    return HttpRequest("POST", PATH, body, expects_long_reply=True)


def _is_image(document: str | LocalFile) -> bool:
    if isinstance(document, LocalFile):
        return document.media_type.startswith("image/")
    if document.startswith("data:"):
        return document.startswith("data:image/")
    path = document.partition("?")[0].partition("#")[0]
    return path.lower().endswith(_IMAGE_EXTENSIONS)


def parse_response(response: HttpResponse) -> Finished | Unusable:
    """Read a 2xx reply: one Markdown file, then its images; never raise an error."""
    body = read_object(response, "page")
    if isinstance(body, Unusable):
        return body
    pages = _objects(body.get("pages"))
    texts = [text for page in pages if isinstance(text := page.get("markdown"), str)]
    if texts:
        markdown = GeneratedPayload(
            _PAGE_BREAK.join(texts).encode("utf-8", "replace"), "text/markdown"
        )
        images = [image for page in pages for image in _images(page.get("images"), response)]
        payloads: tuple[Payload, ...] = (markdown, *dict.fromkeys(images))
        return Finished(payloads, cost_usd=cost_usd(body, response.headers))
    if find_job_error(response, body):
        return remote_failure(response, body)
    return Unusable("bad_response", f"no page in the reply: {excerpt(response)}")


def _images(items: Json, response: HttpResponse) -> list[Payload]:
    sources = (item.get("image_base64") for item in _objects(items))
    payloads = (resolve(text, response) for text in sources if isinstance(text, str))
    return [payload for payload in payloads if payload is not None]


def _objects(items: Json) -> list[JsonObject]:
    return [item for item in items if isinstance(item, dict)] if isinstance(items, list) else []
