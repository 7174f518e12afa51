"""A manifest, opened and checked: what a run would do and cost, without the network."""

from collections.abc import Iterator, Mapping
from pathlib import Path

import msgspec

from batchgen.errors import ManifestError
from batchgen.job import Flags, Job, read_job
from batchgen.job.canonical import describe_value
from batchgen.manifest.expand import Expander, Given
from batchgen.manifest.formats.source import Format, Source, format_of, read_rows
from batchgen.manifest.input_files import InputFiles
from batchgen.provider import catalog
from batchgen.text import did_you_mean
from batchgen.types import Json, Problem, Row, Severity, Task

_MANY_IN_YAML = 20_000


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
        from batchgen.manifest.formats.yaml_job import iter_prompts  # noqa: PLC0415  # see open_manifest

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
                told = f"a row is a text or a mapping, not {describe_value(item)}"
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
    from batchgen.manifest.formats.yaml_job import load_settings  # noqa: PLC0415  # see above

    settings = load_settings(source)
    job, problems = read_job(settings.values, settings.lines, source.label, flags)
    problems = [*settings.problems, *problems]
    if ("prompts",) not in settings.lines and not problems:
        problems.append(Problem(source.label, 1, "no `prompts`: a job needs a list of them"))
    return Manifest(source, job, frozenset(settings.referenced), tuple(problems), files)


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
