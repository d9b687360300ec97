// Restores the page as it was when its tab was opened, for example between two classes of a lecturer.

/** Connects a button that restores the address with which this tab opened the page. */
export function connectBeginning(button) {
  const key = `gridcade beginning: ${location.pathname}`;
  let beginning = location.hash;
  try {
    beginning = sessionStorage.getItem(key) ?? beginning; // the storage survives a reload
    sessionStorage.setItem(key, beginning);
  } catch {
    // In a frame, the browser may forbid the storage; then the state at the last reload is restored.
  }
  button.addEventListener("click", () => {
    history.replaceState(null, "", `${location.pathname}${location.search}${beginning}`);
    location.reload();
  });
}
