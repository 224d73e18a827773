"""Valid files made a little wrong: what still looks right reaches deep into a parser."""

import random

_ODD = (
    b"\0", b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", b"-1", b"9" * 30, b"9" * 5000, "²".encode(), b"\xed\xa0\x80",
    b"../" * 3, b"/", b"\n", b"\r\n", b'"', b"{", b"}", b"[" * 60, b":", b"\xef\xbb\xbf", b"1e400", b"NaN", b"%s",
)  # fmt: skip


def mutated(seed: bytes, others: list[bytes], chooser: random.Random) -> bytes:
    """The seed with one to four changes: bits, slices, numbers, odd values, pieces of other seeds."""
    data = bytearray(seed)
    for _ in range(chooser.randint(1, 4)):
        at = chooser.randrange(len(data) + 1)
        end = min(len(data), at + chooser.choice((1, 2, 4, 16, 256)))
        match chooser.randrange(7):
            case 0 if at < len(data):
                data[at] ^= 1 << chooser.randrange(8)
            case 1:
                del data[at:end]
            case 2:
                data[at:at] = data[at:end] * chooser.choice((1, 2, 50))
            case 3:
                data[at:at] = chooser.choice(_ODD)
            case 4:
                data[at:end] = chooser.choice(_ODD)
            case 5:
                other = chooser.choice(others)
                start = chooser.randrange(len(other) + 1)
                data[at:end] = other[start : start + chooser.choice((4, 64, 512))]
            case _:
                digits = [place for place, byte in enumerate(data) if 48 <= byte <= 57]
                if digits:
                    data[chooser.choice(digits)] = chooser.choice(b"0123456789-")
    return bytes(data)
