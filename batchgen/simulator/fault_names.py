"""The simulator's faults by name, as `simulate --help` and docs/ show them."""

from collections.abc import Mapping
from types import MappingProxyType

GENERATION_FAULTS: Mapping[str, str] = MappingProxyType(
    {
        "reset": "the connection breaks before the generation",
        "lost": "the connection breaks after the images were generated and charged",
        "stall": "the request is accepted and never answered",
        "html": "an HTML page with status 200",
        "empty": "a reply without images, with status 200",
        "badb64": "invalid base64",
        "text": "base64 of a text instead of an image",
        "truncated": "half of the reply, then the connection closes",
        "lying": "a Content-Length below the length of the reply",
        "slow": "a reply in small pieces over two seconds",
        "hang": "half of the reply, then nothing more",
        "mislabelled": "a good reply labelled text/html",
        "redirect": "a redirect (307) to another host",
        "expired": "URLs that have already expired",
    }
)
FILE_FAULTS: Mapping[str, str] = MappingProxyType(
    {
        "file404": "404 for the file",
        "file500": "500 for the file",
        "filehtml": "an HTML page with status 200 instead of the file",
        "fileempty": "an empty file",
        "filetruncated": "half of the file, then the connection closes",
        "fileslow": "the file in small pieces over two seconds",
        "filehang": "half of the file, then nothing more",
        "fileredirect": "a redirect to the same file, on loopback too",
        "fileloop": "endless redirects",
        "filescheme": "a redirect to a file: URL",
    }
)
POLL_FAULTS: Mapping[str, str] = MappingProxyType(
    {
        "poll404": "404 for the first poll of a remote job",
        "poll500": "500 for a poll of a remote job",
        "pollreset": "the connection breaks during a poll",
    }
)
JOB_FAULTS: Mapping[str, str] = MappingProxyType(
    {
        "jobfailed": "a remote job ends in an error",
        "jobgone": "a remote job is unknown when it is done",
    }
)


def fault_lines() -> str:
    """Return the faults as `simulate --help` shows them."""
    faults = {
        "429, 500, ...": "this HTTP status; any from 200 to 599",
        **GENERATION_FAULTS,
        **FILE_FAULTS,
        **POLL_FAULTS,
        **JOB_FAULTS,
    }
    lines = (f"  {name:<14} {effect}" for name, effect in faults.items())
    return "\n".join(("faults, each with the share of requests that get it:", *lines))
