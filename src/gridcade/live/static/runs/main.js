// The Runs page. It asks the server for tables and draws them: see gridcade/live/runs/api.py.

import { readAddress, writeAddress } from "../address.js";
import { $, make, setText } from "../dom.js";
import { connectExports } from "../exports.js";
import { downloadPng } from "../files.js";
import { connectNavigation } from "../navigation.js";
import { Chart } from "./chart.js";
import { commandBox } from "./command.js";
import { Curves } from "./curves.js";
import { DEFAULTS, joinNames, splitNames } from "./defaults.js";
import { showComparison } from "./details.js";
import { showDisk } from "./disk.js";
import { showFiles } from "./files.js";
import { getTable } from "./requests.js";
import { RunsTable } from "./runs_table.js";

const INTERVAL = 2000; // milliseconds between two requests
const MOST_CHOSEN = 8; // runs; there are 8 colors
const FIRST_CHOSEN = 4; // runs that are chosen at first, of one environment

class Page {
  constructor(state) {
    this.state = state;
    this.chosen = splitNames(state.runs).slice(0, MOST_CHOSEN);
    this.runs = null; // the rows of the server's table
    this.comparison = null;
    this.compared = ""; // the runs and states of the comparison, as text
    this.commands = new Map(); // name of a run -> the command that trains it again, or an error
    this.shownTable = ""; // as text
    this.curves = new Curves();
    this.chart = new Chart($("chart"), $("legend"), $("place"), (name) => this.choose(name, false));
    this.table = new RunsTable((name, isChosen) => this.choose(name, isChosen), (key) => this.sort(key));
    this.connectControls();
    connectNavigation(() => state.large);
    const exports = {
      "curves-csv": () => this.chart.exportCsv(),
      "curves-png": () => downloadPng("curves.png", this.chart.plot.ctx.canvas),
    };
    connectExports(exports, () => this.chart.plot);
    this.applyOption("large");
    document.addEventListener("visibilitychange", () => this.poll());
    window.addEventListener("hashchange", () => location.reload());
    this.poll();
  }

  connectControls() {
    const fields = { x: "value", measure: "value", filter: "value", different: "checked", large: "checked" };
    const elements = { different: "only-different" };
    for (const [name, property] of Object.entries(fields)) {
      const element = $(elements[name] ?? name);
      element[property] = this.state[name];
      element.addEventListener(name === "filter" ? "input" : "change", () => {
        this.state[name] = element[property];
        this.applyOption(name);
      });
    }
  }

  applyOption(name) {
    if (name === "large") document.documentElement.classList.toggle("large", this.state.large);
    if (name === "different") this.drawComparison();
    if (name === "filter") this.drawTable();
    this.drawChart();
    this.writeAddress();
  }

  writeAddress() {
    this.state.runs = joinNames(this.chosen);
    writeAddress(this.state, DEFAULTS);
  }

  // ---- requests

  /** Requests new data every INTERVAL milliseconds while the page is visible. */
  async poll() {
    clearTimeout(this.timer);
    if (document.hidden || this.isPolling) return;
    this.isPolling = true;
    try {
      await this.refresh();
      $("error").hidden = true;
    } catch (error) {
      setText("error", error.message);
      $("error").hidden = false;
    }
    this.isPolling = false;
    this.timer = setTimeout(() => this.poll(), INTERVAL);
  }

  async refresh() {
    const table = await getTable("list");
    const text = JSON.stringify(table);
    if (text !== this.shownTable) this.showTable(table);
    this.shownTable = text;
    await this.refreshChosen();
  }

  showTable(table) {
    const wasEmpty = !this.runs?.length;
    this.runs = table.runs;
    const names = new Set(table.runs.map((run) => run.name));
    this.chosen = this.chosen.filter((name) => names.has(name));
    if (wasEmpty && table.runs.length && !this.chosen.length) this.chooseNewest();
    $("empty").hidden = Boolean(table.runs.length);
    $("filled").hidden = !table.runs.length;
    setText("directory", table.directory);
    if (!table.runs.length) this.showEmpty(table);
    showUnreadable(table);
    showFiles(table);
    showDisk(table);
    this.drawTable();
    this.writeAddress();
  }

  showEmpty({ directory, example }) {
    setText("empty-directory", directory);
    $("example").replaceChildren(commandBox(example, "train a first run"));
  }

  /** Chooses the newest run, and a few more runs of its environment. */
  chooseNewest() {
    const newest = this.runs.toSorted((a, b) => (a.started < b.started ? 1 : -1));
    const alike = newest.filter((run) => run.env === newest[0].env);
    this.chosen = alike.slice(0, FIRST_CHOSEN).map((run) => run.name);
  }

  /** Requests the curves and details of the chosen runs. */
  async refreshChosen() {
    const names = [...this.chosen];
    const news = await Promise.all(names.map((name) => this.curves.refresh(name)));
    if (news.some(Boolean) || !this.chart.plot) this.drawChart();
    const states = this.runs.filter((run) => names.includes(run.name)).map(({ name, state, evaluations }) => [name, state, evaluations]);
    const compared = JSON.stringify([names, states]);
    if (compared !== this.compared) {
      this.comparison = names.length ? await getTable("compare", { run: names }) : null;
      this.compared = compared;
      this.drawComparison();
      this.drawChart();
    }
    for (const name of names.filter((each) => !this.commands.has(each))) {
      const { command } = await getTable("command", { run: name }).catch((error) => ({ command: "", error: error.message }));
      this.commands.set(name, command);
      this.drawCommands();
    }
  }

  // ---- choices

  choose(name, isChosen) {
    this.chosen = this.chosen.filter((each) => each !== name);
    if (isChosen && this.chosen.length < MOST_CHOSEN) this.chosen.push(name);
    setText("chosen-most", isChosen && !this.chosen.includes(name) ? `At most ${MOST_CHOSEN} runs are shown.` : "");
    this.drawTable();
    this.drawChart();
    this.writeAddress();
    this.poll();
  }

  sort(key) {
    const isText = ["name", "agent", "env", "state"].includes(key);
    const first = isText ? key : `-${key}`;
    const second = isText ? `-${key}` : key;
    this.state.sort = this.state.sort === first ? second : first;
    this.drawTable();
    this.writeAddress();
  }

  // ---- drawing

  drawTable() {
    if (this.runs) this.table.show(this.runs, this.chosen, this.state.sort, this.state.filter);
  }

  drawChart() {
    const measures = this.curves.measures(this.chosen);
    const measure = measures.includes(this.state.measure) ? this.state.measure : (measures[0] ?? "");
    const options = measures.map((name) => [name, name.replaceAll("_", " ")]);
    if (JSON.stringify(options) !== this.shownMeasures) {
      this.shownMeasures = JSON.stringify(options);
      $("measure").replaceChildren(...options.map(([name, title]) => new Option(title, name)));
    }
    $("measure").value = measure;
    const runs = this.chosen.map((name, color) => ({ name, color, columns: this.curves.columns(name, measure, this.state.x) }));
    this.chart.show(runs, measure.replaceAll("_", " "), this.state.x);
    $("nothing").hidden = Boolean(this.chosen.length);
  }

  drawComparison() {
    $("details").hidden = !this.comparison;
    if (!this.comparison) return;
    showComparison(this.comparison, this.state.different);
    this.drawCommands();
  }

  drawCommands() {
    const boxes = (this.comparison?.runs ?? []).flatMap((run, color) => {
      const command = this.commands.get(run.name); // undefined until it arrives
      const isStopped = this.runs.some(({ name, state }) => name === run.name && state === "stopped");
      const title = make("h3", run.name);
      const swatch = make("span");
      swatch.className = `swatch run-${color}`;
      title.prepend(swatch);
      return [
        title,
        command ? commandBox(command, `train ${run.name} again`) : make("p", command === undefined ? "…" : "The command that trains this run again is not known."),
        ...(isStopped ? [make("p", "The run was stopped before its end. This command continues it:"), commandBox(run.resume, `resume ${run.name}`)] : []),
      ];
    });
    $("commands").replaceChildren(...boxes);
  }
}

function showUnreadable({ unreadable, complete }) {
  $("unreadable").hidden = !unreadable.length;
  const number = unreadable.length;
  setText("unreadable-title", number === 1 ? "One run folder cannot be read" : `${number} run folders cannot be read`);
  $("unreadable-list").replaceChildren(...unreadable.map(({ reason }) => make("li", reason)));
  $("incomplete").hidden = complete;
}

new Page(await readAddress(DEFAULTS));
