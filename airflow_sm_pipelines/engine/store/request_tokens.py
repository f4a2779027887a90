"""Client request tokens in the database, with the answers given to them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_sm_pipelines.engine.store.documents import decode_document, encode_document

if TYPE_CHECKING:
    from airflow_sm_pipelines.engine.store.database import EngineDatabase


class RequestTokenTable:
    """Reads and writes client request tokens."""

    def __init__(self, database: EngineDatabase) -> None:
        self._database = database

    def find(self, operation: str, token: str) -> tuple[str, dict[str, Any]] | None:
        """The fingerprint of the request that came with this token, and the answer it got."""
        row = self._database.row(
            "SELECT fingerprint, response FROM tokens WHERE operation = ? AND token = ?", (operation, token)
        )
        return (row["fingerprint"], decode_document(row["response"])) if row else None

    def add(
        self, operation: str, token: str, *, fingerprint: str, response: dict[str, Any], pipeline: str | None
    ) -> None:
        """Keep the answer to a request until its pipeline is deleted."""
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
