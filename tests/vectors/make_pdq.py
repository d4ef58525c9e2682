"""Writes pdq.json with the reference itself: needs ``pip install consentry[oracle]``.

From the repository's root: ``python -m tests.vectors.make_pdq``.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pdqhash

from tests import pictures

SIZES = ((5, 5), (9, 40), (64, 64), (65, 127), (129, 300), (320, 240), (513, 777), (1200, 800))


def main() -> None:
    vectors = []
    for kind, make in pictures.KINDS.items():
        for seed, (width, height) in enumerate(SIZES):
            plain = kind in ("flat", "checkers")
            rgb = make(width, height) if plain else make(width, height, seed)
            code, quality = pdqhash.compute(np.ascontiguousarray(rgb))
            turned, _ = pdqhash.compute_dihedral(np.ascontiguousarray(rgb))
            vectors.append(
                {
                    "kind": kind,
                    "width": width,
                    "height": height,
                    "seed": seed,
                    "pdq": _hex(code),
                    "quality": int(quality),
                    "dihedral": [_hex(one) for one in turned],
                }
            )
    target = Path(__file__).with_name("pdq.json")
    target.write_text(json.dumps(vectors, indent=1) + "\n")


def _hex(bits: np.ndarray) -> str:
    return np.packbits(bits).tobytes().hex()


if __name__ == "__main__":
    main()
