"""Expand the rows of one manifest into tasks, one at a time."""

from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import TypeAlias

from batchgen.job import PROVIDERS, Job, template
from batchgen.job.canonical import UnstorableError, as_text
from batchgen.manifest.expand.checks import CheckedParams, RequestChecks
from batchgen.manifest.expand.drafts import Draft, Drafts
from batchgen.manifest.expand.embedding_batches import BatchMember, batch_id, batch_request
from batchgen.manifest.expand.fields import Fields, RowError, merge
from batchgen.manifest.expand.filenames import NamingError
from batchgen.manifest.expand.identity import request_digest, request_digests, slug
from batchgen.manifest.expand.inputs import InputResolver, canonical_content
from batchgen.manifest.expand.matrix import UNVARIED, Combination, Matrix, TooManyTasksError
from batchgen.manifest.expand.names import Resolved, TaskNamer
from batchgen.manifest.expand.openai_batch_lines import (
    is_batch_line,
    missing_field,
    read_batch_line,
)
from batchgen.manifest.expand.row_cache import CachedRow, RowCache
from batchgen.manifest.input_files import InputFiles
from batchgen.provider import catalog
from batchgen.provider.endpoints import DEFAULT_ENDPOINT, ENDPOINTS
from batchgen.types import Input, Json, Problem, Row, Severity, Task

# Rows of one file, and the fields that the `from` entry of the file adds: `{}` for a file that is
# run directly, None for a row in the job file, in which unknown keys are errors.
RowGroup: TypeAlias = tuple[Iterable[Row | Problem], Mapping[str, Json] | None]

_NO_INPUTS: Mapping[str, Input] = {}
_MAX_SEED = 2**31 - 2
_ROW_ERRORS = (RowError, template.TemplateError, NamingError, UnstorableError)


class Expander:
    """Turns the rows of one manifest into tasks; each pass needs a new Expander.

    referenced: the variables that prompts in the job file name. An axis of that name varies only
        the rows that name it.
    check: whether requests are compared with the limits of their models.
    identify: whether each task gets its key and digest. If not, they are empty for rows with an
        id, and a pass takes a fifth less time.
    files: the input files that rows name; its folder is the job's.
    """

    def __init__(
        self,
        job: Job,
        *,
        referenced: frozenset[str] = frozenset(),
        check: bool = True,
        identify: bool = True,
        files: InputFiles | None = None,
    ) -> None:
        self._job = job
        files = files or InputFiles()
        self._folder = files.folder
        self._inputs = InputResolver(files)
        self._matrix = Matrix(job, referenced)
        self._drafts = Drafts(job, referenced)
        catalogue = job.provider.catalog if job.provider.name in PROVIDERS else None
        self._checks = RequestChecks(enabled=check and job.check, catalogue=catalogue)
        self._names = TaskNamer(job.output_dir, identify=identify)
        self._cache = RowCache(identify=identify)
        self._batch: list[BatchMember] = []  # rows of the open batch
        self._max_tasks = job.limits.max_tasks
        self._limit_reported = False
        self.count = 0  # tasks so far

    def expand(self, groups: Iterable[RowGroup], label: str) -> Iterator[Task | Problem]:
        """Yield the tasks of all rows in order, and the problems of rows in their place.

        label: the name of the job file in messages.
        """
        for rows, entry in groups:
            for row in rows:
                if isinstance(row, Problem):
                    yield row
                elif (cached := self._from_cache(row, entry)) is not None:
                    yield cached
                else:
                    yield from self._expand(row, entry)
        if self._batch:
            yield from self._close_batch()
        yield from self._matrix.unused_axes(label)

    def _from_cache(self, row: Row, entry: Mapping[str, Json] | None) -> Task | Problem | None:
        """Return the task of a row whose parameters are in the cache; None for any other."""
        if self._batch or self.count >= self._max_tasks:
            return None
        cached = self._cache.lookup(row, entry)
        if cached is None:
            return None
        try:
            task = self._names.task(row, *cached, self.count)
        except _ROW_ERRORS as error:
            return Problem(row.file, row.line, str(error))
        self.count += 1
        return task

    def _expand(self, row: Row, entry: Mapping[str, Json] | None) -> Iterator[Task | Problem]:
        """Yield the tasks of a row, or its problems."""
        try:
            if is_batch_line(row):
                if entry:
                    message = "an OpenAI Batch line is sent unchanged"
                    raise RowError(f"{message}; remove the keys beside `from`")
                yield from self._batch_line(row)
            else:
                yield from self._tasks(merge(row, entry, self._job.defaults), entry)
        except TooManyTasksError as error:
            if not self._limit_reported:
                self._limit_reported = True
                yield Problem(row.file, row.line, self._too_many_message(error.size))
        except _ROW_ERRORS as error:
            yield Problem(row.file, row.line, str(error))

    def _tasks(self, fields: Fields, entry: Mapping[str, Json] | None) -> Iterator[Task | Problem]:
        row, remaining = fields.row, self._max_tasks - self.count
        pattern = fields.text("filename") or self._job.filename
        for combination in self._matrix.combinations(fields, remaining):
            draft = self._drafts.draft(fields, combination.axes)
            prompt = self._prompt(fields, draft)
            checked = self._checked(draft, prompt, combination)
            warnings = self._checks.warnings(draft, prompt, checked)
            for warning in warnings:
                yield Problem(row.file, row.line, warning, Severity.WARNING)
            inputs = _NO_INPUTS
            if checked.may_refer or self._inputs.may_name_files(draft, checked.params):
                folder_of = partial(self._folder_of, fields)
                inputs = self._inputs.resolve(draft, checked.params, folder_of)
            elif combination is UNVARIED and not (
                warnings or checked.batch_size or checked.prompt_key
            ):
                self._cache.store(fields, entry, draft, partial(self._cached_row, draft, checked))
            resolved = _resolved(draft, prompt, checked, inputs)
            task_id = _row_id(fields, draft, combination)
            if checked.batch_size > 1:
                self._checks.check_batch_text(draft, prompt)
                member = BatchMember(row, resolved, self._names.member(resolved, task_id), pattern)
                yield from self._add_to_batch(member, checked.batch_size)
                continue
            if self._batch:
                yield from self._close_batch()
            yield self._names.task(row, resolved, task_id, pattern, self.count)
            self.count += 1

    def _prompt(self, fields: Fields, draft: Draft) -> str:
        """Return the prompt; raise RowError with its errors and those of the parameters."""
        try:
            return _prompt(fields, draft)
        except (RowError, template.TemplateError) as error:
            raise RowError(
                "; ".join((str(error), *self._checks.parameter_errors(draft)))
            ) from error

    def _cached_row(self, draft: Draft, checked: CheckedParams) -> CachedRow:
        """Return the values that rows with these parameters share."""
        endpoint = _endpoint(draft.model)
        digests = request_digests(endpoint, draft.model_id, checked.canonical)
        min_length, max_length = self._checks.valid_prompt_lengths(draft)
        return CachedRow(
            endpoint, draft.model_id, checked.params, tuple(draft.variables), self._job.filename,
            digests, min_length, max_length,
        )  # fmt: skip

    def _add_to_batch(self, member: BatchMember, size: int) -> Iterator[Task | Problem]:
        """Add a row to the open batch; yield the tasks of batches that are complete."""
        if self._batch and not member.can_join(self._batch[0]):
            yield from self._close_batch()
        self._batch.append(member)
        if len(self._batch) >= size:
            yield from self._close_batch()

    def _close_batch(self) -> Iterator[Task | Problem]:
        members, self._batch = self._batch, []
        row = members[0].row
        try:
            resolved, task_id = batch_request(members), batch_id(members)
            yield self._names.batch(row, resolved, task_id, members[0].pattern, self.count)
            self.count += 1
        except template.TemplateError as error:
            message = f"{error}; a batch has only the variables that are equal in all its rows"
            yield Problem(row.file, row.line, message)
        except _ROW_ERRORS as error:
            yield Problem(row.file, row.line, str(error))

    def _checked(self, draft: Draft, prompt: str, combination: Combination) -> CheckedParams:
        checked = self._checks.params(draft, draft.rendered())
        if combination.copies == 1:
            return checked
        seed = _seed(draft, checked.params.get("seed"), prompt, combination)
        return (
            checked
            if seed is None
            else self._checks.params(draft, {**checked.params, "seed": seed})
        )

    def _batch_line(self, row: Row) -> Iterator[Task | Problem]:
        if self.count >= self._max_tasks:
            raise TooManyTasksError(1)
        if self._batch:
            yield from self._close_batch()
        line = read_batch_line(row)
        draft = self._drafts.unchanged(line.endpoint, line.model, line.params)
        if _needs_prompt(draft.model) and (field := missing_field(line)):
            raise RowError(f"`body` needs `{field}`; add it")
        checked = self._checks.unchanged(draft)
        for warning in self._checks.warnings(draft, line.prompt, checked):
            yield Problem(row.file, row.line, warning, Severity.WARNING)
        inputs = self._inputs.resolve(draft, checked.params, lambda _: Path(row.file).parent)
        resolved = _resolved(draft, line.prompt, checked, inputs, line.endpoint)
        yield self._names.task(row, resolved, line.custom_id, self._job.filename, self.count)
        self.count += 1

    def _folder_of(self, fields: Fields, name: str) -> Path:
        """Return the folder that a parameter's paths are relative to.

        It is the current folder for a flag, that of the row's file for the row's own parameter,
        else that of the job.
        """
        names = catalog.IMAGE_KEYS if name in catalog.IMAGE_KEYS else frozenset({name})
        if names & self._job.overrides.keys():
            return Path()
        return Path(fields.row.file).parent if names & fields.row.fields.keys() else self._folder

    def _too_many_message(self, size: int) -> str:
        limit = self._max_tasks
        if size > limit:
            return (
                f"the row expands to {size:,} tasks; the limit is {limit:,}: shorten the matrix, or"
                " raise --max-tasks"
            )
        return f"the manifest has more than {limit:,} tasks; split it, or raise --max-tasks"


def _resolved(
    draft: Draft,
    prompt: str,
    checked: CheckedParams,
    inputs: Mapping[str, Input],
    endpoint: str | None = None,
) -> Resolved:
    endpoint = endpoint or _endpoint(draft.model)
    sent = canonical_content(checked.params, inputs) if inputs else checked.canonical
    digest = request_digest(endpoint, draft.model_id, prompt, sent)
    return Resolved(
        endpoint, draft.model_id, prompt, checked.params, draft.variables, digest, inputs
    )


def _endpoint(model: catalog.Model | None) -> str:
    if model is None:
        return DEFAULT_ENDPOINT
    if model.family not in ENDPOINTS:
        raise RowError(
            f"{model.id} is a model of the family {model.family}, which batchgen does not support;"
            f" it supports {', '.join(ENDPOINTS)}"
        )
    return model.family


def _needs_prompt(model: catalog.Model | None) -> bool:
    return model is None or model.prompt_required


def _has_prompt_key(draft: Draft) -> bool:
    return draft.model is not None and draft.model.prompt_key in draft.params


def _prompt(fields: Fields, draft: Draft) -> str:
    text = fields.text("prompt")
    if text is None or not text.strip():
        if _needs_prompt(draft.model) and not _has_prompt_key(draft):
            raise RowError("no prompt; every row needs one")
        return ""
    row_prompt = fields.row_prompt
    if row_prompt is None:
        return template.render(text, draft.scope)
    return template.render(text, lambda: {"prompt": row_prompt, **draft.scope()})


def _seed(draft: Draft, row_seed: Json, prompt: str, combination: Combination) -> int | None:
    """Return the seed of a copy; None if its model has no seeds or the row's seed is no number."""
    if type(row_seed) is int:
        return row_seed + combination.copy
    if row_seed is not None or draft.model is None or "seed" not in draft.model.parameters:
        return None
    base = f"{draft.model_id}\0{prompt}\0{combination.copy}".encode()
    return int.from_bytes(sha256(base).digest()[:4]) % _MAX_SEED + 1


def _row_id(fields: Fields, draft: Draft, combination: Combination) -> str | None:
    """Return a row's id with a suffix of the axis values and copy number that it does not name."""
    value = fields.merged.get("id")
    if value is None:
        return None
    text = as_text(value)
    if combination is UNVARIED and "{" not in text and "}" not in text:
        return text
    named = template.names(text)
    pieces = [template.render(text, draft.scope)]
    unnamed = (axis_value for name, axis_value in combination.axes.items() if name not in named)
    pieces += [slug(as_text(axis_value)) for axis_value in unnamed]
    if combination.copies > 1:
        pieces.append(f"r{combination.copy + 1}")
    return "-".join(piece for piece in pieces if piece)
