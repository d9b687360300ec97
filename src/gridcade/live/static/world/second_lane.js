// The second lane, which a person opens and closes.

import { $ } from "../dom.js";
import { learnerName } from "./agent_choice.js";
import { copyParts } from "./lane_parts.js";
import { LaneView } from "./lane_view.js";

const NONE = { agent2: "", parameters2: {} };

export class SecondLane {
  /** Args: page, whose state names the learner of this lane. */
  constructor(page) {
    Object.assign(this, { page, view: null });
  }

  /** Opens a new learner. */
  open() {
    $("error").hidden = true;
    if (this.view) this.page.openLane(this.view);
    else this.add(); // its learner is opened when its connection is ready
    this.page.writeAddress();
  }

  add() {
    const { page } = this;
    this.view = new LaneView(copyParts("-2", "second lane"), "-2", page);
    const canvas = $("canvas-2"); // its world follows the first lane, so it cannot be edited
    canvas.setAttribute("role", "img");
    canvas.removeAttribute("tabindex");
    canvas.addEventListener("pointermove", (event) => page.tools.setCursor(this.view.view.cellAt(event)));
    canvas.addEventListener("pointerleave", () => page.tools.setCursor(null));
    page.showLanes();
  }

  /** Shows the parameters and the name of its new learner. */
  begin() {
    const { form, state, opened } = this.page;
    const { agent2, parameters2 } = state;
    form.second.showParametersInForce(this.view.world.parameters, parameters2);
    this.view.setKind(form.second.kind, `2 · ${learnerName(agent2, parameters2)}`);
    if (opened) Object.assign(opened, { agent2, parameters2 });
  }

  close() {
    this.remove();
    if (this.page.opened) Object.assign(this.page.opened, NONE);
    this.page.writeAddress();
  }

  remove() {
    this.view?.close();
    this.view = this.page.waiting = null;
    this.page.showLanes();
    this.page.showComparison("");
  }

  /** Copies the cursor of the first lane, if it lies inside this lane's world. */
  copyCursor({ cursor, lastCursor }) {
    const { view } = this.view;
    const inside = (place) => (place && place[0] < view.world?.height && place[1] < view.world?.width ? place : null);
    [view.cursor, view.lastCursor] = [inside(cursor), inside(lastCursor)];
  }

  /** Restores the learner before a refused `open`, or closes the lane if there was none. */
  revert() {
    const { state, opened, form } = this.page;
    const { agent2, parameters2 } = opened?.agent2 && this.view.world ? opened : NONE;
    this.view.isNew = false;
    Object.assign(state, { agent2, parameters2 });
    if (!agent2) this.close();
    form.showAgents();
    this.page.writeAddress();
  }
}
