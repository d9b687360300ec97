// The links between the pages.

/** Hands the server's token, and the size of type, on to the other pages. */
export function connectNavigation(isLarge) {
  for (const link of document.querySelectorAll("header nav a")) {
    link.addEventListener("click", () => {
      link.search = location.search;
      link.hash = isLarge() ? "#large=1" : "";
    });
  }
}
