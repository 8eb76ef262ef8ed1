"""`python -m tools.images list|ensure`."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict
from pathlib import Path

from blueprints.catalog import load_catalog
from blueprints.resolve import resolve
from orgs.needs_file import parse_needs
from sprocket_v2.errors import SprocketError
from tools.images.build import ensure
from tools.images.table import IMAGES


def deployed(needs: Path) -> list[str]:
    """The images of the table that a deployment of these needs runs, under the real tag or this project's."""
    parsed = parse_needs(needs.read_text(), str(needs))
    attached = {file.name: file.read_bytes() for file in needs.parent.glob("*.sql")}
    components = resolve(parsed, load_catalog(), None, attached).components
    wanted = [image for component in components for image in (component.manifest.image, *(s.image for s in component.services if s.image))]
    names = {f"{image.name}:{tag}" for image in wanted for tag in (image.tag, image.stand_in)}
    return [image.name for image in IMAGES if image.name in names]


def main() -> int:
    """List the images, or make them be there."""
    parser = argparse.ArgumentParser(prog="python -m tools.images", description=__doc__)
    parser.add_argument("what", choices=("list", "ensure"))
    parser.add_argument("--images", choices=("standin", "real"), default="standin")
    parser.add_argument("--only", nargs="*", default=[])
    parser.add_argument("--needs", type=Path, help="only what the deployment of these needs runs")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    if given.what == "list":
        print(json.dumps([image.name for image in IMAGES]) if given.json else "\n".join(image.name for image in IMAGES))
        return 0
    try:
        only = [*given.only, *(deployed(given.needs) if given.needs else ())]
        made = ensure(only, stand_ins=given.images == "standin", say=lambda line: print(line, file=sys.stderr, flush=True))
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
