"""Models as data, and the checks made from them: parameters, limits, prices. Pure."""

from batchgen.provider.catalog.coerce import text_value
from batchgen.provider.catalog.example import (
    example,
    input_names,
    inputs,
    is_upload_id,
    upload_form,
)
from batchgen.provider.catalog.load import (
    find,
    image_parameter_names,
    models,
    parameter_names,
    search,
    suggest,
)
from batchgen.provider.catalog.model import Model, Price, Prompt
from batchgen.provider.catalog.parameter import (
    Finding,
    Form,
    Kind,
    Parameter,
    is_path,
    is_reference,
)
from batchgen.provider.catalog.translate import IMAGE_KEYS

__all__ = [
    "IMAGE_KEYS",
    "Finding",
    "Form",
    "Kind",
    "Model",
    "Parameter",
    "Price",
    "Prompt",
    "example",
    "find",
    "image_parameter_names",
    "input_names",
    "inputs",
    "is_path",
    "is_reference",
    "is_upload_id",
    "models",
    "parameter_names",
    "search",
    "suggest",
    "text_value",
    "upload_form",
]
