// The parts of the page that each lane has. The page contains the parts of the first lane, with the
// attribute `data-lane`. The parts of the second lane are copies beside them, with a suffix at each id.

const ID_REFERENCES = ["aria-labelledby", "aria-describedby", "for"];

/** Returns the parts of the first lane. */
export function firstParts() {
  return [...document.querySelectorAll("[data-lane=first]")];
}

/** Copies the parts of the first lane; adds a suffix to the ids, and a name to the labels. */
export function copyParts(suffix, name) {
  return firstParts().map((original) => {
    const copy = original.cloneNode(true);
    copy.dataset.lane = "second";
    copy.querySelectorAll("[data-first-only]").forEach((element) => element.remove());
    for (const element of [copy, ...copy.querySelectorAll("*")]) {
      if (element.id) element.id += suffix;
      for (const attribute of ID_REFERENCES) {
        if (element.hasAttribute(attribute)) element.setAttribute(attribute, element.getAttribute(attribute) + suffix);
      }
      const label = element.getAttribute("aria-label");
      if (label) element.setAttribute("aria-label", `${label}, ${name}`);
    }
    original.after(copy);
    return copy;
  });
}
