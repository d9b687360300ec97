"""The socket on which a server of the live page listens."""

import socket
from errno import EACCES, EADDRINUSE

from gridcade.errors import InputError


def listen(host: str, port: int) -> socket.socket:
    """Bind a socket on which a server can listen, and return it.

    Args:
        host: address of this machine.
        port: port; 0 chooses a free one.

    Raises:
        InputError: the port is not from 0 to 65535, or cannot be used.
    """
    if not 0 <= port <= 65535:
        raise InputError(f"port is {port}; it must be from 0 to 65535")
    bound = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        bound.bind((host, port))
    except OSError as error:
        bound.close()
        advice = "; try --port 0" if error.errno in (EADDRINUSE, EACCES) else ""
        raise InputError(f"cannot serve at {host}, port {port}: {error.strerror}{advice}") from None
    return bound
