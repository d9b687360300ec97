// Short functions for the elements of the page.

export const $ = (id) => document.getElementById(id);

/** Sets a text only if it differs, because screen readers announce changes, and layout takes time. */
export function setText(id, text) {
  const element = $(id);
  if (element.textContent !== text) element.textContent = text;
}

/** Creates an element with a text. */
export function make(tag, text = "") {
  const element = document.createElement(tag);
  element.textContent = text;
  return element;
}

/** Closes an open menu (a `details` element) on Escape, and on a click elsewhere. */
export function closeWhenLeft(details) {
  details.addEventListener("keydown", (event) => {
    if (event.key === "Escape") details.open = false;
  });
  document.addEventListener("pointerdown", (event) => {
    if (!details.contains(event.target)) details.open = false;
  });
}
