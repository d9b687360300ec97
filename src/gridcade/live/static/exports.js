// The menu that hands numbers and pictures to the person as files.

import { $, closeWhenLeft } from "./dom.js";

/** Connects the menu; exports: {id of a button: what it does}; isReady(): whether anything was shown yet. */
export function connectExports(exports, isReady) {
  closeWhenLeft($("export"));
  for (const [id, act] of Object.entries(exports)) {
    $(id).addEventListener("click", () => {
      $("export").open = false;
      if (isReady()) act();
    });
  }
}
