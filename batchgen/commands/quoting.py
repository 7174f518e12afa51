"""`--live-prices`: a manifest with the provider's own prices."""

from collections.abc import Callable

from msgspec.structs import replace

from batchgen.job import SIMULATOR, Access
from batchgen.manifest.open import Manifest


def quoted(manifest: Manifest, access: Access, tell: Callable[[str], None]) -> Manifest:
    """The manifest with what the provider charges; without an answer, as it was, and told."""
    job = manifest.job
    if job.provider.name == SIMULATOR:
        tell("--live-prices: the simulator's prices are those of the catalogue")
        return manifest
    # aiohttp takes a quarter of a second to import: only what asks pays for it
    from batchgen.provider.account import Unanswered, live_quotes, service_of  # noqa: PLC0415

    quotes = live_quotes(service_of(job.provider, access, job.limits))
    if isinstance(quotes, Unanswered):
        tell(f"--live-prices: {job.provider.name} does not say ({quotes.reason})")
        return manifest
    tell(f"--live-prices: {job.provider.name} tells the prices of {len(quotes)} models")
    return replace(manifest, job=replace(job, quotes=quotes))
