"""Requests in their model's own words, held against its limits; equal ones are looked at once."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from batchgen import catalog
from batchgen.manifest.values import canonical
from batchgen.tasks.drafts import Draft
from batchgen.tasks.fields import RowError
from batchgen.text import one_line
from batchgen.types import Json, Severity

_MOST_REMEMBERED = 4096
_REFERRING = b'{"from":'  # in a text the quotes would be escaped
_LONGEST_REMEMBERED = 1000  # bytes; pictures as `data:` URLs are not kept


@dataclass(frozen=True, slots=True)
class Checked:
    """Parameters as they are sent, their canonical JSON, and what is to be said of them."""

    params: Mapping[str, Json]
    canonical: bytes
    findings: tuple[catalog.Finding, ...] = ()

    @property
    def may_refer(self) -> bool:
        """Whether artifacts of other rows may be among them; False is sure."""
        return _REFERRING in self.canonical


class Checks:
    """Holds requests against the catalogue.

    on: whether limits are checked at all. catalogue: the provider's table, whose model ids are
        all known; None for a service with models of its own.
    """

    def __init__(self, *, on: bool, catalogue: str | None) -> None:
        self._on = on
        self._catalogue = catalogue
        self._remembered: dict[tuple[str, bytes], Checked] = {}
        self._unknown: dict[str, Sequence[str]] = {}

    def params(self, draft: Draft, params: dict[str, Json]) -> Checked:
        """The draft's rendered parameters as its model names and types them.

        Raises UnsoundError for what nothing could hold.
        """
        given = canonical(params) if params else b"{}"
        checked = self._remembered.get((draft.model_id, given))
        if checked is None:
            own = params if draft.model is None else draft.model.normalise(params)
            checked = Checked(own, canonical(own), self._findings(draft.model, own))
            self._remember((draft.model_id, given), checked)
        return checked

    def exact(self, draft: Draft) -> Checked:
        """The draft's parameters as they stand. Raises UnsoundError."""
        params = draft.params
        return Checked(params, canonical(params), self._findings(draft.model, params))

    def doubts(self, draft: Draft, prompt: str, checked: Checked) -> Sequence[str]:
        """What is doubtful in a request, to be told; raises RowError for what is wrong."""
        if not self._on:
            return ()
        if draft.model is None:
            return self._of_unknown(draft.model_id)
        length = draft.model.check_prompt(prompt)
        if length is None and not checked.findings:
            return ()
        findings = checked.findings if length is None else (*checked.findings, length)
        errors = [one.message for one in findings if one.severity is Severity.ERROR]
        if errors:
            raise RowError("; ".join(errors))
        return [one.message for one in findings]

    def _findings(
        self, model: catalog.Model | None, params: Mapping[str, Json]
    ) -> tuple[catalog.Finding, ...]:
        return () if model is None or not self._on else model.check(params)

    def _remember(self, request: tuple[str, bytes], checked: Checked) -> None:
        if len(request[1]) > _LONGEST_REMEMBERED:
            return
        if len(self._remembered) >= _MOST_REMEMBERED:
            self._remembered.clear()
        self._remembered[request] = checked

    def _of_unknown(self, model_id: str) -> Sequence[str]:
        if self._catalogue is None:
            return ()
        if model_id not in self._unknown:
            if len(self._unknown) >= _MOST_REMEMBERED:
                self._unknown.clear()
            hint = catalog.suggest(one_line(model_id, 100), self._catalogue)
            lead = f"model `{one_line(model_id, 60)}` is not in the catalogue"
            told = f"{lead}; did you mean `{hint}`? It is sent as given"
            self._unknown[model_id] = (told,) if hint else ()
        return self._unknown[model_id]
