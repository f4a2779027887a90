"""The cells of writes, faults and callers: how each is made ready, done and judged. The endpoint itself is asked."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from airflow_sm_pipelines.definition import definition_hash, parse_definition
from tests.deployment.races import definition
from tests.reliability.injections import Injection
from tests.reliability.laboratory import ROLE, make_definition

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from airflow_sm_pipelines.client.calls import PipelineVersion
    from tests.reliability.write_runs import Cell, Endpoint

    Judge = Callable[[Endpoint, Cell], Iterator[str]]
    Work = Callable[[Cell], dict[str, Any]]

HELD_SECONDS = 3.5
"""Longer than a caller waits for an answer."""

OPERATOR, BARE, COMMAND = "operator", "operator without botocore's retries", "command"
SYNC, DEFERRED = "run, synchronous", "run, deferred"
SYNC_BARE, DEFERRED_BARE = f"{SYNC}, without botocore's retries", f"{DEFERRED}, without botocore's retries"
CALLERS = (OPERATOR, BARE, SYNC, SYNC_BARE, DEFERRED, DEFERRED_BARE, COMMAND)
_RUNS = (SYNC, SYNC_BARE, DEFERRED, DEFERRED_BARE)
_DEPLOYERS = (OPERATOR, BARE, COMMAND)


# --- faults -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Fault:
    """What happens to one call.

    :param arguments: of the :class:`Injection`.
    """

    key: str
    title: str
    arguments: dict[str, Any]

    @property
    def kills(self) -> bool:
        """Whether the caller is killed."""
        return self.arguments["action"] == "kill"

    def injection(self, operation: str, skip: int) -> Injection:
        """The fault of that call."""
        return Injection(operation, skip=skip, **self.arguments)


def _refused(code: str, status: int, message: str = "by the fault proxy") -> dict[str, Any]:
    return {"action": "refuse", "code": code, "http_status": status, "message": message}


def _both(key: str, title: str, **arguments: Any) -> tuple[Fault, Fault]:
    return (
        Fault(f"{key}_before", f"{title}; the call is lost", {"moment": "before", **arguments}),
        Fault(f"{key}_after", f"{title}; the call is done", {"moment": "after", **arguments}),
    )


FAULTS = (
    *_both("reset", "the connection is reset", action="reset"),
    *_both("timeout", "no answer within the client's time", action="hold", delay_seconds=HELD_SECONDS),
    *_both("error_500", "500", **_refused("InternalFailure", 500)),
    *_both("error_503", "503", **_refused("ServiceUnavailable", 503)),
    Fault("throttled", "throttled", _refused("ThrottlingException", 400)),
    *_both("empty", "200 with an empty body", action="garble", garbled="empty"),
    *_both("half", "200 with half of a JSON text", action="garble", garbled="half"),
    *_both("page", "200 with a proxy's page", action="garble", garbled="page"),
    *_both("memberless", "200 without members", action="garble", garbled="no members"),
    Fault("expired", "the token has expired, once", _refused("ExpiredTokenException", 400)),
    Fault("denied", "access denied, for a moment", _refused("AccessDeniedException", 400)),
    Fault(
        "skew",
        "refused for the clock's skew, once",
        _refused("InvalidSignatureException", 400, "Signature expired: 20261130T080000Z is now earlier than ..."),
    ),
    Fault("twice", "delivered twice; the second answer comes", {"action": "twice", "moment": "after"}),
    *_both("kill", "kill -9 of the caller", action="kill"),
)


# --- writes -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Write:
    """A write of the API, as somebody makes it.

    :param operation: the call that the fault happens to; ``skip``: how many of them are let through first.
    :param prepare: makes what must be there before, directly at the endpoint.
    :param work: what the caller gets: ``class`` and ``arguments`` of an operator, or ``argv`` of the command.
    :param judge: what is not as it must be at the end, each a sentence that begins with its kind.
    :param state: of the task at the end.
    :param retries: of the task; a killed attempt has one more.
    :param given_once: the faults after which a person does not give the command again: it has done its work, and would
        do more.
    """

    key: str
    title: str
    operation: str
    prepare: Callable[[Endpoint, Cell], None]
    work: Work
    judge: Judge
    callers: tuple[str, ...]
    skip: int = 0
    state: str = "success"
    retries: int = 3
    given_once: tuple[str, ...] = ()


def _create(*versions: int, **more: Any) -> Callable[[Endpoint, Cell], None]:
    """A pipeline with these versions, and aliases by version id."""

    def prepare(endpoint: Endpoint, cell: Cell) -> None:
        endpoint.create(cell.name, [definition(number) for number in versions], **more)

    return prepare


def _nothing(endpoint: Endpoint, cell: Cell) -> None:
    """Nothing is there."""


def _callback(*answers: str) -> Callable[[Endpoint, Cell], None]:
    """A pipeline with a Callback step, which the endpoint's worker answers so."""

    def prepare(endpoint: Endpoint, cell: Cell) -> None:
        endpoint.answers[cell.name] = list(answers)
        endpoint.create(cell.name, [make_definition("callback", endpoint.queue)])

    return prepare


def _waiting(endpoint: Endpoint, cell: Cell) -> None:
    """An execution whose Callback step waits."""
    _callback()(endpoint, cell)
    endpoint.start(cell.name)
    cell.token = endpoint.await_token(cell.name)


def _stamped(endpoint: Endpoint, cell: Cell) -> None:
    for number in range(1, 4):
        endpoint.create(f"{cell.name}-2026113{number - 1}T000000", [definition(number)])


def _deploy(number: int, **more: Any) -> Work:
    """Deploy the definition with that number; the command starts it as well."""

    def work(cell: Cell) -> dict[str, Any]:
        if cell.caller != COMMAND:
            arguments = {"pipeline": definition(number), "pipeline_name": cell.name, "role_arn": ROLE, **more}
            return {"class": "SageMakerDeployPipelineOperator", "arguments": arguments}
        source = cell.folder / "definition.json"
        source.write_text(json.dumps(definition(number)))
        options = ["--pipeline-name", cell.name, "--role-arn", ROLE, "--no-follow"]
        options += [text for alias in more.get("aliases", ()) for text in ("--alias", alias)]
        options += [text for key, value in more.get("tags", {}).items() for text in ("--tag", f"{key}={value}")]
        return {"argv": ["run", str(source), *options]}

    return work


def _run(**more: Any) -> Work:
    """Run the pipeline."""

    def work(cell: Cell) -> dict[str, Any]:
        if cell.caller == COMMAND:
            return {"argv": ["run", cell.name, "--no-follow"]}
        is_deferred = cell.caller in (DEFERRED, DEFERRED_BARE)
        arguments = {"pipeline_name": cell.name, "deferrable": is_deferred, "waiter_delay": 1, **more}
        return {"class": "SageMakerRunPipelineOperator", "arguments": arguments}

    return work


def _answer(*, is_success: bool) -> Work:
    def work(cell: Cell) -> dict[str, Any]:
        arguments = {"token": cell.token, "success": is_success, "outputs": {"rows": 7} if is_success else None}
        return {"class": "SageMakerAnswerCallbackOperator", "arguments": arguments}

    return work


def _command_or(class_name: str, argv: Callable[[str], list[str]], arguments: Callable[[str], dict[str, Any]]) -> Work:
    def work(cell: Cell) -> dict[str, Any]:
        if cell.caller == COMMAND:
            return {"argv": argv(cell.name)}
        return {"class": class_name, "arguments": arguments(cell.name)}

    return work


# --- the judge --------------------------------------------------------------------------------------------------------


def _deployed(
    count: int, number: int, *, aliases: dict[str, int] | None = None, tags: dict[str, str] | None = None
) -> Judge:
    """So many versions, the newest with that definition, and with its maker's name; aliases; tags."""

    def judge(endpoint: Endpoint, cell: Cell) -> Iterator[str]:
        versions = endpoint.calls.list_versions(cell.name)
        if len(versions) != count:
            kind = "duplicate" if len(versions) > count else "lost"
            yield f"{kind}: {len(versions)} versions instead of {count}"
        newest = endpoint.calls.describe_pipeline(cell.name, version=versions[0].id)
        if definition_hash(parse_definition(newest.definition_text)) != definition_hash(
            parse_definition(definition(number))
        ):
            yield "lost: the newest version is not the one that was deployed"
        elif not _is_named(cell, versions[0]):
            yield "lost: the new version does not name its maker"
        yield from _judge_aliases(aliases or {}, versions)
        found = endpoint.calls.list_tags(newest.arn)
        if lost := {key: value for key, value in (tags or {}).items() if found.get(key) != value}:
            yield f"lost: tags {lost}"
        if cell.caller == COMMAND:
            yield from _judge_executions(endpoint, cell, "Succeeded")

    return judge


def _is_named(cell: Cell, version: PipelineVersion) -> bool:
    """Whether a new version says who made it. Not so if its maker was killed, or may not name versions."""
    is_excused = cell.fault.kills or (cell.write.key, cell.fault.key) == ("version", "denied")
    return cell.write.key == "tags" or is_excused or bool(version.display_name or version.description)


def _aliased(**aliases: int) -> Judge:
    """The aliases, and no others. A command that was killed has no memory: it may leave ``prod-previous`` unnoted."""

    def judge(endpoint: Endpoint, cell: Cell) -> Iterator[str]:
        wanted = {key.replace("_", "-"): value for key, value in aliases.items()}
        versions = endpoint.calls.list_versions(cell.name)
        if cell.caller == COMMAND and cell.fault.kills and cell.write.key.startswith("rollback"):
            if wanted["prod"] not in (version.id for version in versions if "prod" in version.aliases):
                yield f"lost: 'prod' is not version {wanted['prod']}"
            return
        yield from _judge_aliases(wanted, versions)

    return judge


def _judge_aliases(wanted: dict[str, int], versions: Any) -> Iterator[str]:
    found = {alias: version.id for version in versions for alias in version.aliases}
    if found != wanted:
        yield f"lost: aliases {found} instead of {wanted}"


def _ended(status: str) -> Judge:
    """The executions that are due, the newest of which has ended so."""

    def judge(endpoint: Endpoint, cell: Cell) -> Iterator[str]:
        yield from _judge_executions(endpoint, cell, status)

    return judge


def _judge_executions(endpoint: Endpoint, cell: Cell, status: str) -> Iterator[str]:
    found = endpoint.await_end(cell.name)
    due = 1 + (cell.clears if cell.write.key == "retry" else 0)  # a run that is cleared starts another execution
    if len(found) != due:
        yield f"{'duplicate' if len(found) > due else 'lost'}: {len(found)} executions instead of {due}"
    running = [one.arn for one in found if one.status == "Executing"]
    if running:
        yield f"orphan: {len(running)} executions run"
    elif found and found[0].status != status and not (status == "Stopped" and found[0].status == "Stopping"):
        yield f"lost: the execution is {found[0].status} instead of {status}"


def _gone(endpoint: Endpoint, cell: Cell) -> Iterator[str]:
    if endpoint.names(cell.name):
        yield "lost: the pipeline is still there"


def _pruned(endpoint: Endpoint, cell: Cell) -> Iterator[str]:
    if (left := endpoint.names(cell.name)) != [f"{cell.name}-20261132T000000"]:
        yield f"lost: left are {left}"


_PROMOTE = _command_or(
    "SageMakerPromotePipelineOperator",
    lambda name: ["promote", name, "2", "prod", "--unproven"],
    lambda name: {"pipeline_name": name, "version": 2, "alias": "prod", "require_success": False},
)
_ROLL_BACK = _command_or(
    "SageMakerRollBackPipelineOperator",
    lambda name: ["rollback", name, "prod"],
    lambda name: {"pipeline_name": name, "alias": "prod"},
)
_TWO = {"prod": 1}
_MOVED = {"prod": 2, "prod-previous": 1}
_ALIASES = "UpdatePipelineVersion"

WRITES = (
    Write("create", "create", "CreatePipeline", _nothing, _deploy(1), _deployed(1, 1), _DEPLOYERS),
    Write("update", "update", "UpdatePipeline", _create(1), _deploy(2), _deployed(2, 2), _DEPLOYERS),
    Write("version", "version: its name", _ALIASES, _create(1), _deploy(2), _deployed(2, 2), _DEPLOYERS),
    *(
        Write(
            f"alias_{key}",
            f"alias: {title}",
            _ALIASES,
            _create(1, aliases=_TWO),
            _deploy(2, aliases=["prod"]),
            _deployed(2, 2, aliases={"prod": 2}),
            _DEPLOYERS,
            skip=skip,
        )
        for key, title, skip in (("take", "taken from a version", 1), ("give", "given to a version", 2))
    ),
    Write(
        "tags",
        "tags",
        "AddTags",
        _create(1),
        _deploy(1, tags={"team": "risk"}),
        _deployed(1, 1, tags={"team": "risk"}),
        _DEPLOYERS,
    ),
    Write(
        "start",
        "start",
        "StartPipelineExecution",
        _create(1),
        _run(),
        _ended("Succeeded"),
        (*_RUNS, COMMAND),
        given_once=("kill_after",),
    ),
    Write(
        "stop",
        "stop, when the wait is over",
        "StopPipelineExecution",
        _callback(),
        _run(max_wait_seconds=1),
        _ended("Stopped"),
        _RUNS,
        state="failed",
        retries=0,
    ),
    Write(
        "retry",
        "retry of a failed execution",
        "RetryPipelineExecution",
        _callback("fail", "succeed"),
        _run(),
        _ended("Succeeded"),
        _RUNS,
    ),
    *(
        Write(
            f"callback_{word}",
            f"callback: {word}",
            f"SendPipelineExecutionStep{word.capitalize()}",
            _waiting,
            _answer(is_success=word == "success"),
            _ended(status),
            (OPERATOR, BARE),
        )
        for word, status in (("success", "Succeeded"), ("failure", "Failed"))
    ),
    *(
        Write(
            f"promote_{key}",
            f"promote: {title}",
            _ALIASES,
            _create(1, 2, aliases=_TWO),
            _PROMOTE,
            _aliased(prod=2, prod_previous=1),
            _DEPLOYERS,
            skip=skip,
        )
        for key, title, skip in (
            ("take", "the alias is taken", 0),
            ("give", "is given", 1),
            ("note", "the old place is noted", 2),
        )
    ),
    *(
        Write(
            f"rollback_{key}",
            f"rollback: {title}",
            _ALIASES,
            _create(1, 2, aliases=_MOVED),
            _ROLL_BACK,
            _aliased(prod=1, prod_previous=2),
            _DEPLOYERS,
            skip=skip,
            given_once=("kill_before", "kill_after") if key == "note" else (),
        )
        for key, title, skip in (
            ("take", "the alias is taken", 0),
            ("give", "is given", 1),
            ("note", "the old place is noted", 3),
        )
    ),
    Write(
        "prune",
        "prune",
        "DeletePipeline",
        _stamped,
        _command_or(
            "SageMakerPrunePipelinesOperator",
            lambda name: ["prune", name, "--keep", "1", "--yes"],
            lambda name: {"prefix": name, "keep": 1},
        ),
        _pruned,
        _DEPLOYERS,
    ),
    Write(
        "delete",
        "delete",
        "DeletePipeline",
        _create(1),
        _command_or(
            "SageMakerDeletePipelineOperator",
            lambda name: ["delete", name, "--yes"],
            lambda name: {"pipeline_name": name},
        ),
        _gone,
        _DEPLOYERS,
    ),
)


def cells() -> list[tuple[Write, Fault, str]]:
    """Every cell, in the order of the page."""
    return [(write, fault, caller) for write in WRITES for fault in FAULTS for caller in write.callers]
