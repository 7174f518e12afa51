"""Models as data, and the checks made from them: parameters, limits, prices. Pure."""

from batchgen.catalog.example import example, inputs
from batchgen.catalog.load import (
    find,
    image_parameter_names,
    models,
    parameter_names,
    suggest,
)
from batchgen.catalog.model import Model, Price, Prompt
from batchgen.catalog.parameter import Finding, Form, Kind, Parameter
from batchgen.catalog.text import text_value

__all__ = [
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
    "inputs",
    "models",
    "parameter_names",
    "suggest",
    "text_value",
]
