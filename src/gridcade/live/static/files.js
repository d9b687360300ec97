// Downloads of files.

import { readTheme } from "./colors.js";

/** Downloads a text as a file. */
export function download(name, text, type = "text/plain") {
  downloadBlob(name, new Blob([text], { type }));
}

/** Downloads rows of cells as a file of comma-separated values; null becomes an empty cell. */
export function downloadCsv(name, header, rows) {
  const lines = [header, ...rows].map((row) => row.map(csvCell).join(","));
  download(name, `${lines.join("\n")}\n`, "text/csv");
}

function csvCell(value) {
  const text = value === null || value === undefined ? "" : String(value);
  return /[",\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

/** Downloads a canvas as a PNG file, on the background color of the page. */
export function downloadPng(name, canvas) {
  const copy = document.createElement("canvas");
  [copy.width, copy.height] = [canvas.width, canvas.height];
  const context = copy.getContext("2d");
  context.fillStyle = readTheme().paper;
  context.fillRect(0, 0, copy.width, copy.height);
  context.drawImage(canvas, 0, 0);
  copy.toBlob((blob) => downloadBlob(name, blob), "image/png");
}

function downloadBlob(name, blob) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  URL.revokeObjectURL(link.href);
}
