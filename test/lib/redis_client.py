"""The little of a Redis client that tests need to steer servers: one command, one reply, over a new connection."""

import socket


class Error(Exception):
    """An error reply; its text begins with the kind."""


class Connection:
    def __init__(self, address, credentials=(), timeout=300):
        """`address` is the path of a Unix socket, or (host, port). Raises OSError."""
        self.socket = socket.socket(socket.AF_UNIX if isinstance(address, str) else socket.AF_INET)
        self.socket.settimeout(timeout)
        try:
            self.socket.connect(address)
            self.file = self.socket.makefile("rb")
            if credentials:
                self.run("AUTH", *credentials)
        except BaseException:
            self.socket.close()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.file.close()
        self.socket.close()

    def run(self, *words):
        """Sends a command and returns its reply: str, int, list, None. Raises Error, or OSError."""
        words = [word if isinstance(word, bytes) else str(word).encode("utf-8", "surrogateescape") for word in words]
        self.socket.sendall(b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(w), w) for w in words))
        reply = self.read()
        if isinstance(reply, Error):
            raise reply
        return reply

    def read(self):
        line = self.file.readline()
        if not line.endswith(b"\r\n"):
            raise ConnectionResetError("the server closed the connection")
        kind, rest = line[:1], line[1:-2].decode("utf-8", "surrogateescape")
        if kind == b"+":
            return rest
        if kind == b"-":
            return Error(rest)
        if kind == b":":
            return int(rest)
        if kind == b"$":
            if int(rest) < 0:
                return None
            data = self.file.read(int(rest) + 2)
            if len(data) < int(rest) + 2:
                raise ConnectionResetError("the server closed the connection")
            return data[:-2].decode("utf-8", "surrogateescape")
        if kind == b"*":
            return None if int(rest) < 0 else [self.read() for _ in range(int(rest))]
        raise OSError("not a reply: %r" % line)
