"""The files of a reply are bounded by what was asked for."""

import pytest

from batchgen.provider.file_count import limit_files, most_files
from batchgen.types import Finished, Json, RemotePayload, Unusable
from tests.given import a_task


@pytest.mark.parametrize(
    ("params", "most"), [({}, 16), ({"n": 1}, 16), ({"n": 10}, 40), ({"num_images": 8}, 32)]
)
def test_images_are_bounded_by_their_count(params: dict[str, Json], most: int) -> None:
    assert most_files(a_task(params=params)) == most


def test_what_is_above_the_bound_is_left_out_and_said() -> None:
    urls = tuple(RemotePayload(f"https://a.example/{n}") for n in range(20_000))
    limited = limit_files(a_task(), Finished(urls))
    assert isinstance(limited, Finished)
    assert (limited.payloads, limited.has_surplus) == (urls[:16], True)


def test_other_results_are_unchanged() -> None:
    few, unusable = Finished((RemotePayload("https://a.example/1"),)), Unusable("bad_response", "")
    assert limit_files(a_task(), few) is few
    assert limit_files(a_task(), unusable) is unusable
