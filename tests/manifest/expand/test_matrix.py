"""The matrix: which axes vary a row, in which order, and the limit of combinations."""

from itertools import islice

from batchgen.job import Flags, Job, read_job
from batchgen.manifest.expand import Expander
from batchgen.types import Json, Row, Task
from tests.manifest.expand.expanding import Fields, job_of, problems, tasks


def matrix_job(matrix: Fields, model: str = "flux/schnell") -> Job:
    return job_of({"defaults": {"model": model}, "matrix": dict(matrix)})


def test_the_last_axis_varies_fastest_and_copies_faster_still() -> None:
    job = matrix_job({"a": ["1", "2"], "b": ["x", "y"]}, "dall-e-2")
    made = tasks(job, {"prompt": "{a}{b}", "repeat": 2}, referenced=("a", "b"))
    assert [task.prompt for task in made] == ["1x", "1x", "1y", "1y", "2x", "2x", "2y", "2y"]
    assert [task.ordinal for task in made] == list(range(8))


def test_an_axis_may_be_a_parameter() -> None:
    made = tasks(matrix_job({"image_size": ["square", "square_hd"]}), {"prompt": "x"})
    assert [task.params for task in made] == [{"image_size": "square"}, {"image_size": "square_hd"}]


def test_an_axis_may_be_a_variable_and_is_in_vars() -> None:
    made = tasks(matrix_job({"mood": ["calm", "wild"]}), {"prompt": "{mood}"}, referenced=["mood"])
    assert [(task.prompt, task.params, task.vars) for task in made] == [
        ("calm", {}, {"mood": "calm"}),
        ("wild", {}, {"mood": "wild"}),
    ]


def test_an_axis_may_be_a_parameter_and_a_variable_of_the_prompt() -> None:
    job = matrix_job({"style": ["vivid", "natural"]}, "dall-e-3")
    made = tasks(job, {"prompt": "very {style}"}, referenced=["style"])
    assert [(task.prompt, task.params) for task in made] == [
        ("very vivid", {"style": "vivid"}),
        ("very natural", {"style": "natural"}),
    ]


def test_an_axis_that_prompts_name_varies_only_the_rows_that_name_it() -> None:
    job = matrix_job({"mood": ["calm", "wild"]})
    made = tasks(job, {"prompt": "{mood}"}, {"prompt": "plain"}, referenced=["mood"])
    assert [task.prompt for task in made] == ["calm", "wild", "plain"]


def test_a_row_or_entry_that_sets_an_axis_is_not_varied_by_it() -> None:
    job = matrix_job({"image_size": ["square", "square_hd"]})
    rows: list[Fields] = [{"prompt": "x", "image_size": "portrait_4_3"}]
    assert len(tasks(job, *rows)) == 1
    assert len(tasks(job, {"prompt": "x"}, entry={"image_size": "portrait_4_3"})) == 1
    assert len(tasks(job, {"prompt": "x", "vars": {"image_size": "?"}})) == 1


def test_an_axis_overrides_the_defaults() -> None:
    values: Fields = {
        "defaults": {"model": "dall-e-2", "size": "256x256", "vars": {"mood": "dull"}},
        "matrix": {"size": ["512x512"], "mood": ["calm", "wild"]},
    }
    made = tasks(job_of(values), {"prompt": "{mood}"}, referenced=["mood"])
    assert [(task.prompt, task.params["size"]) for task in made] == [
        ("calm", "512x512"),
        ("wild", "512x512"),
    ]


def test_the_model_may_be_an_axis() -> None:
    job = job_of({"matrix": {"model": ["dall-e-2", "dall-e-3"]}})
    made = tasks(job, {"prompt": "by {model}"})
    assert [(task.model, task.prompt) for task in made] == [
        ("dall-e-2", "by dall-e-2"),
        ("dall-e-3", "by dall-e-3"),
    ]


def test_an_axis_that_a_model_does_not_have_makes_no_duplicates_for_it() -> None:
    matrix: Fields = {"model": ["dall-e-3", "flux/schnell"], "style": ["vivid", "natural"]}
    made = tasks(job_of({"matrix": dict(matrix)}), {"prompt": "x"})
    assert [(task.model, task.params) for task in made] == [
        ("dall-e-3", {"style": "vivid"}),
        ("dall-e-3", {"style": "natural"}),
        ("flux/schnell", {}),
    ]


def test_a_null_on_an_axis_leaves_the_parameter_out() -> None:
    made = tasks(matrix_job({"image_size": [None, "square"]}), {"prompt": "x"})
    assert [task.params for task in made] == [{}, {"image_size": "square"}]


def test_an_axis_that_no_row_uses_is_reported_with_its_line() -> None:
    job, _ = read_job(
        {"matrix": {"mod": ["a"]}, "defaults": {"model": "dall-e-2"}},
        {("matrix",): 4, ("matrix", "mod"): 5},
        "job.yaml",
        Flags(),
    )
    (message,) = problems(job, {"prompt": "x"})
    assert message.startswith("job.yaml:5: axis `mod` is not in any prompt")


def test_a_matrix_over_the_limit_is_an_error_before_it_is_expanded() -> None:
    numbers: list[Json] = list(range(10_000))
    job = matrix_job({"a": numbers, "b": numbers, "c": numbers})
    messages = problems(job, {"prompt": "{a}{b}{c}"}, {"prompt": "{a}{b}"}, referenced="abc")
    message = "the row expands to 1,000,000,000,000 tasks; the limit is 1,000,000"
    assert messages == [f"m.csv:1: {message}: shorten the matrix, or raise --max-tasks"]


def test_a_manifest_over_the_limit_is_reported_once() -> None:
    job = job_of(model="dall-e-2", max_tasks=2)
    messages = problems(job, *({"prompt": f"{number}"} for number in range(5)))
    assert messages == [
        "m.csv:3: the manifest has more than 2 tasks; split it, or raise --max-tasks"
    ]


def test_combinations_are_generated_one_by_one() -> None:
    job = job_of(
        {"defaults": {"model": "dall-e-2"}, "matrix": {x: list(range(100)) for x in "abcd"}},
        max_tasks=10**9,
    )
    expander = Expander(job)
    made = list(
        islice(expander.expand([([Row("m", 1, {"prompt": "{a}{b}{c}{d}"})], None)], "m"), 3)
    )
    assert [task.prompt for task in made if isinstance(task, Task)] == ["0000", "0001", "0002"]
    assert expander.count == 2  # the third task is yielded, but not counted yet
