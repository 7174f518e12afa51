"""Requests in their model's own words, held against its limits; equal ones are looked at once."""

from collections.abc import Mapping, Sequence
from math import inf

import msgspec

from batchgen.job.canonical import UnsoundError, canonical
from batchgen.manifest.expand import embedding_batches
from batchgen.manifest.expand.drafts import Draft
from batchgen.manifest.expand.fields import RowError
from batchgen.provider import catalog
from batchgen.text import one_line
from batchgen.types import Json, Severity

_MAX_CACHED = 4096
_REFERRING = b'{"from":'  # in a text the quotes would be escaped
_MAX_CACHED_LENGTH = 1000  # bytes; pictures as `data:` URLs are not kept


class CheckedParams(msgspec.Struct, frozen=True):
    """Parameters as they are sent, their canonical JSON, and what is to be said of them.

    batch_size: how many rows like this one go into a request; 0: each is a task of its own.
    instead: the parameter that stands in the prompt's place, if one does.
    """

    params: Mapping[str, Json]
    canonical: bytes
    findings: tuple[catalog.Finding, ...] = ()
    batch_size: int = 0
    prompt_key: str | None = None

    @property
    def may_refer(self) -> bool:
        """Whether artifacts of other rows may be among them; False is sure."""
        return _REFERRING in self.canonical


class RequestChecks:
    """Holds requests against the catalogue.

    on: whether limits are checked at all. catalogue: the provider's table, whose model ids are
        all known; None for a service with models of its own.
    """

    def __init__(self, *, on: bool, catalogue: str | None) -> None:
        self._on = on
        self._catalogue = catalogue
        self._cache: dict[tuple[str, bytes], CheckedParams] = {}
        self._unknown: dict[str, Sequence[str]] = {}

    def params(self, draft: Draft, params: dict[str, Json]) -> CheckedParams:
        """The draft's rendered parameters as its model names and types them.

        Raises UnsoundError for what nothing could hold.
        """
        given = canonical(params) if params else b"{}"
        checked = self._cache.get((draft.model_id, given))
        if checked is None:
            own = params if draft.model is None else draft.model.normalise(params)
            checked = self._checked(draft.model, own)
            self._cache_result((draft.model_id, given), checked)
        return checked

    def exact(self, draft: Draft) -> CheckedParams:
        """The draft's parameters as they stand. Raises UnsoundError."""
        params, model = draft.params, draft.model
        prompt_key = model.prompt_key if model and model.prompt_key in params else None
        return CheckedParams(
            params, canonical(params), self._findings(model, params), 0, prompt_key
        )

    def warnings(self, draft: Draft, prompt: str, checked: CheckedParams) -> Sequence[str]:
        """What is doubtful in a request, to be told; raises RowError for what is wrong."""
        if not self._on:
            return ()
        if draft.model is None:
            return self._of_unknown(draft.model_id)
        length = draft.model.check_prompt(prompt)
        if length is None and not checked.findings and checked.prompt_key is None:
            return ()
        if checked.prompt_key and (prompt or length is not None):
            length = _both(checked.prompt_key) if prompt else None
        findings = checked.findings if length is None else (*checked.findings, length)
        errors = [one.message for one in findings if one.severity is Severity.ERROR]
        if errors:
            raise RowError("; ".join(errors))
        return [one.message for one in findings]

    def valid_prompt_lengths(self, draft: Draft) -> tuple[int, float]:
        """How many characters a prompt has at least and at most about which there is no doubt."""
        return draft.model.sure_prompt if self._on and draft.model else (0, inf)

    def parameter_errors(self, draft: Draft) -> list[str]:
        """What is wrong with the parameters of a draft whose prompt is wrong already."""
        try:
            findings = self.params(draft, draft.rendered()).findings
        except (RowError, UnsoundError) as error:
            return [str(error)]
        return [one.message for one in findings if one.severity is Severity.ERROR]

    def in_batch(self, draft: Draft, prompt: str) -> None:
        """Refuse a text that is too long among others; raises RowError."""
        most = draft.model.in_batch_max if self._on and draft.model else None
        if most is not None and len(prompt) > most:
            raise RowError(
                f"prompt is {len(prompt)} characters; {draft.model_id} takes at most {most} of each"
                f" of several texts: give this row `{embedding_batches.SIZE_KEY}: 1`"
            )

    def _checked(self, model: catalog.Model | None, own: Mapping[str, Json]) -> CheckedParams:
        embedding_batches.check_format(own)
        findings = self._findings(model, own)
        size = embedding_batches.batch_size_of(own)
        if size:  # nothing that the provider knows
            own = {name: value for name, value in own.items() if name != embedding_batches.SIZE_KEY}
        prompt_key = model.prompt_key if model and model.prompt_key in own else None
        return CheckedParams(own, canonical(dict(own)), findings, size, prompt_key)

    def _findings(
        self, model: catalog.Model | None, params: Mapping[str, Json]
    ) -> tuple[catalog.Finding, ...]:
        return () if model is None or not self._on else model.check(params)

    def _cache_result(self, request: tuple[str, bytes], checked: CheckedParams) -> None:
        if len(request[1]) > _MAX_CACHED_LENGTH:
            return
        if len(self._cache) >= _MAX_CACHED:
            self._cache.clear()
        self._cache[request] = checked

    def _of_unknown(self, model_id: str) -> Sequence[str]:
        if self._catalogue is None:
            return ()
        if model_id not in self._unknown:
            if len(self._unknown) >= _MAX_CACHED:
                self._unknown.clear()
            hint = catalog.suggest(one_line(model_id, 100), self._catalogue)
            lead = f"model `{one_line(model_id, 60)}` is not in the catalogue"
            told = f"{lead}; did you mean `{hint}`? It is sent as given"
            self._unknown[model_id] = (told,) if hint else ()
        return self._unknown[model_id]


def _both(prompt_key: str) -> catalog.Finding | None:
    """What is wrong with a prompt beside what stands in its place; messages go before it."""
    if prompt_key == "messages":
        return None
    told = f"the row has a prompt and `{prompt_key}`: give one of them"
    return catalog.Finding(Severity.ERROR, told)
