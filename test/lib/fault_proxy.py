#!/usr/bin/python3
"""A proxy that breaks connections in chosen ways, between a client and a server whose commands are answered in order.

  fault_proxy.py LISTEN SERVER       each the path of a Unix socket, or host:port; port 0 of LISTEN: any free one

Reads commands from standard input, one a line, and answers each by a line when it is in force: 'ok …', or 'error …'. So
tests need not wait for anything. Ends at the end of its input. The first line it prints is 'ok' and where it listens.

  pass               hands everything on
  delay MS           replies come later
  hold               replies come when another mode is in force
  drop               closes connections, new ones as soon as they are accepted
  reset              the same with RST; on a Unix socket as near to that as it gets
  truncate N         closes a connection after N more bytes of replies
  garble SEED [N]    alters a byte, by chance, for every N of replies (64), and at least one
  half               hands on half of what is sent next, then nothing more on that connection
  lose               hands on the replies but the next one of each connection, so that later ones seem to answer earlier
                     commands
  blackhole          takes everything and answers nothing
  clog N             takes N more bytes of commands from a connection, then no more
  slow MS            waits before each piece of commands that it hands on; a piece has at most 64 kB
  refuse             does not listen, and closes the connections
  random SEED [N]    chooses anew for every connection and after every N replies or so (20): mostly pass
  count              'ok' and how often each mode has harmed something

A mode counts for connections that are there and for those that come. A connection that has kept anything back answers
nothing more whatever comes, but for lose and drop: as if it were whole, it would be out of step.
"""

import asyncio
import collections
import os
import random
import socket
import struct
import sys

MODES = {"pass": 0, "delay": 1, "drop": 0, "reset": 0, "truncate": 1, "garble": (1, 2), "half": 0, "lose": 0,
         "blackhole": 0, "hold": 0, "clog": 1, "slow": 1, "refuse": 0, "random": (1, 2)}
AT_RANDOM = [("pass",)] * 12 + [("delay", 20), ("delay", 300), ("drop",), ("reset",), ("truncate", 7),
                                ("truncate", 5000), ("garble", 1, 64), ("half",), ("lose",), ("blackhole",),
                                ("clog", 3000)]
PIECE = 65536


def address(text):
    host, colon, port = text.rpartition(":")
    return (host, int(port)) if colon and port.isdigit() and "/" not in text else text


class Link:
    """One connection of a client, and the one to the server that belongs to it."""

    def __init__(self, proxy, reader, writer):
        self.proxy, self.reader, self.writer = proxy, reader, writer
        self.server = None
        self.dead = False  # has kept something back: answers nothing more
        self.released = asyncio.Event()  # what this mode holds back goes on
        self.choose()

    def choose(self):
        """Takes over the proxy's mode."""
        self.released.set()
        self.released = asyncio.Event()
        mode, *arguments = self.proxy.mode
        self.chooser = None
        if mode == "random":
            self.chooser = self.proxy.random
            self.patience = self.chooser.randint(1, 2 * arguments[1])
            mode, *arguments = self.chooser.choice(AT_RANDOM)
        self.mode, self.arguments = mode, arguments
        self.left = arguments[0] if mode in ("truncate", "clog") else 0
        self.lost = False
        if mode == "garble":
            self.bytes = random.Random(self.proxy.random.random() if self.chooser else arguments[0])
        if mode in ("drop", "reset", "refuse"):
            self.close(mode)

    def harmed(self, what=None):
        self.proxy.counts[what or self.mode] += 1

    def close(self, mode=None):
        if mode:
            self.harmed(mode)
        if mode == "reset":
            try:
                self.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                                                                struct.pack("ii", 1, 0))
            except OSError:
                pass
        self.writer.transport.abort() if mode == "reset" else self.writer.close()
        if self.server:
            self.server.transport.abort()
        self.proxy.links.discard(self)

    async def run(self):
        try:
            await self.commands()
        except OSError:
            pass
        finally:
            self.close()

    async def commands(self):
        down = None
        try:
            while True:
                data = await self.reader.read(PIECE)
                if not data:
                    return
                if self.dead or self.mode == "blackhole":
                    if not self.dead:
                        self.harmed()
                    self.dead = True
                    continue
                if self.mode == "clog":
                    self.left -= len(data)
                    if self.left < 0:
                        self.harmed()
                        self.dead = True
                        await asyncio.get_running_loop().create_future()  # that never comes
                if self.mode == "slow":
                    self.harmed()
                    await asyncio.sleep(self.arguments[0] / 1000)
                if self.server is None:
                    where = self.proxy.server
                    answers, self.server = await (asyncio.open_unix_connection(where) if isinstance(where, str)
                                                  else asyncio.open_connection(*where))
                    down = asyncio.ensure_future(self.replies(answers))
                self.server.write(data)
                await self.server.drain()
        finally:
            if down:
                down.cancel()

    async def replies(self, answers):
        try:
            while True:
                data = await answers.read(PIECE)
                if not data:
                    break
                if self.chooser:
                    self.patience -= 1
                    if self.patience < 0:
                        self.choose()
                data = await self.harm(data)
                if data:
                    self.writer.write(data)
                    await self.writer.drain()
                if self.mode == "truncate" and self.left == 0:
                    break
        except OSError:
            pass
        self.close()

    async def harm(self, data):
        """What to hand on of a piece of a reply."""
        if self.dead:
            return b""
        if self.mode == "blackhole":
            self.harmed()
            self.dead = True
            return b""
        if self.mode == "delay":
            self.harmed()
            await asyncio.sleep(self.arguments[0] / 1000)
        elif self.mode == "hold":
            self.harmed()
            await self.released.wait()
        elif self.mode == "truncate":
            if len(data) >= self.left:
                self.harmed()
            data = data[:self.left]
            self.left -= len(data)
        elif self.mode == "half":
            self.harmed()
            self.dead = True
            data = data[:(len(data) + 1) // 2]
        elif self.mode == "lose" and not self.lost:
            self.harmed()
            self.lost = True
            data = b""
        elif self.mode == "garble":
            altered = bytearray(data)
            for _ in range(max(1, len(data) // self.arguments[1])):
                altered[self.bytes.randrange(len(altered))] ^= self.bytes.randint(1, 255)
            self.harmed()
            data = bytes(altered)
        return data


class Proxy:
    def __init__(self, listen, server):
        self.listen, self.server = address(listen), address(server)
        self.mode, self.random = ("pass",), random.Random(0)
        self.links, self.counts = set(), collections.Counter()
        self.listener = None

    async def accept(self, reader, writer):
        link = Link(self, reader, writer)
        if link.writer.is_closing():
            return
        self.links.add(link)
        await link.run()

    async def open(self):
        if isinstance(self.listen, str):
            if os.path.exists(self.listen):
                os.unlink(self.listen)
            self.listener = await asyncio.start_unix_server(self.accept, self.listen)
        else:
            self.listener = await asyncio.start_server(self.accept, *self.listen, reuse_address=True)
            self.listen = self.listener.sockets[0].getsockname()[:2]

    async def command(self, line):
        mode, *words = line.split() or [""]
        if mode == "count" and not words:
            return "ok " + " ".join("%s=%d" % item for item in sorted(self.counts.items()))
        allowed = MODES.get(mode, -1)
        if len(words) not in (allowed if isinstance(allowed, tuple) else (allowed,)):
            return "error: no such mode: " + line.strip()
        try:
            arguments = [int(word) for word in words]
        except ValueError:
            return "error: not a number: " + line.strip()
        if mode == "random":
            self.random = random.Random(arguments[0])
        if len(arguments) < (allowed[-1] if isinstance(allowed, tuple) else 0):
            arguments.append({"garble": 64, "random": 20}[mode])
        self.mode = (mode, *arguments)
        if mode == "refuse" and self.listener:
            self.listener.close()
            self.listener = None
        elif mode != "refuse" and self.listener is None:
            await self.open()
        for link in list(self.links):
            link.choose()
        return "ok " + " ".join(map(str, self.mode))

    async def run(self):
        await self.open()
        where = self.listen if isinstance(self.listen, str) else "%s:%d" % self.listen
        print("ok " + where, flush=True)
        lines = asyncio.StreamReader()
        await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
        while True:
            line = await lines.readline()
            if not line:
                return
            print(await self.command(line.decode()), flush=True)


def main():
    if len(sys.argv) != 3:
        print(__doc__.strip(), file=sys.stderr)
        return 2
    loop = asyncio.new_event_loop()
    loop.set_exception_handler(lambda *_: None)  # a connection that ends in the middle is what this is for
    loop.run_until_complete(Proxy(*sys.argv[1:]).run())
    if "/" in sys.argv[1] and os.path.exists(sys.argv[1]):
        os.unlink(sys.argv[1])
    return 0


if __name__ == "__main__":
    sys.stdout.reconfigure(line_buffering=True)
    status = main()
    sys.stdout.flush()
    os._exit(status)  # without waiting for connections
