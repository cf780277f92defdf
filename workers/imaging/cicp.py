"""Know the colour spaces that files name by numbers (ITU-T H.273, "CICP") or by their primaries.

Only what a still picture is made in is told apart. The curves of BT.709 and its kin count as that of sRGB, as
every viewer shows them: pictures so labelled were nearly all made for screens.
"""

from __future__ import annotations

from dataclasses import dataclass

PQ, HLG = 16, 18
_UNSPECIFIED = (0, 2, 3)
_D65, _C, _DCI = (0.3127, 0.3290), (0.310, 0.316), (0.314, 0.351)
_GAMMAS = {4: 2.2, 5: 2.8, 8: 1.0, 17: 2.6}


@dataclass(frozen=True, slots=True)
class Primaries:
    """The chromaticities (x, y) of red, green, blue and white, and what people call them."""

    name: str
    red: tuple[float, float]
    green: tuple[float, float]
    blue: tuple[float, float]
    white: tuple[float, float] = _D65

    @property
    def is_possible(self) -> bool:
        """Tell whether a screen could have these: a triangle of some size, with a white that is nearly white inside."""
        corners = (self.red, self.green, self.blue)
        if not all(x + y <= 1.001 for x, y in corners) or not all(0.2 <= part <= 0.5 for part in self.white):
            return False
        areas = [
            _area(self.white, corners[at], corners[(at + 1) % 3]) for at in range(3)
        ]  # of one sign where white lies inside
        return abs(sum(areas)) > 0.01 and (min(areas) > 0 or max(areas) < 0)

    def is_like(self, other: Primaries) -> bool:
        """Tell whether two sets would not be told apart by eye; encoders round to three digits."""
        mine, theirs = ((one.red, one.green, one.blue, one.white) for one in (self, other))
        return all(
            abs(a - b) <= 0.005
            for one, two in zip(mine, theirs, strict=True)
            for a, b in zip(one, two, strict=True)
        )


def _area(one: tuple[float, float], two: tuple[float, float], three: tuple[float, float]) -> float:
    """Return the area of a triangle, negative where its corners go around the clock."""
    return ((two[0] - one[0]) * (three[1] - one[1]) - (three[0] - one[0]) * (two[1] - one[1])) / 2


SRGB = Primaries("sRGB", (0.640, 0.330), (0.300, 0.600), (0.150, 0.060))
_BT2020 = Primaries("BT.2020", (0.708, 0.292), (0.170, 0.797), (0.131, 0.046))
_DISPLAY_P3 = Primaries("Display P3", (0.680, 0.320), (0.265, 0.690), (0.150, 0.060))
_SMPTE_170M = Primaries("SMPTE 170M", (0.630, 0.340), (0.310, 0.595), (0.155, 0.070))
_NUMBERED = {
    1: SRGB,
    4: Primaries("BT.470M", (0.670, 0.330), (0.210, 0.710), (0.140, 0.080), _C),
    5: Primaries("BT.470BG", (0.640, 0.330), (0.290, 0.600), (0.150, 0.060)),
    6: _SMPTE_170M,
    7: _SMPTE_170M,
    8: Primaries("film", (0.681, 0.319), (0.243, 0.692), (0.145, 0.049), _C),
    9: _BT2020,
    10: Primaries("XYZ", (1.0, 0.0), (0.0, 1.0), (0.0, 0.0), (1 / 3, 1 / 3)),
    11: Primaries("DCI-P3", (0.680, 0.320), (0.265, 0.690), (0.150, 0.060), _DCI),
    12: _DISPLAY_P3,
    22: Primaries("EBU 3213", (0.630, 0.340), (0.295, 0.605), (0.155, 0.077)),
}
_ADOBE_RGB = Primaries("Adobe RGB", (0.640, 0.330), (0.210, 0.710), (0.150, 0.060))
_PROPHOTO = Primaries("ProPhoto RGB", (0.7347, 0.2653), (0.1596, 0.8404), (0.0366, 0.0001), (0.3457, 0.3585))
_KNOWN = (SRGB, _DISPLAY_P3, _ADOBE_RGB, _BT2020, _PROPHOTO)


@dataclass(frozen=True, slots=True)
class Cicp:
    """Two of the four numbers; matrix and range concern the decoder, except in PNG, which has no matrix."""

    primaries: int
    transfer: int
    is_full_range: bool = True

    @property
    def space(self) -> Space:
        """Return the colour space that the numbers name; what they leave open is as usual."""
        hdr = {PQ: "PQ", HLG: "HLG"}.get(self.transfer)
        usual = SRGB if hdr is None else _BT2020
        return Space(_NUMBERED.get(self.primaries, usual), _GAMMAS.get(self.transfer), hdr)

    @property
    def says_something(self) -> bool:
        return self.primaries not in _UNSPECIFIED or self.transfer not in _UNSPECIFIED


@dataclass(frozen=True, slots=True)
class Space:
    """A colour space: primaries, and a curve, which is that of sRGB, a power (`gamma`), PQ or HLG (`hdr`)."""

    primaries: Primaries = SRGB
    gamma: float | None = None
    hdr: str | None = None

    @property
    def is_srgb(self) -> bool:
        return self.gamma is None and self.hdr is None and self.primaries.is_like(SRGB)

    @property
    def name(self) -> str:
        """Name the space for people: `Display P3`, `BT.2020 PQ`, `gamma 1.0`."""
        known = next((each for each in _KNOWN if each.is_like(self.primaries)), self.primaries)
        if self.gamma is not None:
            curve = f"gamma {max(0.01, round(self.gamma, 2))}"
            return curve if known is SRGB else f"{known.name} {curve}"
        if self.hdr is not None:
            return f"{'BT.709' if known is SRGB else known.name} {self.hdr}"
        return known.name
