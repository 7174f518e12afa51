"""A manifest, opened and checked: what a run would do and cost, without the network."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

import msgspec

from batchgen.errors import BatchgenError, ManifestError
from batchgen.http.request_body import shown as shown_body
from batchgen.inputs import InputFiles
from batchgen.job import Flags, Job, read_job
from batchgen.job.canonical import shown
from batchgen.manifest.rows import read_rows
from batchgen.manifest.source import Format, Source, format_of
from batchgen.problems import Alike, problem_lines
from batchgen.provider import catalog
from batchgen.provider.adapter import Dialect
from batchgen.provider.pricing import Prices
from batchgen.references import References
from batchgen.shares import Share, Tally
from batchgen.tasks import Expander, Given
from batchgen.text import did_you_mean
from batchgen.types import HttpRequest, Json, Problem, Row, Severity, Task

_KEPT_PROBLEMS = 100_000
_MANY_IN_YAML = 20_000


class RejectedError(BatchgenError):
    """A job or manifest with errors: nothing was sent."""

    def __init__(self, problems: Iterable[Problem], more: int = 0) -> None:
        self.problems = tuple(problems)
        errors = [one for one in self.problems if one.severity is Severity.ERROR]
        super().__init__("\n".join(problem_lines([Alike(error) for error in errors], more)))


class Manifest(msgspec.Struct, frozen=True):
    """A job with the rows that belong to it; every pass over its tasks reads the file anew.

    referenced: variables that the job file's prompts name.
    problems: what is wrong with the job file itself.
    files: the files that rows name; each is looked at once, however often rows are read.
    """

    source: Source
    job: Job
    referenced: frozenset[str] = frozenset()
    problems: tuple[Problem, ...] = ()
    files: InputFiles = msgspec.field(default_factory=InputFiles)

    def tasks(self, *, check: bool = True, identify: bool = True) -> Iterator[Task | Problem]:
        """The tasks in order; `check` holds them against the catalogue. identify: see Expander."""
        expander = Expander(
            self.job, referenced=self.referenced, check=check, identify=identify, files=self.files
        )
        return expander.expand(self._rows(), self.source.label)

    def _rows(self) -> Iterator[Given]:
        if self.source.format is not Format.YAML:
            yield read_rows(self.source, needs_prompt=self._needs_prompt({})), {}
            return
        from batchgen.manifest.yaml_job import iter_prompts  # noqa: PLC0415  # see open_manifest

        count = 0
        for count, item in enumerate(iter_prompts(self.source), 1):  # noqa: B007  # the last one
            yield ((item,), None) if isinstance(item, Problem) else self._prompt_rows(*item)
        if count >= _MANY_IN_YAML:
            yield (Problem(self.source.label, 0, _slow(count), Severity.WARNING),), None

    def _prompt_rows(self, line: int, item: Json) -> Given:
        label = self.source.label
        match item:
            case str():
                return (Row(label, line, {"prompt": item}),), None
            case dict() if "from" in item:
                entry = {name: value for name, value in item.items() if name != "from"}
                return self._from_rows(item["from"], entry, line), entry
            case dict():
                return (Row(label, line, item),), None
            case _:
                told = f"a row is a text or a mapping, not {shown(item)}"
                return (Problem(label, line, told),), None

    def _from_rows(
        self, from_file: Json, entry: Mapping[str, Json], line: int
    ) -> Iterator[Row | Problem]:
        label = self.source.label
        if not isinstance(from_file, str):
            yield Problem(label, line, "`from` names a file, relative to this one")
            return
        if wrong := sorted(entry.keys() & {"id", "filename"} - _templated(entry)):
            yield Problem(
                label,
                line,
                f"`{wrong[0]}` beside `from` would be the same for every row: use variables in it",
            )
            return
        file_format = format_of(from_file)
        if file_format is None or file_format is Format.YAML:
            yield Problem(label, line, f"`from: {from_file}` is no CSV, TSV, JSONL or TXT file")
            return
        path = self.source.path.parent / from_file
        try:
            yield from read_rows(
                Source(path, str(Path(label).parent / from_file), file_format),
                needs_prompt="prompt" not in entry and self._needs_prompt(entry),
            )
        except ManifestError as error:
            yield Problem(label, line, f"`from`: {error}")

    def _needs_prompt(self, entry: Mapping[str, Json]) -> bool:
        """Whether rows need a prompt unless they name another model themselves."""
        job = self.job
        model_id = job.overrides.get("model") or entry.get("model") or job.defaults.get("model")
        model = catalog.find(str(model_id), job.provider.catalog)
        return model is None or (model.prompt_required and model.prompt_key is None)


def open_manifest(source: Source, flags: Flags) -> Manifest:
    """Read a job's settings, or those that flags give to a bare list of rows."""
    files = InputFiles(Path(source.label).parent, flags.allow_files)
    if source.format is not Format.YAML:
        job, problems = read_job({}, {}, source.label, flags)
        return Manifest(source, job, problems=tuple(problems), files=files)
    # PyYAML takes a tenth of what a run loads until it begins: only YAML pays for it.
    from batchgen.manifest.yaml_job import load_settings  # noqa: PLC0415  # see above

    settings = load_settings(source)
    job, problems = read_job(settings.values, settings.lines, source.label, flags)
    problems = [*settings.problems, *problems]
    if ("prompts",) not in settings.lines and not problems:
        problems.append(Problem(source.label, 1, "no `prompts`: a job needs a list of them"))
    return Manifest(source, job, frozenset(settings.referenced), tuple(problems), files)


class Plan(msgspec.Struct):
    """What the check of a whole manifest came to.

    whole, models: the tasks that were selected, of all that were `read`: in all, and of each model.
    requests: the first ones.
    problems: every error, and of equal warnings the first.
    warned: the warnings of each text.
    references: what the tasks take from one another, selected or not.
    """

    whole: Share = msgspec.field(default_factory=Share)
    models: dict[str, Share] = msgspec.field(default_factory=dict)
    requests: list[HttpRequest] = msgspec.field(default_factory=list)
    read: int = 0
    problems: list[Problem] = msgspec.field(default_factory=list)
    errors: int = 0
    warnings: int = 0
    warned: dict[str, Alike] = msgspec.field(default_factory=dict)
    references: References = msgspec.field(default_factory=References)

    def note(self, problem: Problem, *, first: bool = False) -> None:
        """Take a problem in; first: before all others."""
        if problem.severity is Severity.ERROR:
            self.errors += 1
        else:
            self.warnings += 1
            alike = self.warned.get(problem.message)
            if alike is not None:  # of equal warnings the first row's is kept
                alike.add(problem)
                return
            self.warned[problem.message] = Alike(problem)
        if first:
            self.problems.insert(0, problem)
        elif len(self.problems) < _KEPT_PROBLEMS:
            self.problems.append(problem)

    def raise_errors(self) -> None:
        """Raise RejectedError where anything is wrong."""
        if self.errors:
            errors = [one for one in self.problems if one.severity is Severity.ERROR]
            raise RejectedError(errors, self.errors - len(errors))

    def lines(self, *severities: Severity) -> Iterator[str]:
        """What a person reads of the problems; severities: of these alone, where any are named."""
        wanted = severities or tuple(Severity)
        known = {Severity.ERROR: self.errors, Severity.WARNING: self.warnings}
        told = [
            self.warned[one.message] if one.severity is Severity.WARNING else Alike(one)
            for one in self.problems
            if one.severity in wanted
        ]
        more = sum(known[one] for one in wanted) - sum(one.count for one in told)
        return problem_lines(told, more)

    def to_json(self) -> dict[str, Json]:
        """What `plan --json` prints."""
        return {
            "tasks": self.whole.tasks,
            "problems": [
                {
                    "file": problem.file,
                    "line": problem.line,
                    "severity": str(problem.severity),
                    "message": problem.message,
                }
                for problem in self.problems
            ],
            "cost_usd": self.whole.known_usd(),
            "unpriced": self.whole.unpriced,
            "fed": self.references.takers,
            "models": {model: share.tasks for model, share in self.models.items()},
            "by_model": {model: share.to_json() for model, share in self.models.items()},
            "requests": [
                {
                    "method": request.method,
                    "path": request.path,
                    "body": shown_body(request.body, multipart=request.multipart),
                }
                for request in self.requests
            ],
        }


def check(
    manifest: Manifest,
    *,
    select: Callable[[Iterator[Task | Problem]], Iterator[Task | Problem]] = iter,
    identify: bool = True,
) -> Plan:
    """Read the whole manifest once and say everything that is wrong with it.

    select: narrows the tasks (`--only`, `--limit`, `--shard`). identify: whether it goes by their
    keys and digests.
    """
    tally = Tally(Prices(manifest.job), Dialect(manifest.job))
    plan = Plan(tally.whole, tally.models, tally.requests)
    told = set(manifest.problems)
    for problem in manifest.problems:
        plan.note(problem)
    require_price = manifest.job.require_price
    for item in select(_counted(manifest.tasks(identify=identify), plan)):
        if isinstance(item, Problem):
            if item not in told:
                plan.note(item)
        elif not tally.add(item) and require_price:
            plan.note(_unpriced(item))
    tally.close()
    if plan.references:
        _check_references(manifest, plan)
    if not plan.whole.tasks and not plan.errors:
        plan.note(_nothing(manifest.source.label, plan.read))
    if plan.whole.unpriced and not manifest.job.require_price and (bound := _bound(manifest.job)):
        plan.note(_unbounded(manifest.source.label, plan, bound))
    return plan


def _counted(items: Iterator[Task | Problem], plan: Plan) -> Iterator[Task | Problem]:
    for item in items:
        if isinstance(item, Task):
            plan.read += 1
            if item.inputs:
                plan.references.note(item)
        yield item


def _check_references(manifest: Manifest, plan: Plan) -> None:
    """Read the tasks again for those that others refer to: they may stand anywhere."""

    def tasks() -> Iterator[Task]:
        return (item for item in manifest.tasks(check=False) if isinstance(item, Task))

    plan.references.learn(tasks())
    for problem in plan.references.problems(tasks, sound=not plan.errors):
        plan.note(problem)


def _nothing(label: str, tasks: int) -> Problem:
    """Why there is nothing to do: an empty manifest is an error, an empty selection is not."""
    if not tasks:
        return Problem(label, 0, "there is nothing to do: no prompts")
    told = f"none of the {tasks:,} tasks is selected by --only, --limit or --shard"
    return Problem(label, 0, told, Severity.WARNING)


def _bound(job: Job) -> str:
    """What is to hold the job's spending back, if anything is."""
    if job.limits.max_cost_usd is not None:
        return "max_cost"
    return "" if job.budget is None else "the budget"


def _unbounded(label: str, plan: Plan, bound: str) -> Problem:
    whole = plan.whole
    message = (
        f"{whole.unpriced:,} of {whole.tasks:,} tasks have no known price, so {bound} counts them"
        " only once the provider has told what they cost: name it in the job's `prices`, try"
        " --live-prices, or have them refused with --require-price"
    )
    return Problem(label, 0, message, Severity.WARNING)


def _unpriced(task: Task) -> Problem:
    message = (
        f"no price is known for {task.model} with these parameters, and --require-price is given:"
        " name it in the job's `prices`, or try --live-prices"
    )
    return Problem(task.file, task.line, message)


def _slow(count: int) -> str:
    return (
        f"{count:,} rows in YAML take some five times as long to read as in a CSV file: put them in"
        " one, and name it with `- from: rows.csv`"
    )


def _templated(entry: Mapping[str, Json]) -> frozenset[str]:
    return frozenset(name for name, value in entry.items() if "{" in str(value))


def source_of(path: str, format_name: str | None, spooled: Path | None) -> Source:
    """Where a manifest is and how it is read; ManifestError where its format cannot be told."""
    if path == "-":
        if format_name is None or spooled is None:
            raise ManifestError("standard input needs --format", file="<stdin>")
        return Source(spooled, "<stdin>", Format(format_name))
    found = Format(format_name) if format_name else format_of(path)
    if found is None:
        suffix = Path(path).suffix
        hint = did_you_mean(suffix, (".yaml", ".csv", ".tsv", ".jsonl", ".txt"))
        raise ManifestError(
            f"cannot tell the format from the name{f' (did you mean {hint}?)' if hint else ''};"
            " say it with --format yaml, csv, tsv, jsonl or txt",
            file=path,
        )
    return Source(Path(path), path, found)
