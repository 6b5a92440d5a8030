"""Where mail comes in: TCP addresses of both kinds and unix sockets, on the server's own loop.

A socket may also be opened by systemd and handed to us (`fd:NAME`, sd_listen_fds(3)): port 25
needs no privilege of ours then, and clients that come while we start again only wait.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import resource
import socket
import stat
from collections.abc import Callable, MutableMapping
from functools import cache
from pathlib import Path

_BACKLOG = 1024
_SOCKET_MODE = 0o660  # its owner and its group may send


_FIRST_PASSED = 3  # the descriptor of the first socket that systemd hands over
_RESERVED = 128  # descriptors for the provider, the store, the reader, reports and the log


def raise_descriptors(clients: int) -> None:
    """Have descriptors for so many connections, where the system's hard limit lets a process have them."""
    wanted = max(4096, 2 * clients + _RESERVED)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    if soft != resource.RLIM_INFINITY and soft < most:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))


def connections(most: int, descriptors: int | None = None) -> int:
    """How many connections `descriptors` (default: this process's) suffice for, `most` at most.

    Each may need two, the second for a spool file. Those that the rest of the relay needs are
    kept back: a mail that was taken must find its way out however many clients hang on.
    """
    if descriptors is None:
        descriptors = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    if descriptors == resource.RLIM_INFINITY:
        return most
    return max(1, min(most, (descriptors - _RESERVED) // 2))


def peer(transport: asyncio.BaseTransport) -> tuple[str, int]:
    """The address and port at the other end; "unix", or "" where the peer has gone already."""
    if transport.get_extra_info("socket").family == socket.AF_UNIX:
        return "unix", 0
    name = transport.get_extra_info("peername") or ("", 0)
    return str(name[0]), int(name[1])


class Listener:
    """A bound address. Closing it stops the listening; its sessions are the registry's to end."""

    def __init__(self, *servers: asyncio.Server, address: str, inode: int = 0) -> None:
        self._servers = servers
        self._inode = inode
        self.address = address  # host:port or unix:/path, as bound

    async def start(self) -> None:
        """Take connections from now on."""
        for server in self._servers:
            await server.start_serving()

    async def close(self) -> None:
        """Stop listening; a unix socket's file goes, unless another server has put its own there."""
        for server in self._servers:
            server.close()  # no wait_closed(): from Python 3.12 on it waits for every session
        if self._inode:
            _unlink(Path(self.address.removeprefix("unix:")), self._inode)


async def bind(address: str, factory: Callable[[], asyncio.BaseProtocol], *, among: bool = False) -> Listener:
    """Bind the address without taking connections yet; `among` others, who share a port."""
    loop = asyncio.get_running_loop()
    if address.startswith("unix:"):
        bound, inode = _unix(Path(address.removeprefix("unix:")))
        server = await loop.create_unix_server(factory, sock=bound, backlog=_BACKLOG, start_serving=False)
        return Listener(server, address=address, inode=inode)
    if address.startswith("fd:"):
        return await _passed_on(address.removeprefix("fd:"), factory)
    host, colon, port = address.rpartition(":")
    if not (colon and port.isascii() and port.isdigit() and int(port) <= 0xFFFF):
        raise ValueError(f"{address} is no host:port, [v6]:port or unix:/path")
    if host[:1] == "[" and host[-1:] == "]":
        host = host[1:-1]
    hosts: str | None = host if host not in {"", "*"} else None
    if port == "0":  # each address would get a port of its own: the first one is enough
        found = await loop.getaddrinfo(hosts, 0, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        hosts = str(found[0][4][0])
    server = await loop.create_server(
        factory, hosts, int(port), backlog=_BACKLOG, start_serving=False, reuse_port=among or None
    )
    host, number = min(server.sockets, key=lambda each: each.family).getsockname()[:2]
    return Listener(server, address=_shown(host, number))


def _shown(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


@cache
def passed() -> dict[str, list[socket.socket]]:
    """The listening sockets that systemd handed to this process, by name; asked once, at start."""
    return {
        name: [socket.socket(fileno=each) for each in found] for name, found in handed(os.environ).items()
    }


def handed(environment: MutableMapping[str, str]) -> dict[str, list[int]]:
    """The descriptors handed over, by name. They and the words about them are kept from our children."""
    pid, count, names = (environment.pop(f"LISTEN_{each}", "") for each in ("PID", "FDS", "FDNAMES"))
    if pid != str(os.getpid()) or not count.isdecimal():
        return {}
    found: dict[str, list[int]] = {}
    named = names.split(":")
    for n in range(int(count)):
        os.set_inheritable(_FIRST_PASSED + n, False)
        found.setdefault(named[n] if n < len(named) else "", []).append(_FIRST_PASSED + n)
    return found


async def _passed_on(name: str, factory: Callable[[], asyncio.BaseProtocol]) -> Listener:
    """All sockets of one name: a unit may listen on several addresses."""
    found = passed().get(name)
    if not found:
        known = ", ".join(passed()) or "none"
        raise OSError(f"systemd passed no socket of this name, see FileDescriptorName=; it passed: {known}")
    loop = asyncio.get_running_loop()
    servers, shown = [], []
    for each in found:
        if not each.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
            raise OSError("systemd passed a socket that does not listen; write Accept=no in its unit")
        unix = each.family == socket.AF_UNIX
        create = loop.create_unix_server if unix else loop.create_server
        servers.append(await create(factory, sock=each, backlog=_BACKLOG, start_serving=False))
        own = each.getsockname()
        shown.append(f"unix:{own}" if unix else _shown(*own[:2]))
    return Listener(*servers, address=shown[0])


def _unix(path: Path) -> tuple[socket.socket, int]:
    """A bound unix socket and the inode of its file."""
    _clear(path)
    found = socket.socket(socket.AF_UNIX)
    try:
        found.bind(str(path))
        path.chmod(_SOCKET_MODE)  # nobody can connect before listen()
        return found, path.lstat().st_ino
    except BaseException:
        found.close()
        raise


def _clear(path: Path) -> None:
    """Remove the socket of a server that is gone; OSError where one lives, or where no socket is."""
    try:
        if not stat.S_ISSOCK(path.lstat().st_mode):
            raise FileExistsError(errno.EEXIST, "is there and is no socket", str(path))
    except FileNotFoundError:
        return
    with socket.socket(socket.AF_UNIX) as probe:
        probe.setblocking(False)
        if probe.connect_ex(str(path)) != errno.ECONNREFUSED:
            raise OSError(errno.EADDRINUSE, "another server listens there", str(path))
    path.unlink()


def _unlink(path: Path, inode: int) -> None:
    with contextlib.suppress(FileNotFoundError):
        if path.lstat().st_ino == inode:
            path.unlink()
