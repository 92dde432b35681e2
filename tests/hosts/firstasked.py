"""A library of one function, for images of tests: `geteuid` says 1 first, and then the truth.

PostgreSQL asks once whether it is root, and does not run then. Some virtual machines let CRIU save
processes of root alone (see `preflight`); there it is loaded with this, and runs as root, without
any capability. Made here from bytes, so that no compiler is needed.
"""

import struct

CODE_AT, FLAG_AT, SIZE = 0x400, 0x500, 0x600
NAMES = b"\0geteuid\0"
CODE = bytes.fromhex("31c0 8705") + struct.pack("<i", FLAG_AT - CODE_AT - 8) + bytes.fromhex("c3")
"""eax = 0; exchange eax with the flag; return. The flag is 1 until then."""
STRINGS_AT, SYMBOLS_AT, HASH_AT, DYNAMIC_AT = 0x200, 0x220, 0x280, 0x300
LOAD, DYNAMIC, STACK = 1, 2, 0x6474E551
READ, WRITE, RUN = 4, 2, 1


def library() -> bytes:
    """Return the library as an ELF file for x86-64."""
    ident = b"\x7fELF\x02\x01\x01" + bytes(9)
    header = struct.pack("<16sHHIQQQIHHHHHH", ident, 3, 62, 1, 0, 64, 0, 0, 64, 56, 3, 0, 0, 0)
    function = struct.pack("<IBBHQQ", 1, 0x12, 0, 1, CODE_AT, len(CODE))  # global, a function
    told = ((5, STRINGS_AT), (6, SYMBOLS_AT), (4, HASH_AT), (10, len(NAMES)), (11, 24), (0, 0))
    tags = b"".join(struct.pack("<QQ", *one) for one in told)
    parts = {
        0: header
        + _segment(LOAD, READ | WRITE | RUN, 0, SIZE)
        + _segment(DYNAMIC, READ | WRITE, DYNAMIC_AT, len(tags))
        + _segment(STACK, READ | WRITE, 0, 0),
        STRINGS_AT: NAMES,
        SYMBOLS_AT: bytes(24) + function,
        HASH_AT: struct.pack("<IIIII", 1, 2, 1, 0, 0),  # one bucket, two symbols
        DYNAMIC_AT: tags,
        CODE_AT: CODE,
        FLAG_AT: b"\1\0\0\0",
    }
    whole = bytearray(SIZE)
    for at, part in parts.items():
        whole[at : at + len(part)] = part
    return bytes(whole)


def _segment(kind: int, flags: int, at: int, size: int) -> bytes:
    return struct.pack("<IIQQQQQQ", kind, flags, at, at, at, size, size, 0x1000)
