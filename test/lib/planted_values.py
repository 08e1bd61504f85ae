#!/usr/bin/python3
"""Alters results in Redis as who can write there would: the checksum is made right.

  planted_values.py DIRECTORY value KEY OFFSET HEX [OFFSET HEX...]    bytes of the result; a negative OFFSET counts from
                                                                      its end
  planted_values.py DIRECTORY header KEY FIELD NUMBER [FIELD NUMBER...]
  planted_values.py DIRECTORY mutate PATTERN SEED                     every key: something of its result, at random;
                                                                      prints how many

DIRECTORY is that of redis_servers.py, KEY the only one if it is '-'. The layout is that of src/redis/frame.cc; results
must not be compressed.
"""

import ctypes
import os
import random
import struct
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))
from redis_servers import Servers  # noqa: E402

HEADER, CHECKSUM = 104, 8
FIELDS = {"key_size": (12, "<I"), "stamp_count": (16, "<I"), "running_count": (20, "<I"), "stored_size": (24, "<I"),
          "value_size": (28, "<I"), "xmin": (64, "<Q"), "xmax": (72, "<Q"), "stored_at": (80, "<q"),
          "expires_at": (88, "<q"), "cost_ns": (96, "<Q")}
WORDS = (0, 1, 2, 0x7f, 0xff, 0x7fff, 0xffff, 60000, 60000 << 2, 0x7fffffff, 0x80000000, 0xffffffff)


def checksum(data):
    library = ctypes.CDLL("libxxhash.so.0")
    library.XXH3_64bits.restype = ctypes.c_uint64
    library.XXH3_64bits.argtypes = (ctypes.c_char_p, ctypes.c_size_t)
    return library.XXH3_64bits(data, len(data))


class Frame:
    def __init__(self, redis, key):
        self.redis, self.key = redis, key
        self.bytes = bytearray(redis.run("GET", key).encode("utf-8", "surrogateescape"))
        key_size, stamps, running, size = struct.unpack_from("<4I", self.bytes, 12)
        begin = (HEADER + key_size + 12 * stamps + 7) // 8 * 8 + 8 * running
        self.value = range(begin, begin + size)
        assert begin + size + CHECKSUM == len(self.bytes), "not a frame, or compressed"

    def put(self, offset, data):
        at = self.value.start + offset if offset >= 0 else self.value.stop + offset
        assert at in self.value and at + len(data) <= self.value.stop, "outside of the result"
        self.bytes[at:at + len(data)] = data

    def store(self):
        body = bytes(self.bytes[:-CHECKSUM])
        self.redis.run("SET", self.key, body + struct.pack("<Q", checksum(body)), "PX", 3600000)


def mutate(frame, chance):
    """One to three changes; most where lengths are: at multiples of four, and at the beginning."""
    for _ in range(chance.randint(1, 3)):
        size = len(frame.value)
        offset = chance.randrange(min(size, 96) if chance.random() < 0.7 else size)
        kind = chance.randrange(5)
        if kind == 0:
            frame.put(offset, bytes([frame.bytes[frame.value.start + offset] ^ 1 << chance.randrange(8)]))
        elif kind == 1:
            frame.put(offset, bytes([chance.choice((0, 1, 2, 3, 0x12, 0x7f, 0x80, 0xff, chance.randrange(256)))]))
        elif size >= 4:
            offset = min(offset, size - 4) // 4 * 4
            number = struct.unpack_from("<I", frame.bytes, frame.value.start + offset)[0]
            changed = {2: chance.choice(WORDS), 3: number + chance.randint(-64, 64),
                       4: number ^ 1 << chance.randrange(32)}
            frame.put(offset, struct.pack("<I", changed[kind] & 0xffffffff))


def main(directory, what, key, *words):
    redis = Servers.open(directory).nodes["redis"].connect()
    keys = redis.run("KEYS", "*" if key == "-" else key)
    if what == "mutate":
        chance = random.Random(int(words[0]))
        for key in sorted(keys):
            frame = Frame(redis, key)
            mutate(frame, chance)
            frame.store()
        print(len(keys))
        return
    assert len(keys) == 1, "%d keys" % len(keys)
    frame = Frame(redis, keys[0])
    for name, data in zip(words[::2], words[1::2]):
        if what == "header":
            offset, form = FIELDS[name]
            struct.pack_into(form, frame.bytes, offset, int(data))
        else:
            frame.put(int(name), bytes.fromhex(data))
    frame.store()


if __name__ == "__main__":
    if len(sys.argv) < 4:
        print(__doc__.strip(), file=sys.stderr)
        sys.exit(2)
    main(*sys.argv[1:])
