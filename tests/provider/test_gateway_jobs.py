"""Services that answer with a job, as `providers.NAME.jobs` describes them."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchgen.job.remote_jobs import RemoteJobs
from batchgen.provider.endpoints import ENDPOINTS
from batchgen.provider.gateway_jobs import build_poll, find_field, find_job, parse_poll
from batchgen.types import Finished, HttpResponse, Json, Pending, RemotePayload, Unusable

BASE = "https://gateway.example/openai/v1"
BY_ID = RemoteJobs("/v1/tasks/{id}", id="data.0.task_id", status="data.status", result="data.files")
URL = "https://cdn.example/a.png"


def reply(body: Json, status: int = 200, **headers: str) -> HttpResponse:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return HttpResponse(status, named, msgspec.json.encode(body))


@pytest.mark.parametrize(
    ("jobs", "response", "remote_id", "path"),
    [
        (
            BY_ID,
            reply({"code": 200, "data": [{"status": "submitted", "task_id": "t/1"}]}),
            "t/1",
            "/v1/tasks/t%2F1",
        ),
        (RemoteJobs("/jobs/{id}?full=1", id="id"), reply({"id": 17}), "17", "/jobs/17?full=1"),
        (
            RemoteJobs("urls.get"),
            reply({"id": "p", "urls": {"get": "https://gateway.example/v1/predictions/p"}}, 201),
            "https://gateway.example/v1/predictions/p",
            "https://gateway.example/v1/predictions/p",
        ),
        (
            RemoteJobs("status_url"),
            reply({"status_url": "/requests/7/status"}),
            "https://gateway.example/requests/7/status",
            "https://gateway.example/requests/7/status",
        ),
        (
            RemoteJobs("header:Operation-Location"),
            HttpResponse(202, {"operation-location": "https://gateway.example/op/7?v=1"}, b""),
            "https://gateway.example/op/7?v=1",
            "https://gateway.example/op/7?v=1",
        ),
    ],
    ids=["id in a list", "a number and a query", "a URL", "a path", "a header"],
)
def test_the_job_of_a_reply_is_found_and_polled(
    jobs: RemoteJobs, response: HttpResponse, remote_id: str, path: str
) -> None:
    assert find_job(jobs, response, BASE) == Pending(remote_id)
    request = build_poll(jobs, remote_id)
    assert (request.method, request.path) == ("GET", path)


@pytest.mark.parametrize(
    "url",
    [
        "https://other.example/jobs/7",
        "http://gateway.example/jobs/7",
        "https://gateway.example:8443/jobs/7",
        "https://user@gateway.example/jobs/7",
        "//other.example/7",
        "file:///etc/passwd",
        "https://[::1/7",
        "",
    ],
)
def test_a_job_at_another_server_is_not_polled_with_the_key(url: str) -> None:
    assert find_job(RemoteJobs("urls.get"), reply({"urls": {"get": url}}), BASE) is None


def test_a_reply_without_the_field_names_no_job() -> None:
    assert find_job(BY_ID, reply({"data": []}), BASE) is None
    assert find_job(BY_ID, reply({"data": [{"task_id": None}]}), BASE) is None
    assert find_job(BY_ID, HttpResponse(200, {}, b"<html>"), BASE) is None


def poll(jobs: RemoteJobs, body: Json) -> Finished | Pending | Unusable:
    return parse_poll(jobs, reply(body), ENDPOINTS["images"].parse_response)


@pytest.mark.parametrize("files", [[{"url": URL}], [URL], {"data": [{"url": URL}]}, URL])
def test_a_finished_job_has_its_files_where_the_job_file_says(files: Json) -> None:
    result = poll(BY_ID, {"data": {"status": "SUCCESS", "files": files}})

    assert isinstance(result, Finished)
    assert result.payloads == (RemotePayload(URL),)


def test_words_of_the_job_file_end_a_job() -> None:
    jobs = RemoteJobs("/t/{id}", id="id", status="state", done=("ready",), failed=("dead",))

    assert isinstance(poll(jobs, {"state": "Ready", "data": [{"url": URL}]}), Finished)
    failed = poll(jobs, {"state": "DEAD", "error": {"message": "out of memory"}})
    assert isinstance(failed, Unusable)
    assert (failed.kind, failed.message) == ("remote_failed", "out of memory")
    assert isinstance(poll(jobs, {"state": "brewing"}), Pending)


def test_a_job_that_has_ended_without_files_is_not_finished() -> None:
    result = poll(BY_ID, {"data": {"status": "done", "files": []}})

    assert isinstance(result, Unusable)
    assert result.kind == "bad_response"


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=5),
        lambda inner: (
            st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
        ),
    ),
    st.from_regex(r"[a-z0-9]{1,3}(\.[a-z0-9]{1,3}){0,3}", fullmatch=True),
)
def test_a_field_is_looked_up_in_any_reply(value: Json, path: str) -> None:
    find_field(value, path)
    poll(RemoteJobs("/t/{id}", id=path, status=path, result=path), value)
