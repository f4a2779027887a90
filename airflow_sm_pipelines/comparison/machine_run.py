"""Runs a state machine under moto's interpreter, with scripted answers in place of every service.

The interpreter is moto's own: what states read, choose, retry and catch is not decided here. Replaced are the services,
which it has only in part, the JVM that it would ask for JSONata, and everything that waits. Branches and items run one
after the other, so that a run is the same each time.
"""

from __future__ import annotations

import contextlib
import copy
import itertools
import json
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from airflow_sm_pipelines.comparison.traces import Event, Trace
from airflow_sm_pipelines.exceptions import MigrationError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from airflow_sm_pipelines.comparison.scripts import Answer

ID_MARK = "\u27e8id\u27e9"
TIME_MARK = "1970-01-01T00:00:00.123Z"
"""What stands for an id and for a time of the run. The other side has others there, whatever they are."""

_RENAMED = "role-arn.$"


@dataclass(slots=True)
class _Recorder:
    """What a run does, while it runs.

    :param ask: gives the answer for a state, its resource and what it gives to it.
    :ivar place: the branches and items that are running, outer before inner.
    """

    ask: Callable[[str, str, Any], Answer]
    events: list[Event] = field(default_factory=list)
    entered: list[tuple[str | None, str]] = field(default_factory=list)
    place: list[str] = field(default_factory=list)
    numbers: Iterator[int] = field(default_factory=itertools.count)
    last: dict[tuple[str, ...], str] = field(default_factory=dict)

    def number(self, pool: Any) -> int:
        """A number for what runs branches or items beside each other."""
        if not hasattr(pool, "number"):
            pool.number = next(self.numbers)
        return int(pool.number)

    def enter(self, state: str) -> None:
        here = tuple(self.place)
        self.entered.append((self.last.get(here), state))
        self.last[here] = state

    def note(self, state: str, resource: str, given: Any, *, is_failure: bool) -> None:
        self.events.append(Event(state, resource, given, place=tuple(self.place), is_failure=is_failure))


class MachineRunner:
    """Runs one machine, as often as wanted.

    :param document: the machine's object, without placeholders.
    :raises MigrationError: the interpreter is not installed, or refuses the machine.
    """

    def __init__(self, document: Mapping[str, Any]) -> None:
        try:
            from moto.stepfunctions.parser.asl.parse.asl_parser import AmazonStateLanguageParser, ASLParserException
        except ImportError as error:
            packages = "pip install 'airflow-sm-pipelines[compare]'"
            raise MigrationError(f"Running a state machine needs more packages: {packages} ({error}).") from None
        self._current = _Recorder(_refuse)
        with self._patched():
            try:
                self._program, _ = AmazonStateLanguageParser.parse(
                    json.dumps(_make_plain(document), ensure_ascii=False)
                )
            except ASLParserException as error:
                raise MigrationError(f"moto's interpreter cannot read the machine: {error}.") from None
            except Exception as error:  # noqa: BLE001 - it raises what its parser raises: TypeError, ValueError, ...
                reason = f"{type(error).__name__}: {error}"
                raise MigrationError(f"moto's interpreter cannot read the machine: {reason}.") from None

    def run(self, given: Any, ask: Callable[[str, str, Any], Answer]) -> Trace:
        """Run the machine once.

        :param given: the input.
        :param ask: gives the answer for a state, its resource and what the state gives to it.
        """
        from moto.stepfunctions.parser.asl.eval.program_state import ProgramEnded, ProgramError

        self._current = recorder = _Recorder(ask)
        environment = _make_environment(given)
        with self._patched():
            self._program.eval(environment)
        state = environment.program_state()
        if isinstance(state, ProgramEnded):
            return Trace(recorder.events, "success", entered=recorder.entered)
        details: Any = state.error if isinstance(state, ProgramError) else {}
        error, cause = (str((details or {}).get(key) or "") for key in ("error", "cause"))
        return Trace(recorder.events, "failed", error=error, reason=cause, entered=recorder.entered)

    @contextlib.contextmanager
    def _patched(self) -> Iterator[None]:
        """The interpreter with scripted services, and without threads and waits. moto 5.2.5 has no seams for them."""
        with contextlib.ExitStack() as stack:
            for owner, name, value in _list_patches(lambda: self._current):
                stack.callback(setattr, owner, name, getattr(owner, name))
                setattr(owner, name, value)
            yield


def _refuse(state: str, resource: str, given: Any) -> Answer:
    raise MigrationError(f"The state {state} asks {resource} outside of a run.")


def _make_plain(value: Any) -> Any:
    """The machine as the interpreter can read it.

    Left out is what sends the items of a distributed Map to executions of their own. ``RoleArn.$`` in a request is
    renamed: moto 5.2.5 takes it for that of Credentials wherever it stands.
    """
    if isinstance(value, list):
        return [_make_plain(item) for item in value]
    if not isinstance(value, dict):
        return value
    plain = {key: _make_plain(item) for key, item in value.items() if key != "ProcessorConfig"}
    if plain.get("Type") == "Task" and isinstance(plain.get("Parameters"), dict):
        plain["Parameters"] = _rename(plain["Parameters"], "RoleArn.$", _RENAMED)
    return plain


def _rename(value: Any, name: str, other: str) -> Any:
    if isinstance(value, dict):
        return {other if key == name else key: _rename(item, name, other) for key, item in value.items()}
    return [_rename(item, name, other) for item in value] if isinstance(value, list) else value


def _make_environment(given: Any) -> Any:
    from moto.stepfunctions.parser.api import StateMachineType
    from moto.stepfunctions.parser.asl.eval.environment import Environment
    from moto.stepfunctions.parser.asl.eval.evaluation_details import AWSExecutionDetails
    from moto.stepfunctions.parser.asl.eval.event.event_manager import EventHistoryContext
    from moto.stepfunctions.parser.asl.eval.states import ContextObjectData, ExecutionData, StateMachineData

    role = "arn:aws:iam::123456789012:role/StepFunctions"
    return Environment(
        aws_execution_details=AWSExecutionDetails("123456789012", "us-east-1", role),
        execution_type=StateMachineType.STANDARD,
        context=ContextObjectData(  # type: ignore[typeddict-item]  # States.reset makes the others
            Execution=ExecutionData(
                Id=ID_MARK, Input=copy.deepcopy(given), Name=ID_MARK, RoleArn=role, StartTime=TIME_MARK
            ),
            StateMachine=StateMachineData(Id=ID_MARK, Name=ID_MARK),
        ),
        event_history_context=EventHistoryContext.of_program_start(),
        cloud_watch_logging_session=None,
        activity_store={},
    )


_ONE_VALUE = r"\A[^*?:,]*\[\d+\][^*?:,]*\Z"
"""A path that finds one value by an index. moto 5.2.5 gives a list for ``$.a[0].b``, the service gives the value."""


def _list_patches(get: Callable[[], _Recorder]) -> list[tuple[Any, str, Any]]:
    """Where the interpreter is changed: the owner, the name there, and what takes its place."""
    from moto.stepfunctions.parser.asl.component.common.retry import retrier_decl
    from moto.stepfunctions.parser.asl.component.state.state import CommonStateField
    from moto.stepfunctions.parser.asl.component.state.wait.wait_function.wait_function import WaitFunction
    from moto.stepfunctions.parser.asl.jsonata import jsonata
    from moto.stepfunctions.parser.asl.parse import preprocessor
    from moto.stepfunctions.parser.asl.utils import json_path

    evaluate_state = CommonStateField._eval_body

    def enter(state: Any, env: Any) -> None:
        get().enter(state.name)
        evaluate_state(state, env)

    def wait(function: Any, env: Any, wait_seconds: float) -> None:
        state = env.states.context_object.context_object_data["State"]["Name"]
        get().note(state, "wait", wait_seconds, is_failure=False)

    def sleep_not(seconds: float) -> None:
        return None

    return [
        *_list_thread_patches(get),
        (preprocessor, "state_task_for", lambda resource: _make_task(resource, get)),
        (retrier_decl, "time", SimpleNamespace(sleep=sleep_not)),
        (CommonStateField, "_eval_body", enter),
        (WaitFunction, "_wait_interval", wait),
        (jsonata, "_eval_jsonata", _evaluate_jsonata),
        (json_path, "_PATTERN_SINGLETON_ARRAY_ACCESS_OUTPUT", _ONE_VALUE),
    ]


def _list_thread_patches(get: Callable[[], _Recorder]) -> list[tuple[Any, str, Any]]:
    """The same for what would run in a thread: programs, branches and items."""
    from moto.stepfunctions.parser.asl.component.eval_component import EvalComponent
    from moto.stepfunctions.parser.asl.component.program.program import Program
    from moto.stepfunctions.parser.asl.component.state.exec.state_map.iteration import job
    from moto.stepfunctions.parser.asl.component.state.exec.state_map.iteration.inline_iteration_component import (
        InlineIterationComponent,
    )
    from moto.stepfunctions.parser.asl.component.state.exec.state_parallel.branch_worker import BranchWorker

    def evaluate_program(program: Any, env: Any) -> None:
        env.next_state_name = program.start_at.start_at_name
        EvalComponent.eval(program, env)

    def start(worker: Any) -> None:
        place = get().place
        place.append(f"{get().number(worker._branch_worker_comm)}/{next(get().numbers)}")
        try:
            worker._program.eval(worker.env)
        finally:
            place.pop()
        worker._branch_worker_comm.on_terminated(env=worker.env)

    def launch(component: Any, env: Any, eval_input: Any, job_pool: Any) -> Any:
        worker = component._create_worker(env=env, eval_input=eval_input, job_pool=job_pool)
        depth = len(get().place)
        worker.eval()
        del get().place[depth:]
        job_pool.has_begun = False
        return worker

    make_job: Any = job.JobPool.next_job

    def next_job(pool: Any) -> Any:
        """The next item. The one before it has ended."""
        found, place = make_job(pool), get().place
        if getattr(pool, "has_begun", False):
            place.pop()
        pool.has_begun = found is not None
        if found is not None:
            place.append(f"{get().number(pool)}/{found.job_index}")
        return found

    return [
        (Program, "eval", evaluate_program),
        (BranchWorker, "start", start),
        (InlineIterationComponent, "_launch_worker", launch),
        (job.JobPool, "next_job", next_job),
    ]


def _evaluate_jsonata(expression: str) -> Any:
    from jsonata import Jsonata
    from moto.stepfunctions.parser.asl.jsonata.jsonata import JSONataException

    try:
        return Jsonata(expression).evaluate(None)
    except Exception as error:  # noqa: BLE001 - it raises what Python's own functions raise
        raise JSONataException("States.QueryEvaluationError", str(error)) from None


def _make_task(resource: Any, get: Callable[[], _Recorder]) -> Any:
    """A Task state that asks for its answer, and fails with the error of that."""
    from moto.stepfunctions.parser.api import HistoryEventType, TaskFailedEventDetails
    from moto.stepfunctions.parser.asl.component.common.error_name.error_name import ErrorName
    from moto.stepfunctions.parser.asl.component.common.error_name.failure_event import (
        FailureEvent,
        FailureEventException,
    )
    from moto.stepfunctions.parser.asl.component.state.exec.state_task.state_task import StateTask

    if resource is None:
        raise ValueError("A Task state has a Resource that is no ARN")

    class Error(ErrorName):
        """Any name; moto's own classes have one for names of the language, and one for all others."""

    class ScriptedTask(StateTask):
        def _eval_execution(self, env: Any) -> None:
            if self.parargs is not None:
                context = env.states.context_object.context_object_data
                context["Task"] = {"Token": ID_MARK}  # moto gives one to services of its own only
                self.parargs.eval(env=env)
                context.pop("Task")
            given = _rename(copy.deepcopy(env.stack.pop()), _RENAMED.removesuffix(".$"), "RoleArn")
            recorder, arn = get(), self.resource.resource_arn
            answer = recorder.ask(self.name, arn, given)
            recorder.note(self.name, arn, given, is_failure=answer.error is not None)
            if answer.error is not None:
                details = TaskFailedEventDetails(error=answer.error, cause=answer.cause)
                noted: Any = {"taskFailedEventDetails": details}
                raise FailureEventException(
                    FailureEvent(
                        env=env,
                        error_name=Error(answer.error),
                        event_type=HistoryEventType.TaskFailed,
                        event_details=noted,
                    )
                )
            env.stack.append(copy.deepcopy(answer.result))

    make: Any = ScriptedTask
    return make()
