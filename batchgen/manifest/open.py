"""Open a manifest: find its format, read its job settings, and stream its tasks."""

from collections.abc import Iterator, Mapping
from pathlib import Path

import msgspec

from batchgen.errors import ManifestError
from batchgen.job import Flags, Job, read_job
from batchgen.job.canonical import describe_value
from batchgen.manifest.expand import Expander, RowGroup
from batchgen.manifest.formats.source import Format, Source, format_of, read_rows
from batchgen.manifest.input_files import InputFiles
from batchgen.provider import catalog
from batchgen.text import did_you_mean
from batchgen.types import Json, Problem, Row, Severity, Task

_MANY_YAML_ROWS = 20_000


class Manifest(msgspec.Struct, frozen=True):
    """A job and the rows that belong to it; each pass over its tasks reads the file again.

    referenced: the variables that prompts in the job file name.
    problems: those of the job file itself.
    files: the input files that rows name; they are cached across passes.
    """

    source: Source
    job: Job
    referenced: frozenset[str] = frozenset()
    problems: tuple[Problem, ...] = ()
    files: InputFiles = msgspec.field(default_factory=InputFiles)

    def tasks(self, *, check: bool = True, identify: bool = True) -> Iterator[Task | Problem]:
        """Yield the tasks and problems of all rows in order.

        check: whether requests are compared with the limits of their models.
        identify: see Expander.
        """
        expander = Expander(
            self.job, referenced=self.referenced, check=check, identify=identify, files=self.files
        )
        return expander.expand(self._rows(), self.source.label)

    def _rows(self) -> Iterator[RowGroup]:
        if self.source.format is not Format.YAML:
            yield read_rows(self.source, needs_prompt=self._needs_prompt({})), {}
            return
        from batchgen.manifest.formats.yaml_job import iter_prompts  # noqa: PLC0415  # see open_manifest

        count = 0
        for count, item in enumerate(iter_prompts(self.source), 1):  # noqa: B007  # the last one
            yield ((item,), None) if isinstance(item, Problem) else self._prompt_rows(*item)
        if count >= _MANY_YAML_ROWS:
            yield (Problem(self.source.label, 0, _slow_yaml(count), Severity.WARNING),), None

    def _prompt_rows(self, line: int, item: Json) -> RowGroup:
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
                message = f"a row must be a text or a mapping, not {describe_value(item)}"
                return (Problem(label, line, message),), None

    def _from_rows(
        self, from_file: Json, entry: Mapping[str, Json], line: int
    ) -> Iterator[Row | Problem]:
        label = self.source.label
        if not isinstance(from_file, str):
            yield Problem(label, line, "`from` must be a file's path, relative to this file")
            return
        if constant := sorted(entry.keys() & {"id", "filename"} - _names_of_templates(entry)):
            message = (
                f"`{constant[0]}` beside `from` would be the same for every row; use a variable"
            )
            yield Problem(label, line, message)
            return
        file_format = format_of(from_file)
        if file_format is None or file_format is Format.YAML:
            message = f"`from: {from_file}` is not a CSV, TSV, JSONL or TXT file"
            yield Problem(label, line, f"{message}; the extension must be one of these")
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
        """Return whether rows without a model of their own need a prompt."""
        job = self.job
        model_id = job.overrides.get("model") or entry.get("model") or job.defaults.get("model")
        model = catalog.find(str(model_id), job.provider.catalog)
        return model is None or (model.prompt_required and model.prompt_key is None)


def open_manifest(source: Source, flags: Flags) -> Manifest:
    """Read the settings of a manifest: those of a job file, or only the flags for a list of rows.

    Rows are read later, by `Manifest.tasks`. Problems of the settings are in `problems`.
    Raise ManifestError if the file cannot be opened or its gzip data is damaged.
    """
    files = InputFiles(Path(source.label).parent, flags.allow_files)
    if source.format is not Format.YAML:
        job, problems = read_job({}, {}, source.label, flags)
        return Manifest(source, job, problems=tuple(problems), files=files)
    # PyYAML is a tenth of a run's start-up time, so it is imported for YAML only.
    from batchgen.manifest.formats.yaml_job import load_settings  # noqa: PLC0415  # see above

    settings = load_settings(source)
    job, problems = read_job(settings.values, settings.lines, source.label, flags)
    problems = [*settings.problems, *problems]
    if ("prompts",) not in settings.lines and not problems:
        problems.append(Problem(source.label, 1, "the job has no `prompts`; add a list of them"))
    return Manifest(source, job, frozenset(settings.referenced), tuple(problems), files)


def _slow_yaml(count: int) -> str:
    return (
        f"{count:,} rows in YAML take about five times as long to read as rows in CSV; move them to"
        " a CSV file and read it with `- from: rows.csv`"
    )


def _names_of_templates(entry: Mapping[str, Json]) -> frozenset[str]:
    return frozenset(name for name, value in entry.items() if "{" in str(value))


def source_of(path: str, format_name: str | None, copy: Path | None) -> Source:
    """Return the path, label and format of a manifest that the command line names.

    path: `-` for standard input. format_name: the value of `--format`, if given.
    copy: the file that standard input was copied to.
    Raise ManifestError if the format is unknown.
    """
    if path == "-":
        if format_name is None or copy is None:
            raise ManifestError("standard input needs --format", file="<stdin>")
        return Source(copy, "<stdin>", Format(format_name))
    file_format = Format(format_name) if format_name else format_of(path)
    if file_format is None:
        suffix = Path(path).suffix
        hint = did_you_mean(suffix, (".yaml", ".csv", ".tsv", ".jsonl", ".txt"))
        raise ManifestError(
            f"the file name does not show the format{f' (did you mean {hint}?)' if hint else ''};"
            " set it with --format yaml, csv, tsv, jsonl or txt",
            file=path,
        )
    return Source(Path(path), path, file_format)
