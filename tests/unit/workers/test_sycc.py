"""A JPEG 2000 that stores colour at half the width shows it in its place, whatever its width and its tiles."""

from __future__ import annotations

import base64

import pytest

from tests.unit.workers.pictures import colour, near, seen
from workers.imaging.sycc import half_colour

# `quadrants((61, 41))` in sYCC 4:2:0, which Pillow cannot write: in one piece, and in tiles of 32 x 32.
WHOLE = base64.b64decode(
    b"AAAADGpQICANCocKAAAAFGZ0eXBqcDIgAAAAAGpwMiAAAAAtanAyaAAAABZpaGRyAAAAKQAAAD0AAwcHAAAAAAAPY29scgEA"
    b"AAAAABIAAAIzanAyY/9P/1EALwAAAAAAPQAAACkAAAAAAAAAAAAAAD0AAAApAAAAAAAAAAAAAwcBAQcCAgcCAv9SAAwAAAAB"
    b"AAUEBAAB/1wAE0BASEhQSEhQSEhQSEhQSEhQ/2QAJQABQ3JlYXRlZCBieSBPcGVuSlBFRyB2ZXJzaW9uIDIuNS4w/5AACgAA"
    b"AAABrAAB/5PPsBQOfo8Tp8HwAgnPpBAEi8HzBYPmBwHxggS1xRR/C71/AAPH0gofMCj7AIAEDwbvBYPH2AUD4wUHzAgJ0Ql/"
    b"CJ/B8waH0hoHBg8AuCZEfx6UdbY5QhLEVsfYCw+YHB8wMAehdC0/CnufBuo3x9gLA+MFAfAEC2bv+HMKQgbnwfMJg+UPAcGA"
    b"Igl8obvavAe/KK65aWc/8iL22MfMFj7AuD4wgBAT+vTFGSMMmHjx20J4k2gR5IJRx9gRPvCoPjCgDy8mzxQC4z8U4o2ejPah"
    b"6p3LDIHZvmDB8BMPjEwHBoGtRI7LA/Us84PPHz/bXZkKkIG1ccfMKh8o6BGAIV1z6x5ui9r4nUT0IFjgIQbKaRv5P52mI5PA"
    b"x8w+fSLg+MMAJCQf3Wz1dcFCUgum6DJfRgQ2KM+KF7VoQ9VAAT9pjZ7B8BMHDFqFlLBsP7LegbveBEm/LcPgHh8B0DooNp3I"
    b"B4Yk24P/Zsn0uItsA41rwsj+l+OfETHHxCY+YlB0QKBheDCqsY10657OqBwVs2vuYck3IjpBforOCJfkZHD/2Q=="
)
TILED = base64.b64decode(
    b"AAAADGpQICANCocKAAAAFGZ0eXBqcDIgAAAAAGpwMiAAAAAtanAyaAAAABZpaGRyAAAAKQAAAD0AAwcHAAAAAAAPY29scgEA"
    b"AAAAABIAAANPanAyY/9P/1EALwAAAAAAPQAAACkAAAAAAAAAAAAAACAAAAAgAAAAAAAAAAAAAwcBAQcCAgcCAv9SAAwAAAAB"
    b"AAEEBAAB/1wAB0BASEhQ/2QAJQABQ3JlYXRlZCBieSBPcGVuSlBFRyB2ZXJzaW9uIDIuNS4w/5AACgAAAAAA4wAB/5PPsSBe"
    b"+5DH2tFtP3sitfibFCQiiF/uQt+Vb8ILthgAAAAYSEEpH+DAfyq18P8wIAYJCKIHFD+AoAb/fhXpPqTsBhIR7jn3IW/KqY/H"
    b"0lQRUFItoSzrG/sCMIEAWUQDCKoB5MfPsFAUAFyiclHeE4H4acvY2jL3LnPYf8HzDYPmCQHxg1qFOx+PycmGGl8tTk2b+1+q"
    b"mw5qx9gbA+MJB9IYNp7AjOqlqBeXUPhOP1/Zjw9fxvjZQk/H2BsAw4D4woA19YzptAr/J0Tkvv9/X82/X8Zs7H//kAAKAAEA"
    b"AADjAAH/k8+xFBFQVK21da/k/UIRYLMdngbIvUkl4aO1hcCwRCEKjGylw28iZaZ7L6gAABhIS7Ey1cI3gZrLi4kJfVMTjgbI"
    b"wyVAAAwkJc+wpBQAW4LUkfuwpwhFT7L9MQEnb4MwW0NI3wzl29lORKreEXksSgI+AOlHx9KcObZI0mZ6fNpjqjfWW4wfAF81"
    b"AczeyWKWc9RHFDJPiCAA5ENnkjaeoPjEgInWhG/cZ64SD8A4OH0jwBFnRjwIRTL/a2MhezB3ERL/f8A4SD5hABQa/j88CHrB"
    b"YCiAiv+QAAoAAgAAAKAAAf+Tx9J8EVBUhvYAksEUDmGAAAAAYSD3I6VMvEhFEDifU3pCX8+wTCFpcSAMlehvNLfWrZYd/Psi"
    b"xT/PsEgCNCtEX4LtNfFWXZGLY9N7iTzA+MKAWdjFql/D6Q8PpDwPmCAbOSMD372oGAciBHdLHxQcz0/PvC4+wHg+kMA46eni"
    b"HRric9NufxgHJrQ86i8T2sS73F//kAAKAAMAAABuAAH/k8PmGhFQVK/OQnYAAAAMJCXPsFQOQN4ii5kPXkpZpGOLQUjSuRwL"
    b"IT/PsEwOQN4imeZtCm1FtPOzce6GiAjPgKH0iAALRAKHRUEUP8Aw4fSIgDggAbwfC0QANLI4fr8Ll//Z"
)


@pytest.mark.parametrize("data", [WHOLE, TILED])
def test_no_row_of_colour_slips(data: bytes) -> None:
    """The same colour in every row, from the first column to the last."""
    rendering = seen(data)
    assert (rendering.width, rendering.height, rendering.color_space) == (61, 41, "sYCC")
    for row in (*range(1, 16, 2), *range(25, 40, 2)):
        blue_or_green = (30, 30, 220) if row < 20 else (30, 160, 30)
        for column in (2, 5, 8, 11, 14):
            assert near(colour(rendering, at=(column / 61, row / 41)), (220, 30, 30), 45), (row, column)
        for column in (44, 50, 54, 59):
            assert near(colour(rendering, at=(column / 61, row / 41)), blue_or_green, 45), (row, column)


@pytest.mark.parametrize(
    ("width", "wanted", "halvings"), [(3000, 3, 2), (3001, 3, 0), (4096, 3, 3), (3002, 0, 0)]
)
def test_it_is_halved_only_as_long_as_its_rows_stay_even(width: int, wanted: int, halvings: int) -> None:
    """A row of colour is half of a row of brightness at whatever scale the file is decoded."""
    at = WHOLE.index(b"\xff\x4f\xff\x51") + 8
    size = width.to_bytes(4, "big") + (2048).to_bytes(4, "big")
    kind = half_colour(WHOLE[:at] + size + WHOLE[at + 8 :])
    assert kind is not None
    assert kind.halvings(wanted) == halvings


def test_other_pictures_are_left_to_their_decoder() -> None:
    """Those that are not in sYCC, that are cut off, or whose colour is stored whole."""
    assert half_colour(WHOLE.replace(b"colr\1\0\0\0\0\0\x12", b"colr\1\0\0\0\0\0\x10")) is None
    assert all(half_colour(WHOLE[:at]) is None for at in range(100))
    assert half_colour(WHOLE.replace(b"\7\2\2\7\2\2", b"\7\1\1\7\1\1")) is None
