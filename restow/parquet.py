"""Records as a Parquet file: columns, compressed, for DuckDB, pandas and the like.

Written by pyarrow, which is not needed for anything else and so is not brought along.
"""

from collections.abc import Sequence
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import msgspec

from projections.exporting import Record

ROWS = 50_000
"""Rows of one group of a file, which are held in memory until it is written."""


class NoParquetError(RuntimeError):
    """pyarrow is not there; the message says how to get it."""


class ParquetFile:
    """A file that is written in groups of rows; `close` it."""

    def __init__(self, path: Path) -> None:
        """Open a file for writing. Raises `NoParquetError`, `OSError`."""
        if find_spec("pyarrow") is None:
            message = "Parquet needs pyarrow: pip install 'restow[parquet]', or write .jsonl"
            raise NoParquetError(message)
        self._arrow: Any = import_module("pyarrow")
        parquet: Any = import_module("pyarrow.parquet")
        kinds: dict[Any, Any] = {int: self._arrow.int64(), str: self._arrow.string()}
        fields = msgspec.structs.fields(Record)
        columns = [(one.name, kinds.get(one.type, self._arrow.int64())) for one in fields]
        self._schema: Any = self._arrow.schema(columns)
        self._writer: Any = parquet.ParquetWriter(str(path), self._schema, compression="zstd")
        self._rows: list[dict[str, Any]] = []

    def write(self, records: Sequence[Record]) -> None:
        """Add records."""
        self._rows += [msgspec.to_builtins(one) for one in records]
        if len(self._rows) >= ROWS:
            self._flush()

    def _flush(self) -> None:
        self._writer.write_table(self._arrow.Table.from_pylist(self._rows, schema=self._schema))
        self._rows = []

    def close(self) -> None:
        if self._rows:
            self._flush()
        self._writer.close()
