"""Refuses a run whose files would be written through a symbolic link, before anything is sent."""

from collections.abc import Iterable, Iterator

from batchgen.job import Job
from batchgen.storage.files import Folder
from batchgen.storage.sidecars import CONVERTED_FOLDER
from batchgen.types import Problem, Task

_MAX_SEEN = 100_000  # folders


def watch_folders(items: Iterable[Task | Problem], job: Job) -> Iterator[Task | Problem]:
    """Yield the items unchanged. Raises UnsafePathError if a folder of a task's files is a link."""
    folder = Folder(job.output_dir)
    above = ["", f"{CONVERTED_FOLDER}/"] if job.extras.convert else [""]
    seen = {""}
    for item in items:
        if isinstance(item, Task):
            below = item.filename.rpartition("/")[0]
            if below not in seen:
                if len(seen) >= _MAX_SEEN:
                    seen.clear()
                seen.add(below)
                for path in above:
                    folder.check_folders(f"{path}{below}/-")
        yield item
    if len(above) > 1:
        folder.check_folders(f"{CONVERTED_FOLDER}/-")
