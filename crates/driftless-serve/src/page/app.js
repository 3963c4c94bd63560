// The page: draws frames as they come, and turns what is pressed into messages.

import { Game, decode } from "./game.js";
import { Input, keyName } from "./input.js";
import { TuningPanel } from "./tuning.js";

const $ = (id) => document.getElementById(id);
const link = new URLSearchParams(location.hash.slice(1));
const game = new Game(`${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/play`);
const state = { worlds: [], world: null, seed: 0, clip: 0, paused: false, away: false, truth: false, branch: 0, index: 0, ends: new Map() };
const inputs = new Map();          // number of an input: when it was made
let lastInput = 0;
let pending = null;                // the newest frame that is decoded and not drawn
const recent = { drawn: [], bytes: [], latency: [] };

const input = new Input((action, axes) => {
  lastInput += 1;
  inputs.set(lastInput, performance.now());
  if (inputs.size > 64) inputs.delete(inputs.keys().next().value);
  game.send({ type: "hold", action, ...(axes.length && { axes }), input: lastInput });
});
const tuning = new TuningPanel($("settings"), (message) => game.send(message));

// Frames.

let newest = 0, joined = 0;      // the newest frame of this game, and how many games there were
game.addEventListener("frame", async ({ detail: frame }) => {
  const of = joined;
  const show = (bytes) => decode(bytes, frame.format, frame.width, frame.height);
  const [picture, truth] = await Promise.all([show(frame.picture), frame.truth && show(frame.truth)]);
  recent.bytes.push([performance.now(), frame.bytes]);
  // Pictures may be decoded in another order, or belong to the game before.
  if (of === joined && frame.frame > newest) { newest = frame.frame; pending = { frame, picture, truth }; }
});

function draw(canvas, picture) {
  if (canvas.width !== picture.width || canvas.height !== picture.height) {
    [canvas.width, canvas.height] = [picture.width, picture.height];
    fit();
  }
  canvas.getContext("2d").drawImage(picture, 0, 0);
}

function onScreen() {
  requestAnimationFrame(onScreen);
  input.pollGamepad();
  if (!pending) return;
  const { frame, picture, truth } = pending;
  pending = null;
  draw($("picture"), picture);
  if (truth) draw($("truth"), truth);
  if ($("real").hidden !== !truth) { $("real").hidden = !truth; fit(); }
  game.send({ type: "ack", frame: frame.frame });
  const now = performance.now();
  recent.drawn.push(now);
  const since = inputs.get(frame.input);
  if (since !== undefined) {
    recent.latency.push(now - since);
    if (recent.latency.length > 16) recent.latency.shift();
    game.send({ type: "latency", ms: Math.round((now - since) * 10) / 10 });
    for (const number of inputs.keys()) if (number <= frame.input) inputs.delete(number);
  }
  state.last = frame;
  setPaused(frame.paused);
  moveTimeline(frame);
}

// The largest whole number of screen pixels for each pixel of the world that fits.
function fit() {
  const side = $("real").hidden ? 1 : 2;
  const stage = $("stage").clientWidth;
  const width = side === 2 ? (stage - 14) / 2 : stage;
  const touch = document.body.classList.contains("touch");
  const height = innerHeight - (touch ? 340 : 250);
  const dense = devicePixelRatio || 1;
  for (const canvas of [$("picture"), $("truth")]) {
    const most = Math.min(width / canvas.width, Math.max(height, 190) / canvas.height) * dense;
    const scale = Math.max(1, Math.floor(most)) / dense;
    canvas.style.width = `${canvas.width * scale}px`;
    canvas.style.height = `${canvas.height * scale}px`;
  }
  $("dream").classList.toggle("alone", side === 1);
}
addEventListener("resize", fit);

setInterval(() => {
  const now = performance.now();
  const young = (at) => at > now - 2000;
  recent.drawn = recent.drawn.filter(young);
  recent.bytes = recent.bytes.filter(([at]) => young(at));
  const frame = state.last;
  if (!frame || !game.playing) { $("stats").textContent = ""; return; }
  const sum = recent.bytes.reduce((all, [, bytes]) => all + bytes, 0);
  const sorted = [...recent.latency].sort((a, b) => a - b);
  const parts = [
    `key to picture ${sorted.length ? Math.round(sorted[sorted.length >> 1]) : "–"} ms`,
    `${(recent.drawn.length / 2).toFixed(0)} frames/s`,
  ];
  if (innerWidth > 600) {
    parts.push(`${(sum / 2000).toFixed(0)} kB/s ${["RGB", "JPEG", "PNG", "WebP"][frame.format]}`, `made in ${frame.made.toFixed(1)} ms`);
  }
  const score = Math.round(frame.score);
  if (score) parts.push(`score ${score}`);
  $("stats").textContent = parts.join(" · ");
}, 500);

// Timeline and buttons.

function moveTimeline(frame) {
  [state.branch, state.index] = [frame.branch, frame.index];
  const end = Math.max(state.ends.get(frame.branch) ?? 0, frame.index);
  state.ends.set(frame.branch, end);
  const slider = $("timeline");
  slider.max = end;
  if (document.activeElement !== slider || !state.paused) slider.value = frame.index;
}

function setPaused(on) {
  state.paused = on;
  $("pause").textContent = on ? "Play" : "Pause";
  $("pause").setAttribute("aria-pressed", on);
  if (game.playing) $("status").textContent = on ? "Paused" : "";
}

const seek = (index) => game.send({ type: "seek", branch: state.branch, index: Math.max(0, index) });
const pause = (on) => game.send({ type: "pause", on });
const commands = {
  pause: () => { const on = !state.paused; pause(on); setPaused(on); },
  back: () => seek(state.index - 1),
  step: () => (state.index < (state.ends.get(state.branch) ?? 0) ? seek(state.index + 1) : game.send({ type: "step" })),
  reset: () => { game.send({ type: "reset" }); if (state.paused) { pause(false); setPaused(false); } },
  compare: () => {
    state.truth = !state.truth;
    $("compare").setAttribute("aria-pressed", state.truth);
    game.send({ type: "truth", on: state.truth });
  },
  share,
};
for (const [id, run] of Object.entries(commands)) {
  $(id).onclick = () => { run(); if (id !== "share") $(id).blur(); };
}
$("timeline").oninput = () => seek(Number($("timeline").value));
const SHORTCUTS = { P: "pause", R: "reset", G: "compare", OpenBracket: "back", CloseBracket: "step" };

async function share() {
  const params = new URLSearchParams({ world: state.world.name, seed: state.seed });
  if (state.clip) params.set("clip", state.clip);
  for (const [name, value] of Object.entries(tuning.changes())) params.set(`s.${name}`, value);
  const url = `${location.origin}${location.pathname}#${params}`;
  history.replaceState(null, "", url);
  try {
    if (navigator.share && matchMedia("(pointer: coarse)").matches) await navigator.share({ title: "Driftless", url });
    else { await navigator.clipboard.writeText(url); notice("The link is copied: same world, start, seed and settings."); }
  } catch (error) {
    if (error.name !== "AbortError") notice("The link is in the address bar: same world, start, seed and settings.");
  }
}

// Keys.

const typing = (target) => target.matches?.("input:not([type=range]), select, textarea");
addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || typing(event.target) || $("ask").open) return;
  const name = keyName(event.code);
  if (input.uses(name)) {
    event.preventDefault();
    if (!event.repeat) input.press(name);
  } else if (SHORTCUTS[name] && game.playing && !$(SHORTCUTS[name]).hidden) {
    event.preventDefault();
    commands[SHORTCUTS[name]]();
  }
});
addEventListener("keyup", (event) => input.release(keyName(event.code)));
addEventListener("blur", () => input.releaseAll());
addEventListener("touchstart", () => touch(), { once: true, passive: true });
function touch() { document.body.classList.add("touch"); fit(); }
if (matchMedia("(pointer: coarse)").matches) touch();

// Nobody looks: the game waits.
document.addEventListener("visibilitychange", () => {
  if (document.hidden && !state.paused) { state.away = true; pause(true); }
  else if (!document.hidden && state.away) { state.away = false; pause(false); }
});

// What the server says.

let noticeTimer;
function notice(text) {
  $("notice").textContent = text;
  clearTimeout(noticeTimer);
  noticeTimer = setTimeout(() => { $("notice").textContent = ""; }, 6000);
}

function enter(world, clip, seed, settings) {
  Object.assign(state, { world, clip, seed, last: null, truth: false, branch: 0, index: 0 });
  state.ends.clear();
  recent.latency = [];
  inputs.clear();
  newest = 0;
  input.setActions(world.actions, world.axes);
  input.buildPad($("pad"));
  const axes = (world.axes ?? []).map(({ name, negative = [], positive = [] }) => ({ name, keys: [...negative, ...positive] }));
  const keyed = [...world.actions, ...axes].filter(({ keys }) => keys.length && !keys[0].includes("+"));
  $("keys").replaceChildren(...keyed.flatMap(({ name, keys }) => {
    const caps = keys.filter((key) => !key.includes("+")).map((key) => Object.assign(document.createElement("kbd"), { textContent: key.replace("Arrow", "") }));
    const group = document.createElement("span");
    group.append(...caps.flatMap((cap) => [cap, " "]), name);
    return [group, " "];
  }));
  tuning.build(world, settings);
  $("world").value = world.name;
  $("clip").replaceChildren(...Array.from({ length: world.clips }, (_, i) => new Option(`clip ${i + 1}`, i)));
  $("clip").value = clip;
  $("compare").hidden = !world.truth;
  $("compare").setAttribute("aria-pressed", false);
  $("status").textContent = "Starting…";
  document.title = `${world.title} – Driftless`;
  game.join(world.name, clip, seed, settings);
}

const newSeed = () => Math.floor(Math.random() * 2 ** 24);
game.addEventListener("welcome", ({ detail: { worlds, players, max_players } }) => {
  $("players").textContent = players ? `${players} of ${max_players} places taken` : "";
  if (state.world) return;
  state.worlds = worlds;
  $("world").replaceChildren(...worlds.map(({ name, title }) => new Option(title, name)));
  const world = worlds.find(({ name }) => name === link.get("world")) ?? worlds[0];
  const shared = world.name === link.get("world");
  const whole = (name, most) => { const n = Number(link.get(name)); return shared && Number.isInteger(n) && n >= 0 && n <= most ? n : null; };
  const settings = {};
  for (const [name, text] of shared ? link : []) {
    if (name.startsWith("s.") && name.slice(2) in world.defaults) {
      settings[name.slice(2)] = typeof world.defaults[name.slice(2)] === "number" ? Number(text) : text;
    }
  }
  enter(world, whole("clip", world.clips - 1) ?? 0, link.has("seed") ? whole("seed", 2 ** 53) ?? newSeed() : newSeed(), settings);
});
$("world").onchange = () => { enter(state.worlds.find(({ name }) => name === $("world").value), 0, newSeed(), {}); $("world").blur(); };
$("clip").onchange = () => { state.clip = Number($("clip").value); game.send({ type: "reset", clip: state.clip }); $("clip").blur(); };
$("defaults").onclick = () => game.send({ type: "settings", values: state.world.defaults });

game.addEventListener("joined", ({ detail: { recorded } }) => {
  $("status").textContent = "";
  [newest, pending] = [0, null];
  joined += 1;
  if (recorded) notice("This server records games.");
  if (state.truth) game.send({ type: "truth", on: true });
});
game.addEventListener("settings", ({ detail: { values, refused } }) => {
  tuning.show(values);
  $("refused").textContent = refused ? `Not applied: ${refused}` : "";
});
game.addEventListener("branches", ({ detail: { branches } }) => branches.forEach(({ branch, end }) => state.ends.set(branch, end - 1)));
game.addEventListener("notice", ({ detail: { text } }) => notice(text));
game.addEventListener("episode_ended", () => notice("The episode ended and starts again."));
game.addEventListener("refused", ({ detail: { reason } }) => {
  notice(reason);
  if (!game.playing) $("status").textContent = reason;
});
game.addEventListener("lost", () => { $("status").textContent = "Link lost, trying again…"; input.releaseAll(); });
game.addEventListener("over", ({ detail: reason }) => { $("status").textContent = `Over: ${reason}. Reload to play again.`; });
game.addEventListener("token", ({ detail: wrong }) => {
  $("wrong").textContent = wrong ? "That token is not right." : "";
  $("ask").showModal();
});
$("ask").onclose = () => {
  game.token = $("token").value;
  sessionStorage.setItem("token", game.token);
  game.connect();
};

addEventListener("hashchange", () => location.reload());
fit();
requestAnimationFrame(onScreen);
$("tuning").open = innerWidth > 832;
game.connect();
