"""Models of the catalogue, and the checks of a request against them."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field

import msgspec

from batchgen.provider.catalog.coerce import coerce, parse_as, text_value
from batchgen.provider.catalog.describe import (
    describe,
    describe_mismatch,
    format_value,
    size_advice,
    suggestion,
)
from batchgen.provider.catalog.parameter import SIDES, Accepts, Finding, Parameter, any_of
from batchgen.provider.catalog.prices import Price, TokenPrice
from batchgen.provider.catalog.translate import (
    COUNT_KEYS,
    IMAGE_KEYS,
    SIZE_KEYS,
    convert_size,
    image_inputs,
    rename_count,
    rename_image,
    rename_upload,
)
from batchgen.types import Json, Severity, Tokens

OLD_DATE = "2025-05"
CURRENT_DATE = "2026-08"
MAX_REQUESTS = 1000  # per task
_BASE64_ONLY = "gpt-image-"  # OpenAI's own models, which have no `response_format`
_MORE_IMAGES = "for more images use `repeat:` or several rows"


class Prompt(msgspec.Struct, frozen=True):
    """The prompt of a model, with the limits of its length in characters; None is no limit.

    name: the field of the request; in a row it is always `prompt`.
    """

    name: str = "prompt"
    min_chars: int = 0
    max_chars: int | None = None
    required: bool = True


@dataclass(frozen=True, slots=True)
class Model:
    """A model of a provider: its parameters with their limits, and its price.

    family: its endpoint. path: below the provider's host; old_path: the path of 2025-05, if that
        was another one.
    prompt: None if the model takes no prompt.
    old_prompt: the prompt in the spec of 2025-05; None if equal to `prompt` or unknown.
    in_old_spec: the vendor's documentation of 2025-05 had the model.
    one_of: parameters of which at least one must be given.
    extensions: parameters that batchgen adds; it translates them or does not send them.
    edit: the model at its endpoint for input images, if it has a separate one.
    count_key: the parameter for the number of images; None if a request makes one image.
    prompt_lengths: shortest and longest prompt, in characters, that the specs of both dates accept.
    """

    id: str
    parameters: Mapping[str, Parameter]
    prompt: Prompt | None
    old_prompt: Prompt | None = None
    aliases: tuple[str, ...] = ()
    fixed_price: Price | None = None
    token_price: TokenPrice | None = None
    in_old_spec: bool = False
    family: str = "images"
    path: str = "/v1/images/generations"
    old_path: str | None = None
    one_of: tuple[str, ...] = ()
    extensions: frozenset[str] = frozenset()
    edit: "Model | None" = None
    count_key: str | None = field(init=False)
    _accepts: Mapping[str, Accepts] = field(init=False, repr=False, compare=False)
    _required: tuple[str, ...] = field(init=False, repr=False, compare=False)
    prompt_lengths: tuple[int, float] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        accepts = {
            name: _accepted_by_both(parameter) for name, parameter in self.parameters.items()
        }
        required = tuple(p.name for p in self.parameters.values() if p.required)
        count_key = next((key for key in COUNT_KEYS if key in self.parameters), None)
        object.__setattr__(self, "count_key", count_key)
        object.__setattr__(self, "_accepts", accepts)
        object.__setattr__(self, "_required", required)
        object.__setattr__(self, "prompt_lengths", _lengths_in_both(self.prompt, self.old_prompt))

    @property
    def prompt_max(self) -> int | None:
        """Longest prompt, in characters, that either spec accepts; 0: no prompt, None: no limit."""
        if self.prompt is None:
            return 0
        bounds = [p.max_chars for p in (self.prompt, self.old_prompt) if p]
        known = [bound for bound in bounds if bound is not None]
        return max(known) if len(known) == len(bounds) else None

    @property
    def prompt_required(self) -> bool:
        return self.prompt is not None and self.prompt.required

    @property
    def prompt_key(self) -> str | None:
        """The parameter that can replace the prompt: several texts, or whole messages."""
        name = self.prompt.name if self.prompt else None
        return name if name in self.extensions else None

    @property
    def batch_text_max(self) -> int | None:
        """Longest text, in characters, in a request with several texts; None if unlimited."""
        parameter = self.parameters.get(self.prompt_key or "")
        items = parameter.forms[0].items if parameter else None
        return items.max_chars if items else None

    @property
    def count_max(self) -> int:
        """The most images that one request can ask for."""
        parameter = self.parameters.get(self.count_key or "")
        if parameter is None:
            return 1
        form = parameter.forms[0]
        return int(form.maximum) if form.maximum is not None else 1

    @property
    def size_keys(self) -> tuple[str, ...]:
        """The parameters that set the size; any other size parameter is an error."""
        return tuple(key for key in SIZE_KEYS if key in self.parameters)

    @property
    def price_source(self) -> str | None:
        """The source of the price and its date; None if no price is known."""
        price = self.fixed_price or self.token_price
        return None if price is None else f"{price.source}, {price.date or 'undated'}"

    def path_for(self, params: Mapping[str, Json]) -> str:
        """Return the path of a request: that of 2025-05 if only that spec accepts a parameter."""
        if self.old_path is not None:
            for name, value in params.items():
                parameter = self.parameters.get(name)
                if value is not None and parameter is not None and parameter.is_old_only(value):
                    return self.old_path
        return self.path

    def for_parameters(self, names: Collection[str]) -> "Model":
        """Return the model for a request with these parameters: the edit model if it has images."""
        return self.edit if self.edit is not None and not IMAGE_KEYS.isdisjoint(names) else self

    def for_family(self, family: str) -> "Model":
        """Return the model with its parameters at the endpoint of a family."""
        return self.edit if self.edit is not None and self.edit.family == family else self

    def price(self, params: Mapping[str, Json]) -> float | None:
        """Return an estimate in USD for one request; None if unknown, never 0."""
        count = params.get(self._count_name(params))
        images = 1 if count is None else count
        if self.fixed_price is None or type(images) is not int or images < 1:
            return None
        units = self._units(self.fixed_price, params)
        return None if units is None else self.fixed_price.usd * images * units

    def _units(self, price: Price, params: Mapping[str, Json]) -> float | None:
        """Return the factor of a price; None if neither the request nor the spec has it."""
        if price.per is None:
            return 1
        value, parameter = params.get(price.per), self.parameters.get(price.per)
        units = parameter.default if value is None and parameter else value
        return units if type(units) in (int, float) else None  # type: ignore[return-value]

    def token_cost(self, tokens: Tokens | None) -> float | None:
        """Return the cost in USD of the tokens of a reply; None if their price is unknown."""
        if self.token_price is None or tokens is None:
            return None
        return self.token_price.usd(tokens)

    def split(self, params: Mapping[str, Json]) -> tuple[Mapping[str, Json], ...]:
        """Return the parameters of the requests that together make all wanted images.

        If a seed is given, each further request gets the next one; with the same seed all would
        make the same images.
        """
        name, per_request = self._count_name(params), self.count_max
        count = params.get(name)
        if not isinstance(count, int) or not per_request < count <= per_request * MAX_REQUESTS:
            return (params,)
        rest = {key: value for key, value in params.items() if key != name}
        starts = range(0, count, per_request)
        counts = [min(per_request, count - start) for start in starts]
        return tuple(self._part(rest, index, size) for index, size in enumerate(counts))

    def _part(self, rest: Mapping[str, Json], index: int, size: int) -> dict[str, Json]:
        changed: dict[str, Json] = {self.count_key: size} if self.count_key else {}
        seed = rest.get("seed")
        if isinstance(seed, int):
            accepts = self._accepts.get("seed")
            fits = accepts is None or accepts(seed + index)
            changed["seed"] = seed + index if fits else seed - index
        return {**rest, **changed}

    def _count_name(self, params: Mapping[str, Json]) -> str:
        """Return the key of the count: the model's, or else the one in `params`."""
        return self.count_key or next((key for key in COUNT_KEYS if key in params), "")

    def from_text(self, name: str, text: str) -> Json:
        """Parse a CSV cell or `--set` value as the parameter's type; return other text."""
        key = self.count_key if name in COUNT_KEYS and name not in self.parameters else name
        parameter = self.parameters.get(key or "")
        if parameter is not None:
            return parse_as(text, parameter.all_forms)
        return text_value(text) if name in COUNT_KEYS or name in SIDES else text

    def normalise(self, params: Mapping[str, Json]) -> dict[str, Json]:
        """Return the parameters with this model's names and types; nothing is lost.

        `count`, `n`, `num_images`, `image` and `image_url` are renamed, sizes converted, and values
        coerced to the parameter's type. What does not fit is kept for `check` to report.
        """
        params = convert_size(rename_count(params, self.count_key), self.parameters.keys())
        if not IMAGE_KEYS.isdisjoint(params):
            params = rename_image(params, image_inputs(self.parameters))
        if "url" in params:
            params = rename_upload(params, self.parameters)
        return {name: self._coerced(name, value) for name, value in params.items()}

    def check(self, params: Mapping[str, Json]) -> tuple[Finding, ...]:
        """Return the problems of the parameters; a null counts as absent."""
        findings: list[Finding] = []
        for name, value in params.items():
            accepts = self._accepts.get(name)
            if value is None or (accepts is not None and accepts(value)):
                continue
            if not self._is_split(name, value, params):
                findings += self._findings(name, value, params)
        for name in self._required:
            if params.get(name) is None and not self._is_newer(name, params):
                takes = describe(self.parameters[name].forms)
                findings.append(_error(f"`{name}` is missing; {self.id} needs it: {takes}"))
        if self.one_of and all(params.get(name) is None for name in self.one_of):
            names = " or ".join(f"`{name}`" for name in self.one_of)
            findings.append(_error(f"{names} is missing; {self.id} needs one of them"))
        return tuple(findings)

    def _is_newer(self, name: str, params: Mapping[str, Json]) -> bool:
        """Return whether the request goes to the endpoint of 2025-05, which lacks the parameter."""
        is_new = self.parameters[name].old_forms == ()
        return is_new and self.path_for(params) == self.old_path

    def check_prompt(self, prompt: str) -> Finding | None:
        """Return the problem with a prompt: its length, or that the model takes none; else None."""
        low, high = self.prompt_lengths
        if low <= len(prompt) <= high:
            return None
        return self._prompt_finding(len(prompt))

    def _coerced(self, name: str, value: Json) -> Json:
        accepts = self._accepts.get(name)
        if accepts is None or accepts(value):
            return value
        return coerce(value, self.parameters[name].all_forms)

    def _is_split(self, name: str, value: Json, params: Mapping[str, Json]) -> bool:
        """Return whether a count needs several requests, and not too many."""
        if not isinstance(value, int) or name != self._count_name(params):
            return False
        return self.count_max < value <= self.count_max * MAX_REQUESTS

    def _findings(self, name: str, value: Json, params: Mapping[str, Json]) -> list[Finding]:
        parameter = self.parameters.get(name)
        if parameter is None:
            if name == SIDES[1] and SIDES[0] in params:  # reported with the width
                return []
            return [_error(self._unknown_message(name, params))]
        is_current = any_of(parameter.forms)(value)
        in_old_spec = parameter.old_forms is not None and any_of(parameter.old_forms)(value)
        forms = parameter.forms or parameter.old_forms or ()
        if is_current or in_old_spec:
            return [_warning(self._one_spec_message(parameter, value, is_current=is_current))]
        message = describe_mismatch(name, value, forms, self.id)
        if name == self.count_key and isinstance(value, int) and value > self.count_max:
            message = f"{message}; {_MORE_IMAGES}"
        return [_error(message)]

    def _one_spec_message(self, parameter: Parameter, value: Json, *, is_current: bool) -> str:
        date, other = (CURRENT_DATE, OLD_DATE) if is_current else (OLD_DATE, CURRENT_DATE)
        other_forms = parameter.old_forms if is_current else parameter.forms
        if not other_forms:
            return (
                f"`{parameter.name}` is in {self.id}'s spec of {date} but not in the one of"
                f" {other}; it is sent as given"
            )
        return (
            f"`{parameter.name}` {format_value(value)} is in {self.id}'s spec of {date} but not in"
            f" the one of {other} ({describe(other_forms)}); it is sent as given"
        )

    def _unknown_message(self, name: str, params: Mapping[str, Json]) -> str:
        lead = f"`{name}` is not a parameter of {self.id}"
        if self.prompt is not None and name == self.prompt.name:
            return f"{lead}; give it as the row's `prompt`, which is sent as `{name}`"
        if name in COUNT_KEYS:
            return self._unknown_count_message(name)
        if name in SIDES and params.keys() >= set(SIDES):
            lead = f"`width` and `height` are not parameters of {self.id}"
        if name in SIZE_KEYS or name in SIDES:
            size_forms = {key: self.parameters[key].forms for key in self.size_keys}
            return f"{lead}; {size_advice(size_forms, params)}"
        if name in IMAGE_KEYS and not image_inputs(self.parameters):
            return f"{lead}, which takes no input image; `batchgen models` lists models that do"
        if name == "response_format" and self.id.startswith(_BASE64_ONLY):
            return f"{lead}, which always returns base64; leave it out"
        hint = suggestion(name, self._accepted_names())
        return lead + (hint or f"; it takes {', '.join(sorted(self.parameters)) or 'none'}")

    def _unknown_count_message(self, name: str) -> str:
        if self.count_key:
            return f"`{name}` is called `{self.count_key}` in {self.id}; give only that one"
        return (
            f"`{name}` is not a parameter of {self.id}, which makes one image per request;"
            f" {_MORE_IMAGES}"
        )

    def _accepted_names(self) -> Iterator[str]:
        """Yield the names that a row may use for this model: its own and the common ones."""
        yield from self.parameters
        if self.prompt is not None:
            yield "prompt"
        if "image_size" in self.parameters:
            yield "size"

    def _prompt_finding(self, length: int) -> Finding | None:
        if self.prompt is None:
            return _error(f"{self.id} takes no prompt; leave it out")
        if length == 0:
            return _error(f"{self.id} needs a prompt") if self.prompt.required else None
        if length < (shortest := self.prompt.min_chars):
            return _error(f"prompt is {length} characters; {self.id} takes at least {shortest}")
        longest, in_both = self.prompt_max, self.prompt_lengths[1]
        if longest is not None and length > longest:
            return _error(f"prompt is {length} characters; {self.id} takes at most {longest}")
        return _warning(
            f"prompt is {length} characters; one of the vendor's specs of {OLD_DATE} and"
            f" {CURRENT_DATE} allows {self.id} at most {in_both:.0f}; it is sent as given"
        )


def _accepted_by_both(parameter: Parameter) -> Accepts:
    """Return a check that the specs of both dates accept a value, so that it needs no message."""
    current = any_of(parameter.forms)
    if parameter.old_forms is None or parameter.old_forms == parameter.forms:
        return current
    old = any_of(parameter.old_forms)
    return lambda value: current(value) and old(value)


def _lengths_in_both(prompt: Prompt | None, old_prompt: Prompt | None) -> tuple[int, float]:
    if prompt is None:
        return 0, 0
    low = max(prompt.min_chars, 1 if prompt.required else 0)
    bounds = [p.max_chars for p in (prompt, old_prompt) if p and p.max_chars is not None]
    return low, min(bounds, default=float("inf"))


def _error(message: str) -> Finding:
    return Finding(Severity.ERROR, message)


def _warning(message: str) -> Finding:
    return Finding(Severity.WARNING, message)
