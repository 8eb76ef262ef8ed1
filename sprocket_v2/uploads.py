"""Files that people upload stay in memory: they may hold secrets, so none is ever written to a disk. What is over the limit is cut."""

from __future__ import annotations

import io
from typing import Any

from django.core.files.uploadedfile import InMemoryUploadedFile
from django.core.files.uploadhandler import FileUploadHandler

from blueprints.estate.deployment import LIMITS


class InMemory(FileUploadHandler):
    """Keeps at most one byte more than an import reads, of all files of a request together; that byte tells the reader that it is too much."""

    chunk_size = 256 * 1024

    def __init__(self, request: Any = None) -> None:  # noqa: ANN401 - Django's signature
        super().__init__(request)
        self._left = LIMITS.size + 1

    def new_file(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - Django's signature
        """A file begins."""
        super().new_file(*args, **kwargs)
        self._file = io.BytesIO()

    def receive_data_chunk(self, raw_data: bytes, start: int) -> None:
        """Some of it."""
        kept = raw_data[: self._left]
        self._left -= len(kept)
        self._file.write(kept)

    def file_complete(self, file_size: int) -> InMemoryUploadedFile:
        """All of it, or what was kept."""
        self._file.seek(0)
        return InMemoryUploadedFile(
            file=self._file, field_name=self.field_name, name=self.file_name, content_type=self.content_type, size=self._file.getbuffer().nbytes,
            charset=self.charset, content_type_extra=self.content_type_extra,
        )  # fmt: skip
