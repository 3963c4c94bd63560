// The game at the other end of a WebSocket: protocol version 2, and coming back when the link breaks.

export const VERSION = 2;
const HEADER = 68;      // bytes without axes
const FORMATS = [null, "image/jpeg", "image/png", "image/webp"];

// A frame as it was sent: what its header says, and one or two pictures that are still encoded.
export function parseFrame(buffer) {
  const view = new DataView(buffer);
  const word = (at) => view.getUint32(at, true);
  const flags = view.getUint8(2);
  const start = HEADER + 4 * view.getUint8(3);
  const truth = start + word(40);
  return {
    format: view.getUint8(1),
    paused: (flags & 1) !== 0, ended: (flags & 2) !== 0,
    frame: word(4), number: word(8), branch: word(12), index: word(16), input: word(20),
    waited: view.getFloat32(24, true), made: view.getFloat32(28, true), score: view.getFloat32(32, true),
    width: view.getUint16(36, true), height: view.getUint16(38, true),
    bytes: buffer.byteLength,
    picture: new Uint8Array(buffer, start, truth - start),
    truth: flags & 4 ? new Uint8Array(buffer, truth) : null,
  };
}

// The picture of such bytes, ready to be drawn.
export function decode(bytes, format, width, height) {
  if (FORMATS[format]) return createImageBitmap(new Blob([bytes], { type: FORMATS[format] }));
  const image = new ImageData(width, height);
  for (let i = 0, j = 0; i < bytes.length; j += 4) {
    image.data[j] = bytes[i++]; image.data[j + 1] = bytes[i++]; image.data[j + 2] = bytes[i++]; image.data[j + 3] = 255;
  }
  return createImageBitmap(image);
}

export class Game extends EventTarget {
  constructor(address) {
    super();
    this.address = address;
    this.token = sessionStorage.getItem("token");
    this.key = null;      // of the game, to go on with it over another link
    this.wanted = null;   // the last `join`
    this.tries = 0;
    this.over = false;
  }

  say(kind, detail) { this.dispatchEvent(new CustomEvent(kind, { detail })); }

  connect() {
    this.over = false;
    const socket = this.socket = new WebSocket(this.address);
    socket.binaryType = "arraybuffer";
    socket.onopen = () => this.send({ type: "hello", version: VERSION, ...(this.token && { token: this.token }) });
    socket.onmessage = ({ data }) => {
      if (socket !== this.socket) return;
      if (typeof data === "string") this.hear(JSON.parse(data));
      else this.say("frame", parseFrame(data));
    };
    socket.onclose = (event) => { if (socket === this.socket) this.closed(event); };
  }

  hear(reply) {
    if (reply.type === "welcome") {
      this.say("welcome", reply);
      if (this.key) this.send({ type: "resume", game: this.key });
      else if (this.wanted) this.send(this.wanted);
      return;
    }
    if (reply.type === "joined") { this.key = reply.game; this.tries = 0; }
    if (reply.type === "refused" && this.key && !this.playing) {
      // The game is over: another one takes its place.
      this.key = null;
      if (this.wanted) this.send(this.wanted);
    }
    if (reply.type === "ended") { this.over = true; this.reason = reply.reason; }
    this.playing = reply.type === "joined" || (this.playing && reply.type !== "ended");
    this.say(reply.type, reply);
  }

  closed() {
    this.playing = false;
    if (this.over && this.reason === "wrong token") { this.say("token", this.token !== null); return; }
    if (this.over) { this.key = null; this.say("over", this.reason); return; }
    const wait = Math.min(8000, 400 * 2 ** this.tries++);
    this.say("lost", wait);
    setTimeout(() => this.connect(), wait);
  }

  send(message) {
    if (this.socket?.readyState === WebSocket.OPEN) this.socket.send(JSON.stringify(message));
  }

  join(world, clip, seed, settings) {
    this.wanted = { type: "join", world, clip, seed, settings };
    this.key = null;
    if (this.socket?.readyState === WebSocket.OPEN) this.send(this.wanted);
    else this.connect();
  }
}
