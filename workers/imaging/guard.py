"""Turn whatever a decoder can do wrong into one failure with a code.

Pillow and its plugins raise a dozen unrelated kinds on hostile bytes (`OSError`, `SyntaxError`, `KeyError`,
`struct.error`, `zlib.error`, …), and the next version may raise others. So nothing is enumerated: what is
not recognised as something more telling is a picture that is damaged.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from PIL import Image

from workers.failures import Permanent
from workers.imaging.refusals import refusal


@contextmanager
def refusing(*, kind: str, pixels: int) -> Iterator[None]:
    """Let nothing out but Permanent: `kind` names the format for people, `pixels` is the limit in force."""
    try:
        yield
    except Permanent:
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise refusal("image_too_large", kind=kind, pixels=pixels) from error
    except MemoryError as error:
        raise refusal("render_memory") from error
    except Exception as error:
        raise refusal(_code_of(error), kind=kind) from error


def _code_of(error: Exception) -> str:
    text = str(error).lower()
    if text == "decoder error -9":
        return "render_memory"  # Pillow's number for memory that was refused to a decoder
    if "decompressed data too large" in text or "too much memory" in text:
        return "image_too_complex"  # a text or profile chunk that unpacks to far more than it holds
    if isinstance(error, EOFError) or "truncated" in text or "unexpected end" in text:
        return "image_truncated"
    return "image_corrupt"
