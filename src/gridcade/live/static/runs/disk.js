// The disk space of the runs, and the commands that free it. The page itself removes nothing.

import { $, make, setText } from "../dom.js";
import { formatBytes } from "../format.js";
import { commandBox } from "./command.js";

const PARTS = ["replay", "checkpoints", "videos", "rest"];
const CONSEQUENCES = {
  replay: "The replay memory is needed only to train the run longer.",
  run: "Everything about the run is lost.",
};
let shown = ""; // the rows, as text
const LABELS = { replay: "Replay memory", run: "Whole run" };

/** Shows the largest runs first. */
export function showDisk({ runs, studies }) {
  const total = (name) => runs.reduce((sum, { bytes }) => sum + bytes[name], 0);
  const reports = studies.reduce((sum, { bytes }) => sum + bytes, 0);
  const all = PARTS.reduce((sum, name) => sum + total(name), 0);
  const parts = PARTS.filter(total).map((name) => `${name} ${formatBytes(total(name))}`);
  setText(
    "disk-total",
    `${runs.length} runs take ${formatBytes(all)}: ${parts.join(", ")}.` + (reports ? ` Studies take another ${formatBytes(reports)}.` : ""),
  );
  const rows = runs.map((run) => ({ run, size: PARTS.reduce((sum, name) => sum + run.bytes[name], 0) }));
  rows.sort((a, b) => b.size - a.size);
  const text = JSON.stringify(rows.map(({ run, size }) => [run.name, ...rowTexts(run, size), run.removals.length]));
  if (text === shown) return; // new rows would lose the focus
  shown = text;
  $("disk-body").replaceChildren(...rows.map(({ run, size }) => diskRow(run, size)));
}

function rowTexts(run, size) {
  return [formatBytes(size), ...PARTS.map((name) => (run.bytes[name] ? formatBytes(run.bytes[name]) : "–"))];
}

function diskRow(run, size) {
  const row = make("tr");
  const head = make("th", run.name);
  head.scope = "row";
  row.append(head, ...rowTexts(run, size).map((text) => make("td", text)));
  const last = make("td");
  last.append(...run.removals.map((removal) => removalButton(run.name, removal)));
  if (!run.removals.length) last.append("in training");
  row.append(last);
  return row;
}

function removalButton(name, { part, bytes, command }) {
  const button = make("button", LABELS[part]);
  button.type = "button";
  button.setAttribute("aria-label", `Show the command that removes ${name}: ${LABELS[part].toLowerCase()}`);
  button.addEventListener("click", () => {
    const text = make("p", `This command frees ${formatBytes(bytes)}. ${CONSEQUENCES[part]} Removal cannot be undone.`);
    $("removal").replaceChildren(text, commandBox(command, `remove ${name}`));
    $("removal").hidden = false;
  });
  return button;
}
