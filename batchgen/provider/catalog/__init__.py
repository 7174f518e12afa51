"""The model catalogue: parameters, limits, prices, and the checks of requests."""

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
from batchgen.provider.catalog.model import Model, Prompt
from batchgen.provider.catalog.parameter import (
    Finding,
    Form,
    Parameter,
    ValueType,
    is_path,
    is_reference,
)
from batchgen.provider.catalog.prices import Price
from batchgen.provider.catalog.translate import IMAGE_KEYS

__all__ = [
    "IMAGE_KEYS",
    "Finding",
    "Form",
    "Model",
    "Parameter",
    "Price",
    "Prompt",
    "ValueType",
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
