// The links between the pages.

/** Adds the server's token and the type size to the links when they are clicked. */
export function connectNavigation(isLarge) {
  for (const link of document.querySelectorAll("header nav a")) {
    link.addEventListener("click", () => {
      link.search = location.search;
      link.hash = isLarge() ? "#large=1" : "";
    });
  }
}
