"""Translate parameters to the names of their model and check them against its limits."""

from collections.abc import Mapping, Sequence
from math import inf

import msgspec

from batchgen.job.canonical import UnstorableError, canonical
from batchgen.manifest.expand import embedding_batches
from batchgen.manifest.expand.drafts import Draft
from batchgen.manifest.expand.fields import RowError
from batchgen.provider import catalog
from batchgen.text import one_line
from batchgen.types import Json, Severity

_MAX_CACHED = 4096
_REFERENCE = b'{"from":'  # in a text the quotes would be escaped
_MAX_CACHED_BYTES = 1000  # per request, so that images as `data:` URLs are not kept


class CheckedParams(msgspec.Struct, frozen=True):
    """Parameters as they are sent, their canonical JSON, and the catalogue's findings.

    batch_size: how many rows with these parameters share one request; 0 for one task per row.
    prompt_key: the parameter that is given instead of a prompt, if one is.
    """

    params: Mapping[str, Json]
    canonical: bytes
    findings: tuple[catalog.Finding, ...] = ()
    batch_size: int = 0
    prompt_key: str | None = None

    @property
    def may_refer(self) -> bool:
        """False if no parameter is a reference to another row; True if one may be."""
        return _REFERENCE in self.canonical


class RequestChecks:
    """Checks requests against the catalogue; keeps the results of equal parameters.

    enabled: whether limits are checked. catalogue: the name of the provider's list of models, if
        it is complete; None for a service with models of its own.
    """

    def __init__(self, *, enabled: bool, catalogue: str | None) -> None:
        self._enabled = enabled
        self._catalogue = catalogue
        self._cache: dict[tuple[str, bytes], CheckedParams] = {}
        self._unknown: dict[str, Sequence[str]] = {}

    def params(self, draft: Draft, params: dict[str, Json]) -> CheckedParams:
        """Return rendered parameters under the names and in the types of the draft's model.

        Raise UnstorableError for a value that cannot be stored.
        """
        encoded = canonical(params) if params else b"{}"
        checked = self._cache.get((draft.model_id, encoded))
        if checked is None:
            translated = params if draft.model is None else draft.model.normalise(params)
            checked = self._checked(draft.model, translated)
            self._cache_result((draft.model_id, encoded), checked)
        return checked

    def unchanged(self, draft: Draft) -> CheckedParams:
        """Return the draft's parameters without translation. Raise UnstorableError as `params`."""
        params, model = draft.params, draft.model
        prompt_key = model.prompt_key if model and model.prompt_key in params else None
        return CheckedParams(
            params, canonical(params), self._findings(model, params), 0, prompt_key
        )

    def warnings(self, draft: Draft, prompt: str, checked: CheckedParams) -> Sequence[str]:
        """Return the warnings about a request; raise RowError if it has errors."""
        if not self._enabled:
            return ()
        if draft.model is None:
            return self._unknown_model(draft.model_id)
        prompt_finding = draft.model.check_prompt(prompt)
        if prompt_finding is None and not checked.findings and checked.prompt_key is None:
            return ()
        if checked.prompt_key and (prompt or prompt_finding is not None):
            prompt_finding = _two_prompts(checked.prompt_key) if prompt else None
        findings = (
            checked.findings if prompt_finding is None else (*checked.findings, prompt_finding)
        )
        if errors := _errors(findings):
            raise RowError("; ".join(errors))
        return [finding.message for finding in findings]

    def valid_prompt_lengths(self, draft: Draft) -> tuple[int, float]:
        """Return the lengths in characters (from, to) of prompts that need no check."""
        return draft.model.prompt_lengths if self._enabled and draft.model else (0, inf)

    def parameter_errors(self, draft: Draft) -> list[str]:
        """Return the errors of a draft's parameters, for a row whose prompt has errors too."""
        try:
            findings = self.params(draft, draft.rendered()).findings
        except (RowError, UnstorableError) as error:
            return [str(error)]
        return _errors(findings)

    def check_batch_text(self, draft: Draft, prompt: str) -> None:
        """Raise RowError if a text is too long for a request with several texts."""
        limit = draft.model.batch_text_max if self._enabled and draft.model else None
        if limit is not None and len(prompt) > limit:
            raise RowError(
                f"prompt is {len(prompt)} characters; {draft.model_id} takes at most {limit} per"
                f" text in a batch: give this row `{embedding_batches.SIZE_KEY}: 1`"
            )

    def _checked(self, model: catalog.Model | None, params: Mapping[str, Json]) -> CheckedParams:
        embedding_batches.check_vector_format(params)
        findings = self._findings(model, params)
        size = embedding_batches.batch_size_of(params)
        if size:  # the provider has no such parameter
            size_key = embedding_batches.SIZE_KEY
            params = {name: value for name, value in params.items() if name != size_key}
        prompt_key = model.prompt_key if model and model.prompt_key in params else None
        return CheckedParams(params, canonical(dict(params)), findings, size, prompt_key)

    def _findings(
        self, model: catalog.Model | None, params: Mapping[str, Json]
    ) -> tuple[catalog.Finding, ...]:
        return () if model is None or not self._enabled else model.check(params)

    def _cache_result(self, request: tuple[str, bytes], checked: CheckedParams) -> None:
        if len(request[1]) > _MAX_CACHED_BYTES:
            return
        if len(self._cache) >= _MAX_CACHED:
            self._cache.clear()
        self._cache[request] = checked

    def _unknown_model(self, model_id: str) -> Sequence[str]:
        if self._catalogue is None:
            return ()
        if model_id not in self._unknown:
            if len(self._unknown) >= _MAX_CACHED:
                self._unknown.clear()
            hint = catalog.suggest(one_line(model_id, 100), self._catalogue)
            reason = f"model `{one_line(model_id, 60)}` is not in the catalogue"
            message = f"{reason}; did you mean `{hint}`? It is sent as given"
            self._unknown[model_id] = (message,) if hint else ()
        return self._unknown[model_id]


def _errors(findings: Sequence[catalog.Finding]) -> list[str]:
    return [finding.message for finding in findings if finding.severity is Severity.ERROR]


def _two_prompts(prompt_key: str) -> catalog.Finding | None:
    """Return the error of a row with a prompt and `prompt_key`; `messages` may have both."""
    if prompt_key == "messages":
        return None
    return catalog.Finding(
        Severity.ERROR, f"the row has both a prompt and `{prompt_key}`; remove one of them"
    )
