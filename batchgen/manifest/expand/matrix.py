"""The matrix: which axes vary a row, and its combinations, one at a time in a fixed order."""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from math import prod

import msgspec

from batchgen.job import Axis, Job, template
from batchgen.manifest.expand.drafts import accepts
from batchgen.manifest.expand.fields import Fields, RowError
from batchgen.manifest.expand.references import variables_in_references
from batchgen.provider import catalog
from batchgen.types import Json, Problem


class Combination(msgspec.Struct, frozen=True):
    """One copy of a row with one value per axis; `copy` counts from 0."""

    axes: Mapping[str, Json] = msgspec.field(default_factory=dict)
    copy: int = 0
    copies: int = 1


class TooManyTasksError(RowError):
    """A row expands to more tasks than the limit allows; size: to how many."""

    def __init__(self, size: int) -> None:
        self.size = size
        super().__init__(f"the row expands to {size:,} tasks")


UNVARIED = Combination()


class Matrix:
    """The axes of a job, applied to the rows of one manifest.

    referenced: the variables that prompts in the job file name. An axis of that name varies only
        the rows whose prompt, id or `{from: ID}` names it. Any other axis is a parameter and
        varies the rows whose model has it.
    """

    def __init__(self, job: Job, referenced: frozenset[str]) -> None:
        self._axes = job.matrix
        self._catalog = job.provider.catalog
        self._flags = job.overrides
        self._referenced = referenced
        self._unused = {axis.name: axis for axis in job.matrix}

    def combinations(self, fields: Fields, limit: int) -> Iterator[Combination]:
        """Return the combinations of a row.

        Raise TooManyTasksError before the first one if there are more than `limit`.
        """
        if not self._axes and fields.copies == 1 and limit > 0:
            return iter((UNVARIED,))
        named = template.names(fields.text("prompt") or "") | template.names(
            fields.text("id") or ""
        )
        named |= variables_in_references(fields.merged)
        axes = [axis for axis in self._axes if self._varies(axis, fields, named)]
        size = prod(len(axis.values) for axis in axes) * fields.copies
        if size > limit:
            raise TooManyTasksError(size)
        return self._combine(axes, named, fields.copies)

    def unused_axes(self, label: str) -> Iterator[Problem]:
        """Yield an error for each axis that varied no row; call it after the last row."""
        for axis in self._unused.values():
            yield Problem(
                label,
                axis.line,
                f"axis `{axis.name}` is not in any prompt and not a parameter of the rows' models;"
                f" write {{{axis.name}}} in a prompt or remove the axis",
            )

    def _varies(self, axis: Axis, fields: Fields, named: frozenset[str]) -> bool:
        if axis.name in fields.own or axis.name in self._flags:  # the value is fixed
            self._unused.pop(axis.name, None)
            return False
        varies = axis.name in named or (
            axis.name not in self._referenced and self._is_parameter(axis, fields)
        )
        if varies:
            self._unused.pop(axis.name, None)
        return varies

    def _is_parameter(self, axis: Axis, fields: Fields) -> bool:
        """Return whether the axis is `model`, or a parameter of a model that the row may have."""
        if axis.name == "model":
            return True
        return any(self._has(model_id, axis.name) for model_id in self._models(fields))

    def _models(self, fields: Fields) -> Sequence[str]:
        if model_id := self._flags.get("model"):
            return (model_id,)
        model_axis = next((axis for axis in self._axes if axis.name == "model"), None)
        if model_axis is None or "model" in fields.own:
            return (fields.text("model") or "",)
        return [str(value) for value in model_axis.values]

    def _has(self, model_id: Json, name: str) -> bool:
        model = catalog.find(str(model_id), self._catalog)
        return model is None or accepts(model, name)

    def _combine(
        self, axes: Sequence[Axis], named: frozenset[str], copies: int
    ) -> Iterator[Combination]:
        names = [axis.name for axis in axes]
        for values in itertools.product(*(axis.values for axis in axes)):
            combined: Mapping[str, Json] | None = dict(zip(names, values, strict=True))
            if "model" in names:
                combined = self._for_model(dict(zip(names, values, strict=True)), axes, named)
            if combined is not None:
                for copy in range(copies):
                    yield Combination(combined, copy, copies)

    def _for_model(
        self, values: Mapping[str, Json], axes: Sequence[Axis], named: frozenset[str]
    ) -> Mapping[str, Json] | None:
        """Return the values without the axes that their own model does not have.

        Combinations that differ only in such axes would be equal requests, each one paid for:
        return None for all of them but the first.
        """
        foreign = {
            axis.name: axis.values[0]
            for axis in axes
            if axis.name not in named
            and axis.name != "model"
            and not self._has(values["model"], axis.name)
        }
        if any(values[name] != first for name, first in foreign.items()):
            return None
        return {name: value for name, value in values.items() if name not in foreign}
