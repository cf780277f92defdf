"""Write a contact sheet: of each file the reference, our thumbnails, the difference, the cost, or the refusal."""

from __future__ import annotations

import base64
import html
import io
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from bench import similarity
from workers.failures import Permanent
from workers.imaging.local import rendering

_SHOWN, _LOUDER = 480, 8  # the edge that is compared, and how many times a difference is enlarged
_STYLE = (
    "body{font:13px sans-serif;background:#fafafa}table{border-collapse:collapse}td,th{padding:6px;text-align:left;"
    "vertical-align:top;border-top:1px solid #ddd}img{max-width:240px;max-height:240px;background:#fff}"
    ".bad{color:#b00}"
)


def write(folder: Path, sheet: Path) -> None:
    """Render every file of a folder, or of a corpus with a manifest, and show what became of it."""
    manifest = folder / "manifest.json"
    known = json.loads(manifest.read_text())["entries"] if manifest.is_file() else None
    files = [one["file"] for one in known] if known else sorted(each.name for each in folder.iterdir())
    rows = [_row(folder / file, file) for file in files]
    head = "<tr><th>file</th><th>reference</th><th>medium</th><th>small</th><th>difference x 8</th><th></th></tr>"
    shown = "".join(row for refused, row in rows if not refused)
    refused = "".join(row for refused, row in rows if refused)
    sheet.write_text(
        f"<!doctype html><meta charset=utf-8><title>Contact sheet</title><style>{_STYLE}</style>"
        f"<h1>Rendered</h1><table>{head}{shown}</table><h1>Refused</h1><table>{refused}</table>\n"
    )


def _row(path: Path, name: str) -> tuple[bool, str]:
    """Return whether a file was refused, and its row."""
    began = time.process_time()
    try:
        seen = rendering(path)
    except Permanent as failure:
        why = f"<td class=bad>{html.escape(failure.code)}</td><td>{html.escape(failure.detail)}</td>"
        return True, f"<tr><td>{html.escape(name)}</td>{why}</tr>"
    spent = time.process_time() - began
    made = {variant.name: variant.data for variant in seen.variants}
    reference, difference, likeness = _compared(path, made["medium"])
    told = f"{seen.format} {seen.width} x {seen.height}, {1000 * spent:.1f} ms, SSIM {likeness}<br>"
    facts = ("frames", "orientation", "color_space", "taken_at", "camera", "lens", "gps", "dominant_color")
    told += html.escape(", ".join(f"{fact} {getattr(seen, fact)}" for fact in facts if getattr(seen, fact)))
    cells = (reference, _image(made["medium"]), _image(made["small"]), difference, told)
    return False, f"<tr><td>{html.escape(name)}</td>{''.join(f'<td>{cell}</td>' for cell in cells)}</tr>"


def _compared(path: Path, medium: bytes) -> tuple[str, str, str]:
    try:
        wanted: Any = similarity.references(path.read_bytes(), (_SHOWN,))[_SHOWN]
        got = similarity.brightness(medium)
        if wanted.shape != got.shape:
            return _image(_jpeg(wanted)), "", "of another size"
        apart = (128 + _LOUDER * (got - wanted)).clip(0, 255)
        return _image(_jpeg(wanted)), _image(_jpeg(apart)), f"{similarity.ssim(wanted, got):.4f}"
    except Exception as failure:  # noqa: BLE001 - what the plain reference cannot read has none
        return html.escape(type(failure).__name__), "", "unknown"


def _jpeg(plane: Any) -> bytes:
    out = io.BytesIO()
    Image.fromarray(np.asarray(plane, dtype=np.uint8)).save(out, "JPEG", quality=80)
    return out.getvalue()


def _image(data: bytes) -> str:
    return f'<img src="data:image/jpeg;base64,{base64.b64encode(data).decode()}">'
