"""A machine that runs classic BPF as the kernel does, written without a look at our assembler."""

from __future__ import annotations

import struct
from collections.abc import Sequence

ALLOW = 0x7FFF0000
KILL = 0x80000000
ERRNO = 0x00050000


def run(program: bytes, number: int, arguments: Sequence[int] = (), *, machine: int) -> int:
    """What a filter returns for one system call; `machine` is its AUDIT_ARCH_*."""
    words = [*arguments, *[0] * (6 - len(arguments))]
    data = struct.pack("<IIQ6Q", number & 0xFFFFFFFF, machine, 0, *[w & 2**64 - 1 for w in words])
    instructions = list(struct.iter_unpack("<HBBI", program))
    accumulator, counter = 0, 0
    while True:
        code, then, otherwise, constant = instructions[counter]
        counter += 1
        match code:
            case 0x20:  # ld [k]
                assert constant % 4 == 0
                (accumulator,) = struct.unpack_from("<I", data, constant)
            case 0x54:  # and #k
                accumulator &= constant
            case 0x06:  # ret #k
                return int(constant)
            case 0x15:  # jeq #k
                counter += then if accumulator == constant else otherwise
            case 0x35:  # jge #k
                counter += then if accumulator >= constant else otherwise
            case _:
                raise ValueError(f"an instruction that no filter of ours has: {code:#x}")
