// The page as it was when its tab was opened, which a lecturer returns to between two classes.

/** Connects a button that brings back the address with which this tab opened the page. */
export function connectBeginning(button) {
  const key = `gridcade beginning: ${location.pathname}`;
  let beginning = location.hash;
  try {
    beginning = sessionStorage.getItem(key) ?? beginning; // it survives a reload
    sessionStorage.setItem(key, beginning);
  } catch {
    // In a frame the browser may not permit it; then a reload is a new beginning.
  }
  button.addEventListener("click", () => {
    history.replaceState(null, "", `${location.pathname}${location.search}${beginning}`);
    location.reload();
  });
}
