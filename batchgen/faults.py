"""What can be made to go wrong at the simulator, by name; `simulate --help` and docs/ show it."""

from collections.abc import Mapping
from types import MappingProxyType

GENERATION_FAULTS: Mapping[str, str] = MappingProxyType(
    {
        "reset": "the connection breaks before anything is made",
        "lost": "the connection breaks after the images were made and charged",
        "stall": "the request is taken and never answered",
        "html": "an HTML page with status 200",
        "empty": "a reply without images, with status 200",
        "badb64": "base64 that is none",
        "text": "base64 of a text instead of an image",
        "truncated": "half of the reply, then the connection closes",
        "lying": "a Content-Length that is less than the reply",
        "slow": "a reply that comes bit by bit over two seconds",
        "hang": "half of the reply, then nothing more",
        "mislabelled": "a good reply that calls itself text/html",
        "redirect": "a redirect (307) to another host",
        "expired": "good URLs that have expired already",
    }
)
FILE_FAULTS: Mapping[str, str] = MappingProxyType(
    {
        "file404": "the file is not there",
        "file500": "the host of the files fails",
        "filehtml": "an HTML page with status 200 instead of the file",
        "fileempty": "an empty file",
        "filetruncated": "half of the file, then the connection closes",
        "fileslow": "the file comes bit by bit over two seconds",
        "filehang": "half of the file, then nothing more",
        "fileredirect": "a redirect to the same file, on loopback too",
        "fileloop": "a redirect without end",
        "filescheme": "a redirect to a file: URL",
    }
)
POLL_FAULTS: Mapping[str, str] = MappingProxyType(
    {
        "poll404": "the first question for a remote job does not find it",
        "poll500": "a question for a remote job fails",
        "pollreset": "the connection breaks at a question for a remote job",
    }
)
WORK_FAULTS: Mapping[str, str] = MappingProxyType(
    {
        "jobfailed": "a remote job ends in an error",
        "jobgone": "a remote job is not known any more once its time is over",
    }
)


def fault_lines() -> str:
    """The faults as `simulate --help` shows them."""
    faults = {
        "429, 500, ...": "that status, for any from 200 to 599",
        **GENERATION_FAULTS,
        **FILE_FAULTS,
        **POLL_FAULTS,
        **WORK_FAULTS,
    }
    lines = (f"  {name:<14} {what}" for name, what in faults.items())
    return "\n".join(("faults, each with the share of requests that it strikes:", *lines))
