"""The same request in a model's own words: one name for the count, one way of giving the size."""

from collections.abc import Collection, Mapping

from batchgen.provider.catalog.parameter import SIDES, Kind, Parameter, is_reference, split_wxh
from batchgen.types import Json

COUNT_KEYS = ("count", "n", "num_images")
IMAGE_KEYS = frozenset({"image", "image_url", "image_urls", "images"})
SIZE_KEYS = ("image_size", "size", "aspect_ratio", "resolution")


def rename_count(params: Mapping[str, Json], key: str | None) -> Mapping[str, Json]:
    """The count under the model's key; two counts that differ are left as they are.

    A model without a count key makes one image a request: a count of 1 says nothing then.
    """
    foreign = [name for name in COUNT_KEYS if name in params and name != key]
    if not foreign:
        return params
    own = dict(params)
    for name in foreign:
        if key is None:
            if own[name] == 1:
                del own[name]
        elif own.get(key) in (None, own[name]):
            own[key] = own.pop(name)
    return own


def rename_image(params: Mapping[str, Json], own: Mapping[str, bool]) -> Mapping[str, Json]:
    """The pictures under the model's name for them; several stay for a model that takes one.

    own: the model's names for its pictures, and whether each takes a list.
    """
    given = [name for name in IMAGE_KEYS & params.keys() if name not in own]
    if len(given) != 1 or not own or any(params.get(name) is not None for name in own):
        return params
    value = params[given[0]]
    pictures = value if isinstance(value, list) else [value]
    key = next((name for name, several in own.items() if several or len(pictures) == 1), None)
    if key is None:
        return params
    rest = {name: one for name, one in params.items() if name != given[0]}
    return {**rest, key: pictures[0] if len(pictures) == 1 else value}


def rename_upload(
    params: Mapping[str, Json], parameters: Mapping[str, Parameter]
) -> Mapping[str, Json]:
    """What is to be a file has the name under which a file is uploaded, where a URL has another."""
    upload = next((one.name for one in parameters.values() if _is_upload(one)), None)
    if upload is None or upload in params or not is_reference(params["url"]):
        return params
    return {upload if name == "url" else name: value for name, value in params.items()}


def _is_upload(parameter: Parameter) -> bool:
    return any(form.file for form in parameter.all_forms)


def pictures(parameters: Mapping[str, Parameter]) -> dict[str, bool]:
    """The names of the pictures that are worked on, and whether each takes several."""
    found = (parameters[name] for name in parameters if name in IMAGE_KEYS)
    return {one.name: any(form.type is Kind.LIST for form in one.all_forms) for one in found}


def convert_size(params: Mapping[str, Json], names: Collection[str]) -> Mapping[str, Json]:
    """A width and height under the one of `size` and `image_size` that the model has."""
    for foreign, own in (("size", "image_size"), ("image_size", "size")):
        if foreign in names or own not in names or params.get(own) is not None:
            continue
        text = _wxh_text(params.get(foreign))
        if text is not None:
            kept = {name: value for name, value in params.items() if name != foreign}
            return {**kept, own: text}
    return params


def _wxh_text(value: Json) -> str | None:
    if isinstance(value, dict) and value.keys() == set(SIDES):
        value = f"{value['width']}x{value['height']}"
    return value if isinstance(value, str) and split_wxh(value) else None
