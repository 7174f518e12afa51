"""What the requests of all families have in common: the model, the prompt, what is given."""

from batchgen.types import HttpRequest, Input, Task


def fields(
    task: Task, *, prompt_name: str = "prompt", without: frozenset[str] = frozenset()
) -> dict[str, Input]:
    """The body's fields, files in their places; parameters that are None count as not given.

    prompt_name: what the request calls the prompt. without: parameters that are not sent.
    """
    prompt = {prompt_name: task.prompt} if task.prompt else {}  # some models take none
    given = {
        name: value
        for name, value in {**task.params, **task.inputs}.items()
        if value is not None and name not in without
    }
    return {"model": task.model, **prompt, **given}


def post(task: Task, path: str, prompt_name: str = "prompt") -> HttpRequest:
    """A request with all that is given."""
    return HttpRequest("POST", path, fields(task, prompt_name=prompt_name))
