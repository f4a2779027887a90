"""Client request tokens with the answers given to them, and tags by ARN."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_sm_pipelines.engine.store.documents import decode_document, encode_document

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from airflow_sm_pipelines.engine.store.database import Database


class Ledger:
    """Reads and writes tokens and tags."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def find_token(self, operation: str, token: str) -> tuple[str, dict[str, Any]] | None:
        """The fingerprint of the request that came with this token, and the answer it got."""
        row = self._database.row(
            "SELECT fingerprint, response FROM tokens WHERE operation = ? AND token = ?", (operation, token)
        )
        return (row["fingerprint"], decode_document(row["response"])) if row else None

    def add_token(
        self, operation: str, token: str, *, fingerprint: str, response: dict[str, Any], pipeline: str | None
    ) -> None:
        """Keep the answer to a request; it goes when its pipeline is deleted."""
        self._database.insert(
            "tokens",
            {
                "operation": operation,
                "token": token,
                "fingerprint": fingerprint,
                "response": encode_document(response),
                "pipeline": pipeline,
            },
        )

    def forget_pipeline(self, pipeline: str) -> None:
        """Drop the tokens of a pipeline."""
        self._database.execute("DELETE FROM tokens WHERE pipeline = ?", (pipeline,))

    def tags(self, arn: str) -> list[dict[str, str]]:
        """The tags of a resource, in the order they were added."""
        rows = self._database.rows("SELECT key, value FROM tags WHERE arn = ? ORDER BY seq", (arn,))
        return [{"Key": row["key"], "Value": row["value"]} for row in rows]

    def add_tags(self, arn: str, tags: Sequence[Mapping[str, Any]]) -> None:
        """Add or overwrite tags."""
        for tag in tags:
            self._database.execute(
                "INSERT INTO tags (arn, key, value) VALUES (?, ?, ?)"
                " ON CONFLICT (arn, key) DO UPDATE SET value = excluded.value",
                (arn, tag["Key"], tag["Value"]),
            )

    def delete_tags(self, arn: str, keys: Sequence[str] | None = None) -> None:
        """Remove these tags, or all."""
        if keys is None:
            self._database.execute("DELETE FROM tags WHERE arn = ?", (arn,))
            return
        for key in keys:
            self._database.execute("DELETE FROM tags WHERE arn = ? AND key = ?", (arn, key))
