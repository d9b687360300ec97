// A command with a button that copies it.

import { make } from "../dom.js";

const MESSAGE_TIME = 2000; // milliseconds

/** Creates a box with a command and a button that copies it. `purpose` is for screen readers. */
export function commandBox(command, purpose) {
  const box = make("div");
  box.className = "command";
  const code = make("code", command);
  const button = make("button", "Copy");
  button.type = "button";
  button.setAttribute("aria-label", `Copy the command to ${purpose}`);
  button.addEventListener("click", async () => {
    button.textContent = (await copy(command, code)) ? "Copied" : "Press Ctrl+C";
    setTimeout(() => (button.textContent = "Copy"), MESSAGE_TIME);
  });
  box.append(code, button);
  return box;
}

/** Copies a text; if the browser forbids it, as for http from another machine, selects the text. */
async function copy(text, element) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    getSelection().selectAllChildren(element);
    return document.execCommand("copy");
  }
}
