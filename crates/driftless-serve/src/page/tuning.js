// The tuning panel, built from what the server says about the world's settings.

const PACE = { name: "fps", label: "Frames per second", help: "How many frames are made each second.", kind: "number", min: 1, max: 60, step: 1, decimals: 0 };
const PICTURES = {
  name: "pictures", label: "Pictures", help: "How pictures are sent. Automatic: PNG on a fast link, JPEG on a slow one. WebP is without loss, too.", kind: "choice",
  choices: [["auto", "Automatic"], ["png", "PNG"], ["webp", "WebP"], ["jpeg", "JPEG"], ["raw", "RGB"]],
};

export class TuningPanel {
  constructor(form, send) {
    this.form = form;
    this.send = send;
    this.fields = new Map();
    form.onsubmit = (event) => event.preventDefault();
  }

  build(world, settings) {
    this.defaults = world.defaults;
    this.values = { ...world.defaults, ...settings };
    this.fields.clear();
    const own = world.settings.map((info) => this.field(info, this.values[info.name], (value) => {
      this.send({ type: "settings", values: { [info.name]: value } });
    }));
    const pace = this.field(PACE, world.fps, (fps) => this.send({ type: "pace", fps }));
    const pictures = this.field(PICTURES, "auto", (value) => this.send({ type: "pictures", pictures: value }));
    this.form.replaceChildren(...own, pace, pictures);
  }

  // A label with a slider or a list.
  field(info, value, changed) {
    const label = document.createElement("label");
    label.title = info.help;
    const output = document.createElement("output");
    const control = document.createElement(info.kind === "choice" ? "select" : "input");
    control.name = info.name;
    let show;
    if (info.kind === "choice") {
      control.append(...info.choices.map(([name, text]) => new Option(text, name)));
      show = (value) => { control.value = value; };
      control.onchange = () => { changed(control.value); control.blur(); };
    } else {
      // On a logarithmic scale, the slider holds the logarithm.
      const logarithmic = info.step === 0;
      const to = logarithmic ? Math.log : (x) => x;
      const from = logarithmic ? Math.exp : (x) => x;
      const least = Math.min(info.min, value), most = Math.max(info.max, value);
      Object.assign(control, { type: "range", min: to(least), max: to(most), step: logarithmic ? "any" : info.step });
      const text = (value) => { output.value = Number(value).toFixed(info.decimals); };
      show = (value) => { control.value = to(value); text(value); };
      const read = () => this.allowed(info.name, Number(from(Number(control.value)).toPrecision(6)));
      control.oninput = () => text(read());
      control.onchange = () => { const value = read(); show(value); changed(value); };
    }
    this.fields.set(info.name, (value) => { show(value); label.hidden = !this.isUsed(info.name); });
    show(value);
    label.hidden = !this.isUsed(info.name);
    label.append(info.label, output, control);
    return label;
  }

  // The adaptive solver chooses its own steps, and only it has a tolerance.
  isUsed(name) {
    const adaptive = this.values.solver === "adaptive";
    return name === "steps" ? !adaptive : name === "tolerance" ? adaptive : true;
  }

  // The shortcut solver takes powers of two.
  allowed(name, value) {
    return name === "steps" && this.values.solver === "shortcut" ? 2 ** Math.round(Math.log2(value)) : value;
  }

  show(values) {
    this.values = values;
    for (const [name, value] of Object.entries(values)) this.fields.get(name)?.(value);
  }

  // The settings that are not the world's own.
  changes() {
    return Object.fromEntries(Object.entries(this.values).filter(([name, value]) => this.defaults[name] !== value));
  }
}
