"""Damaged files end in a picture or in a refusal with a code: no crash, no hang, nothing else.

`make fuzz` runs more of them: FUZZ_FILES says how many, FUZZ_SEED where chance begins.
"""

from __future__ import annotations

import os
import random
import tempfile
import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.unit.workers.pictures import quadrants, saved
from tests.unit.workers.test_corpus import CORPUS, MANIFEST, entries
from workers.decoding.client import Decoder
from workers.failures import Permanent
from workers.imaging.limits import Limits
from workers.imaging.refusals import SENTENCES

FILES = int(os.environ.get("FUZZ_FILES", "300"))
SEED = int(os.environ.get("FUZZ_SEED", "20261125"))
LARGEST = 300_000  # bytes of a file that is mutated; larger ones say nothing more and take longer
FORMATS = ("JPEG", "PNG", "GIF", "WEBP", "TIFF", "BMP", "ICO", "AVIF", "HEIF", "JPEG2000")
# What a decoder must not do, whatever it is fed, even though each of these would end the import well.
SURPRISES = {"decoder_crashed", "render_timeout"}


def sources() -> list[bytes]:
    """Return whole and broken files of every format: those of the corpus, else drawn ones."""
    if not MANIFEST.is_file():
        return [saved(quadrants((90, 60)), format_) for format_ in FORMATS]
    outside = [each for each in sorted((CORPUS / "outside").glob("*")) if each.suffix != ".json"]
    files = [CORPUS / one["file"] for one in entries() if 0 < one["bytes"] <= LARGEST] + outside
    return [each.read_bytes() for each in files if each.stat().st_size <= LARGEST]


def mutated(data: bytes, other: bytes, chance: random.Random) -> bytes:
    """Return a file with some bytes changed, repeated, taken out, cut off, or replaced by another file's."""
    changed = bytearray(data)
    for _ in range(chance.choice((1, 2, 4, 16, 64))):
        # Headers decide most, so half of the changes are made there.
        at = chance.randrange(min(len(changed), 512) if chance.random() < 0.5 else len(changed))
        match chance.randrange(6):
            case 0 | 1:
                changed[at] = chance.choice((0, 1, 0x7F, 0x80, 0xFF, chance.randrange(256)))
            case 2:
                changed[at : at + 4] = chance.choice((b"\0\0\0\0", b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff"))
            case 3:
                changed[at:at] = changed[at : at + chance.randrange(1, 64)]
            case 4 if len(changed) > 100:
                del changed[at : at + chance.randrange(1, 32)]
            case _:
                start = chance.randrange(len(other))
                changed[at : at + 16] = other[start : start + 16]
    if chance.random() < 0.2:
        del changed[chance.randrange(len(changed)) :]
    return bytes(changed)


@pytest.fixture
def decoder() -> Iterator[Decoder]:
    decoder = Decoder(limits=Limits(accept_truncated=True), slots=2)
    decoder.start()
    yield decoder
    decoder.stop()


@pytest.mark.timeout(max(120, FILES))
def test_mutated_files_end_in_a_picture_or_a_refusal(decoder: Decoder) -> None:
    """Every file has its answer, and the next one is rendered as if nothing had been."""
    pool, never = sources(), threading.Event()

    def outcome(number: int) -> tuple[int, str]:
        chance = random.Random(f"{SEED} {number}")
        data = mutated(chance.choice(pool), chance.choice(pool), chance)
        with tempfile.TemporaryFile() as file:
            file.write(data)
            try:
                decoder.render(file, stopping=never)
            except Permanent as failure:
                return number, failure.code
            return number, "rendered"

    with ThreadPoolExecutor(2) as threads:
        outcomes = list(threads.map(outcome, range(FILES)))
    surprises = [
        f"FUZZ_SEED={SEED} number {number}: {code}" for number, code in outcomes if code in SURPRISES
    ]
    assert not surprises
    counted = Counter(code for _, code in outcomes)
    assert set(counted) <= {"rendered", *SENTENCES}
    assert counted["rendered"] > FILES / 20
    assert counted["image_corrupt"] > FILES / 20
