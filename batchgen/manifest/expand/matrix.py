"""The matrix: which axes vary a row, and its combinations, one by one in a stated order."""

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
    """One copy of a row at one point of the matrix; `copy` counts from 0."""

    axes: Mapping[str, Json] = msgspec.field(default_factory=dict)
    copy: int = 0
    copies: int = 1


class TooManyTasksError(RowError):
    """A row comes to more tasks than there is room for."""

    def __init__(self, size: int) -> None:
        self.size = size
        super().__init__(f"the row comes to {size:,} tasks")


UNVARIED = Combination()


class Matrix:
    """The axes of a job over the rows of one manifest.

    referenced: variables that the prompts of the job file name; an axis among them varies only
        the rows whose prompt, id or `{from: ID}` names it. Any other axis is a parameter
        and varies the rows whose model takes it.
    """

    def __init__(self, job: Job, referenced: frozenset[str]) -> None:
        self._axes = job.matrix
        self._catalog = job.provider.catalog
        self._flags = job.overrides
        self._referenced = referenced
        self._unused = {axis.name: axis for axis in job.matrix}

    def combinations(self, fields: Fields, room: int) -> Iterator[Combination]:
        """The combinations of a row; raises TooManyError before the first if more than `room`."""
        if not self._axes and fields.copies == 1 and room > 0:
            return iter((UNVARIED,))
        named = template.names(fields.text("prompt") or "") | template.names(
            fields.text("id") or ""
        )
        named |= variables_in_references(fields.given)
        axes = [axis for axis in self._axes if self._varies(axis, fields, named)]
        size = prod(len(axis.values) for axis in axes) * fields.copies
        if size > room:
            raise TooManyTasksError(size)
        return self._points(axes, named, fields.copies)

    def unused_axes(self, label: str) -> Iterator[Problem]:
        """What can be told only at the end: axes that meant nothing to any row."""
        for axis in self._unused.values():
            yield Problem(
                label,
                axis.line,
                f"axis `{axis.name}` is named in no prompt and is no parameter of the rows' models;"
                f" write {{{axis.name}}} in a prompt or remove it",
            )

    def _varies(self, axis: Axis, fields: Fields, named: frozenset[str]) -> bool:
        if axis.name in fields.own or axis.name in self._flags:  # set for good: nothing to vary
            self._unused.pop(axis.name, None)
            return False
        varies = axis.name in named or (
            axis.name not in self._referenced and self._is_taken(axis, fields)
        )
        if varies:
            self._unused.pop(axis.name, None)
        return varies

    def _is_taken(self, axis: Axis, fields: Fields) -> bool:
        """Whether the axis is `model`, or a parameter of any model that the row may have."""
        if axis.name == "model":
            return True
        return any(self._fits(axis.name, model_id) for model_id in self._models(fields))

    def _models(self, fields: Fields) -> Sequence[str]:
        if model_id := self._flags.get("model"):
            return (model_id,)
        axis = next((one for one in self._axes if one.name == "model"), None)
        if axis is None or "model" in fields.own:
            return (fields.text("model") or "",)
        return [str(value) for value in axis.values]

    def _fits(self, name: str, model_id: Json) -> bool:
        model = catalog.find(str(model_id), self._catalog)
        return model is None or accepts(model, name)

    def _points(
        self, axes: Sequence[Axis], named: frozenset[str], copies: int
    ) -> Iterator[Combination]:
        names = [axis.name for axis in axes]
        for values in itertools.product(*(axis.values for axis in axes)):
            point: Mapping[str, Json] | None = dict(zip(names, values, strict=True))
            if "model" in names:
                point = self._of_its_model(dict(zip(names, values, strict=True)), axes, named)
            if point is not None:
                for copy in range(copies):
                    yield Combination(point, copy, copies)

    def _of_its_model(
        self, point: Mapping[str, Json], axes: Sequence[Axis], named: frozenset[str]
    ) -> Mapping[str, Json] | None:
        """The point without the axes that its own model does not have.

        None for all but the first of the points that are the same then: they would be the same
        request, paid for again.
        """
        foreign = {
            axis.name: axis.values[0]
            for axis in axes
            if axis.name not in named
            and axis.name != "model"
            and not self._fits(axis.name, point["model"])
        }
        if any(point[name] != first for name, first in foreign.items()):
            return None
        return {name: value for name, value in point.items() if name not in foreign}
