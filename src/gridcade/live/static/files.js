// Files for the person.

import { readTheme } from "./colors.js";

/** Hands a text to the person as a file. */
export function download(name, text, type = "text/plain") {
  hand(name, new Blob([text], { type }));
}

/** Hands rows of cells to the person as a file of comma-separated values; null is an empty cell. */
export function downloadCsv(name, header, rows) {
  const lines = [header, ...rows].map((row) => row.map(csvCell).join(","));
  download(name, `${lines.join("\n")}\n`, "text/csv");
}

function csvCell(value) {
  const text = value === null || value === undefined ? "" : String(value);
  return /[",\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

/** Hands a canvas to the person as a PNG file, on the color of the page's paper. */
export function downloadPng(name, canvas) {
  const copy = document.createElement("canvas");
  [copy.width, copy.height] = [canvas.width, canvas.height];
  const context = copy.getContext("2d");
  context.fillStyle = readTheme().paper;
  context.fillRect(0, 0, copy.width, copy.height);
  context.drawImage(canvas, 0, 0);
  copy.toBlob((blob) => hand(name, blob), "image/png");
}

function hand(name, blob) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  URL.revokeObjectURL(link.href);
}
