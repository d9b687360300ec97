// A tour of a page in a few steps: each step explains one element.

import { make } from "./dom.js";

const SEEN = "gridcade tour seen";
const GAP = 12; // CSS pixels between a step and its element

export class Tour {
  /** Args: name of the page; steps: [{id of an element, title, text}, …]; button that starts the tour. */
  constructor(name, steps, button) {
    Object.assign(this, { key: `${SEEN}: ${name}`, steps, at: 0 });
    this.dialog = make("dialog");
    this.dialog.className = "tour";
    this.dialog.setAttribute("aria-labelledby", "tour-title");
    this.dialog.addEventListener("keydown", (event) => event.key === "Escape" && this.finish());
    document.body.append(this.dialog);
    button.addEventListener("click", () => this.start());
    window.addEventListener("resize", () => this.dialog.open && this.place());
  }

  /** Starts the tour if this browser has not shown it yet. */
  startOnFirstVisit() {
    if (!isStored(this.key)) this.start();
  }

  start() {
    this.show(0);
  }

  show(index) {
    this.target?.classList.remove("toured");
    this.at = index;
    const { id, title, text } = this.steps[index];
    this.target = document.getElementById(id);
    this.target.classList.add("toured");
    const heading = make("h2", title);
    heading.id = "tour-title";
    const isLast = index === this.steps.length - 1;
    const buttons = make("div");
    buttons.className = "row";
    buttons.append(make("span", `${index + 1} of ${this.steps.length}`));
    if (!isLast) buttons.append(this.button("Skip", () => this.finish()));
    if (index) buttons.append(this.button("Back", () => this.show(index - 1)));
    const next = this.button(isLast ? "Done" : "Next", () => (isLast ? this.finish() : this.show(index + 1)));
    next.className = "primary";
    buttons.append(next);
    this.dialog.replaceChildren(heading, make("p", text), buttons);
    if (!this.dialog.open) this.dialog.show(); // not modal, so that the page can be used during the tour
    this.target.scrollIntoView({ block: "nearest" });
    this.place();
    next.focus({ preventScroll: true });
  }

  button(text, act) {
    const button = make("button", text);
    button.type = "button";
    button.addEventListener("click", act);
    return button;
  }

  /** Places the dialog below its element, or above it, or at the lower edge of the window. */
  place() {
    const box = this.target.getBoundingClientRect();
    const { offsetWidth: width, offsetHeight: height } = this.dialog;
    const below = box.bottom + GAP;
    const above = box.top - GAP - height;
    const top = below + height <= innerHeight ? below : above >= 0 ? above : innerHeight - height - GAP;
    const left = Math.max(GAP, Math.min(box.left, innerWidth - width - GAP));
    this.dialog.style.top = `${top + scrollY}px`;
    this.dialog.style.left = `${left + scrollX}px`;
  }

  finish() {
    this.target?.classList.remove("toured");
    this.dialog.close();
    store(this.key);
  }
}

/** Whether this browser has stored a key; in a frame, it may forbid the storage. */
function isStored(key) {
  try {
    return localStorage.getItem(key) !== null;
  } catch {
    return false;
  }
}

function store(key) {
  try {
    localStorage.setItem(key, "1");
  } catch {
    // Without storage, the tour is shown again on the next visit.
  }
}
