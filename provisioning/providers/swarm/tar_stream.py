"""Files as the tar streams Docker's copy calls take and give, a piece at a time: a database need not fit in memory. Pure."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

PIECE = 256 * 1024
_BLOCK = 512


class _Pieces(io.RawIOBase):
    """An iterator of pieces, read like a file."""

    def __init__(self, pieces: Iterable[bytes]) -> None:
        self._pieces = iter(pieces)
        self._left = b""

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        found = [self._left]
        length = len(self._left)
        while size < 0 or length < size:
            piece = next(self._pieces, None)
            if piece is None:
                break
            found.append(piece)
            length += len(piece)
        whole = b"".join(found)
        cut = length if size < 0 else size
        self._left = whole[cut:]
        return whole[:cut]


def unpack(pieces: Iterable[bytes]) -> Iterator[tuple[str, Iterator[bytes]]]:
    """Each plain file of a tar stream by its own name, without folders; its pieces have to be used before the next is asked for."""
    with tarfile.open(fileobj=_Pieces(pieces), mode="r|", bufsize=PIECE) as archive:
        for item in archive:
            file = archive.extractfile(item) if item.isfile() else None
            if file is not None:
                yield item.name.rpartition("/")[2], iter(lambda file=file: file.read(PIECE), b"")  # type: ignore[misc]


def pack(folder: str, files: Mapping[str, Path]) -> Iterator[bytes]:
    """A tar stream that holds `folder` with these files in it, readable by root only."""
    top = tarfile.TarInfo(folder)
    top.type, top.mode = tarfile.DIRTYPE, 0o700
    yield top.tobuf()
    for name, path in files.items():
        item = tarfile.TarInfo(f"{folder}/{name}")
        item.size, item.mode = path.stat().st_size, 0o600
        yield item.tobuf()
        with path.open("rb") as file:
            while piece := file.read(PIECE):
                yield piece
        yield b"\0" * (-item.size % _BLOCK)
    yield b"\0" * (2 * _BLOCK)
