"""The OCR family: a document in, its pages as Markdown back, with the pictures in them.

`document` is an object with a `document_url` or `image_url`; Google's model takes the URL itself
(https://docs.aimlapi.com, "OCR").
"""

from batchgen.endpoints.replies import cost_usd, failure, job_error, payload_at, read_object, shown
from batchgen.endpoints.requests import post
from batchgen.types import (
    Finished,
    HttpRequest,
    HttpResponse,
    Json,
    Made,
    Payload,
    Task,
    Unusable,
)

name: str = "ocr"
PATH: str = "/v1/ocr"
_BETWEEN_PAGES = "\n\n---\n\n"


def build_request(task: Task, prompt_name: str = "prompt") -> HttpRequest:
    """Make the request of a task; parameters that are None count as not given."""
    return post(task, PATH, prompt_name)


def parse_response(response: HttpResponse) -> Finished | Unusable:
    """Read a 2xx reply: one Markdown file, then its pictures; never raises."""
    body = read_object(response, "page")
    if isinstance(body, Unusable):
        return body
    listed = body.get("pages")
    pages = [page for page in listed if isinstance(page, dict)] if isinstance(listed, list) else []
    texts = [text for page in pages if isinstance(text := page.get("markdown"), str)]
    if texts:
        made = Made(_BETWEEN_PAGES.join(texts).encode("utf-8", "replace"), "text/markdown")
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
