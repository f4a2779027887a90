"""Reads a state machine into a workflow: walks its blocks with what is known of the document, and makes nodes.

Every state has a record. What nothing here does becomes a task that fails and says what is to do.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, cast

from airflow_sm_pipelines.migrate.names import ClaimedNames
from airflow_sm_pipelines.migrate.node_references import (
    drop_unread_results,
    find_inputs,
    make_function,
)
from airflow_sm_pipelines.migrate.report import Migration, Outcome, Reason, Record
from airflow_sm_pipelines.migrate.stepfunctions.choice_rules import (
    get_rule,
    lacks_default,
    read_again,
    read_until,
    read_ways,
)
from airflow_sm_pipelines.migrate.stepfunctions.document_values import (
    ABSENT,
    Env,
    NoValue,
    Ref,
    UnsupportedError,
    Value,
    join_values,
    merge_envs,
    put,
    to_expression,
)
from airflow_sm_pipelines.migrate.stepfunctions.flow import (
    ALL_ERRORS,
    Block,
    Circle,
    Do,
    Fork,
    Guard,
    Item,
    Poll,
    Way,
    make_blocks,
)
from airflow_sm_pipelines.migrate.stepfunctions.machine import parse_machine
from airflow_sm_pipelines.migrate.stepfunctions.machine_files import MachinePlaceholders
from airflow_sm_pipelines.migrate.stepfunctions.payloads import (
    Scope,
    batch_items,
    fill_template,
    parse_path,
    read_expression,
    read_path,
)
from airflow_sm_pipelines.migrate.stepfunctions.task_nodes import Task, TaskNodes
from airflow_sm_pipelines.migrate.stepfunctions.way_values import Done, WayValues, make_after, names_of
from airflow_sm_pipelines.migrate.workflow import (
    MAX_CONCURRENCY,
    Branch,
    CallNode,
    CallRepeat,
    ChoiceNode,
    LoopNode,
    MissingNode,
    PipelineStepNode,
    TryNode,
    ValueNode,
    WaitNode,
    Workflow,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from airflow_sm_pipelines.definition import JsonObject, JsonValue
    from airflow_sm_pipelines.documents.placeholders import Variables
    from airflow_sm_pipelines.migrate.stepfunctions.machine import Machine, State
    from airflow_sm_pipelines.migrate.stepfunctions.machine_files import HeldMachine
    from airflow_sm_pipelines.migrate.workflow import Node


def read_machine(
    held: HeldMachine, *, name: str, origin: str, variables: Variables, sample: JsonObject | None = None
) -> Migration:
    """Read a machine into a migration.

    :param name: of the DAG.
    :param origin: what was read, for the report's title.
    :param variables: values for placeholders.
    :param sample: an input of the machine; its members become the defaults of the DAG's params.
    :raises MigrationError: with the place, at what the service would refuse.
    """
    machine = parse_machine(held.document, locate=held.locate)
    wanted: frozenset[str] | None = None
    while True:
        reader = _Reader(machine, held, name, variables, sample, wanted)
        found = reader.read(origin)
        ways = reader.ways
        read = ways.find_read(found.workflow.nodes)
        if read == ways.given:
            return found
        wanted = read


class _Reader:
    def __init__(
        self,
        machine: Machine,
        held: HeldMachine,
        name: str,
        variables: Variables,
        sample: JsonObject | None,
        wanted: frozenset[str] | None,
    ) -> None:
        self._machine = machine
        self._held = held
        self._name = name
        self._sample = sample
        self._names = ClaimedNames()
        self.ways = WayValues(wanted, self._names)
        self._records: dict[str, Record] = {}
        self._placeholders = MachinePlaceholders(held, variables)
        self._is_jsonata = machine.is_jsonata
        self._item: Value = ABSENT
        self._tasks = TaskNodes(self._names)

    def read(self, origin: str) -> Migration:
        done = self._run(make_blocks(self._machine), Env(Ref("Input")), ())
        done = replace(done, nodes=drop_unread_results(done.nodes))
        for state in self._machine.iter_all_states():
            if state.source not in self._records:
                self._note(state, Outcome.UNSUPPORTED, reason=("ASL-LOST-001", "It comes after what is not carried."))
        self._placeholders.refuse_shared_names()
        timeout = self._machine.body.get("TimeoutSeconds")
        workflow = Workflow(
            self._name,
            done.nodes,
            description=str(self._machine.body.get("Comment") or ""),
            schedule=self._held.schedule,
            timeout_seconds=float(timeout) if isinstance(timeout, (int, float)) else None,
            inputs=find_inputs(done.nodes, self._sample or {}),
        )
        order = [state.source for state in self._machine.iter_all_states()]
        records = tuple(self._records[source] for source in order)
        return Migration(origin, workflow, records, tuple(self._differences(workflow)))

    # --- blocks -------------------------------------------------------------------------------------------------

    def _run(self, block: Block, env: Env, after: tuple[str, ...]) -> Done:
        nodes: list[Node] = []
        for item in block:
            done = self._run_item(item, env, after)
            nodes += done.nodes
            env, after = done.env, done.after
            if done.is_dead:
                return Done(tuple(nodes), env, after, is_dead=True)
        return Done(tuple(nodes), env, after)

    def _run_item(self, item: Item, env: Env, after: tuple[str, ...]) -> Done:
        if isinstance(item, Do):
            return self._run_state(item.state, env, after)
        if isinstance(item, Fork):
            return self._run_fork(item, env, after)
        if isinstance(item, Guard):
            return self._run_guard(item, env, after)
        if isinstance(item, Poll):
            return self._run_poll(item, env, after)
        return self._run_circle(item, env, after)

    def _run_state(self, state: State, env: Env, after: tuple[str, ...]) -> Done:
        run: dict[str, Callable[[State, Env, tuple[str, ...]], Done]] = {
            "Task": self._run_task,
            "Pass": self._run_pass,
            "Wait": self._run_wait,
            "Succeed": self._run_succeed,
            "Fail": self._run_fail,
            "Parallel": self._run_parallel,
            "Map": self._run_map,
        }
        try:
            return run[state.type](state, env, after)
        except UnsupportedError as error:
            return self._miss(state, str(error), env, after)

    def _miss(self, state: State, why: str, env: Env, after: tuple[str, ...], *, states: Sequence[State] = ()) -> Done:
        """A task that fails in place of a state, or of several."""
        name = self._names.claim(state.name)
        action = f"Write what it does: {why}"
        for one in states or (state, *(inner for machine in state.machines for inner in machine.iter_all_states())):
            is_first = one is state
            reason = ("ASL-STATE-001", why if is_first else f"It is part of {state.name!r}, which is not carried.")
            target, to_do = (name, action) if is_first else ("", "")
            self._note(one, Outcome.UNSUPPORTED, target, reason=reason, action=to_do)
        missing = MissingNode(name, state.source, f"{state.source} is not carried: {why}", make_after(after))
        document = env.document
        for one in states or (state,):
            document = _forget(one, document)
        return Done((missing,), replace(env, document=document), (name,), is_dead=state.type == "Fail")

    def _run_circle(self, item: Circle, env: Env, after: tuple[str, ...]) -> Done:
        first = item.states[0]
        names = ", ".join(state.name for state in item.states)
        why = f"{names} lead back to {first.name}, and no DAG runs a task again until a condition holds."
        return self._miss(first, why, env, after, states=item.states)

    def _run_poll(self, item: Poll, env: Env, after: tuple[str, ...]) -> Done:
        """A call that is repeated until a rule leads out. The choice among the ways out follows it."""
        try:
            done = self._run_task(item.task, env, after)
            (node,) = done.nodes
            if not isinstance(node, CallNode) or node.wait is not None:
                raise UnsupportedError(f"{item.task.name} is repeated, and what it starts is no single call.")
            scope = self._scope(item.choice, done.env)
            scope = replace(scope, document=self._read_input(item.choice, scope))
            until = read_until(item, scope, node.name)
            again = self._read_again(item.task, node, env, done.env)
        except UnsupportedError as error:
            self._records.pop(item.task.source, None)
            return self._miss(item.states[0], str(error), env, after, states=item.states)
        seconds = item.wait.body.get("Seconds") if item.wait is not None else None
        repeat = CallRepeat(until, seconds if isinstance(seconds, (int, float)) else 60, again)
        text = "It is repeated until its answer leads out of the circle."
        if again:
            text += " Since each call is given the answer before, its task keeps its worker while it waits."
        self._note(item.task, Outcome.APPROXIMATED, reason=("ASL-POLL-001", text))
        for one in (*item.folded, *([item.wait] if item.wait is not None else [])):
            self._note(one, Outcome.FOLDED)
        return Done((replace(node, repeat=repeat, retries=0),), done.env, done.after)

    def _read_again(self, state: State, node: CallNode, first: Env, later: Env) -> JsonObject:
        """For each argument of a repeated call that changes, what the next call is given."""
        given, then = self._read_given(state, first), self._read_given(state, later)
        if node.service == "lambda" and not str(state.body.get("Resource")).endswith(":lambda:invoke"):
            given, then = {"Payload": given}, {"Payload": then}
        if given == then:
            return {}
        if not (isinstance(given, dict) and isinstance(then, dict) and given.keys() <= node.arguments.keys()):
            raise UnsupportedError("Each call is given something that is worked out from the answer before.")
        changes = {key: read_again(value, then[key], node.name) for key, value in given.items()}
        return {key: change for key, change in changes.items() if change is not None}

    def _read_given(self, state: State, env: Env) -> Value:
        """What a state gives to what it starts."""
        scope = self._scope(state, env)
        document = self._read_input(state, scope)
        given = self._read_arguments(state, replace(scope, document=document))
        return document if given is None else given

    def _run_fork(self, item: Fork, env: Env, after: tuple[str, ...]) -> Done:
        state = item.state
        try:
            scope = self._scope(state, env)
            document = self._read_input(state, scope)
            conditions = read_ways(item, replace(scope, document=document))
            env = replace(env, document=self._select_output(state, scope, document))
            taken = [self._take(item, way, env, replace(scope, document=document)) for way in item.ways]
        except UnsupportedError as error:
            done = self._miss(state, str(error), env, after)
            return replace(done, is_dead=True)
        name = self._names.claim(state.name)
        ways = [self._run(way.block, given, ()) for way, given in zip(item.ways, taken, strict=True)]
        merged, ways = self.ways.join(state, name, ways) if not all(way.is_dead for way in ways) else (env, ways)
        branches = [Branch(condition, way.nodes) for condition, way in zip(conditions, ways, strict=True)]
        if lacks_default(item):
            branches.append(Branch((), (self._make_no_choice(state),)))
        is_folded = not any(branch.nodes for branch in branches)
        self._note(state, Outcome.FOLDED if is_folded else Outcome.TRANSLATED, "" if is_folded else name)
        node = ChoiceNode(name, state.source, tuple(branches), make_after(after))
        if is_folded:
            return Done((), merged, after)
        return Done((node,), merged, (name,), is_dead=all(way.is_dead for way in ways))

    def _take(self, fork: Fork, way: Way, env: Env, scope: Scope) -> Env:
        """What is known where a way begins: its rule may give an output and assign variables."""
        if way.block and isinstance(way.block[0], Fork) and way.block[0].state is fork.state:
            return env  # the rules are told apart further on
        holders = [get_rule(fork.state, index) for index in way.rules]
        wanted: list[JsonObject] = [{key: one[key] for key in ("Assign", "Output") if key in one} for one in holders]
        if any(one != wanted[0] for one in wanted):
            raise UnsupportedError("Its rules lead to one state, and assign different variables or outputs.")
        is_jsonata = self._is_jsonata_state(fork.state)
        document = env.document
        if "Output" in wanted[0] and is_jsonata:
            document = fill_template(wanted[0]["Output"], scope, is_jsonata=True)
        assigned = self._assign(wanted[0], scope, is_jsonata=is_jsonata)
        return replace(env, document=document, variables={**env.variables, **assigned})

    def _make_no_choice(self, state: State) -> Node:
        name = self._names.claim(f"{state.name}-NoChoiceMatched")
        message = f"States.NoChoiceMatched: no rule of {state.name} holds."
        return PipelineStepNode(name, state.source, "Fail", {"ErrorMessage": message})

    def _run_guard(self, item: Guard, env: Env, after: tuple[str, ...]) -> Done:
        name = self._names.claim(f"{item.states[0].name}-outcome")
        nodes: list[Node] = []
        inner, seen = env, [env]
        before: tuple[str, ...] = ()
        is_dead = False
        for state in item.states:
            done = self._run_state(state, inner, before)
            nodes += done.nodes
            inner, before = done.env, done.after
            is_dead = done.is_dead
            self._note_catcher(state, item.catcher)
            seen.append(inner)
        if not nodes:
            return self._run(item.otherwise, inner, after)
        at_failure = merge_envs(seen[:-1], names_of(nodes))
        try:
            caught = self._catch(item, at_failure, Ref(f"Errors.{name}"))
        except UnsupportedError as error:
            return self._miss(item.states[0], str(error), env, after, states=item.states)
        handled = self._run(item.handler, caught, ())
        rest = self._run(item.otherwise, inner, ())
        rest = replace(rest, is_dead=rest.is_dead or is_dead)
        is_dead = rest.is_dead and handled.is_dead
        inside = names_of(nodes)
        merged, (rest, handled) = (
            (env, [rest, handled]) if is_dead else self.ways.join(item.states[0], name, [rest, handled], inside)
        )
        node = TryNode(name, item.states[0].source, tuple(nodes), handled.nodes, rest.nodes, make_after(after))
        return Done((node,), merged, (name,), is_dead=is_dead)

    def _catch(self, item: Guard, env: Env, error: Value) -> Env:
        catcher = item.catcher
        scope = replace(self._scope(item.states[0], env), error=error)
        is_jsonata = self._is_jsonata_state(item.states[0])
        variables = {**env.variables, **self._assign(catcher, scope, is_jsonata=is_jsonata)}
        if is_jsonata:
            output = catcher.get("Output")
            document = error if output is None else fill_template(output, scope, is_jsonata=True)
            return Env(document, variables, env.named)
        path = catcher.get("ResultPath", "$")
        document = env.document if path is None else put(env.document, parse_path(str(path)[1:]), error)
        return Env(document, variables, env.named)

    def _note_catcher(self, state: State, catcher: JsonObject) -> None:
        errors = catcher.get("ErrorEquals")
        is_all = isinstance(errors, list) and any(error in ALL_ERRORS for error in errors)
        if not is_all:
            text = f"Its catcher for {errors} handles every failure: Airflow does not tell one kind from another."
            self._note(state, Outcome.APPROXIMATED, reason=("ASL-CATCH-001", text))
        if len(state.catchers) > 1:
            others = len(state.catchers) - 1
            text = f"Of its catchers, {others} more are for single kinds of errors and are not used."
            self._note(state, Outcome.APPROXIMATED, reason=("ASL-CATCH-002", text), lost=("Catch",))

    # --- states -------------------------------------------------------------------------------------------------

    def _run_task(self, state: State, env: Env, after: tuple[str, ...]) -> Done:
        scope = self._scope(state, env)
        given = self._read_given(state, env)
        is_given = "Parameters" in state.body or "Arguments" in state.body
        resource = self._placeholders.resolve(str(state.body.get("Resource") or ""))
        task = self._tasks.make(state, resource, given, env.named, after, is_given=is_given)
        self._note_task(state, task)
        env = replace(env, named=(*env.named, *task.named))
        env = self._finish(state, scope, env, task.result)
        return Done((task.node,), env, (task.node.name,))

    def _note_task(self, state: State, task: Task) -> None:
        self._note(state, task.outcome, task.node.name, kind=f"Task {state.body.get('Resource')}", lost=task.lost)
        for reason in task.reasons:
            self._note(state, task.outcome, reason=(reason.code, reason.text))

    def _run_pass(self, state: State, env: Env, after: tuple[str, ...]) -> Done:
        scope = self._scope(state, env)
        document = self._read_input(state, scope)
        given = self._read_arguments(state, replace(scope, document=document))
        result = document if given is None else given
        if "Result" in state.body:
            result = fill_template(state.body["Result"], scope, is_jsonata=self._is_jsonata_state(state))
        self._note(state, Outcome.FOLDED)
        return Done((), self._finish(state, scope, env, result), after)

    def _run_succeed(self, state: State, env: Env, after: tuple[str, ...]) -> Done:
        self._note(state, Outcome.FOLDED)
        return Done((), env, after)

    def _run_wait(self, state: State, env: Env, after: tuple[str, ...]) -> Done:
        scope = self._scope(state, env)
        document = self._read_input(state, scope)
        inner = replace(scope, document=document)
        name = self._names.claim(state.name)
        moments: dict[str, JsonValue] = {}
        for member, key in (("seconds", "Seconds"), ("until", "Timestamp")):
            if key in state.body:
                moments[member] = to_expression(
                    fill_template(state.body[key], inner, is_jsonata=self._is_jsonata_state(state))
                )
            elif f"{key}Path" in state.body:
                moments[member] = to_expression(read_path(str(state.body[f"{key}Path"]), inner))
        node = WaitNode(name, state.source, moments.get("seconds"), moments.get("until"), make_after(after))
        self._note(state, Outcome.AIRFLOW, name)
        return Done((node,), self._finish(state, scope, env, document), (name,))

    def _run_fail(self, state: State, env: Env, after: tuple[str, ...]) -> Done:
        scope = self._scope(state, env)
        parts: list[Value] = []
        for key in ("Error", "Cause"):
            value: Value = None
            if key in state.body:
                value = fill_template(state.body[key], scope, is_jsonata=self._is_jsonata_state(state))
            elif f"{key}Path" in state.body:
                value = read_expression(str(state.body[f"{key}Path"]), scope)
            if value is not None:
                parts += [": ", value] if parts else [value]
        name = self._names.claim(state.name)
        message = to_expression(join_values(parts)) or state.name
        node = PipelineStepNode(name, state.source, "Fail", {"ErrorMessage": message}, make_after(after))
        self._note(state, Outcome.TRANSLATED, name)
        return Done((node,), env, (name,), is_dead=True)

    def _run_parallel(self, state: State, env: Env, after: tuple[str, ...]) -> Done:
        scope = self._scope(state, env)
        document = self._read_input(state, scope)
        given = self._read_arguments(state, replace(scope, document=document))
        inner = replace(env, document=document if given is None else given)
        done = [self._run(make_blocks(machine), inner, after) for machine in state.machines]
        nodes = tuple(node for one in done for node in one.nodes)
        ends = tuple(dict.fromkeys(name for one in done for name in one.after))
        text = "Branches that have begun go on when another one fails."
        self._note(state, Outcome.FOLDED, reason=("ASL-PARALLEL-001", text) if len(done) > 1 else None)
        named = tuple(dict.fromkeys(one for branch in done for one in branch.env.named))
        result: Value = [one.env.document for one in done]
        env = self._finish(state, scope, replace(env, named=named), result)
        return Done(nodes, env, ends, is_dead=any(one.is_dead for one in done))

    def _run_map(self, state: State, env: Env, after: tuple[str, ...]) -> Done:
        body = state.body
        processor = body.get("ItemProcessor")
        config = processor.get("ProcessorConfig") if isinstance(processor, dict) else None
        is_distributed = isinstance(config, dict) and config.get("Mode") == "DISTRIBUTED"
        if self._item is not ABSENT:
            raise UnsupportedError("it is a Map in a Map, and Airflow maps no tasks twice.")
        if "ResultWriter" in body:
            raise UnsupportedError("a distributed Map with ResultWriter is not carried; one without it is.")
        scope = self._scope(state, env)
        document = self._read_input(state, scope)
        inner_scope = replace(scope, document=document)
        reader = self._tasks.read_items(state, inner_scope, after, is_jsonata=self._is_jsonata_state(state))
        found: Value = Ref(f"Tasks.{reader[0].name}") if reader else self._find_items(state, inner_scope)
        items = to_expression(batch_items(body, found, inner_scope, is_jsonata=self._is_jsonata_state(state)))
        items = items if reader or isinstance(items, list) else make_function("Json", items)
        after = tuple(one.name for one in reader) or after
        outer_item, self._item = self._item, Ref("ForEach.CurrentItem")
        try:
            selector = body.get("ItemSelector", body.get("Parameters"))
            item: Value = self._item
            if selector is not None:
                scope_of_item = replace(inner_scope, item=self._item)
                item = fill_template(selector, scope_of_item, is_jsonata=self._is_jsonata_state(state))
            done = self._run(make_blocks(state.machines[0]), Env(item, env.variables), ())
            name = self._names.claim(state.name)
            nodes, result = self._give_result(state, name, done)
        finally:
            self._item = outer_item
        if not nodes:
            raise UnsupportedError("no state in it does any work, and what it makes of the items is not carried.")
        wanted = body.get("MaxConcurrency")
        limit = min(wanted, MAX_CONCURRENCY) if isinstance(wanted, int) and wanted > 0 else MAX_CONCURRENCY
        node = LoopNode(name, state.source, items, nodes, limit, make_after(after), result)
        text = "Its items run as those of any Map, in no executions of their own."
        self._note(state, Outcome.TRANSLATED, name, reason=("ASL-MAP-001", text) if is_distributed else None)
        collected = Ref(f"Tasks.{name}") if result else NoValue(f"{state.name} collects it from all items")
        return Done((*reader, node), self._finish(state, scope, env, collected), (name,))

    def _give_result(self, state: State, loop: str, done: Done) -> tuple[tuple[Node, ...], str]:
        """The nodes of a loop, with one that gives what an item comes to if that can be told, and that one's name."""
        if done.is_dead:
            return done.nodes, ""
        try:
            value = to_expression(done.env.document)
        except UnsupportedError:
            return done.nodes, ""
        name = self._names.claim(f"{loop}-result")
        return (*done.nodes, ValueNode(name, state.source, value, make_after(done.after))), name

    @staticmethod
    def _find_items(state: State, scope: Scope) -> Value:
        if "Items" in state.body:
            return fill_template(state.body["Items"], scope, is_jsonata=True)
        return read_path(str(state.body.get("ItemsPath", "$")), scope)

    # --- input and output ---------------------------------------------------------------------------------------

    def _is_jsonata_state(self, state: State) -> bool:
        language = state.body.get("QueryLanguage")
        return self._is_jsonata if language is None else language == "JSONata"

    def _scope(self, state: State, env: Env) -> Scope:
        names = (self._name, state.name)
        return Scope(env.document, Ref("Input"), names, self._placeholders.resolve, env.variables, item=self._item)

    def _read_input(self, state: State, scope: Scope) -> Value:
        if self._is_jsonata_state(state) or "InputPath" not in state.body:
            return scope.document
        path = state.body["InputPath"]
        return {} if path is None else read_path(str(path), scope)

    def _read_arguments(self, state: State, scope: Scope) -> Value:
        is_jsonata = self._is_jsonata_state(state)
        template = state.body.get("Arguments" if is_jsonata else "Parameters")
        return None if template is None else fill_template(template, scope, is_jsonata=is_jsonata)

    def _finish(self, state: State, scope: Scope, env: Env, result: Value) -> Env:
        """The document after a state has given its result."""
        if self._is_jsonata_state(state):
            inner = replace(scope, result=result)
            output = state.body.get("Output")
            document = result if output is None else fill_template(output, inner, is_jsonata=True)
            assigned = self._assign(state.body, inner, is_jsonata=True)
            return replace(env, document=document, variables={**env.variables, **assigned})
        selector = state.body.get("ResultSelector")
        if selector is not None:
            result = fill_template(selector, replace(scope, document=result), is_jsonata=False)
        path = state.body.get("ResultPath", "$")
        document = scope.document if path is None else put(scope.document, parse_path(str(path)[1:]), result)
        assigned = self._assign(state.body, replace(scope, document=result), is_jsonata=False)
        variables = {**env.variables, **assigned}
        return replace(env, document=self._select_output(state, scope, document), variables=variables)

    def _select_output(self, state: State, scope: Scope, document: Value) -> Value:
        path = state.body.get("OutputPath", "$")
        if self._is_jsonata_state(state) or path == "$":
            return document
        return {} if path is None else read_path(str(path), replace(scope, document=document))

    def _assign(self, holder: JsonObject, scope: Scope, *, is_jsonata: bool) -> dict[str, Value]:
        assigned = holder.get("Assign")
        if not isinstance(assigned, dict):
            return {}
        filled = fill_template(assigned, scope, is_jsonata=is_jsonata)
        return cast("dict[str, Value]", filled)

    # --- records ------------------------------------------------------------------------------------------------

    def _note(
        self,
        state: State,
        outcome: Outcome,
        target: str = "",
        *,
        kind: str = "",
        reason: tuple[str, str] | None = None,
        lost: tuple[str, ...] = (),
        action: str = "",
    ) -> None:
        """Add to a state's record; a worse outcome stays."""
        known = self._records.get(state.source)
        if known is None:
            known = Record(state.source, kind or state.type, outcome, target, lost=tuple(state.iter_unread()))
        reasons = known.reasons
        if reason is not None and Reason(*reason) not in reasons:
            reasons = (*reasons, Reason(*reason))
        kept = known.outcome if known.outcome.is_open or known.outcome is Outcome.APPROXIMATED else outcome
        worst = outcome if outcome.is_open else kept
        self._records[state.source] = replace(
            known,
            outcome=worst,
            target=known.target or target,
            reasons=reasons,
            lost=tuple(dict.fromkeys((*known.lost, *lost))),
            action=known.action or action,
        )

    def _differences(self, workflow: Workflow) -> list[Reason]:
        found = [
            Reason("ASL-NAMES-001", "SageMaker names the jobs, models and endpoint configurations that steps make."),
            Reason("ASL-INPUT-001", "What an execution was given as input is the DAG run's conf."),
        ]
        if self._placeholders.asked:
            names = ", ".join(self._placeholders.asked)
            text = f"These placeholders have no value and are asked of each run: {names}."
            found.append(Reason("ASL-PLACEHOLDER-001", text))
        if self._held.starts:
            starts = ", ".join(self._held.starts)
            schedule = f"the schedule {workflow.schedule!r}" if workflow.schedule else "no schedule"
            done = f"The DAG has {schedule}."
            found.append(Reason("ASL-START-001", f"These start the machine: {starts}. {done}"))
        return found


def _forget(state: State, document: Value) -> Value:
    """The document after a state that is not carried: nobody knows its result."""
    why = NoValue(f"{state.name} gives it, which is not carried")
    path = state.body.get("ResultPath", "$" if state.type in ("Task", "Parallel", "Map") else None)
    if path is None:
        return document
    try:
        return put(document, parse_path(str(path)[1:]), why)
    except UnsupportedError:
        return why
