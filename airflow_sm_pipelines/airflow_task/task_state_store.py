"""What a task instance remembers from one attempt to the next, in Airflow's task state store (3.3 and later).

The store keeps its values until the DAG run is deleted; the UI shows them under the task instance's *Storage* tab.
Triggers cannot reach it.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from airflow_sm_pipelines.runs.submission import Submission

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow_sm_pipelines.runs.submission import ClearChoice

SUBMISSION_KEY = "sagemaker_pipeline_submission"
"""The key of the last start of an execution."""

STOP_KEY = "sagemaker_pipeline_stop"
"""The key of the arguments of the hook that can stop the execution; there only while a task's end must stop it."""

STOP_ON_CLEAR = "stop_on_clear"
"""Beside the hook's arguments under :data:`STOP_KEY`: whether a clear, too, must stop the execution."""

STOPPED_BY = "stopped_by"
"""Beside them, in a task group: the task whose end by hand stops the execution, since this one ends at its start."""

CLEARED_KEY = "sagemaker_pipeline_cleared"
"""The key of the token of the submission that was the last one when somebody cleared the task."""

CLEAR_CHOICE_KEY = "sagemaker_pipeline_on_clear"
"""The key of what the next attempt does in place of the operator's ``on_clear``; the page in the UI sets it."""

LOG_CURSOR_KEY = "sagemaker_log_cursor"
"""The key of the place up to which the jobs' logs were shown."""

REFUSED_KEY = "sagemaker_refused_looks"
"""The key of how long the checks of a sensor have been refused; only a sensor that is rescheduled has it."""

ROLL_BACK_KEY = "sagemaker_pipeline_roll_back"
"""The key of the rollback that has begun."""

CALLBACK_KEY = "sagemaker_callback_message"
"""The key of a Callback step's message that was taken from its queue."""


class TaskStateStore:
    """The memory of one task instance; before Airflow 3.3 it is always empty and keeps nothing.

    :param context: Airflow's context of the running task.
    """

    def __init__(self, context: Mapping[str, Any]) -> None:
        self._accessor: Any = context.get("task_state_store")
        self._max_tries = getattr(context.get("ti"), "max_tries", None)
        self._has_choice = False
        self.saved: Submission | None = None
        """The submission that this attempt has saved last."""

    @property
    def is_durable(self) -> bool:
        """Whether anything survives this attempt."""
        return self._accessor is not None

    def load_submission(self) -> Submission | None:
        """The last submission of this task instance in this DAG run, whichever attempt made it."""
        value = self._load(SUBMISSION_KEY)
        if value is None:
            return None
        submission = Submission(**value)
        cleared = self._load(CLEARED_KEY)
        return replace(submission, is_cleared=cleared is not None and cleared.get("token") == submission.token)

    def save_submission(self, submission: Submission) -> None:
        """Remember a submission; returns once Airflow has it."""
        self.saved = submission
        self._save(SUBMISSION_KEY, submission.to_json())
        if self._has_choice and self._accessor is not None:
            self._has_choice = False
            self._accessor.delete(CLEAR_CHOICE_KEY)

    def find_clear_choice(self, usual: ClearChoice) -> ClearChoice:
        """What a cleared task does about its earlier execution.

        Somebody may have chosen otherwise for this one clear. The choice is forgotten with the next submission that is
        saved, before the call that it is about.

        :param usual: what the operator says.
        """
        value = self._load(CLEAR_CHOICE_KEY)
        self._has_choice = value is not None and value.get("on_clear") == "resume"
        return "resume" if self._has_choice else usual

    def mark_failed_try(self, try_number: int) -> None:
        """Mark the last submission: this attempt ends with an error of its own, so what follows is a retry."""
        last = self.load_submission()
        if last is not None:
            self.save_submission(last.with_failed_try(try_number))

    def save_stop_arguments(
        self, hook_arguments: dict[str, Any], *, stop_on_clear: bool, stopped_by: str | None = None
    ) -> None:
        """Remember that the task's end must stop its execution, and where the call for it goes.

        :param stopped_by: another task whose end by hand stops it, in place of this one's.
        """
        more = {} if stopped_by is None else {STOPPED_BY: stopped_by}
        self._save(STOP_KEY, {**hook_arguments, STOP_ON_CLEAR: stop_on_clear, **more})

    def delete_stop_arguments(self) -> None:
        """Forget that the task's end must stop its execution."""
        if self._accessor is not None:
            self._accessor.delete(STOP_KEY)

    def load_log_cursor(self) -> dict[str, Any] | None:
        """How far an earlier attempt has shown the jobs' logs."""
        return self._load(LOG_CURSOR_KEY)

    def save_log_cursor(self, cursor: dict[str, Any]) -> None:
        """Remember how far the jobs' logs were shown."""
        self._save(LOG_CURSOR_KEY, cursor)

    def load_refused_looks(self) -> dict[str, Any] | None:
        """How long the checks of a sensor have been refused."""
        return self._load(REFUSED_KEY)

    def save_refused_looks(self, refused: dict[str, Any]) -> None:
        """Remember how long the checks of a sensor have been refused."""
        self._save(REFUSED_KEY, refused)

    def load_roll_back(self) -> tuple[int, int] | None:
        """The versions that a rollback goes from and to, if an earlier attempt has begun it and no clear came since.

        A clear sets ``max_tries`` anew, a retry does not.
        """
        value = self._load(ROLL_BACK_KEY)
        if value is None or value["max_tries"] != self._max_tries:
            return None
        return value["source"], value["target"]

    def save_roll_back(self, source: int, target: int) -> None:
        """Remember which rollback begins."""
        self._save(ROLL_BACK_KEY, {"source": source, "target": target, "max_tries": self._max_tries})

    def load_callback(self) -> dict[str, Any] | None:
        """The message of a Callback step that an earlier attempt has received."""
        return self._load(CALLBACK_KEY)

    def save_callback(self, message: dict[str, Any]) -> None:
        """Remember the message of a Callback step, before it is deleted from its queue."""
        self._save(CALLBACK_KEY, message)

    def _load(self, key: str) -> dict[str, Any] | None:
        value = None if self._accessor is None else self._accessor.get(key)
        return value if isinstance(value, dict) else None

    def _save(self, key: str, value: dict[str, Any]) -> None:
        if self._accessor is not None:
            self._accessor.set(key, value)
