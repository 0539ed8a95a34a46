// Train: start a training on the server, watch its curves and hidden units as they form, keep what it made.

import { h, percent } from "../elements.js";
import { css, paintMosaic } from "../paint.js";
import { loadModel, on } from "../state.js";
import { card } from "./parts.js";

const UNDER_WAY = ["compiling", "running", "paused", "stopping"];
const PAUSE = 250; // milliseconds between pictures of a training
const STROKES = ["accent", "positive", "ink", "soft"];

export const train = (panel, shown) => {
  const runs = new Map(); // id -> what the server says of a training, its records among it
  const compared = new Set();
  let source = null, watched = null, chart = null, units = null, drawn = "", rowsOf = "";
  const shownCells = new Map(); // of the table: what changes while a training runs

  // --- the form -------------------------------------------------------------------------------------------------
  const number = (name, value, more = {}) => h("input", { type: "number", name, value, min: "1", ...more });
  const methods = ["auto", "adam", "adamw", "rmsprop", "adagrad", "sgd", "gd", "cg", "scg", "rprop", "lbfgs", "newton"];
  const field = {
    hidden: number("hidden", 100, { max: "2000" }),
    descent: h("select", { name: "descent" }, ...methods.map((name) => h("option", { value: name }, name))),
    learning_rate: number("learning_rate", "", { min: "0", step: "any", placeholder: "its own" }),
    batch_size: number("batch_size", 128, { max: "10000" }),
    epochs: number("epochs", "", { max: "1000", placeholder: "by size" }),
    samples: number("samples", "", { min: "100", placeholder: "all" }),
    seed: number("seed", 0, { min: "0" }),
    deform: h("input", { type: "checkbox", name: "deform" }),
  };
  const labels = {
    hidden: "Hidden units", descent: "Method", learning_rate: "Learning rate", batch_size: "Mini-batch", epochs: "Epochs", samples: "Images",
    seed: "Seed", deform: "Deformed images",
  };
  const go = h("button", { class: "main", id: "start" }, "Start");
  const button = (id, name, f) => h("button", { type: "button", id, disabled: true, onclick: f }, name);
  const pause = button("pause", "Pause", () => act(runs.get(watched)?.state === "paused" ? "resume" : "pause"));
  const stop = button("stop", "Stop", () => act("stop"));
  const keep = button("keep", "Use this network", () => act("keep"));
  const first = h("button", { type: "button", onclick: () => post("api/model/first").then(loadModel, complain) }, "Back to the first network");
  const message = h("p", { class: "message", role: "status" });
  const form = h("form", { onsubmit: (event) => (event.preventDefault(), start()) },
    h("div", { class: "row" }, ...Object.keys(field).map((name) => h("label", {}, labels[name], field[name]))),
    h("div", { class: "row" }, go, pause, stop, keep, first), message);

  const state = h("p", { id: "run-state" }, "No training yet.");
  const said = h("p", { class: "hidden", role: "status" }); // its state, when that changes
  const done = h("progress", { max: "1", value: "0", "aria-label": "This training" });
  const plot = h("div", { class: "chart", role: "img", "aria-label": "Learning curves; the table below has the numbers" });
  const scale = h("select", { onchange: () => paint() }, h("option", { value: "error" }, "E per image"), h("option", { value: "wrong" }, "share of errors"));
  const across = h("select", { onchange: () => paint() }, h("option", { value: "samples" }, "images seen"), h("option", { value: "seconds" }, "seconds"), h("option", { value: "epoch" }, "epochs"));
  const mosaic = h("canvas", { role: "img", "aria-label": "Weights into the first hidden units, as they form" });
  const table = h("div", { class: "wide", id: "trainings" });
  panel.append(
    card("Train a network",
      h("p", { class: "small" }, "On the images of this server, a sixth of them held out. The test images are looked at once, at the end."), form),
    card("Learning curves", state, said, done,
      h("div", { class: "row" }, h("label", {}, "Show", scale), h("label", {}, "against", across)), plot,
      h("p", { class: "small" }, "Full lines: training. Dashed lines: held-out images.")),
    h("div", { class: "columns" }, card("Hidden units, forming", h("div", { class: "mosaic" }, mosaic)), card("Trainings", table)));

  // --- talking to the server --------------------------------------------------------------------------------------
  const complain = (problem) => {
    message.textContent = problem.message;
    if (problem.status === 409) list(); // another page has started, paused or stopped something
  };
  const post = async (path, body) => {
    const answer = await fetch(path, {
      method: "POST", ...(body && { body: JSON.stringify(body), headers: { "content-type": "application/json" } }),
    });
    const said = await answer.json();
    if (answer.ok) return said;
    throw Object.assign(new Error(said.detail), { status: answer.status });
  };
  const value = (name) => {
    const input = field[name];
    if (input.type === "checkbox") return input.checked;
    if (input.type !== "number") return input.value;
    return input.value === "" ? null : input.valueAsNumber;
  };
  const start = async () => {
    message.textContent = "";
    try {
      const run = await post("api/trainings", Object.fromEntries(Object.keys(field).map((name) => [name, value(name)])));
      runs.set(run.id, run);
      watch(run.id);
    } catch (problem) {
      complain(problem);
    }
  };
  const act = async (what) => {
    message.textContent = "";
    try {
      const id = watched, said = await post(`api/trainings/${id}/${what}`), run = runs.get(id);
      if (what === "keep") await loadModel();
      else if (UNDER_WAY.includes(run.state)) Object.assign(run, said); // its end may be known before this answer
      paint();
    } catch (problem) {
      complain(problem);
    }
  };

  // Server-sent events; the browser connects again by itself, and says which epoch it has seen last.
  const watch = (id) => {
    watched = id;
    compared.add(id);
    units = null;
    follow();
    ask();
  };
  const follow = () => {
    source?.close();
    const id = watched, run = runs.get(id);
    if (!run || document.hidden || !UNDER_WAY.includes(run.state)) return;
    source = new EventSource(`api/trainings/${id}/events?seen=${run.records.length}`);
    source.addEventListener("epoch", (event) => {
      const record = JSON.parse(event.data);
      run.records[record.epoch - 1] = record; // after a reconnection some may come twice
      run.seen = 0;
      ask();
    });
    source.addEventListener("progress", (event) => {
      run.seen = JSON.parse(event.data).seen;
      paintState();
    });
    source.addEventListener("state", (event) => {
      Object.assign(run, JSON.parse(event.data));
      if (!UNDER_WAY.includes(run.state)) source.close();
      said.textContent = `training ${run.id}: ${run.state}`;
      ask();
    });
  };
  // A browser has few connections for a server: pages in the background give theirs back.
  document.addEventListener("visibilitychange", follow);

  const list = async () => {
    const answer = await fetch("api/trainings").catch(() => null);
    if (!answer?.ok) return;
    for (const run of await answer.json()) runs.set(run.id, run);
    const last = [...runs.values()].filter((run) => run.onServer !== false).at(-1);
    if (last && (UNDER_WAY.includes(last.state) || watched === null)) watch(last.id);
    else ask();
  };
  // A server that was started anew knows nothing of earlier trainings: their curves stay here, for comparison.
  window.addEventListener("server-restarted", () => {
    source?.close();
    const old = [...runs.values()];
    runs.clear();
    compared.clear();
    old.forEach((run) => {
      const id = -Math.abs(run.id) - (run.id < 0 ? 1000 : 0);
      const ended = UNDER_WAY.includes(run.state) ? { state: "lost", problem: "the server was started anew" } : {};
      runs.set(id, { ...run, ...ended, id, onServer: false });
      compared.add(id);
    });
    watched = null;
    list();
  });

  // --- painting ---------------------------------------------------------------------------------------------------
  let asked = false;
  // Epochs may come a hundred a second; painting them four times a second is enough.
  const ask = () => {
    if (asked) return;
    asked = true;
    setTimeout(() => {
      asked = false;
      paint();
      loadUnits();
    }, PAUSE);
  };
  const loadUnits = async () => {
    const id = watched;
    if (!shown() || !runs.get(id)?.records.length || runs.get(id).onServer === false) return;
    const answer = await fetch(`api/trainings/${id}/units`).catch(() => null);
    if (!answer?.ok || id !== watched) return;
    units = new Int8Array(await answer.arrayBuffer());
    paintUnits();
  };
  const paintUnits = () => {
    if (!shown() || !units?.length) return;
    paintMosaic(mosaic, units.length / 784, 10, (n, i) => units[784 * n + i]);
  };

  const paintState = () => {
    const run = runs.get(watched), under = run && UNDER_WAY.includes(run.state);
    go.disabled = Boolean(under);
    stop.disabled = !under || run.state === "stopping";
    pause.disabled = !["running", "paused"].includes(run?.state);
    pause.textContent = run?.state === "paused" ? "Go on" : "Pause";
    keep.disabled = !run?.records.length;
    if (!run) return;
    const last = run.records.at(-1), epochs = run.records.length;
    done.value = under || run.state !== "done" ? (epochs + (run.seen ?? 0)) / Math.max(1, run.epochs) : 1;
    const parts = [`Training ${run.id}: ${run.state}${run.problem ? ` (${run.problem})` : ""}`];
    if (last) {
      parts.push(`epoch ${last.epoch} of ${run.epochs}`, `E ${last.error?.toFixed(4)}`);
      if (last.val_accuracy !== null) parts.push(`held out ${percent(1 - last.val_accuracy)} wrong`);
    }
    if (run.test_accuracy !== null) parts.push(`test ${percent(1 - run.test_accuracy)} wrong`);
    state.textContent = parts.join(" · ");
  };

  const series = () => {
    const chosen = [...runs.values()].filter((run) => compared.has(run.id) && run.records.length);
    const get = scale.value === "error"
      ? [(r) => r.error, (r) => r.val_error]
      : [(r) => (r.accuracy === null ? null : 1 - r.accuracy), (r) => (r.val_accuracy === null ? null : 1 - r.val_accuracy)];
    const xs = [...new Set(chosen.flatMap((run) => run.records.map((r) => r[across.value])))].sort((a, b) => a - b);
    const data = [xs], lines = [{ label: across.selectedOptions[0].textContent }];
    chosen.forEach((run, n) => {
      get.forEach((f, held) => {
        const at = new Map(run.records.map((r) => [r[across.value], f(r)]));
        data.push(xs.map((x) => at.get(x) || (at.has(x) ? null : undefined))); // 0 is nowhere on a log axis
        lines.push({
          label: `${run.id < 0 ? "earlier " : ""}${Math.abs(run.id)}${held ? ", held out" : ""}`, spanGaps: true,
          stroke: css(STROKES[n % STROKES.length]), width: 2, dash: held ? [6, 4] : undefined, points: { show: (u) => u.data[0].length < 40, size: 5 },
          value: (_, v) => (v == null ? "–" : scale.value === "error" ? v.toFixed(4) : percent(v)),
        });
      });
    });
    return { data, lines };
  };

  const paintChart = (anew = false) => {
    const { data, lines } = series(), now = JSON.stringify([scale.value, lines.map((line) => line.label)]);
    if (chart && now === drawn && !anew) {
      chart.setData(data);
      return;
    }
    drawn = now;
    chart?.destroy();
    chart = null;
    if (data.length < 2) return;
    const axis = { stroke: css("soft"), grid: { stroke: css("line"), width: 1 }, ticks: { stroke: css("line") } };
    const format = (_, values) => values.map((v) => (v === null ? "" : scale.value === "error" ? String(+v.toPrecision(3)) : `${+(100 * v).toPrecision(3)}%`));
    chart = new uPlot({
      width: plot.clientWidth || 600, height: 260, series: lines, legend: { live: true },
      scales: { x: { time: false }, y: { distr: 3 } },
      axes: [axis, { ...axis, size: 62, values: format }],
    }, data, plot);
  };

  const figures = (run) => {
    const last = run.records.at(-1);
    return [
      last ? last.seconds.toFixed(1) : "–", last?.val_accuracy != null ? percent(1 - last.val_accuracy) : "–",
      run.test_accuracy != null ? percent(1 - run.test_accuracy) : "–",
    ];
  };
  const paintTable = () => {
    if (!runs.size) return;
    const now = JSON.stringify([watched, [...runs.keys()]]);
    if (now === rowsOf) {
      for (const [id, cells] of shownCells) figures(runs.get(id)).forEach((text, n) => (cells[n].textContent = text));
      return;
    }
    rowsOf = now;
    shownCells.clear();
    const rows = [...runs.values()].reverse().map((run) => {
      const box = h("input", {
        type: "checkbox", checked: compared.has(run.id), "aria-label": `compare training ${run.id}`,
        onchange: () => (box.checked ? compared.add(run.id) : compared.delete(run.id), paintChart()),
      });
      const { hidden, descent } = run.settings, cells = figures(run).map((text) => h("td", {}, text));
      shownCells.set(run.id, cells);
      return h("tr", {}, h("td", {}, box),
        h("th", { scope: "row" }, run.id < 0 ? `earlier ${-run.id}` : String(run.id)), h("td", {}, `${hidden}, ${descent}`), ...cells,
        h("td", {}, run.onServer === false || run.id === watched ? null : h("button", { type: "button", onclick: () => watch(run.id) }, "Watch")));
    });
    const head = ["compare", "no.", "units, method", "seconds", "held out", "test", "look"];
    table.replaceChildren(h("table", {}, h("caption", {}, "Errors on held-out and on test images."),
      h("thead", {}, h("tr", {}, ...head.map((name) => h("th", { scope: "col" }, name)))), h("tbody", {}, ...rows)));
  };

  const paint = () => {
    if (!shown()) return;
    paintState();
    paintChart();
    paintTable();
  };
  addEventListener("resize", () => chart?.setSize({ width: plot.clientWidth, height: 260 }));
  on("theme", () => shown() && (paintChart(true), paintUnits()));
  let listed = false;
  return () => {
    if (!shown()) return;
    if (!listed) list();
    listed = true;
    paint();
    loadUnits();
  };
};
