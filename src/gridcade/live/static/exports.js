// The menu that downloads numbers and pictures as files.

import { $, closeWhenLeft } from "./dom.js";

/** Connects the menu. Args: exports: {id of a button: its function}; isReady(): whether there is something to export. */
export function connectExports(exports, isReady) {
  closeWhenLeft($("export"));
  for (const [id, act] of Object.entries(exports)) {
    $(id).addEventListener("click", () => {
      $("export").open = false;
      if (isReady()) act();
    });
  }
}
