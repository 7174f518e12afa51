"""Turn a job file and the flags of the command into a checked `Job`, without I/O."""

from batchgen.job.access import Access, access_of
from batchgen.job.limits import Bounds, Limits, ModelLimits
from batchgen.job.money import Period, SharedBudgetSettings
from batchgen.job.providers import PROVIDERS, SIMULATOR, Provider
from batchgen.job.reading import read_job, stem
from batchgen.job.values import DEFAULT_FILENAME, OWN_KEYS, Axis, Conversion, Extras, Flags, Job

__all__ = [
    "DEFAULT_FILENAME",
    "OWN_KEYS",
    "PROVIDERS",
    "SIMULATOR",
    "Access",
    "Axis",
    "Bounds",
    "Conversion",
    "Extras",
    "Flags",
    "Job",
    "Limits",
    "ModelLimits",
    "Period",
    "Provider",
    "SharedBudgetSettings",
    "access_of",
    "read_job",
    "stem",
]
