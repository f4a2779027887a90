"""Tags in the database, by the ARN of what they are on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from airflow_sm_pipelines.engine.store.database import EngineDatabase


class TagTable:
    """Reads and writes tags."""

    def __init__(self, database: EngineDatabase) -> None:
        self._database = database

    def of(self, arn: str) -> list[dict[str, str]]:
        """The tags of a resource, in the order in which they were added."""
        rows = self._database.rows("SELECT key, value FROM tags WHERE arn = ? ORDER BY seq", (arn,))
        return [{"Key": row["key"], "Value": row["value"]} for row in rows]

    def add(self, arn: str, tags: Sequence[Mapping[str, Any]]) -> None:
        """Add or overwrite tags."""
        for tag in tags:
            self._database.execute(
                "INSERT INTO tags (arn, key, value) VALUES (?, ?, ?)"
                " ON CONFLICT (arn, key) DO UPDATE SET value = excluded.value",
                (arn, tag["Key"], tag["Value"]),
            )

    def delete(self, arn: str, keys: Sequence[str] | None = None) -> None:
        """Remove these tags, or all if ``keys`` is None."""
        if keys is None:
            self._database.execute("DELETE FROM tags WHERE arn = ?", (arn,))
            return
        for key in keys:
            self._database.execute("DELETE FROM tags WHERE arn = ? AND key = ?", (arn, key))
