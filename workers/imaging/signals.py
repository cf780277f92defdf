"""Gather what a file says of its colours: a profile, numbers (CICP), or PNG's and JPEG 2000's own words.

Where a file says it twice, the order is that of its format: a PNG believes cICP, then its profile, then sRGB,
then gAMA and cHRM; AVIF and HEIC believe their profile before their numbers, but numbers that speak of HDR
before a profile, which can only describe it badly. What cannot be true is not believed.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from PIL import Image

from workers.imaging.cicp import HLG, PQ, SRGB, Cicp, Primaries, Space
from workers.imaging.isobmff import Container, boxes
from workers.imaging.profiles import profile_of

_SRGB_GAMMA = 1 / 2.2
_RANGE_OF_GAMMAS = (0.1, 10.0)
_STEEPEST = 1.4
_SYCC = b"\x00\x00\x00\x12"
_MOST_CHUNKS = 10_000


@dataclass(frozen=True, slots=True)
class Signal:
    """What a file says of its colours: a profile that it holds, or a space that it names; else neither."""

    profile: bytes | None = None
    space: Space | None = None
    is_full_range: bool = True
    name: str | None = None

    @property
    def needs_depth(self) -> bool:
        """Tell whether eight bits would show as steps: in HDR, and in linear light, whose shadows are few values."""
        space = self.space
        return space is not None and (space.hdr is not None or (space.gamma or 2.2) < _STEEPEST)

    def profile_for(self, mode: str) -> bytes | None:
        """Return the profile to apply to a picture of this mode: the file's own, or one that says the same."""
        if self.space is None:
            return self.profile
        if mode != "RGB" or self.space.is_srgb or self.needs_depth:
            return None
        return profile_of(self.space)


def signal_of(picture: Image.Image, data: bytes, container: Container) -> Signal:
    """Read what the file of an opened picture says of its colours."""
    profile = picture.info.get("icc_profile")
    profile = profile if isinstance(profile, bytes) and profile else None
    if picture.format == "PNG":
        return _png(data, profile)
    if picture.format == "JPEG2000" and profile is None:
        return _jp2(data)
    cicp = container.cicp
    if cicp is not None and cicp.says_something and (profile is None or cicp.transfer in (PQ, HLG)):
        return Signal(space=cicp.space)
    return _of_profile(profile)


def _of_profile(profile: bytes | None) -> Signal:
    """Believe the numbers inside a profile where they speak of HDR, for which its curves are a stopgap."""
    if profile is None:
        return Signal()
    count = int.from_bytes(profile[128:132], "big")
    for at in range(132, 132 + 12 * min(count, 100), 12):
        if profile[at : at + 4] == b"cicp":
            start = int.from_bytes(profile[at + 4 : at + 8], "big")
            numbers = profile[start + 8 : start + 12]
            if len(numbers) == 4 and numbers[1] in (PQ, HLG):
                return Signal(space=Cicp(numbers[0], numbers[1]).space)
    return Signal(profile=profile)


def _png(data: bytes, profile: bytes | None) -> Signal:
    chunks = _png_chunks(data)
    cicp = chunks.get(b"cICP", b"")
    if len(cicp) == 4 and cicp[2] == 0:
        primaries, transfer, _, full_range = cicp
        return Signal(space=Cicp(primaries, transfer).space, is_full_range=full_range != 0)
    if profile is not None or b"sRGB" in chunks:
        return _of_profile(profile)
    gamma, primaries_ = _gamma(chunks.get(b"gAMA", b"")), _chromaticities(chunks.get(b"cHRM", b""))
    if gamma is None and primaries_ is None:
        return Signal()
    return Signal(space=Space(primaries_ or SRGB, gamma))


def _png_chunks(data: bytes) -> dict[bytes, bytes]:
    """Return the chunks that speak of colour, all of which stand before the pixels."""
    found: dict[bytes, bytes] = {}
    at = 8
    for _ in range(_MOST_CHUNKS):
        size, kind = int.from_bytes(data[at : at + 4], "big"), data[at + 4 : at + 8]
        if kind in (b"", b"IDAT", b"IEND"):
            break
        if kind in (b"cICP", b"sRGB", b"gAMA", b"cHRM"):
            found.setdefault(kind, data[at + 8 : at + 8 + min(size, 64)])
        at += 12 + size
    return found


def _gamma(chunk: bytes) -> float | None:
    """Return the exponent that makes light of values; None for that of sRGB and for what cannot be one."""
    if len(chunk) != 4 or not any(chunk):
        return None
    exponent = 100_000 / int.from_bytes(chunk, "big")
    lowest, highest = _RANGE_OF_GAMMAS
    # Encoders write 45455 for sRGB; a difference below a twentieth is not seen, as libpng judges it.
    if not lowest <= exponent <= highest or abs(exponent * _SRGB_GAMMA - 1) < 0.05:
        return None
    return exponent


def _chromaticities(chunk: bytes) -> Primaries | None:
    if len(chunk) != 32:
        return None
    values = [value / 100_000 for value in struct.unpack(">8I", chunk)]
    white, red, green, blue = (tuple(values[at : at + 2]) for at in (0, 2, 4, 6))
    primaries = Primaries("other primaries", red, green, blue, white)
    return primaries if primaries.is_possible and not primaries.is_like(SRGB) else None


def _jp2(data: bytes) -> Signal:
    """Return the first colour of a JP2 header that is understood: a profile, or numbers."""
    header = next((box for box in boxes(data, 0, len(data)) if box.kind == b"jp2h"), None)
    if header is None:
        return Signal()
    for box in boxes(data, header.body, header.end):
        body = data[box.body : box.end]
        if box.kind != b"colr" or len(body) < 7:
            continue
        if body[0] in (2, 3):
            return _of_profile(body[3:])
        if body[0] == 5 and len(body) >= 9:
            return Signal(space=Cicp(*struct.unpack_from(">HH", body, 3)).space)
        if body[0] == 1:
            return Signal(name="sYCC") if body[3:7] == _SYCC else Signal()
    return Signal()
