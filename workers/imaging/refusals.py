"""Say with a code and a sentence for people why a picture is refused: what happened, and what to do.

Knows no decoder, so that the processes that never touch a picture can say it too.
"""

from __future__ import annotations

from workers.failures import Permanent

SENTENCES = {
    "image_empty": "The attachment has no bytes. Upload the picture again.",
    "image_unsupported": "This is {kind}, not a picture of a supported format. Upload it as JPEG, PNG, GIF,"
    " WebP, TIFF, BMP, ICO, AVIF, HEIC or JPEG 2000.",
    "image_corrupt": "The {kind} is damaged and cannot be decoded. Open it in a picture program, save it anew"
    " and upload it again.",
    "image_truncated": "The {kind} ends too early: a part of the file is missing. Upload the whole file again.",
    "image_too_large": "The {kind} has more pixels than the {pixels:,} that are allowed. Upload a smaller version.",
    "image_too_complex": "The {kind} is built so that decoding it costs far more than a picture of its size"
    " should. Save it anew as a plain JPEG or PNG and upload it again.",
    "decoder_crashed": "The decoder crashed twice on this picture. Save it anew in a picture program and upload"
    " it again.",
    "render_timeout": "The picture was not rendered within {seconds:g} s, twice. Upload a smaller or simpler"
    " version, or retry when the machines are less busy.",
    "render_memory": "The picture needs more memory than the decoder is allowed. Upload a smaller version.",
}


def refusal(code: str, **facts: object) -> Permanent:
    """Return the failure that ends an import for what its picture is."""
    facts.setdefault("kind", "picture")
    return Permanent(code, SENTENCES[code].format(**facts))
