"""Write the ICC profile of a colour space that a file names in another way, so that there is one path for all."""

from __future__ import annotations

import functools
import struct
from collections.abc import Sequence

from workers.imaging.cicp import Primaries, Space

Matrix = tuple[tuple[float, float, float], ...]
_D50 = (0.9642, 1.0, 0.8249)
_BRADFORD: Matrix = ((0.8951, 0.2664, -0.1614), (-0.7502, 1.7135, 0.0367), (0.0389, -0.0685, 1.0296))


@functools.lru_cache(maxsize=16)
def profile_of(space: Space) -> bytes:
    """Return the ICC profile of a space that has no HDR curve.

    Raises ZeroDivisionError or struct.error for primaries that no light can have.
    """
    columns = zip(*_to_d50(space.primaries), strict=True)
    tags = [(name, _xyz(column)) for name, column in zip((b"rXYZ", b"gXYZ", b"bXYZ"), columns, strict=True)]
    curves = [(name, _curve(space)) for name in (b"rTRC", b"gTRC", b"bTRC")]
    return _profile([(b"wtpt", _xyz(_D50)), *tags, *curves])


def grey_table(gamma: float) -> list[int]:
    """Return the grey of sRGB for each of 256 greys of a power curve: more exact than a profile's."""
    return [round(255 * encoded((grey / 255) ** gamma)) for grey in range(256)]


def encoded(light: float) -> float:
    """Return the value of sRGB, 0 to 1, that stands for linear light."""
    return 12.92 * light if light <= 0.0031308 else 1.055 * light ** (1 / 2.4) - 0.055


def to_xyz(primaries: Primaries) -> Matrix:
    """Return the matrix that brings linear light of these primaries to XYZ, white having Y = 1.

    Raises ZeroDivisionError for primaries that lie on one line.
    """
    corners = [(x, y, 1 - x - y) for x, y in (primaries.red, primaries.green, primaries.blue)]
    plain: Matrix = tuple(zip(*corners, strict=True))
    x, y = primaries.white
    amounts = _applied(inverted(plain), (x / y, 1.0, (1 - x - y) / y))
    return tuple((row[0] * amounts[0], row[1] * amounts[1], row[2] * amounts[2]) for row in plain)


def between(source: Primaries, target: Primaries) -> Matrix:
    """Return the matrix from linear light of one set of primaries to another, white staying white."""
    return multiplied(inverted(_to_d50(target)), _to_d50(source))


def multiplied(one: Matrix, other: Matrix) -> Matrix:
    """Return the product of two matrices."""
    columns = list(zip(*other, strict=True))
    product = (tuple(sum(a * b for a, b in zip(row, col, strict=True)) for col in columns) for row in one)
    return tuple(product)


def inverted(matrix: Matrix) -> Matrix:
    """Return the inverse of a matrix."""
    (a, b, c), (d, e, f), (g, h, i) = matrix
    cofactors = (
        (e * i - f * h, c * h - b * i, b * f - c * e),
        (f * g - d * i, a * i - c * g, c * d - a * f),
        (d * h - e * g, b * g - a * h, a * e - b * d),
    )
    determinant = a * cofactors[0][0] + b * cofactors[1][0] + c * cofactors[2][0]
    return tuple((x / determinant, y / determinant, z / determinant) for x, y, z in cofactors)


def _to_d50(primaries: Primaries) -> Matrix:
    """Return the matrix to XYZ as it looks under D50, the white of all profiles (Bradford)."""
    x, y = primaries.white
    here = _applied(_BRADFORD, (x / y, 1.0, (1 - x - y) / y))
    there = _applied(_BRADFORD, _D50)
    red, green, blue = (b / a for a, b in zip(here, there, strict=True))
    scaled: Matrix = ((red, 0.0, 0.0), (0.0, green, 0.0), (0.0, 0.0, blue))
    adapted = multiplied(inverted(_BRADFORD), multiplied(scaled, _BRADFORD))
    return multiplied(adapted, to_xyz(primaries))


def _applied(matrix: Matrix, vector: Sequence[float]) -> tuple[float, ...]:
    return tuple(sum(a * b for a, b in zip(row, vector, strict=True)) for row in matrix)


def _curve(space: Space) -> bytes:
    if space.gamma is not None:
        return b"para" + bytes(4) + struct.pack(">HHi", 0, 0, _fixed(space.gamma))
    srgb = (2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045)
    return b"para" + bytes(4) + struct.pack(">HH5i", 3, 0, *map(_fixed, srgb))


def _xyz(value: Sequence[float]) -> bytes:
    return b"XYZ " + bytes(4) + struct.pack(">3i", *map(_fixed, value))


def _fixed(value: float) -> int:
    return round(value * 65536)


def _profile(tags: list[tuple[bytes, bytes]]) -> bytes:
    at, rows, body = 128 + 4 + 12 * len(tags), b"", b""
    for name, data in tags:
        rows += name + struct.pack(">II", at + len(body), len(data))
        body += data + bytes(-len(data) % 4)
    head = struct.pack(">I4sI4s4s4s", at + len(body), bytes(4), 0x04300000, b"mntr", b"RGB ", b"XYZ ")
    head += struct.pack(">6H", 2000, 1, 1, 0, 0, 0) + b"acsp" + bytes(28)
    head += struct.pack(">3i", *map(_fixed, _D50))
    return head.ljust(128, b"\0") + struct.pack(">I", len(tags)) + rows + body
