// Keys, touch pad and gamepad: all press keys by the names that worlds use, and the keys that are held choose the action.

const NAMES = {
  Equal: "Equals", Backquote: "Backtick", BracketLeft: "OpenBracket", BracketRight: "CloseBracket",
  ShiftLeft: "Shift", ShiftRight: "Shift",
};
const DIRECTIONS = { up: ["ArrowUp", "W"], left: ["ArrowLeft", "A"], down: ["ArrowDown", "S"], right: ["ArrowRight", "D"] };
// Where a gamepad has what moves an axis; right and up are positive.
const DEVICES = {
  "left-stick-x": (pad) => pad.axes[0], "left-stick-y": (pad) => -pad.axes[1],
  "right-stick-x": (pad) => pad.axes[2], "right-stick-y": (pad) => -pad.axes[3],
  triggers: (pad) => (pad.buttons[7]?.value ?? 0) - (pad.buttons[6]?.value ?? 0),
};
const AT_REST = 0.12;      // sticks do not come back to 0
const ARROWS = { up: "▲", left: "◀", down: "▼", right: "▶" };

// The name of a key by its place on the keyboard.
export const keyName = (code) => NAMES[code] ?? code.replace(/^(Key|Digit)/, "");

export class Input {
  // `act` is called with the action and the axes when one of them changes.
  constructor(act) {
    this.act = act;
    this.held = [];       // key names, the newest last
    this.actions = [];
    this.action = 0;
    this.axes = [];       // values, as they were told last
    this.analog = [];     // where the gamepad has them
    this.gamepad = new Set();
  }

  setActions(actions, axes = []) {
    this.releaseAll();
    this.moved = axes.map(({ negative = [], positive = [], inputs = [] }) => ({ negative, positive, inputs }));
    [this.axes, this.analog] = [axes.map(() => 0), axes.map(() => 0)];
    // A key of an axis plays no action.
    const ofAxes = new Set(this.moved.flatMap(({ negative, positive }) => [...negative, ...positive]));
    const free = (chord) => !chord.some((key) => ofAxes.has(key));
    this.actions = actions.map(({ name, keys }) => ({ name, chords: keys.map((key) => key.split("+")).filter(free) }));
    this.used = new Set([...this.actions.flatMap(({ chords }) => chords.flat()), ...ofAxes]);
  }

  uses(name) { return this.used?.has(name) ?? false; }

  press(name) {
    if (this.held.includes(name)) return;
    this.held.push(name);
    this.choose();
  }

  release(name) {
    this.held = this.held.filter((held) => held !== name);
    this.choose();
  }

  releaseAll() { this.held = []; this.choose(); }

  // The longest chord that is held; of several, the one with the newest key.
  choose() {
    let best = { length: 0, newest: -1, index: 0 };
    this.actions.forEach(({ chords }, index) => {
      for (const chord of chords) {
        const places = chord.map((key) => this.held.indexOf(key));
        const newest = Math.max(...places);
        const better = chord.length > best.length || (chord.length === best.length && newest > best.newest);
        if (!places.includes(-1) && better) best = { length: chord.length, newest, index };
      }
    });
    const holds = (keys) => keys.some((key) => this.held.includes(key));
    const axes = (this.moved ?? []).map(({ negative, positive }, i) => (holds(positive) - holds(negative)) || this.analog[i]);
    if (best.index === this.action && axes.every((value, i) => value === this.axes[i])) return;
    [this.action, this.axes] = [best.index, axes];
    this.act(best.index, axes);
  }

  // The key that plays a direction in this world, if there is one.
  keyOf(direction) { return DIRECTIONS[direction].find((key) => this.uses(key)); }

  // Actions that no direction plays, each with a key.
  others() {
    const directions = new Set(Object.values(DIRECTIONS).flat());
    const free = ({ name, chords }) => {
      const alone = chords.filter((chord) => chord.length === 1).map(([key]) => key);
      return { name, key: alone.some((key) => directions.has(key)) ? undefined : alone[0] };
    };
    return this.actions.map(free).filter(({ key }) => key);
  }

  // Buttons for fingers, made for the world's actions.
  buildPad(pad) {
    pad.replaceChildren();
    const cross = document.createElement("div");
    const there = Object.keys(DIRECTIONS).filter((direction) => this.keyOf(direction));
    const only = (...names) => there.every((direction) => names.includes(direction));
    cross.className = `cross ${only("up", "down") ? "vertical" : only("left", "right") ? "horizontal" : ""}`;
    const button = (text, key, label, name) => {
      const element = document.createElement("button");
      Object.assign(element, { type: "button", textContent: text, className: name });
      element.dataset.key = key;
      element.setAttribute("aria-label", label);
      return element;
    };
    cross.append(...there.map((direction) => button(ARROWS[direction], this.keyOf(direction), direction, direction)));
    const others = document.createElement("div");
    others.className = "others";
    others.append(...this.others().map(({ name, key }) => button(name, key, name, "")));
    // Nothing else to press: room for both thumbs.
    cross.classList.toggle("alone", others.childElementCount === 0);
    pad.append(cross, others);
    this.listenTo(pad);
  }

  // A finger presses the button under it, also when it slides there.
  listenTo(pad) {
    const fingers = new Map();
    const move = (event, down) => {
      const under = down && document.elementFromPoint(event.clientX, event.clientY)?.closest("#pad [data-key]");
      const before = fingers.get(event.pointerId);
      if (before === under) return;
      if (before) { before.classList.remove("held"); this.release(before.dataset.key); }
      if (under) { under.classList.add("held"); this.press(under.dataset.key); }
      if (down) fingers.set(event.pointerId, under); else fingers.delete(event.pointerId);
    };
    pad.onpointerdown = (event) => { event.preventDefault(); event.target.releasePointerCapture?.(event.pointerId); move(event, true); };
    pad.onpointermove = (event) => { if (fingers.has(event.pointerId)) move(event, true); };
    window.onpointerup = window.onpointercancel = (event) => move(event, false);
    pad.oncontextmenu = (event) => event.preventDefault();
  }

  // Looks at the first gamepad: cross, left stick, and its buttons for the other actions.
  pollGamepad() {
    const pad = navigator.getGamepads?.().find((found) => found);
    const now = new Set();
    if (pad) {
      const [x, y] = pad.axes;
      const down = (button) => pad.buttons[button]?.pressed;
      const directions = {
        up: down(12) || y < -0.5, down: down(13) || y > 0.5, left: down(14) || x < -0.5, right: down(15) || x > 0.5,
      };
      for (const [direction, pressed] of Object.entries(directions)) if (pressed) now.add(this.keyOf(direction));
      this.others().forEach(({ key }, index) => { if (down(index)) now.add(key); });
      now.delete(undefined);
    }
    for (const key of now) if (!this.gamepad.has(key)) this.press(key);
    for (const key of this.gamepad) if (!now.has(key)) this.release(key);
    this.gamepad = now;
    const place = (inputs) => {
      const value = pad ? inputs.map((input) => DEVICES[input]?.(pad) ?? 0).find((v) => Math.abs(v) > AT_REST) ?? 0 : 0;
      return Math.round(Math.max(-1, Math.min(1, value)) * 64) / 64;
    };
    const analog = (this.moved ?? []).map(({ inputs }) => place(inputs));
    if (analog.some((value, i) => value !== this.analog[i])) { this.analog = analog; this.choose(); }
  }
}
