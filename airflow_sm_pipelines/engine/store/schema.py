"""The schema of the database as a list of migrations. The number of applied migrations is the version of a file.

Append to ``MIGRATIONS``, and never change an entry that was released.
"""

from __future__ import annotations

_FIRST = """
CREATE TABLE pipelines (
    name TEXT PRIMARY KEY, seq INTEGER NOT NULL, arn TEXT NOT NULL UNIQUE, display_name TEXT NOT NULL, description TEXT,
    role_arn TEXT, parallelism INTEGER, created_ms INTEGER NOT NULL, modified_ms INTEGER NOT NULL, last_run_ms INTEGER);
CREATE INDEX pipelines_by_creation ON pipelines (created_ms, name);

CREATE TABLE versions (
    pipeline TEXT NOT NULL REFERENCES pipelines (name) ON DELETE CASCADE, version INTEGER NOT NULL,
    definition TEXT NOT NULL, hash TEXT NOT NULL, display_name TEXT, description TEXT, created_ms INTEGER NOT NULL,
    last_execution_arn TEXT, PRIMARY KEY (pipeline, version));

CREATE TABLE aliases (
    pipeline TEXT NOT NULL, alias TEXT NOT NULL, version INTEGER NOT NULL, PRIMARY KEY (pipeline, alias),
    FOREIGN KEY (pipeline, version) REFERENCES versions (pipeline, version) ON DELETE CASCADE);

CREATE TABLE executions (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, arn TEXT NOT NULL UNIQUE,
    pipeline TEXT NOT NULL REFERENCES pipelines (name) ON DELETE CASCADE, version INTEGER NOT NULL,
    display_name TEXT NOT NULL, description TEXT, status TEXT NOT NULL, failure_reason TEXT, parameters TEXT NOT NULL,
    parallelism INTEGER, experiment TEXT NOT NULL, role_arn TEXT, created_ms INTEGER NOT NULL,
    modified_ms INTEGER NOT NULL);
CREATE INDEX executions_by_creation ON executions (pipeline, created_ms, id);
CREATE INDEX executions_by_arn ON executions (pipeline, arn, id);
CREATE INDEX executions_by_status ON executions (status);

CREATE TABLE steps (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, execution_id TEXT NOT NULL REFERENCES executions (id) ON DELETE CASCADE,
    name TEXT NOT NULL, status TEXT, started_ms INTEGER, ended_ms INTEGER, failure_reason TEXT, metadata TEXT NOT NULL,
    properties TEXT, resource_kind TEXT, resource_name TEXT, attempt INTEGER NOT NULL,
    UNIQUE (execution_id, name));
CREATE INDEX steps_by_start ON steps (execution_id, started_ms, seq);

CREATE INDEX steps_by_resource ON steps (resource_kind, resource_name);

CREATE TABLE resources (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, kind TEXT NOT NULL, name TEXT NOT NULL, arn TEXT NOT NULL UNIQUE,
    status TEXT, family TEXT, version INTEGER, document TEXT NOT NULL, created_ms INTEGER NOT NULL,
    modified_ms INTEGER NOT NULL, UNIQUE (kind, name));
CREATE INDEX resources_by_creation ON resources (kind, created_ms, name);
CREATE INDEX resources_by_family ON resources (kind, family, version);

CREATE TABLE tokens (
    operation TEXT NOT NULL, token TEXT NOT NULL, fingerprint TEXT NOT NULL, response TEXT NOT NULL, pipeline TEXT,
    PRIMARY KEY (operation, token));
CREATE INDEX tokens_by_pipeline ON tokens (pipeline);

CREATE TABLE tags (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, arn TEXT NOT NULL, key TEXT NOT NULL, value TEXT NOT NULL,
    UNIQUE (arn, key));
"""

_STEP_CACHE = """
ALTER TABLE steps ADD COLUMN cache_key TEXT;
ALTER TABLE steps ADD COLUMN cache_source TEXT;
CREATE INDEX steps_by_cache_key ON steps (cache_key, ended_ms);
"""

_SELECTION = """
ALTER TABLE executions ADD COLUMN selection TEXT;
ALTER TABLE steps ADD COLUMN selective_source TEXT;
"""

_WAITING_STEPS = """
ALTER TABLE steps ADD COLUMN items TEXT;
ALTER TABLE steps ADD COLUMN parent TEXT;
ALTER TABLE steps ADD COLUMN iteration INTEGER;
ALTER TABLE steps ADD COLUMN item TEXT;
ALTER TABLE steps ADD COLUMN callback_token TEXT;
ALTER TABLE steps ADD COLUMN callback_sent TEXT;
ALTER TABLE steps ADD COLUMN retry_at_ms INTEGER;
ALTER TABLE steps ADD COLUMN retries TEXT;
CREATE UNIQUE INDEX steps_by_callback_token ON steps (callback_token) WHERE callback_token IS NOT NULL;
CREATE INDEX steps_by_retry ON steps (execution_id, retry_at_ms) WHERE retry_at_ms IS NOT NULL;
"""
"""A ForEach step has its items, and a step it made its parent and item. Steps may wait for a callback or a retry."""

_EVENTS = """
CREATE TABLE events (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, execution_id TEXT NOT NULL REFERENCES executions (id) ON DELETE CASCADE,
    step TEXT, parent TEXT, previous TEXT, current TEXT NOT NULL,
    at_ms INTEGER NOT NULL DEFAULT (CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER)),
    started_ms INTEGER NOT NULL, ended_ms INTEGER, failure_reason TEXT, metadata TEXT, cache_source TEXT);
CREATE INDEX events_by_execution ON events (execution_id);
CREATE TRIGGER execution_begins AFTER INSERT ON executions BEGIN
    INSERT INTO events (execution_id, current, started_ms) VALUES (NEW.id, NEW.status, NEW.created_ms); END;
CREATE TRIGGER execution_changes AFTER UPDATE OF status ON executions WHEN NEW.status <> OLD.status BEGIN
    INSERT INTO events (execution_id, previous, current, started_ms, ended_ms)
    VALUES (NEW.id, OLD.status, NEW.status, NEW.created_ms,
        CASE WHEN NEW.status IN ('Executing', 'Stopping') THEN NULL ELSE NEW.modified_ms END); END;
CREATE TRIGGER step_begins AFTER INSERT ON steps WHEN NEW.selective_source IS NULL AND NEW.status IS NOT NULL BEGIN
    INSERT INTO events (execution_id, step, parent, current, started_ms, ended_ms, failure_reason, metadata)
    VALUES (NEW.execution_id, NEW.name, NEW.parent, NEW.status, NEW.started_ms, NEW.ended_ms, NEW.failure_reason,
        NEW.metadata); END;
CREATE TRIGGER step_changes AFTER UPDATE OF status ON steps
    WHEN NEW.status IS NOT NULL AND NEW.status IS NOT OLD.status BEGIN
    INSERT INTO events (execution_id, step, parent, previous, current, started_ms, ended_ms, failure_reason, metadata,
        cache_source)
    VALUES (NEW.execution_id, NEW.name, NEW.parent, OLD.status, NEW.status, NEW.started_ms, NEW.ended_ms,
        NEW.failure_reason, NEW.metadata, NEW.cache_source); END;
"""
"""Triggers write the events, so that no code that changes a status can forget one."""

_MLFLOW = "ALTER TABLE executions ADD COLUMN mlflow TEXT;"

_FLAT_CALLS = """
CREATE INDEX resources_by_status ON resources (kind, status, created_ms, name);
CREATE INDEX steps_by_cacheable_end ON steps (name, ended_ms) WHERE cache_key IS NOT NULL;
"""
"""Without these indexes a start reads all jobs there ever were, and a cache miss reads all steps."""

MIGRATIONS: tuple[str, ...] = (_FIRST, _STEP_CACHE, _SELECTION, _WAITING_STEPS, _EVENTS, _MLFLOW, _FLAT_CALLS)
