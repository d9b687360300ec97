// Lets a person take over: converts keys and held buttons to actions.

import { $, setText } from "../dom.js";

const PAUSE = "KeyP";
const HAND_BACK = "Escape";

export class Person {
  /** Args: send(message); toggle(): plays or pauses. */
  constructor(send, toggle) {
    Object.assign(this, { send, toggle, plays: false, held: new Set(), sent: null, keys: [] });
    this.wantsKeys = false; // from the click on, until a picture shows that the policy plays again
    $("take").addEventListener("click", () => this.take(!this.plays));
    document.addEventListener("keydown", (event) => this.handleKey(event, true));
    document.addEventListener("keyup", (event) => this.handleKey(event, false));
    window.addEventListener("blur", () => this.releaseAll());
  }

  setGame({ keys, actions }) {
    this.keys = keys;
    this.used = new Set(keys.flat());
    $("take").disabled = !actions.length;
    this.setPlays(false);
  }

  setPicture({ person }) {
    this.setPlays(person);
  }

  take(person) {
    this.wantsKeys = person;
    this.held.clear();
    this.sent = null;
    this.send({ type: "take", person });
    if (person) {
      document.activeElement?.blur(); // so that its keys go to the game
      this.send({ type: "play" });
    }
  }

  setPlays(plays) {
    if (plays === this.plays) return;
    this.plays = this.wantsKeys = plays;
    if (!plays) this.held.clear();
    setText("take", plays ? "Hand back" : "Take over");
    $("take").setAttribute("aria-pressed", plays);
    document.documentElement.classList.toggle("person", plays);
  }

  handleKey(event, isDown) {
    if (!this.wantsKeys || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.target.matches("input:not([type=checkbox]), select")) return;
    const key = event.code.replace("Numpad", "Digit");
    if (isDown && event.code === HAND_BACK) this.take(false);
    if (isDown && event.code === PAUSE && !event.repeat) this.toggle();
    if (!this.used.has(key)) return;
    event.preventDefault(); // the page must not scroll, nor a button be pressed
    if (isDown) this.held.add(key);
    else this.held.delete(key);
    this.hold(this.actionOf(this.held));
  }

  /** Returns the action with the most keys, all of which are held; null: none. */
  actionOf(held) {
    let best = null;
    this.keys.forEach((keys, action) => {
      const fits = keys.length && keys.every((key) => held.has(key));
      if (fits && (best === null || keys.length > this.keys[best].length)) best = action;
    });
    return best;
  }

  hold(action) {
    if (action === this.sent) return;
    this.sent = action;
    this.send({ type: "hold", action });
  }

  releaseAll() {
    this.held.clear();
    if (this.wantsKeys) this.hold(null);
  }
}
