"""The OCR family: a document in, its pages as Markdown back, with the pictures in them.

`document` is an object with a `document_url` or `image_url`; Google's model takes the URL itself,
or base64 with its `mimeType` (https://docs.aimlapi.com, "OCR"). A row gives a URL or a file's
path, which goes as a `data:` URL where the specs have a URI; there is no upload.
"""

from batchgen.provider.endpoints.replies import (
    cost_usd,
    failure,
    fields,
    job_error,
    payload_at,
    read_object,
    shown,
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
_BARE = "google/"  # whose models take base64 without a `data:` before it
_PICTURES = (".png", ".jpg", ".jpeg", ".webp", ".gif", ".avif", ".bmp", ".tif", ".tiff")
_BETWEEN_PAGES = "\n\n---\n\n"


def build_request(task: Task, prompt_name: str = "prompt") -> HttpRequest:
    """Make the request of a task; parameters that are None count as not given."""
    body = fields(task, prompt_name=prompt_name)
    document = body.get("document")
    if task.model.startswith(_BARE):
        if isinstance(document, LocalFile):
            body |= {"document": Base64(document), "mimeType": document.media_type}
    elif isinstance(document, str | LocalFile):
        kind = "image_url" if _is_picture(document) else "document_url"
        body["document"] = {"type": kind, kind: document}
    return HttpRequest("POST", PATH, body, expects_long_reply=True)


def _is_picture(document: str | LocalFile) -> bool:
    if isinstance(document, LocalFile):
        return document.media_type.startswith("image/")
    if document.startswith("data:"):
        return document.startswith("data:image/")
    path = document.partition("?")[0].partition("#")[0]
    return path.lower().endswith(_PICTURES)


def parse_response(response: HttpResponse) -> Finished | Unusable:
    """Read a 2xx reply: one Markdown file, then its pictures; never raises."""
    body = read_object(response, "page")
    if isinstance(body, Unusable):
        return body
    listed = body.get("pages")
    pages = [page for page in listed if isinstance(page, dict)] if isinstance(listed, list) else []
    texts = [text for page in pages if isinstance(text := page.get("markdown"), str)]
    if texts:
        made = GeneratedPayload(
            _BETWEEN_PAGES.join(texts).encode("utf-8", "replace"), "text/markdown"
        )
        pictures = [one for page in pages for one in _pictures(page.get("images"), response)]
        payloads: tuple[Payload, ...] = (made, *dict.fromkeys(pictures))
        return Finished(payloads, cost_usd=cost_usd(body, response.headers))
    if job_error(response, body):
        return failure(response, body)
    return Unusable("bad_response", f"no page in the reply: {shown(response)}")


def _pictures(images: Json, response: HttpResponse) -> list[Payload]:
    items = (
        [image for image in images if isinstance(image, dict)] if isinstance(images, list) else []
    )
    sources = [text for item in items if isinstance(text := item.get("image_base64"), str)]
    return [one for source in sources if (one := payload_at(source, response)) is not None]
