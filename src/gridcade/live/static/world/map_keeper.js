// Requests the map of the world as text: for a file, the page's address, or the second lane.

import { download } from "../files.js";

export class MapKeeper {
  /**
   * Args: lane: lane of the map; keep(text): writes it into the address; follow(text): puts the
   * second lane into the same world.
   */
  constructor(lane, { keep, follow }) {
    Object.assign(this, { lane, keep, follow, requests: [], opened: "" });
  }

  /** Starts again with the map that was opened; "": a registered world. */
  begin(opened) {
    this.opened = opened;
    this.requests = [];
  }

  /** Writes the edited map into the address; after the last undo, the map that was opened. */
  rememberEdit(canUndo) {
    if (!canUndo) this.keep(this.opened);
    this.request(canUndo ? "address" : "follow");
  }

  /** Requests the map for a use: "file", "address", or only the second lane ("follow"). */
  request(use) {
    if (use !== "file" && !this.lane.world?.editable) return;
    this.requests.push(use);
    this.lane.send({ type: "save" });
  }

  receive(text, name) {
    const use = this.requests.shift();
    if (use === "file") return download(`${name.replace(/\W+/g, "-")}.txt`, text);
    if (this.lane.isNew) return undefined; // the map belongs to the previous world
    if (use === "address") this.keep(text);
    return this.follow(text);
  }
}
