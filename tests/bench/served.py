"""A server of fixed replies that is not the bottleneck: nginx, or a plain asyncio server.

Both inherit a listening socket, so clients need not wait for their start or compete for a port.
"""

import grp
import os
import pwd
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

_BACKLOG = 4096
_GRACE_S = 10.0
_PATHS = os.pathsep.join((os.environ.get("PATH", os.defpath), "/usr/sbin", "/usr/local/sbin"))

# nginx answers POST to a static file with 405; the error page of 405 is the file itself.
_CONFIGURATION = """\
daemon off;
user {user} {group};
worker_processes 1;
pid {folder}/nginx.pid;
error_log {folder}/error.log warn;
events {{ worker_connections 16384; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    default_type application/json;
    types {{ image/png png; }}
    sendfile on;
    tcp_nopush on;
    keepalive_timeout 1h;
    keepalive_requests 1000000000;
    open_file_cache max=100;
    server {{
        listen 127.0.0.1:{port};
        root {folder}/root;
        error_page 405 =200 $uri;
    }}
}}
"""


@contextmanager
def served(
    folder: Path, listener: socket.socket, files: Mapping[str, bytes], *, latency_s: float = 0.0
) -> Iterator[str]:
    """Serve each file at its path, for GET and POST; yield the base URL during the block.

    latency_s: seconds before each reply; nginx cannot wait, so the plain server is used then.
    """
    for path, data in files.items():
        target = folder / "root" / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(data)
    base_url = f"http://127.0.0.1:{_port(listener)}"
    nginx = None if latency_s else _find_nginx()
    if nginx is None:
        server = _plain(folder, listener, latency_s)
    else:
        server = _nginx(nginx, folder, listener)
    listener.close()  # if the server dies, connections are refused instead of waiting
    try:
        yield base_url
    finally:
        server.terminate()
        try:
            server.wait(_GRACE_S)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()


def server_name() -> str:
    """Return the name of the server, with a remark if it is not nginx."""
    nginx = _find_nginx()
    if nginx is None:
        return (
            "a plain asyncio server, which may itself be the bottleneck"
            " (`apt-get install nginx` for comparable figures)"
        )
    version = subprocess.run([nginx, "-v"], capture_output=True, text=True, check=True)
    return version.stderr.strip().rpartition(" ")[2]


def _find_nginx() -> str | None:
    return shutil.which("nginx", path=_PATHS)


def listen() -> socket.socket:
    """A listening socket on a free loopback port."""
    return socket.create_server(("127.0.0.1", 0), backlog=_BACKLOG)


def _nginx(program: str, folder: Path, listener: socket.socket) -> subprocess.Popen[bytes]:
    configuration = folder / "nginx.conf"
    user = pwd.getpwuid(
        os.getuid()
    ).pw_name  # else the worker of root is an unprivileged user without access
    group = grp.getgrgid(os.getgid()).gr_name
    configuration.write_text(
        _CONFIGURATION.format(folder=folder, port=_port(listener), user=user, group=group)
    )
    # With this variable nginx passes its sockets on during an upgrade of its executable:
    # https://nginx.org/en/docs/control.html, "Upgrading Executable on the Fly"
    return subprocess.Popen(
        [program, "-p", str(folder), "-c", str(configuration), "-e", str(folder / "error.log")],
        env={**os.environ, "NGINX": f"{listener.fileno()};"},
        pass_fds=(listener.fileno(),),
        stderr=subprocess.DEVNULL,  # nginx writes to error.log
    )


def _plain(folder: Path, listener: socket.socket, latency_s: float) -> subprocess.Popen[bytes]:
    arguments = (listener.fileno(), folder / "root", latency_s)
    words = ("-m", "tests.bench.plain_server", *map(str, arguments))
    return subprocess.Popen([sys.executable, *words], pass_fds=(listener.fileno(),))


def _port(listener: socket.socket) -> int:
    port: int = listener.getsockname()[1]
    return port
