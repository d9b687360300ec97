// The map of the world as text: for a file, for the page's address, and for the second lane.

import { download } from "../files.js";

export class MapKeeper {
  /**
   * Args: lane: whose map it is; keep(text): brings it into the address; follow(text): brings the
   * second lane into the same world.
   */
  constructor(lane, { keep, follow }) {
    Object.assign(this, { lane, keep, follow, requests: [], opened: "" });
  }

  /** Begins anew with the map that was opened; "": a registered world. */
  begin(opened) {
    this.opened = opened;
    this.requests = [];
  }

  /** Brings the edited map into the address; after the last undo, the map that was opened. */
  rememberEdit(canUndo) {
    if (!canUndo) this.keep(this.opened);
    this.request(canUndo ? "address" : "follow");
  }

  /** Asks for the map, for a "file", for the "address", or only for the second lane to "follow". */
  request(use) {
    if (use !== "file" && !this.lane.world?.editable) return;
    this.requests.push(use);
    this.lane.send({ type: "save" });
  }

  receive(text, name) {
    const use = this.requests.shift();
    if (use === "file") return download(`${name.replace(/\W+/g, "-")}.txt`, text);
    if (this.lane.isNew) return undefined; // it is the map of the previous world
    if (use === "address") this.keep(text);
    return this.follow(text);
  }
}
