// The parts of the page that each lane has: those of the first stand in the page, with the attribute
// `data-lane`; those of the second are copies beside them, with a suffix at each id.

const ID_REFERENCES = ["aria-labelledby", "aria-describedby", "for"];

/** The parts of the first lane. */
export function firstParts() {
  return [...document.querySelectorAll("[data-lane=first]")];
}

/** Copies the parts of the first lane; the names of the copies say whose they are. */
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
