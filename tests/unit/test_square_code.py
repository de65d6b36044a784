"""The square code, read back by a reader that is written from the standard and shares nothing with the writer.

A phone's camera was asked once as well: zbar read every length below.
"""

import pytest

from wongate.domain.square_code import Matrix, as_path, square_code

# Version: total codewords, correction codewords per block, blocks (ISO/IEC 18004 table 9, level L).
LAYOUT = {1: (26, 7, 1), 5: (134, 26, 1), 6: (172, 18, 2), 7: (196, 20, 2), 9: (292, 30, 2)}
ALIGNMENT = {1: (), 5: (6, 30), 6: (6, 34), 7: (6, 22, 38), 9: (6, 26, 46)}
MASKS = (
    lambda y, x: (y + x) % 2,
    lambda y, x: y % 2,
    lambda y, x: x % 3,
    lambda y, x: (y + x) % 3,
    lambda y, x: (y // 2 + x // 3) % 2,
    lambda y, x: y * x % 2 + y * x % 3,
    lambda y, x: (y * x % 2 + y * x % 3) % 2,
    lambda y, x: ((y + x) % 2 + y * x % 3) % 2,
)


@pytest.mark.parametrize(
    ("length", "version"), [(1, 1), (17, 1), (100, 5), (106, 5), (107, 6), (150, 7), (193, 9), (230, 9)]
)
def test_what_is_written_can_be_read(length: int, version: int) -> None:
    text = ("otpauth://totp/Wongate?secret=ABCD&x=" * 9)[:length]
    matrix = square_code(text)
    assert matrix is not None
    assert 17 + 4 * version == len(matrix)
    assert text == read(matrix, version)


def test_letters_of_any_script_are_written_as_utf8() -> None:
    matrix = square_code("비밀")
    assert matrix is not None
    assert "비밀" == read(matrix, 1)


def test_more_than_fits_is_not_written() -> None:
    assert square_code("x" * 231) is None


def test_the_path_draws_every_dark_module_once() -> None:
    matrix = square_code("path")
    assert matrix is not None
    dark = sum(map(sum, matrix))
    drawn = sum(int(part.split("h")[1].split("v")[0]) for part in as_path(matrix).split("M")[1:])
    assert dark == drawn


def read(matrix: Matrix, version: int) -> str:
    size, (total, correction, blocks) = len(matrix), LAYOUT[version]
    mask = _mask(matrix)
    bits: list[bool] = []
    for x in [x for x in range(size - 1, 0, -1) if x != 6][::2]:
        upwards = ((size - 1 - x) // 2 if x > 6 else (size - 2 - x) // 2) % 2 == 0
        rows = range(size - 1, -1, -1) if upwards else range(size)
        cells = [(y, column) for y in rows for column in (x, x - 1)]
        free = [(y, column) for y, column in cells if not _is_fixed(y, column, size, version)]
        bits += [matrix[y][column] ^ (MASKS[mask](y, column) == 0) for y, column in free]
    words = [int("".join("01"[bit] for bit in bits[at : at + 8]), 2) for at in range(0, total * 8, 8)]
    data: list[int] = []
    for block in range(blocks):
        length = total // blocks - correction
        content = words[block : length * blocks : blocks]
        rest = words[length * blocks + block :: blocks]
        assert not any(_syndromes(content + rest, correction))
        data += content
    stream = "".join(f"{word:08b}" for word in data)
    assert "0100" == stream[:4]
    count = int(stream[4:12], 2)
    return bytes(int(stream[at : at + 8], 2) for at in range(12, 12 + 8 * count, 8)).decode()


def _mask(matrix: Matrix) -> int:
    """From the format beside the upper left finder: level L, mask, ten bits of check."""
    cells = [matrix[8][x] for x in (0, 1, 2, 3, 4, 5, 7, 8)] + [matrix[y][8] for y in (7, 5, 4, 3, 2, 1, 0)]
    word = int("".join("01"[cell] for cell in cells), 2) ^ 0b101010000010010
    rest = word
    for shift in range(4, -1, -1):
        if rest >> (shift + 10) & 1:
            rest ^= 0b10100110111 << shift
    assert (0, 0b01) == (rest, word >> 13)
    return word >> 10 & 0b111


def _is_fixed(y: int, x: int, size: int, version: int) -> bool:
    near = 8
    corner = (y <= near and x <= near) or (y <= near and x >= size - 8) or (y >= size - 8 and x <= near)
    numbers = version >= 7 and (
        (y < 6 and size - 11 <= x < size - 8) or (x < 6 and size - 11 <= y < size - 8)
    )
    places = ALIGNMENT[version]
    marks = any(
        abs(y - row) <= 2 and abs(x - column) <= 2
        for row in places
        for column in places
        if (row, column) not in ((6, 6), (6, size - 7), (size - 7, 6))
    )
    return corner or numbers or marks or 6 in (y, x)


def _syndromes(words: list[int], count: int) -> list[int]:
    """All zero where the correction words belong to the data."""
    powers = [1]
    for _ in range(254):
        doubled = powers[-1] * 2
        powers.append(doubled ^ 0x11D if doubled > 255 else doubled)
    logs = {power: index for index, power in enumerate(powers)}
    found = []
    for root in range(count):
        value = 0
        for word in words:
            value = (powers[(logs[value] + root) % 255] if value else 0) ^ word
        found.append(value)
    return found
