"""Translation of common parameter names (count, images, size) to those of a model."""

from collections.abc import Collection, Mapping

from batchgen.provider.catalog.parameter import SIDES, Parameter, ValueType, is_reference, split_wxh
from batchgen.types import Json

COUNT_KEYS = ("count", "n", "num_images")
IMAGE_KEYS = frozenset({"image", "image_url", "image_urls", "images"})
SIZE_KEYS = ("image_size", "size", "aspect_ratio", "resolution")


def rename_count(params: Mapping[str, Json], key: str | None) -> Mapping[str, Json]:
    """Move the count to the model's key; leave two different counts unchanged.

    key: None for a model that makes one image per request; a count of 1 is then removed.
    """
    others = [name for name in COUNT_KEYS if name in params and name != key]
    if not others:
        return params
    renamed = dict(params)
    for name in others:
        if key is None:
            if renamed[name] == 1:
                del renamed[name]
        elif renamed.get(key) in (None, renamed[name]):
            renamed[key] = renamed.pop(name)
    return renamed


def rename_image(params: Mapping[str, Json], takes_list: Mapping[str, bool]) -> Mapping[str, Json]:
    """Move the input images to the model's parameter; leave several if the model takes only one.

    takes_list: the model's image parameters, and whether each takes a list.
    """
    others = [name for name in IMAGE_KEYS & params.keys() if name not in takes_list]
    if len(others) != 1 or not takes_list:
        return params
    if any(params.get(name) is not None for name in takes_list):
        return params
    value = params[others[0]]
    images = value if isinstance(value, list) else [value]
    fitting = (name for name, is_list in takes_list.items() if is_list or len(images) == 1)
    key = next(fitting, None)
    if key is None:
        return params
    rest = {name: kept for name, kept in params.items() if name != others[0]}
    return {**rest, key: images[0] if len(images) == 1 else value}


def rename_upload(
    params: Mapping[str, Json], parameters: Mapping[str, Parameter]
) -> Mapping[str, Json]:
    """Move a reference from `url` to the model's upload parameter: its artifact is a local file."""
    upload = next((each.name for each in parameters.values() if _is_upload(each)), None)
    if upload is None or upload in params or not is_reference(params["url"]):
        return params
    return {upload if name == "url" else name: value for name, value in params.items()}


def _is_upload(parameter: Parameter) -> bool:
    return any(form.file for form in parameter.all_forms)


def image_inputs(parameters: Mapping[str, Parameter]) -> dict[str, bool]:
    """Return the model's image parameters, and whether each takes a list."""
    return {
        name: any(form.type is ValueType.LIST for form in parameter.all_forms)
        for name, parameter in parameters.items()
        if name in IMAGE_KEYS
    }


def convert_size(params: Mapping[str, Json], names: Collection[str]) -> Mapping[str, Json]:
    """Move a width and height to `size` or `image_size`, whichever the model has."""
    for other, key in (("size", "image_size"), ("image_size", "size")):
        if other in names or key not in names or params.get(key) is not None:
            continue
        text = _wxh_text(params.get(other))
        if text is not None:
            rest = {name: value for name, value in params.items() if name != other}
            return {**rest, key: text}
    return params


def _wxh_text(value: Json) -> str | None:
    if isinstance(value, dict) and value.keys() == set(SIDES):
        value = f"{value['width']}x{value['height']}"
    return value if isinstance(value, str) and split_wxh(value) else None
