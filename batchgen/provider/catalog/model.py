"""A model as the catalogue knows it, and the checks of a request against it."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field

import msgspec

from batchgen.provider.catalog.coerce import coerce, text_value, typed
from batchgen.provider.catalog.describe import describe, fault, meant, shown, size_advice
from batchgen.provider.catalog.parameter import SIDES, Accepts, Finding, Parameter, any_of
from batchgen.provider.catalog.translate import (
    COUNT_KEYS,
    IMAGE_KEYS,
    SIZE_KEYS,
    convert_size,
    pictures,
    rename_count,
    rename_image,
    rename_upload,
)
from batchgen.types import Json, Severity, Tokens

SEED_DATE = "2025-05"
CURRENT_DATE = "2026-08"
MAX_REQUESTS = 1000  # of one task
_INLINE = "gpt-image-"  # OpenAI's own, which have no `response_format`
_MANY = "for more images use `repeat:` or several rows"


class Prompt(msgspec.Struct, frozen=True):
    """What a model takes as prompt: its length in characters, max None where it is unbounded.

    name: what the request calls it; a row always has it as its prompt.
    """

    name: str = "prompt"
    min_chars: int = 0
    max_chars: int | None = None
    required: bool = True


class Price(msgspec.Struct, frozen=True):
    """An estimate in USD for an image, video or the like, with where it was read and when.

    date: None where it is unknown. per: the parameter whose number multiplies it, such as the
    seconds of a video.
    """

    usd: float
    source: str
    date: str | None
    per: str | None = None


class TokenPrice(msgspec.Struct, frozen=True):
    """USD for a million tokens of each kind, with where it was read and when."""

    text_input: float
    image_input: float
    output: float
    source: str
    date: str | None


@dataclass(frozen=True, slots=True)
class Model:
    """A model of a provider: its parameters with their limits, and its price.

    family: the endpoint that it answers at. path: below the provider's host; seed_path: where
        it answered in 2025-05, if that was elsewhere.
    prompt: None where the model takes no prompt.
    seed_prompt: what the spec of 2025-05 took, None where nothing else is known than `prompt`.
    in_seed: the vendor's documentation of 2025-05 had the model.
    one_of: parameters of which at least one must be given.
    ours: parameters that batchgen puts into the vendor's words, or keeps for itself.
    edit: the model where pictures are given to it, if it has an endpoint of its own for them.
    count_key: the parameter that tells how many images; None where a request makes one image.
    sure_prompt: the characters of a prompt, at least and at most, about which there is no doubt.
    """

    id: str
    parameters: Mapping[str, Parameter]
    prompt: Prompt | None
    seed_prompt: Prompt | None = None
    aliases: tuple[str, ...] = ()
    fixed_price: Price | None = None
    token_price: TokenPrice | None = None
    in_seed: bool = False
    family: str = "images"
    path: str = "/v1/images/generations"
    seed_path: str | None = None
    one_of: tuple[str, ...] = ()
    ours: frozenset[str] = frozenset()
    edit: "Model | None" = None
    count_key: str | None = field(init=False)
    _sure: Mapping[str, Accepts] = field(init=False, repr=False, compare=False)
    _required: tuple[str, ...] = field(init=False, repr=False, compare=False)
    undisputed_prompt: tuple[int, float] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        sure = {name: _sure(parameter) for name, parameter in self.parameters.items()}
        required = tuple(p.name for p in self.parameters.values() if p.required)
        count_key = next((key for key in COUNT_KEYS if key in self.parameters), None)
        object.__setattr__(self, "count_key", count_key)
        object.__setattr__(self, "_sure", sure)
        object.__setattr__(self, "_required", required)
        object.__setattr__(self, "sure_prompt", _sure_lengths(self.prompt, self.seed_prompt))

    @property
    def prompt_max(self) -> int | None:
        """Characters that the spec of either date takes; 0 without a prompt, None unbounded."""
        if self.prompt is None:
            return 0
        bounds = [p.max_chars for p in (self.prompt, self.seed_prompt) if p]
        known = [bound for bound in bounds if bound is not None]
        return max(known) if len(known) == len(bounds) else None

    @property
    def prompt_required(self) -> bool:
        return self.prompt is not None and self.prompt.required

    @property
    def prompt_key(self) -> str | None:
        """A parameter that may stand in the prompt's place: several texts, or whole messages."""
        name = self.prompt.name if self.prompt else None
        return name if name in self.ours else None

    @property
    def batch_text_max(self) -> int | None:
        """Characters of each text where a request has several; None where they are unbounded."""
        parameter = self.parameters.get(self.prompt_key or "")
        items = parameter.forms[0].items if parameter else None
        return items.max_chars if items else None

    @property
    def count_max(self) -> int:
        """Images that one request may ask for."""
        parameter = self.parameters.get(self.count_key or "")
        if parameter is None:
            return 1
        form = parameter.forms[0]
        return int(form.maximum) if form.maximum is not None else 1

    @property
    def size_keys(self) -> tuple[str, ...]:
        """The parameters that set the size; any other way of giving one is refused."""
        return tuple(key for key in SIZE_KEYS if key in self.parameters)

    @property
    def price_source(self) -> str | None:
        """Where the price was read and when; None where no price is known."""
        price = self.fixed_price or self.token_price
        return None if price is None else f"{price.source}, {price.date or 'undated'}"

    def path_for(self, params: Mapping[str, Json]) -> str:
        """Where a request is sent: where the model answered in 2025-05 if only that spec has it."""
        if self.seed_path is not None:
            for name, value in params.items():
                parameter = self.parameters.get(name)
                if value is not None and parameter is not None and parameter.is_seed_only(value):
                    return self.seed_path
        return self.path

    def given(self, names: Collection[str]) -> "Model":
        """The model as it is for a request with parameters of these names."""
        return self.edit if self.edit is not None and not IMAGE_KEYS.isdisjoint(names) else self

    def for_family(self, family: str) -> "Model":
        """The model as an endpoint's family has it."""
        return self.edit if self.edit is not None and self.edit.family == family else self

    def price(self, params: Mapping[str, Json]) -> float | None:
        """An estimate in USD for one request; None where it is not known, never 0."""
        count = params.get(self._count_name(params))
        images = 1 if count is None else count
        if self.fixed_price is None or type(images) is not int or images < 1:
            return None
        units = self._units(self.fixed_price, params)
        return None if units is None else self.fixed_price.usd * images * units

    def _units(self, price: Price, params: Mapping[str, Json]) -> float | None:
        """What a price is multiplied by; None where neither the request nor the spec tells."""
        if price.per is None:
            return 1
        given, parameter = params.get(price.per), self.parameters.get(price.per)
        units = parameter.default if given is None and parameter else given
        return units if type(units) in (int, float) else None  # type: ignore[return-value]

    def token_cost(self, tokens: Tokens | None) -> float | None:
        """USD for the tokens that a reply tells; None where their price is not known."""
        price = self.token_price
        if price is None or tokens is None:
            return None
        dollars = (
            tokens.text_input * price.text_input
            + tokens.image_input * price.image_input
            + tokens.output * price.output
        )
        return dollars / 1_000_000

    def split(self, params: Mapping[str, Json]) -> tuple[Mapping[str, Json], ...]:
        """The parameters of the requests that make as many images as are wanted.

        A seed that is given is the first request's, and each further one has the next: else all
        would make the same pictures.
        """
        name, most = self._count_name(params), self.count_max
        count = params.get(name)
        if not isinstance(count, int) or not most < count <= most * MAX_REQUESTS:
            return (params,)
        rest = {key: value for key, value in params.items() if key != name}
        counts = [min(most, count - start) for start in range(0, count, most)]
        return tuple(self._part(rest, index, size) for index, size in enumerate(counts))

    def _part(self, rest: Mapping[str, Json], index: int, size: int) -> dict[str, Json]:
        own: dict[str, Json] = {self.count_key: size} if self.count_key else {}
        seed = rest.get("seed")
        if isinstance(seed, int):
            accepts = self._sure.get("seed")
            fits = accepts is None or accepts(seed + index)
            own["seed"] = seed + index if fits else seed - index
        return {**rest, **own}

    def _count_name(self, params: Mapping[str, Json]) -> str:
        """The key of the count; a model without one leaves it as it was given."""
        return self.count_key or next((key for key in COUNT_KEYS if key in params), "")

    def from_text(self, name: str, text: str) -> Json:
        """A CSV cell or `--set` value in the parameter's type; text that does not fit stays."""
        key = self.count_key if name in COUNT_KEYS and name not in self.parameters else name
        parameter = self.parameters.get(key or "")
        if parameter is not None:
            return typed(text, parameter.all_forms)
        return text_value(text) if name in COUNT_KEYS or name in SIDES else text

    def normalise(self, params: Mapping[str, Json]) -> dict[str, Json]:
        """The same request in this model's own words; only what loses nothing is changed.

        `count`, `n` and `num_images` take the model's name for it, so do `image` and `image_url`,
        a size takes the model's form, values take the parameter's type. What does not fit is left
        for `check` to tell.
        """
        params = convert_size(rename_count(params, self.count_key), self.parameters.keys())
        if not IMAGE_KEYS.isdisjoint(params):
            params = rename_image(params, pictures(self.parameters))
        if "url" in params:
            params = rename_upload(params, self.parameters)
        return {name: self._fitted(name, value) for name, value in params.items()}

    def check(self, params: Mapping[str, Json]) -> tuple[Finding, ...]:
        """What is wrong with the parameters, and what would be right; a null counts as absent."""
        sure = self._sure
        found: list[Finding] = []
        for name, value in params.items():
            accepts = sure.get(name)
            if value is None or (accepts is not None and accepts(value)):
                continue
            if not self._is_split(name, value, params):
                found += self._findings(name, value, params)
        for name in self._required:
            if params.get(name) is None and not self._is_newer(name, params):
                takes = describe(self.parameters[name].forms)
                found.append(_error(f"`{name}` is missing; {self.id} needs it: {takes}"))
        if self.one_of and all(params.get(name) is None for name in self.one_of):
            names = " or ".join(f"`{name}`" for name in self.one_of)
            found.append(_error(f"{names} is missing; {self.id} needs one of them"))
        return tuple(found)

    def _is_newer(self, name: str, params: Mapping[str, Json]) -> bool:
        """Whether the endpoint that the request goes to does not know the parameter."""
        unknown = self.parameters[name].seed_forms == ()
        return unknown and self.path_for(params) == self.seed_path

    def check_prompt(self, prompt: str) -> Finding | None:
        """What is wrong with the prompt: its length in characters, or that there is one at all."""
        low, high = self.undisputed_prompt
        if low <= len(prompt) <= high:
            return None
        return self._prompt_finding(len(prompt))

    def _fitted(self, name: str, value: Json) -> Json:
        accepts = self._sure.get(name)
        if accepts is None or accepts(value):
            return value
        return coerce(value, self.parameters[name].all_forms)

    def _is_split(self, name: str, value: Json, params: Mapping[str, Json]) -> bool:
        """Whether a count is more than one request makes, and several can."""
        if not isinstance(value, int) or name != self._count_name(params):
            return False
        return self.count_max < value <= self.count_max * MAX_REQUESTS

    def _findings(self, name: str, value: Json, params: Mapping[str, Json]) -> list[Finding]:
        parameter = self.parameters.get(name)
        if parameter is None:
            if name == SIDES[1] and SIDES[0] in params:  # told with the first of the two
                return []
            return [_error(self._unknown(name, params))]
        now = any_of(parameter.forms)(value)
        then = parameter.seed_forms is not None and any_of(parameter.seed_forms)(value)
        forms = parameter.forms or parameter.seed_forms or ()
        if now or then:
            return [_warning(self._disputed(parameter, value, now=now))]
        message = fault(name, value, forms, self.id)
        if name == self.count_key and isinstance(value, int) and value > self.count_max:
            message = f"{message}; {_MANY}"
        return [_error(message)]

    def _disputed(self, parameter: Parameter, value: Json, *, now: bool) -> str:
        date, other = (CURRENT_DATE, SEED_DATE) if now else (SEED_DATE, CURRENT_DATE)
        refusing = parameter.seed_forms if now else parameter.forms
        if not refusing:
            return (
                f"`{parameter.name}` is in {self.id}'s spec of {date} and not in that of {other};"
                " it is sent as given"
            )
        return (
            f"`{parameter.name}` {shown(value)} is in {self.id}'s spec of {date} and not in that of"
            f" {other} ({describe(refusing)}); it is sent as given"
        )

    def _unknown(self, name: str, params: Mapping[str, Json]) -> str:
        lead = f"`{name}` is not a parameter of {self.id}"
        if self.prompt is not None and name == self.prompt.name:
            return f"{lead}; give it as the row's `prompt`, which is sent as `{name}`"
        if name in COUNT_KEYS:
            key = self.count_key
            makes = f"{lead}, which makes one image a request; {_MANY}"
            return f"`{name}` is `{key}` for {self.id}" if key else makes
        if name in SIDES and params.keys() >= set(SIDES):
            lead = f"`width` and `height` are not parameters of {self.id}"
        if name in SIZE_KEYS or name in SIDES:
            own = {key: self.parameters[key].forms for key in self.size_keys}
            return f"{lead}; {size_advice(own, params)}"
        if name in IMAGE_KEYS and not pictures(self.parameters):
            return f"{lead}, which takes no picture; `batchgen models` tells which do"
        if name == "response_format" and self.id.startswith(_INLINE):
            return f"{lead}, which always answers with base64; leave it out"
        hint = meant(name, self._words())
        return lead + (hint or f"; it takes {', '.join(sorted(self.parameters)) or 'none'}")

    def _words(self) -> Iterator[str]:
        """What a row may say to this model, in its own words or in common ones."""
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
        if length < (least := self.prompt.min_chars):
            return _error(f"prompt is {length} characters; {self.id} takes at least {least}")
        longest, bound = self.prompt_max, self.undisputed_prompt[1]
        if longest is not None and length > longest:
            return _error(f"prompt is {length} characters; {self.id} takes at most {longest}")
        return _warning(
            f"prompt is {length} characters; one of the vendor's specs of {SEED_DATE} and"
            f" {CURRENT_DATE} allows {self.id} at most {bound:.0f}, and it is sent as given"
        )


def _sure(parameter: Parameter) -> Accepts:
    """The test that every date's spec takes the value: nothing more is to be said of it then."""
    now = any_of(parameter.forms)
    if parameter.seed_forms is None or parameter.seed_forms == parameter.forms:
        return now
    then = any_of(parameter.seed_forms)
    return lambda value: now(value) and then(value)


def _sure_lengths(prompt: Prompt | None, seed_prompt: Prompt | None) -> tuple[int, float]:
    if prompt is None:
        return 0, 0
    low = max(prompt.min_chars, 1 if prompt.required else 0)
    bounds = [p.max_chars for p in (prompt, seed_prompt) if p and p.max_chars is not None]
    return low, min(bounds, default=float("inf"))


def _error(message: str) -> Finding:
    return Finding(Severity.ERROR, message)


def _warning(message: str) -> Finding:
    return Finding(Severity.WARNING, message)
