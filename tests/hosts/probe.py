"""A program of 60 instructions that makes one call of the kernel, for images of tests.

It takes the number of the call as its argument, makes it with zeros, and ends with its errno. Made
here from bytes, so that no compiler is needed.
"""

import struct

ORIGIN = 0x400000
HEADERS = 64 + 56
CODE = bytes.fromhex(
    "488b742410"  # rsi = argv[1]
    "31c0 31c9"  # rax = rcx = 0
    "8a0e 84c9 740c"  # next digit; done at the end of the string
    "8d0480 8d4441d0 48ffc6 ebee"  # rax = 10 * rax + digit - '0'
    "31ff 31f6 31d2 4531d2 4531c0 4531c9"  # all arguments are 0
    "0f05"  # the call
    "f7d8 89c7 b83c000000 0f05"  # exit(-rax)
)


def program() -> bytes:
    """Return the program as an ELF file for x86-64."""
    size = HEADERS + len(CODE)
    start = ORIGIN + HEADERS
    ident = b"\x7fELF\x02\x01\x01" + bytes(9)
    header = struct.pack("<16sHHIQQQIHHHHHH", ident, 2, 62, 1, start, 64, 0, 0, 64, 56, 1, 0, 0, 0)
    segment = struct.pack("<IIQQQQQQ", 1, 5, 0, ORIGIN, ORIGIN, size, size, 0x1000)
    return header + segment + CODE
