"""Reads a pipeline of KFP into a workflow: walks its graphs with what is known of the inputs, and makes nodes.

Every task has a record. What nothing here does becomes a task that fails and says what is to do.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, cast

from airflow_sm_pipelines.definition import Dependency
from airflow_sm_pipelines.migrate.kubeflow import trigger_conditions
from airflow_sm_pipelines.migrate.kubeflow.cluster_objects import describe_entries, read_cluster_part
from airflow_sm_pipelines.migrate.kubeflow.component_steps import (
    UPLOAD,
    ComponentCall,
    get_run_folder,
    make_step,
    read_container,
    refuse_foreign,
)
from airflow_sm_pipelines.migrate.kubeflow.input_values import (
    Absent,
    Collected,
    ListOf,
    Literal,
    NotCarriedError,
    OneOf,
    RunValue,
    StepOutput,
    find_graph_outputs,
    find_inputs,
    find_items,
    find_own_output,
    find_source,
    read_importer,
    read_output,
)
from airflow_sm_pipelines.migrate.kubeflow.nested_loops import (
    INDEX,
    InnerLoop,
    LoopNest,
    describe_level,
    find_limit,
    make_item,
)
from airflow_sm_pipelines.migrate.kubeflow.pipeline_model import (
    MAX_DEPTH,
    Records,
    choose_instance,
    read_retries,
)
from airflow_sm_pipelines.migrate.kubeflow.sagemaker_components import is_sagemaker, make_sagemaker_step
from airflow_sm_pipelines.migrate.names import ClaimedNames
from airflow_sm_pipelines.migrate.node_references import find_named_nodes
from airflow_sm_pipelines.migrate.report import Outcome, Reason
from airflow_sm_pipelines.migrate.workflow import (
    Branch,
    ChoiceNode,
    LoopNode,
    MissingNode,
    OperatorNode,
    PipelineStepNode,
    TryNode,
    iter_nodes,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from airflow_sm_pipelines.definition import JsonObject, JsonValue
    from airflow_sm_pipelines.migrate.kubeflow.input_values import Value
    from airflow_sm_pipelines.migrate.kubeflow.nested_loops import Guard
    from airflow_sm_pipelines.migrate.kubeflow.pipeline_model import Component, GraphTask, Iterator, Pipeline
    from airflow_sm_pipelines.migrate.workflow import Node

MAX_UNROLLED = 300
"""The tasks that a loop over known items may become."""

_TASKS = "airflow_sm_pipelines.migrated_tasks"


@dataclass(frozen=True, slots=True)
class MigratedTask:
    """What became of a task.

    :param after: what a task that follows waits for.
    :param outputs: its output parameters and artifacts.
    """

    nodes: tuple[Node, ...]
    after: tuple[Dependency, ...]
    outputs: Mapping[str, Value]
    artifacts: Mapping[str, Value]


@dataclass(frozen=True, slots=True)
class GraphScope:
    """Where a graph stands.

    :param inputs: the values of the component's parameters.
    :param after: what its first tasks wait for.
    :param where: the tasks around it, for records.
    :param folders: the numbers of the iterations around it, for addresses.
    :param ending: the same for names.
    :param is_collected: whether what its steps give is collected: then none may take it from a cache.
    :param levels: what the loops around it repeat for, if only a run knows that; ``limits``, how many items at once.
    :param guards: the choices between it and the innermost of these loops.
    :param nest: the loops in the outermost of them.
    :param around: of a task, the parameters of the component that it stands in, and what became of the tasks in there.
    """

    inputs: Mapping[str, Value]
    artifacts: Mapping[str, Value]
    after: tuple[Dependency, ...] = ()
    where: str = "root"
    folders: tuple[JsonValue, ...] = ()
    ending: str = ""
    is_collected: bool = False
    depth: int = 0
    levels: tuple[JsonObject, ...] = ()
    limits: tuple[int, ...] = ()
    guards: tuple[Guard, ...] = ()
    nest: LoopNest | None = None
    around: tuple[Mapping[str, Value], Mapping[str, MigratedTask]] = field(default=({}, {}))

    def enter(
        self, found: tuple[Mapping[str, Value], Mapping[str, Value]], done: Mapping[str, MigratedTask]
    ) -> GraphScope:
        """The place of a task that stands in this graph.

        :param found: the values of its parameters and of its artifacts.
        """
        return replace(self, inputs=found[0], artifacts=found[1], around=(self.inputs, done))


class GraphReader:
    """Reads the graphs of one pipeline.

    :param platform: the Kubernetes part of the platform's document.
    :param images: the images to use in place of others.
    :param instance_type: of tasks that ask for no resources: an expression.
    :param ask_address: gives the value of a new parameter for an artifact's address, by the artifact's name.
    :ivar components: the descriptions for the launcher, by the folder that each is uploaded to.
    :ivar cached: whether a step may take what it gives from a cache.
    """

    def __init__(
        self,
        pipeline: Pipeline,
        *,
        platform: JsonObject,
        images: Mapping[str, str],
        instance_type: JsonValue,
        ask_address: Callable[[str], Value],
    ) -> None:
        self._pipeline = pipeline
        self._platform = platform
        self._images = images
        self._instance_type = instance_type
        self._ask_address = ask_address
        self._names = ClaimedNames()
        self._names.claim(UPLOAD)
        self.records = Records()
        self.components: dict[str, JsonObject] = {}
        self.images: dict[str, None] = {}
        self.cached = False

    # --- graphs -----------------------------------------------------------------------------------------------------

    def walk(self, component: Component, scope: GraphScope) -> MigratedTask:
        """What becomes of a component's graph."""
        if scope.depth > MAX_DEPTH:
            raise NotCarriedError("pipelines stand too deep in each other")
        tasks = component.tasks or ()
        if scope.where != "root" and trigger_conditions.are_branches(tasks):
            done, choice = self._walk_branches(tasks, scope)
            nodes, after = choice
        else:
            done = {}
            for task in tasks:
                done[task.name] = self._run(task, tasks, scope, done)
            nodes = tuple(node for group in done.values() for node in group.nodes)
            after = tuple(Dependency(name) for name in _find_last(nodes)) or scope.after
        after = _add_loops(after, done, scope)
        outputs, artifacts = find_graph_outputs(component.graph_outputs, done)
        return MigratedTask(nodes, after, outputs, artifacts)

    def _run(
        self, task: GraphTask, tasks: Sequence[GraphTask], scope: GraphScope, done: dict[str, MigratedTask]
    ) -> MigratedTask:
        source = f"{scope.where}.{task.name}"
        component = self._pipeline.components[task.component]
        after = tuple(dict.fromkeys(one for name in task.waits for one in done[name].after)) or scope.after
        try:
            if task.is_final and task.waits:
                return self._run_final(task, tasks, scope, done, after)
            found = find_inputs(task, component, scope.inputs, scope.artifacts, done)
            return self._run_maybe(task, component, replace(scope.enter(found, done), after=after))
        except NotCarriedError as error:
            return self._miss(task, component, source, str(error), after)

    def _run_maybe(self, task: GraphTask, component: Component, scope: GraphScope) -> MigratedTask:
        """A task that has its inputs: in a choice, in a loop, or by itself."""
        if not task.condition:
            return self._run_repeated(task, component, scope)
        source = f"{scope.where}.{task.name}"
        condition = trigger_conditions.parse_condition(task.condition)
        decided = trigger_conditions.decide(condition, scope.inputs)
        if decided is not None:
            text = f"Its condition is known to be {str(decided).lower()} when it is migrated."
            self.records.note(source, "condition", Outcome.FOLDED, reason=Reason("KFP-CONDITION-001", text))
            return self._run_repeated(task, component, scope) if decided else self._skip(component, scope)
        tests = trigger_conditions.translate(condition, scope.inputs)
        name = self._names.claim(task.name + scope.ending)
        inner = self._run_repeated(task, component, replace(scope, after=(), guards=(*scope.guards, (tests,))))
        self._note_choice(source, "condition", name, inner)
        after = _add_loops((Dependency(name),) if inner.nodes else scope.after, {task.name: inner}, scope)
        if not inner.nodes:
            return replace(inner, after=after)
        node = ChoiceNode(name, source, (Branch(tests, inner.nodes), Branch(())), scope.after)
        why = f"{task.name} gives it, which runs on a condition"
        missing = {key: Absent(why) for key in (*component.outputs, *component.output_artifacts)}
        return MigratedTask((node,), after, {**missing}, {**missing})

    def _note_choice(self, source: str, kind: str, name: str, inner: MigratedTask) -> None:
        if inner.nodes:
            self.records.note(source, kind, Outcome.TRANSLATED, name)
            return
        text = "It has no task but loops, and is tested for each of their items."
        self.records.note(source, kind, Outcome.FOLDED, reason=Reason("KFP-LOOP-004", text))

    @staticmethod
    def _skip(component: Component, scope: GraphScope) -> MigratedTask:
        missing = {key: Absent("its task never runs") for key in (*component.outputs, *component.output_artifacts)}
        return MigratedTask((), scope.after, missing, missing)

    def _walk_branches(
        self, tasks: Sequence[GraphTask], scope: GraphScope
    ) -> tuple[dict[str, MigratedTask], tuple[tuple[Node, ...], tuple[Dependency, ...]]]:
        """If, Elif and Else: one choice."""
        done: dict[str, MigratedTask] = {}
        name = self._names.claim(scope.where.rpartition(".")[2] + scope.ending)
        earlier: list[trigger_conditions.Condition] = []
        branches: list[Branch] = []
        taken: list[str] = []
        for task in tasks:
            component = self._pipeline.components[task.component]
            found = find_inputs(task, component, scope.inputs, scope.artifacts, done)
            inputs, inner = found[0], replace(scope.enter(found, done), after=())
            condition = trigger_conditions.parse_condition(task.condition)
            rest = trigger_conditions.drop_earlier(condition, earlier)
            earlier.append(condition if rest is None else rest)
            decided = None if rest is None else trigger_conditions.decide(rest, inputs)
            if decided is False or (branches and not branches[-1].conditions):
                done[task.name] = self._skip(component, inner)
                continue
            tests = () if rest is None or decided else trigger_conditions.translate(rest, inputs)
            guard = (*(branch.conditions for branch in branches), tests)
            group = self._run_repeated(task, component, replace(inner, guards=(*scope.guards, guard)))
            taken.append(f"{scope.where}.{task.name}")
            done[task.name] = group
            branches.append(Branch(tests, group.nodes))
        if len(branches) == 1 and not branches[0].conditions:
            return done, _place(branches[0].nodes, scope.after)
        for source in taken:
            self.records.note(source, "branch", Outcome.TRANSLATED, name)
        if not branches or branches[-1].conditions:
            branches.append(Branch(()))
        node = ChoiceNode(name, scope.where, tuple(branches), scope.after)
        self.records.note(scope.where, "choice", Outcome.TRANSLATED, name)
        return done, ((node,), (Dependency(name),))

    # --- loops ------------------------------------------------------------------------------------------------------

    def _run_repeated(self, task: GraphTask, component: Component, scope: GraphScope) -> MigratedTask:
        if task.iterator is None:
            return self._call(task, component, scope)
        items = find_items(task.iterator, scope.inputs, scope.artifacts)
        if isinstance(items, ListOf):
            return self._unroll(task, task.iterator, component, scope, items.values)
        return self._repeat(task, task.iterator, component, scope, items)

    def _unroll(
        self, task: GraphTask, iterator: Iterator, component: Component, scope: GraphScope, items: Sequence[Value]
    ) -> MigratedTask:
        """A loop over items that are known: the tasks once for each."""
        size = len(items) * self._count_tasks(component)
        if size > MAX_UNROLLED:
            raise NotCarriedError(f"its {len(items)} items make {size} tasks of it, and {MAX_UNROLLED} is the most")
        source = f"{scope.where}.{task.name}"
        groups: list[MigratedTask] = []
        for index, item in enumerate(items):
            waits = groups[index - iterator.limit].after if 0 < iterator.limit <= index else ()
            inner = replace(scope, after=tuple(dict.fromkeys((*scope.after, *waits))), ending=f"{scope.ending}-{index}")
            if iterator.is_artifact:
                inner = replace(inner, artifacts={**scope.artifacts, iterator.item: item})
            else:
                inner = replace(inner, inputs={**scope.inputs, iterator.item: item})
            groups.append(self._call(task, component, inner))
        text = f"It is written out once for each of its {len(items)} items, which the pipeline's file says."
        self.records.note(source, "loop", Outcome.FOLDED, reason=Reason("KFP-LOOP-001", text))
        outputs = {key: ListOf(tuple(one.outputs[key] for one in groups)) for key in component.outputs}
        artifacts = {key: ListOf(tuple(one.artifacts[key] for one in groups)) for key in component.output_artifacts}
        nodes = tuple(node for group in groups for node in group.nodes)
        after = tuple(dict.fromkeys(one for group in groups for one in group.after)) or scope.after
        return MigratedTask(nodes, after, outputs, artifacts)

    def _count_tasks(self, component: Component) -> int:
        if component.tasks is None:
            return 1
        return sum(self._count_tasks(self._pipeline.components[task.component]) for task in component.tasks)

    def _repeat(
        self, task: GraphTask, iterator: Iterator, component: Component, scope: GraphScope, items: Value
    ) -> MigratedTask:
        """A loop over items that only a run knows."""
        source = f"{scope.where}.{task.name}"
        level = describe_level(items)
        name = self._names.claim(task.name + scope.ending)
        nest = scope.nest or LoopNest()
        levels = (*scope.levels, level)
        place = replace(
            scope,
            inputs={**scope.inputs, iterator.item: make_item(len(levels))},
            after=(),
            folders=(dict(INDEX),),
            levels=levels,
            nest=nest,
            limits=(*scope.limits, iterator.limit),
            is_collected=bool(scope.is_collected or component.outputs or component.output_artifacts),
        )
        if scope.nest is not None:
            return self._repeat_inside(task, component, name, scope, place)
        inner = self._call(task, component, place)
        if not inner.nodes and not nest.loops:
            raise NotCarriedError("none of its tasks does work of its own")
        nodes: list[Node] = []
        loop: LoopNode | None = None
        if inner.nodes:
            expression, after = self._number_items(task, items, source, scope.after, nodes)
            loop = LoopNode(name, source, expression, inner.nodes, find_limit(iterator.limit), after)
            nodes.append(loop)
            self.records.note(source, "loop", Outcome.TRANSLATED, name)
        else:
            text = "It has no task but loops, and those repeat for its items, too."
            self.records.note(source, "loop", Outcome.FOLDED, reason=Reason("KFP-LOOP-002", text))
        nodes += nest.place(loop, scope.after, self._names.claim)
        last = [*([name] if loop else []), *(one.name for one in nest.loops)]
        return self._collect_loop(tuple(nodes), tuple(map(Dependency, last)), component, inner)

    def _repeat_inside(
        self, task: GraphTask, component: Component, name: str, scope: GraphScope, place: GraphScope
    ) -> MigratedTask:
        """A loop in a loop: it is placed beside the outermost one."""
        nest = cast("LoopNest", place.nest)
        source = f"{scope.where}.{task.name}"
        inner = self._call(task, component, replace(place, guards=()))
        waits = (Dependency(name),)
        if inner.nodes:
            limit = find_limit(*place.limits)
            nest.loops.append(InnerLoop(name, source, place.levels, scope.guards, inner.nodes, limit, scope.after))
        text = "It stands beside the loop around it, and repeats for each pair of their items."
        reason = Reason("KFP-LOOP-003", text)
        self.records.note(source, "loop", Outcome.APPROXIMATED, name if inner.nodes else "", reason=reason)
        return self._collect_loop((), waits, component, inner)

    def _number_items(
        self, task: GraphTask, items: Value, source: str, after: tuple[Dependency, ...], nodes: list[Node]
    ) -> tuple[JsonObject, tuple[Dependency, ...]]:
        """The items of an outermost loop with their numbers, and what the loop waits for."""
        if isinstance(items, StepOutput):
            return read_output(items.node, "items", items.key), after
        name = self._names.claim(f"{task.name}-items")
        given: JsonObject = {"items": dict(cast("RunValue", items).expression)}
        nodes.append(OperatorNode(name, source, f"{_TASKS}.NumberItemsOperator", given, after))
        return {"Get": f"Tasks.{name}"}, (Dependency(name),)

    @staticmethod
    def _collect_loop(
        nodes: tuple[Node, ...], after: tuple[Dependency, ...], component: Component, inner: MigratedTask
    ) -> MigratedTask:
        outputs = {key: _collect(inner.outputs.get(key), key) for key in component.outputs}
        artifacts = {key: _collect(inner.artifacts.get(key), key) for key in component.output_artifacts}
        return MigratedTask(nodes, after, outputs, artifacts)

    # --- exit tasks -------------------------------------------------------------------------------------------------

    def _run_final(
        self,
        task: GraphTask,
        tasks: Sequence[GraphTask],
        scope: GraphScope,
        done: dict[str, MigratedTask],
        after: tuple[Dependency, ...],
    ) -> MigratedTask:
        """A task that runs however the tasks before it end: once after a success, once after a failure."""
        component = self._pipeline.components[task.component]
        if scope.levels:
            raise NotCarriedError(f"it runs however {', '.join(task.waits)} ends, inside of a loop over a run's items")
        shared = [one.name for one in tasks if one.name != task.name and set(one.waits) & set(task.waits)]
        if shared:
            why = f"it runs however {', '.join(task.waits)} ends, and {shared[0]} waits for the same"
            raise NotCarriedError(why)
        nodes = tuple(node for name in task.waits for node in done[name].nodes)
        source = f"{scope.where}.{task.name}"
        if not nodes:
            found = find_inputs(task, component, scope.inputs, scope.artifacts, done)
            return self._run_maybe(task, component, replace(scope.enter(found, done), after=after))
        ends: list[MigratedTask] = []
        for has_failed in (False, True):
            found = find_inputs(task, component, scope.inputs, scope.artifacts, done, has_failed=has_failed)
            ending = f"{scope.ending}-failed" if has_failed else scope.ending
            ends.append(self._run_maybe(task, component, replace(scope.enter(found, done), after=(), ending=ending)))
        name = self._names.claim(f"{task.waits[0]}-ended{scope.ending}")
        failed = PipelineStepNode(
            self._names.claim(f"{task.waits[0]}-failed{scope.ending}"),
            source,
            "Fail",
            {"ErrorMessage": f"{', '.join(task.waits)} failed; {task.name} has run."},
            ends[1].after,
        )
        node = TryNode(name, source, nodes, (*ends[1].nodes, failed), ends[0].nodes)
        for waited in task.waits:
            done[waited] = replace(done[waited], nodes=(), after=(Dependency(name),))
        text = "It is there twice: after a success, and after a failure. After a failure the run is red, as in KFP."
        self.records.note(source, "exit task", Outcome.APPROXIMATED, reason=Reason("KFP-EXIT-001", text))
        outputs = {key: _pick(ends[0].outputs[key], ends[1].outputs[key]) for key in component.outputs}
        artifacts = {key: _pick(ends[0].artifacts[key], ends[1].artifacts[key]) for key in component.output_artifacts}
        return MigratedTask((node,), (Dependency(name),), outputs, artifacts)

    # --- single tasks -----------------------------------------------------------------------------------------------

    def _call(self, task: GraphTask, component: Component, scope: GraphScope) -> MigratedTask:
        source = f"{scope.where}.{task.name}"
        if component.tasks is None:
            name = self._names.claim(task.name + scope.ending)
            try:
                return self._run_executor(task, component, scope, name)
            except NotCarriedError as error:
                return self._miss(task, component, source, str(error), scope.after, name=name)
        inner = replace(scope, where=source, depth=scope.depth + 1)
        group = self.walk(component, inner)
        if not self.records.has(source):
            self.records.note(source, "pipeline", Outcome.FOLDED)
        return group

    def _run_executor(self, task: GraphTask, component: Component, scope: GraphScope, name: str) -> MigratedTask:
        source = f"{scope.where}.{task.name}"
        executor = component.executor or {}
        importer = executor.get("importer")
        if isinstance(importer, dict):
            found = read_importer(importer, scope.inputs)
            reason = None
            if isinstance(found.uri, Literal) and not str(found.uri.value).startswith("s3://"):
                old, asked = found.uri.value, self._ask_address(task.name)
                found = replace(found, uri=asked)
                text = f"Each run must give an address: a job stages from S3 only. Copy {old} there."
                reason = Reason("KFP-IMPORTER-001", text)
            outcome = Outcome.FOLDED if reason is None else Outcome.APPROXIMATED
            self.records.note(source, "importer", outcome, reason=reason, lost=task.unknown)
            return MigratedTask((), scope.after, {}, dict.fromkeys(component.output_artifacts, found))
        if is_sagemaker(executor):
            return self._run_sagemaker(task, component, scope, name)
        refuse_foreign(executor, component.name)
        cluster = read_cluster_part(
            self._platform,
            component.executor_name,
            executor.get("kubernetes"),
            lambda given: find_source(given, *scope.around),
        )
        container = read_container(component, self._images)
        container = replace(container, env={**container.env, **cluster.env})
        chosen = choose_instance(executor)
        parameters = {
            key: (one.kind, scope.inputs.get(key, Absent("it is not given"))) for key, one in component.inputs.items()
        }
        artifacts = {
            key: one
            for key, one in scope.artifacts.items()
            if key in component.input_artifacts and not isinstance(one, Absent)
        }
        call = ComponentCall(
            parameters,
            artifacts,
            chosen or self._instance_type,
            scope.folders,
            read_retries(task.retries),
            task.is_cached and not scope.is_collected,
            cluster,
        )
        made = make_step(name, source, container, call)
        self.images[container.image] = None
        self.cached = self.cached or call.is_cached
        if made.component is not None:
            self.components[made.key] = made.component
        reason = None
        if chosen:
            reason = Reason("KFP-INSTANCE-001", f"The instance type {chosen} is chosen for what the task asks for.")
        outcome = Outcome.APPROXIMATED if cluster.lost or chosen else Outcome.TRANSLATED
        kind = f"container {container.image}"
        self.records.note(source, kind, outcome, name, reason=reason, lost=(*task.unknown, *cluster.lost))
        for text in describe_entries(cluster):
            self.records.note(source, kind, Outcome.APPROXIMATED, name, reason=Reason("KFP-CLUSTER-001", text))
        outputs = {key: StepOutput(name, key) for key in component.outputs}
        given = {key: StepOutput(name, key) for key in component.output_artifacts}
        return MigratedTask((replace(made.node, after=scope.after),), (Dependency(name),), outputs, given)

    def _run_sagemaker(self, task: GraphTask, component: Component, scope: GraphScope, name: str) -> MigratedTask:
        source = f"{scope.where}.{task.name}"
        made = make_sagemaker_step(name, source, component, scope.inputs, claim=self._names.claim, after=scope.after)
        options = {"retryPolicy": bool(task.retries), "cachingOptions": task.is_cached}
        lost = (*task.unknown, *made.lost, *(key for key, is_set in options.items() if is_set))
        self.records.note(source, made.kind, made.outcome, made.nodes[-1].name, lost=lost)
        for reason in made.reasons:
            self.records.note(source, made.kind, made.outcome, reason=reason)
        outputs = {
            key: made.outputs.get(key) or find_own_output(key, made.outputs)
            for key in (*component.outputs, *component.output_artifacts)
        }
        return MigratedTask(made.nodes, (Dependency(made.nodes[-1].name),), outputs, outputs)

    def _miss(
        self,
        task: GraphTask,
        component: Component,
        source: str,
        why: str,
        after: tuple[Dependency, ...],
        *,
        name: str = "",
    ) -> MigratedTask:
        """A task that fails in place of one that is not carried."""
        name = name or self._names.claim(task.name)
        kind = "pipeline" if component.tasks is not None else "task"
        reason = Reason("KFP-TASK-001", f"{why[:1].upper()}{why[1:]}.")
        self.records.note(source, kind, Outcome.UNSUPPORTED, name, reason=reason, action=f"Write what it does: {why}.")
        for inner in self._iter_inside(component, source):
            self.records.note(
                inner, "task", Outcome.UNSUPPORTED, reason=Reason("KFP-TASK-002", f"It is part of {task.name}.")
            )
        gone = Absent(f"{task.name} gives it, which is not carried")
        missing = dict.fromkeys((*component.outputs, *component.output_artifacts), gone)
        node = MissingNode(name, source, f"{source} is not carried: {why}.", after)
        return MigratedTask((node,), (Dependency(name),), {**missing}, {**missing})

    def _iter_inside(self, component: Component, source: str) -> list[str]:
        found = []
        for task in component.tasks or ():
            place = f"{source}.{task.name}"
            found += [place, *self._iter_inside(self._pipeline.components[task.component], place)]
        return found


def _add_loops(
    after: tuple[Dependency, ...], done: Mapping[str, MigratedTask], scope: GraphScope
) -> tuple[Dependency, ...]:
    """What follows some tasks waits for the loops in them, too, which are nodes elsewhere."""
    if scope.nest is None:
        return after
    inside = (one for group in done.values() for one in scope.nest.keep(group.after))
    return tuple(dict.fromkeys((*after, *inside)))


def _find_last(nodes: Sequence[Node]) -> list[str]:
    """The nodes of a block that none of it waits for."""
    inside = {inner.name: node.name for node in nodes for inner in iter_nodes((node,))}
    waited = {
        inside[name] for node in nodes for name in find_named_nodes(node) if inside.get(name, node.name) != node.name
    }
    return [node.name for node in nodes if node.name not in waited]


def _place(nodes: tuple[Node, ...], after: tuple[Dependency, ...]) -> tuple[tuple[Node, ...], tuple[Dependency, ...]]:
    """The nodes of a block in the place of what was around it, and what follows waits for."""
    placed = tuple(node if node.after else replace(node, after=after) for node in nodes)
    return placed, tuple(Dependency(name) for name in _find_last(placed)) or after


def _collect(value: Value | None, key: str) -> Value:
    if isinstance(value, StepOutput):
        return Collected(get_run_folder(value.node), value.key)
    if isinstance(value, (Absent, Collected)):
        return value
    return Absent(f"a loop collects {key}, and no single step gives it")


def _pick(one: Value, other: Value) -> Value:
    if isinstance(other, Absent):
        return one
    return other if isinstance(one, Absent) else OneOf((one, other))
