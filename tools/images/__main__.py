"""`python -m tools.images list|ensure`."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict

from sprocket_v2.errors import SprocketError
from tools.images.build import ensure
from tools.images.table import IMAGES


def main() -> int:
    """List the images, or make them be there."""
    parser = argparse.ArgumentParser(prog="python -m tools.images", description=__doc__)
    parser.add_argument("what", choices=("list", "ensure"))
    parser.add_argument("--images", choices=("standin", "real"), default="standin")
    parser.add_argument("--only", nargs="*", default=[])
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    if given.what == "list":
        print(json.dumps([image.name for image in IMAGES]) if given.json else "\n".join(image.name for image in IMAGES))
        return 0
    try:
        made = ensure(given.only, stand_ins=given.images == "standin", say=lambda line: print(line, file=sys.stderr, flush=True))
    except SprocketError as error:
        print(f"error: {error}\n  hint: {error.hint}", file=sys.stderr)
        return 2
    if given.json:
        print(json.dumps([asdict(item) for item in made]))
    else:
        counts = {how: sum(item.how == how for item in made) for how in ("there", "pulled", "built")}
        print(f"images: {', '.join(f'{count} {how}' for how, count in counts.items() if count)}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
