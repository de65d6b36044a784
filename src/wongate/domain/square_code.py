"""The square code (QR, ISO/IEC 18004) that a phone's camera reads: bytes, error correction L, versions 1 to 9.

Enough for an authenticator's address on a screen: up to 230 bytes. Level L gives the largest modules, and a screen is clean.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain, repeat

Matrix = list[list[bool]]
Cell = tuple[int, int]


@dataclass(frozen=True, slots=True)
class _Version:
    """Of all codewords in `blocks` equal blocks, each ends with `correction` of Reed and Solomon's."""

    number: int
    codewords: int
    correction: int
    blocks: int
    alignment: tuple[int, ...]

    @property
    def size(self) -> int:
        return 17 + 4 * self.number

    @property
    def data(self) -> int:
        return self.codewords - self.correction * self.blocks


# Tables 1, 9 and E.1 of the standard for level L. The blocks of these versions are all of one length.
_VERSIONS = (
    _Version(1, 26, 7, 1, ()),
    _Version(2, 44, 10, 1, (6, 18)),
    _Version(3, 70, 15, 1, (6, 22)),
    _Version(4, 100, 20, 1, (6, 26)),
    _Version(5, 134, 26, 1, (6, 30)),
    _Version(6, 172, 18, 2, (6, 34)),
    _Version(7, 196, 20, 2, (6, 22, 38)),
    _Version(8, 242, 24, 2, (6, 24, 42)),
    _Version(9, 292, 30, 2, (6, 26, 46)),
)
_HEADER_BITS = 12  # mode and length
_FORMAT_L = 0b01
_MASKS = (
    lambda row, column: (row + column) % 2 == 0,
    lambda row, column: row % 2 == 0,
    lambda row, column: column % 3 == 0,
    lambda row, column: (row + column) % 3 == 0,
    lambda row, column: (row // 2 + column // 3) % 2 == 0,
    lambda row, column: row * column % 2 + row * column % 3 == 0,
    lambda row, column: (row * column % 2 + row * column % 3) % 2 == 0,
    lambda row, column: ((row + column) % 2 + row * column % 3) % 2 == 0,
)


def square_code(text: str) -> Matrix | None:
    """Rows of modules, True is dark, without the quiet zone of four; None for more than 230 bytes of UTF-8."""
    content = text.encode()
    fitting = (v for v in _VERSIONS if len(content) * 8 + _HEADER_BITS <= v.data * 8)
    version = next(fitting, None)
    if version is None:
        return None
    bits = _bits(_codewords(content, version))
    drawn = [_drawn(version, bits, mask) for mask in range(len(_MASKS))]
    return min(drawn, key=_penalty)


def as_path(matrix: Matrix) -> str:
    """The dark modules as an SVG path, one unit each: a run of a row is one stroke of the pen."""
    strokes = []
    for y, row in enumerate(matrix):
        x = 0
        while x < len(row):
            end = x
            while end < len(row) and row[end]:
                end += 1
            if end > x:
                strokes.append(f"M{x} {y}h{end - x}v1h-{end - x}z")
            x = end + 1
    return "".join(strokes)


def _codewords(content: bytes, version: _Version) -> list[int]:
    """Header, content and filling, split into blocks, each with its correction, and interleaved."""
    bits = (0b0100 << 8 | len(content)) << len(content) * 8 | int.from_bytes(content)
    bits <<= 4  # the terminator also fills the last half byte, because the header is one and a half
    data = list(bits.to_bytes(len(content) + 2))
    data += [(0xEC, 0x11)[i % 2] for i in range(version.data - len(data))]
    length = version.data // version.blocks
    blocks = [data[i : i + length] for i in range(0, version.data, length)]
    corrections = [_correction(block, version.correction) for block in blocks]
    return [word for words in (blocks, corrections) for column in zip(*words, strict=True) for word in column]


def _correction(block: list[int], count: int) -> list[int]:
    """The remainder of Reed and Solomon's division in the field of 256 elements."""
    generator = [1]
    root = 1
    for _ in range(count):
        generator = [_times(a, root) ^ b for a, b in zip([0, *generator], [*generator, 0], strict=True)]
        root = _times(root, 2)
    remainder = [0] * count
    for word in block:
        factor = word ^ remainder.pop(0)
        remainder.append(0)
        remainder = [r ^ _times(g, factor) for r, g in zip(remainder, generator[1:], strict=True)]
    return remainder


def _times(a: int, b: int) -> int:
    product = 0
    while b:
        if b & 1:
            product ^= a
        a = a << 1 ^ (0x11D if a & 0x80 else 0)
        b >>= 1
    return product


def _bits(words: list[int]) -> list[bool]:
    return [bool(word >> shift & 1) for word in words for shift in range(7, -1, -1)]


def _drawn(version: _Version, bits: list[bool], mask: int) -> Matrix:
    cells = _fixed(version, mask)
    way = (cell for cell in _way(version.size) if cell not in cells)
    padded = chain(bits, repeat(False))
    cells |= {cell: bit ^ _MASKS[mask](*cell) for cell, bit in zip(way, padded, strict=False)}
    return [[cells[row, column] for column in range(version.size)] for row in range(version.size)]


def _way(size: int) -> Iterator[Cell]:
    """Pairs of columns from the right, up and down in turn; column 6 belongs to the timing."""
    upwards = True
    for right in range(size - 1, 0, -2):
        right -= right <= 6
        for step in range(size):
            row = size - 1 - step if upwards else step
            yield row, right
            yield row, right - 1
        upwards = not upwards


def _fixed(version: _Version, mask: int) -> dict[Cell, bool]:
    size = version.size
    cells: dict[Cell, bool] = {}
    for i in range(size):
        cells[6, i] = cells[i, 6] = i % 2 == 0
    for row, column in ((3, 3), (3, size - 4), (size - 4, 3)):
        cells |= {cell: ring in (0, 1, 3) for cell, ring in _rings(row, column, 4, size)}
    corners = {(6, 6), (6, size - 7), (size - 7, 6)}
    for row in version.alignment:
        for column in version.alignment:
            if (row, column) not in corners:
                cells |= {cell: ring != 1 for cell, ring in _rings(row, column, 2, size)}
    _add_format(cells, size, mask)
    if version.number >= 7:
        word = _with_check(version.number, 12, 0x1F25)
        for i in range(18):
            cells[i // 3, size - 11 + i % 3] = cells[size - 11 + i % 3, i // 3] = bool(word >> i & 1)
    return cells


def _rings(row: int, column: int, radius: int, size: int) -> Iterator[tuple[Cell, int]]:
    """Cells around a centre, with the number of their ring."""
    for y in range(max(0, row - radius), min(size, row + radius + 1)):
        for x in range(max(0, column - radius), min(size, column + radius + 1)):
            yield (y, x), max(abs(y - row), abs(x - column))


def _add_format(cells: dict[Cell, bool], size: int, mask: int) -> None:
    """Level and mask, twice, with ten bits of check and the standard's pattern over them."""
    word = _with_check(_FORMAT_L << 3 | mask, 10, 0x537) ^ 0x5412
    first = [(8, i) for i in (0, 1, 2, 3, 4, 5, 7, 8)] + [(i, 8) for i in (7, 5, 4, 3, 2, 1, 0)]
    second = [(size - 1 - i, 8) for i in range(7)] + [(8, size - 8 + i) for i in range(8)]
    for i in range(15):
        cells[first[i]] = cells[second[i]] = bool(word >> (14 - i) & 1)
    cells[size - 8, 8] = True


def _with_check(value: int, bits: int, generator: int) -> int:
    rest = value << bits
    while rest.bit_length() > bits:
        rest ^= generator << (rest.bit_length() - generator.bit_length())
    return value << bits | rest


def _penalty(matrix: Matrix) -> int:
    """The standard's measure of how hard a pattern is to read (7.8.3): runs, blocks, false finders, imbalance."""
    size = len(matrix)
    lines = ["".join("1" if cell else "0" for cell in row) for row in matrix]
    lines += ["".join(column) for column in zip(*lines, strict=True)]
    runs = sum(len(run) - 2 for line in lines for run in _runs(line) if len(run) >= 5)
    blocks = sum(
        matrix[y][x] == matrix[y][x + 1] == matrix[y + 1][x] == matrix[y + 1][x + 1]
        for y in range(size - 1)
        for x in range(size - 1)
    )
    finders = sum(line.count(p) for line in lines for p in ("10111010000", "00001011101"))
    dark = sum(map(sum, matrix)) * 100 // size**2
    return runs + 3 * blocks + 40 * finders + 10 * (abs(dark - 50) // 5)


def _runs(line: str) -> list[str]:
    return line.replace("01", "0 1").replace("10", "1 0").split()
