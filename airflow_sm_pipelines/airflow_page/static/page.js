/* The SageMaker tab of Airflow's UI: one module for the DAG, the run and the task instance, without a build step.

React and Chakra are the host's. What the tab shows comes from the API beside this file, pictures as SVG; what its
buttons do goes to Airflow's own API with the user's session. All text of others is put in as text.
*/
const { createElement: h, useCallback, useEffect, useRef, useState } = globalThis.React;
const ui = globalThis.ChakraUI ?? makePlainParts();
const POLL_MS = 5000;
const COLOURS = {
  Succeeded: "green", Failed: "red", CompletedWithFailures: "red", "Not reached": "orange", Stopped: "orange",
  Stopping: "orange", Executing: "blue", Starting: "blue", Skipped: "pink",
};

/* The parts that the tab uses, as plain elements: Airflow 3.1 does not share its Chakra. Delete when 3.2 is the oldest. */
function makePlainParts() {
  const row = { display: "flex", flexWrap: "wrap", alignItems: "center" };
  const cell = { padding: "4px 12px 4px 0", textAlign: "left", verticalAlign: "top" };
  const part = (tag, base) => ({ as, children, onClick, onChange, href, target, rel, value, role, p, gap, my, overflow, maxH, maxW, minW,
    flex, whiteSpace, overflowWrap, borderWidth, ref, ...rest }) => {
    const kept = Object.fromEntries(Object.entries(rest).filter(([name]) => /^(aria|data)-/.test(name)));
    const style = { ...base, gap: gap && gap * 4, padding: p === undefined ? base?.padding : p * 4, marginBlock: my && my * 4, overflow,
      maxHeight: maxH, maxWidth: maxW, minWidth: minW, flex, whiteSpace, overflowWrap, border: borderWidth && "1px solid #8886", borderRadius: borderWidth && 6 };
    return h(as ?? tag, { onClick, onChange, href, target, rel, value, role, style, ...kept, ref }, children);
  };
  const box = part("div");
  const button = part("button", { border: "1px solid #8888", borderRadius: 6, padding: "4px 10px", cursor: "pointer" });
  return {
    Badge: part("strong"), Box: globalThis.React.forwardRef((props, ref) => box({ ...props, ref })), Button: button,
    CloseButton: props => button({ ...props, children: "×" }), Flex: part("div", { ...row, alignItems: "flex-start" }), HStack: part("div", row),
    Heading: part("h3", { fontWeight: 600 }), Link: part("a", { textDecoration: "underline" }),
    NativeSelect: { Root: part("span"), Field: part("select"), Indicator: () => null },
    Spinner: () => "…", Text: part("span"),
    Table: { Root: part("table", { width: "100%" }), Header: part("thead"), Body: part("tbody"), Row: part("tr"),
      ColumnHeader: part("th", cell), Cell: part("td", cell) },
  };
}

const at = path => new URL(path, document.baseURI).href;
const query = values => {
  const known = Object.entries(values).filter(([, value]) => value !== undefined && value !== null && value !== "");
  return new URLSearchParams(known).toString();
};

async function ask(path, options) {
  const answer = await fetch(at(path), { credentials: "same-origin", ...options });
  const body = answer.status === 204 ? null : await answer.json().catch(() => null);
  if (answer.ok) return body;
  const detail = body?.detail;
  const text = typeof detail === "string" ? detail : detail ? JSON.stringify(detail) : answer.statusText;
  throw Object.assign(new Error(text), { status: answer.status });
}

const send = (method, path, body) =>
  ask(path, { method, headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) });

/* The newest answer of an address. It is asked again while `isOpen` says so, never while the tab is hidden. */
function useAnswer(path, isOpen) {
  const [state, setState] = useState({});
  const [turn, setTurn] = useState(0);
  useEffect(() => {
    let isGone = false;
    let timer;
    const look = async () => {
      clearTimeout(timer);
      if (document.hidden) return;
      let next;
      try {
        next = { path, data: await ask(path) };
      } catch (error) {
        next = { path, error };
      }
      if (isGone) return;
      setState(next);
      if (next.error ? !(next.error.status < 500) : isOpen(next.data)) timer = setTimeout(look, POLL_MS);
    };
    document.addEventListener("visibilitychange", look);
    look();
    return () => {
      isGone = true;
      clearTimeout(timer);
      document.removeEventListener("visibilitychange", look);
    };
  }, [path, turn]);
  return { ...state, isOld: state.path !== path, again: useCallback(() => setTurn(now => now + 1), []) };
}

function useStyle() {
  useEffect(() => {
    const href = at("sm_pipelines/pictures.css");
    if ([...document.querySelectorAll("link[rel=stylesheet]")].some(one => one.href === href)) return;
    document.head.append(Object.assign(document.createElement("link"), { rel: "stylesheet", href }));
  }, []);
}

const formatSeconds = seconds => {
  if (seconds === null || seconds === undefined) return "";
  if (seconds < 60) return `${Math.round(seconds * 10) / 10} s`;
  const minutes = Math.floor(seconds / 60);
  return minutes < 60 ? `${minutes} min ${Math.round(seconds % 60)} s` : `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
};
const formatTime = text => (text ? new Date(text).toLocaleString() : "");
const formatCost = (cost, isOpen) => {
  if (!cost) return "";
  const hours = `${cost.hours.toFixed(cost.hours < 1 ? 3 : 1)} instance hours`;
  const amount = `about ${cost.amount.toFixed(cost.amount < 1 ? 4 : 2)} ${cost.currency}`;
  const isKnown = cost.amount > 0 || !cost.unpriced.length;
  return [isKnown ? amount : hours, isOpen && "so far", isKnown && cost.unpriced.length && `without ${cost.unpriced.join(", ")}`]
    .filter(Boolean).join(" ");
};
const explainCost = cost => cost.fault ?? (cost.unpriced.length
  ? `The setting [sagemaker_pipelines] prices has no price of ${cost.unpriced.join(", ")}.`
  : "An estimate by the steps' times, for instances only.");
const formatValue = value => (typeof value === "string" ? value : JSON.stringify(value));
const formatCell = value => (typeof value === "number" ? String(Number(value.toPrecision(6))) : formatValue(value));

const Status = ({ status }) => h(ui.Badge, { colorPalette: COLOURS[status] ?? "gray" }, status);

const Notice = ({ children, tone = "info" }) =>
  h(ui.Box, { role: "status", p: 3, my: 2, borderWidth: 1, borderRadius: "md", bg: "bg.subtle",
    color: tone === "error" ? "fg.error" : "fg.muted", whiteSpace: "pre-wrap", overflowWrap: "anywhere" }, children);

/* A picture from the API. A click on a step's box chooses the step. */
function Picture({ svg, label, steps, chosen, onStep }) {
  const place = useRef(null);
  useEffect(() => {
    const parsed = new DOMParser().parseFromString(svg ?? "", "image/svg+xml").documentElement;
    if (parsed.nodeName !== "svg") return;
    const picture = document.importNode(parsed, true);
    picture.style.maxWidth = "none";
    place.current.replaceChildren(picture);
  }, [svg]);
  useEffect(() => {
    for (const one of place.current.querySelectorAll("[data-step]")) {
      one.style.cursor = onStep ? "pointer" : "";
      const number = Number(one.dataset.step);
      if (steps?.[number] && !one.querySelector("title")) {
        const title = one.appendChild(document.createElementNS("http://www.w3.org/2000/svg", "title"));
        title.textContent = `${steps[number].name}: ${steps[number].status}`;
      }
      const box = [...one.querySelectorAll(".box")].pop();
      if (box) box.style.strokeWidth = number === chosen ? "3.5" : "";
    }
  }, [svg, steps, chosen, onStep]);
  const click = event => {
    const step = event.target.closest("[data-step]");
    if (step && onStep) onStep(Number(step.dataset.step));
  };
  return h(ui.Box, { ref: place, onClick: click, overflow: "auto", maxH: "65vh", "aria-label": label });
}

function Choice({ label, value, options, onChange }) {
  if (options.length < 2) return null;
  return h(ui.HStack, { as: "label", gap: 2 },
    h(ui.Text, { color: "fg.muted", fontSize: "sm" }, label),
    h(ui.NativeSelect.Root, { size: "sm", width: "auto" },
      h(ui.NativeSelect.Field, { value: value ?? "", "aria-label": label, onChange: event => onChange(event.target.value) },
        options.map(([key, text]) => h("option", { key, value: key }, text))),
      h(ui.NativeSelect.Indicator)));
}

function Values({ title, values }) {
  const entries = Object.entries(values ?? {});
  if (!entries.length) return null;
  return h(ui.Box, { my: 3 },
    h(ui.Heading, { size: "sm", mb: 1 }, title),
    h(ui.Table.Root, { size: "sm" }, h(ui.Table.Body, null, entries.map(([name, value]) =>
      h(ui.Table.Row, { key: name },
        h(ui.Table.Cell, { width: "1%", minW: "7rem", maxW: "14rem", overflowWrap: "anywhere", color: "fg.muted", verticalAlign: "top" }, name),
        h(ui.Table.Cell, { overflowWrap: "anywhere", whiteSpace: "pre-wrap" }, formatValue(value)))))));
}

const Links = ({ links, children }) =>
  h(ui.HStack, { gap: 4, wrap: "wrap", fontSize: "sm" },
    (links ?? []).map(({ name, href }) =>
      h(ui.Link, { key: name, href, target: "_blank", rel: "noopener noreferrer", color: "fg.info" }, name)),
    children);

/* A button that says what it will do, and does it when that is confirmed. */
function Action({ name, says, run, onDone, palette = "brand" }) {
  const [stage, setStage] = useState("");
  const [error, setError] = useState(null);
  const act = async () => {
    setStage("busy");
    setError(null);
    try {
      await run();
      setStage("");
      onDone();
    } catch (failure) {
      setError(failure.message);
      setStage("");
    }
  };
  if (!stage) {
    return h(ui.Box, null,
      h(ui.Button, { size: "sm", variant: "outline", colorPalette: palette, onClick: () => setStage("asked") }, name),
      error && h(Notice, { tone: "error" }, error));
  }
  return h(ui.HStack, { gap: 2, p: 1, borderWidth: 1, borderRadius: "md", role: "group", "aria-label": name },
    h(ui.Text, { fontSize: "sm" }, says),
    h(ui.Button, { size: "sm", colorPalette: palette, loading: stage === "busy", onClick: act }, `Yes, ${name.toLowerCase()}`),
    h(ui.Button, { size: "sm", variant: "ghost", onClick: () => setStage("") }, "Cancel"));
}

const clear = (dagId, runId, tasks) =>
  send("POST", `api/v2/dags/${encodeURIComponent(dagId)}/clearTaskInstances`, {
    dry_run: false, dag_run_id: runId, task_ids: tasks, include_downstream: true, only_failed: false, only_running: false,
  });

const taskPath = (dagId, runId, id) =>
  `api/v2/dags/${encodeURIComponent(dagId)}/dagRuns/${encodeURIComponent(runId)}/taskInstances/${encodeURIComponent(id)}`;

const stop = (dagId, runId, task) => {
  const [id, index] = Array.isArray(task) ? task : [task, -1];
  const path = taskPath(dagId, runId, id);
  return send("PATCH", index < 0 ? path : `${path}/${index}`, { new_state: "failed" });
};

/* A run task by itself is told to resume, whatever its `on_clear` says, before it is cleared. */
async function resume(dagId, runId, shown) {
  if (shown.is_group) return clear(dagId, runId, shown.actions.resume);
  const [id, index] = shown.source_task;
  const choice = `${taskPath(dagId, runId, id)}/state-store/sagemaker_pipeline_on_clear?map_index=${index}`;
  await send("PUT", choice, { value: { on_clear: "resume" } });
  try {
    return await clear(dagId, runId, shown.actions.resume);
  } catch (error) {
    await ask(choice, { method: "DELETE" }).catch(() => null);
    throw error;
  }
}

const Waits = () => h(ui.HStack, { p: 4 }, h(ui.Spinner, { size: "sm" }), h(ui.Text, { color: "fg.muted" }, "Loading"));

function Failure({ error }) {
  const text = { 401: "You are not signed in.", 403: "You have no right to see the XComs of this DAG, where this page comes from." };
  return h(ui.Box, { p: 4 }, h(Notice, { tone: "error" }, text[error.status] ?? error.message));
}

// --- a step ----------------------------------------------------------------------------------------------------------

function Try({ record, number }) {
  const seconds = record.start && record.end ? (new Date(record.end) - new Date(record.start)) / 1000 : null;
  return h(ui.Box, { mb: 3 },
    h(ui.HStack, { gap: 2, wrap: "wrap" },
      h(ui.Text, { fontWeight: "medium" }, `Try ${number}`), h(Status, { status: record.status }),
      record.cached_from && h(ui.Badge, { variant: "outline" }, "from the cache"),
      h(ui.Text, { color: "fg.muted", fontSize: "sm" }, [formatTime(record.start), formatSeconds(seconds)].filter(Boolean).join(" · "))),
    record.reason && h(Notice, { tone: "error" }, record.reason),
    h(Values, { title: "", values: Object.fromEntries(Object.entries({
      Outcome: record.outcome, Job: record.job_arn, Execution: record.arn.split("/").pop(),
      "Result taken from": record.cached_from, "Attempts by its retry policies": record.attempts > 1 ? record.attempts : null,
    }).filter(([, value]) => value)) }),
    record.log && h(ui.Box, { as: "pre", fontSize: "xs", p: 2, borderWidth: 1, borderRadius: "md", bg: "bg.subtle",
      overflow: "auto", maxH: "16rem", whiteSpace: "pre-wrap", overflowWrap: "anywhere" }, record.log.join("\n")));
}

function Step({ dagId, runId, shown, step, onDone, onClose }) {
  const path = `sm_pipelines/dags/${encodeURIComponent(dagId)}/step?${query({
    run_id: runId, source: shown.source, step: step.name, execution: shown.execution,
  })}`;
  const { data, error, isOld } = useAnswer(path, () => shown.is_open);
  const tries = (!isOld && data?.tries) || [];
  const task = data && !isOld && `dags/${encodeURIComponent(dagId)}/runs/${encodeURIComponent(runId)}/tasks/${encodeURIComponent(data.task_id)}` +
    (data.map_index < 0 ? "" : `/mapped/${data.map_index}`);
  const id = shown.is_group && shown.step_prefix + step.name;
  const canRunAgain = shown.can_act && id && ["success", "failed"].includes(step.state) && !shown.has_fail_step;
  return h(ui.Box, { as: "section", "aria-label": `Step ${step.name}`, flex: "1 1 22rem", minW: 0, p: 3, borderWidth: 1, borderRadius: "md" },
    h(ui.HStack, { justify: "space-between" },
      h(ui.Heading, { size: "md", overflowWrap: "anywhere" }, step.name),
      h(ui.CloseButton, { size: "sm", "aria-label": "Close", onClick: onClose })),
    h(ui.HStack, { gap: 2, my: 2, wrap: "wrap" },
      h(Status, { status: step.status }), h(ui.Text, { color: "fg.muted", fontSize: "sm" }, step.type),
      step.state && h(ui.Text, { color: "fg.muted", fontSize: "sm" }, `task ${step.state}, try ${step.tries}`)),
    canRunAgain && h(Action, { name: "Run from here", palette: "brand", onDone,
      says: `Clears the task of ${step.name} and all tasks after it.`,
      run: () => clear(dagId, runId, [shown.map_index < 0 ? id : [id, shown.map_index]]) }),
    error && h(Notice, { tone: "error" }, error.message),
    task && h(Links, { links: data.links }, h(ui.Link, { href: at(task), color: "fg.info" }, "Task and its log")),
    !isOld && data && !tries.length && h(Notice, null, "This step has not begun."),
    [...tries].map((record, number) => h(Try, { key: number, record, number: number + 1 })).reverse(),
    !isOld && h(Values, { title: "What it yields", values: data?.outputs }));
}

function Steps({ steps, chosen, onStep }) {
  return h(ui.Box, { maxH: "24rem", overflow: "auto" }, h(ui.Table.Root, { size: "sm", stickyHeader: true, interactive: true },
    h(ui.Table.Header, null, h(ui.Table.Row, null, ["Step", "Type", "Status", "Time", ""].map(name =>
      h(ui.Table.ColumnHeader, { key: name }, name)))),
    h(ui.Table.Body, null, steps.map((step, number) =>
      h(ui.Table.Row, { key: number, onClick: () => onStep(number), cursor: "pointer",
        bg: number === chosen ? "bg.emphasized" : undefined },
        h(ui.Table.Cell, { overflowWrap: "anywhere" }, step.name),
        h(ui.Table.Cell, { color: "fg.muted" }, step.type),
        h(ui.Table.Cell, null, h(Status, { status: step.status })),
        h(ui.Table.Cell, { whiteSpace: "nowrap" }, step.is_cached ? "from the cache" : formatSeconds(step.seconds)),
        h(ui.Table.Cell, { overflowWrap: "anywhere", color: "fg.muted" },
          step.reason ?? (step.outcome ? `outcome: ${step.outcome}` : "")))))));
}

// --- a run -----------------------------------------------------------------------------------------------------------

function Run({ dagId, runId, taskId, mapIndex }) {
  const [source, setSource] = useState(null);
  const [execution, setExecution] = useState(null);
  const [view, setView] = useState("graph");
  const [step, setStep] = useState(undefined);
  const path = `sm_pipelines/dags/${encodeURIComponent(dagId)}/run?${query({
    run_id: runId, task_id: taskId, map_index: taskId ? mapIndex ?? -1 : null, source, execution, view,
  })}`;
  const { data: shown, error, again } = useAnswer(path, answer => answer.is_open);
  if (error) return h(Failure, { error });
  if (!shown) return h(Waits);
  if (!shown.source) {
    const what = taskId ? "This task runs no SageMaker pipeline." : "No task of this run has started a SageMaker pipeline.";
    return h(ui.Box, { p: 4 }, h(Notice, null, shown.is_open ? `${what.slice(0, -1)}, or has not yet.` : what));
  }
  const chosen = step === undefined ? shown.steps.findIndex(one => one.name === shown.step) : step;
  const actions = shown.can_act ? shown.actions : {};
  const choose = set => value => { set(value || null); setStep(null); };
  const seconds = shown.start && shown.end ? (new Date(shown.end) - new Date(shown.start)) / 1000 : null;
  return h(ui.Box, { p: 4, "data-testid": "sagemaker-run" },
    h(ui.HStack, { gap: 3, wrap: "wrap" },
      h(ui.Heading, { size: "lg", overflowWrap: "anywhere" }, shown.pipeline),
      h(Status, { status: shown.status }),
      h(ui.Text, { color: "fg.muted", fontSize: "sm" }, [
        shown.version && `version ${shown.version}`, formatTime(shown.start), formatSeconds(seconds),
      ].filter(Boolean).join(" · ")),
      shown.cost && h(ui.Text, { color: "fg.muted", fontSize: "sm", title: explainCost(shown.cost), "data-testid": "sagemaker-cost" },
        formatCost(shown.cost, shown.is_open)),
      h(Links, { links: shown.links })),
    h(ui.HStack, { gap: 3, my: 2, wrap: "wrap", align: "start" },
      h(Choice, { label: "Run by", value: shown.source, onChange: choose(setSource), options: shown.sources.map(one => [one, one]) }),
      h(Choice, { label: "Execution", value: shown.execution ?? "", onChange: choose(setExecution),
        options: shown.executions.length < 2 ? [] :
          [["", `All ${shown.executions.length} as one`], ...shown.executions.map(one => [one.arn, one.id])] }),
      actions.resume && h(Action, { name: "Resume failed steps", onDone: again, run: () => resume(dagId, runId, shown),
        says: `Clears ${actions.resume.length} failed ${actions.resume.length === 1 ? "task" : "tasks"} and all tasks after them.` }),
      actions.stop && h(Action, { name: "Stop", palette: "red", onDone: again, run: () => stop(dagId, runId, actions.stop),
        says: `Marks the task ${Array.isArray(actions.stop) ? actions.stop[0] : actions.stop} failed. A triggerer then stops the execution.` })),
    shown.reason && !shown.is_open && h(Notice, { tone: "error" }, shown.reason),
    shown.can_act && shown.has_fail_step && shown.is_group && h(Notice, null, "A Fail step ended this execution, so it cannot be resumed: clear the task that runs it."),
    h(ui.HStack, { gap: 1, my: 2, role: "tablist" }, [["graph", "Graph"], ["timeline", "Timeline"]].map(([key, name]) =>
      h(ui.Button, { key, size: "xs", role: "tab", "aria-selected": view === key, onClick: () => setView(key),
        variant: view === key ? "solid" : "ghost" }, name))),
    h(ui.Flex, { gap: 4, wrap: "wrap", align: "start" },
      h(ui.Box, { flex: "3 1 28rem", minW: 0 },
        h(Picture, { svg: shown.picture, label: view, steps: shown.steps, chosen, onStep: view === "graph" ? setStep : null }),
        h(ui.Box, { mt: 4 }, h(Steps, { steps: shown.steps, chosen, onStep: setStep }))),
      shown.steps[chosen] &&
        h(Step, { dagId, runId, shown, step: shown.steps[chosen], onDone: again, onClose: () => setStep(null) })),
    h(Values, { title: "Parameters", values: shown.parameters }),
    h(Values, { title: "Outputs", values: shown.outputs }));
}

// --- a DAG -----------------------------------------------------------------------------------------------------------

function Dag({ dagId }) {
  const [offset, setOffset] = useState(0);
  const [source, setSource] = useState(null);
  const [output, setOutput] = useState(null);
  const path = `sm_pipelines/dags/${encodeURIComponent(dagId)}?${query({ offset: offset || null, source, output })}`;
  const { data: shown, error } = useAnswer(path, answer => answer.offset === 0);
  if (error) return h(Failure, { error });
  if (!shown) return h(Waits);
  if (!shown.rows.length && !shown.offset) {
    return h(ui.Box, { p: 4 }, h(Notice, null, shown.has_more ? "The newest 50 runs have run no SageMaker pipeline." :
      "No run of this DAG has run a SageMaker pipeline."),
      shown.has_more && h(ui.Button, { size: "sm", variant: "outline", onClick: () => setOffset(50) }, "Older"));
  }
  const names = shown.outputs.filter(name => name !== "duration").slice(0, 4);
  const columns = ["Run", "Status", "Duration", ...names];
  return h(ui.Box, { p: 4, "data-testid": "sagemaker-dag" },
    h(ui.HStack, { gap: 3, my: 2, wrap: "wrap" },
      h(Choice, { label: "Run by", value: shown.source, onChange: setSource, options: shown.sources.map(one => [one, one]) }),
      h(Choice, { label: "Chart", value: shown.output, onChange: setOutput, options: shown.outputs.map(one => [one, one]) })),
    shown.chart && h(Picture, { svg: shown.chart, label: "chart" }),
    h(ui.Table.Root, { size: "sm", mt: 4 },
      h(ui.Table.Header, null, h(ui.Table.Row, null, columns.map(name => h(ui.Table.ColumnHeader, { key: name }, name)))),
      h(ui.Table.Body, null, shown.rows.map(row => h(ui.Table.Row, { key: row.run_id },
        h(ui.Table.Cell, null, h(ui.Link, { color: "fg.info",
          href: at(`dags/${encodeURIComponent(dagId)}/runs/${encodeURIComponent(row.run_id)}/plugin/sagemaker-run`) },
        formatTime(row.when) || row.run_id)),
        h(ui.Table.Cell, null, h(Status, { status: row.status })),
        h(ui.Table.Cell, null, formatSeconds(row.seconds)),
        names.map(name => h(ui.Table.Cell, { key: name, overflowWrap: "anywhere" },
          row.outputs[name] === undefined ? "" : formatCell(row.outputs[name]))))))),
    h(ui.HStack, { gap: 2, mt: 3 },
      offset > 0 && h(ui.Button, { size: "sm", variant: "outline", onClick: () => setOffset(Math.max(0, offset - 50)) }, "Newer"),
      shown.has_more && h(ui.Button, { size: "sm", variant: "outline", onClick: () => setOffset(offset + 50) }, "Older")));
}

/* Airflow gives the ids of what its page is about. */
export default function Page({ dagId, runId, taskId, mapIndex }) {
  useStyle();
  if (!dagId) return null;
  return runId
    ? h(Run, { key: `${dagId} ${runId} ${taskId} ${mapIndex}`, dagId, runId, taskId, mapIndex })
    : h(Dag, { key: dagId, dagId });
}

// Airflow 3.1 and later find the component here, by its name or as the module's.
globalThis.SageMaker = Page;
globalThis.AirflowPlugin = Page;
