// An engine in the page: LSTMs in plain JavaScript. The equations are those of model/cells.py, encoder.py, decoder.py and
// sampler.py; sketches are stroke-3 in normalised units. MODEL, of model.js, has the weights.
"use strict";

const FORGET_BIAS = 1;
const LEAST_NEW = 32; // as model/redrawing.py
const START = [0, 0, 1, 0, 0];

const sigmoid = (x) => 1 / (1 + Math.exp(-x));

function weightsOf(model) {
  return Object.fromEntries(Object.entries(model.weights).map(([name, { shape, data }]) => {
    const bytes = Uint8Array.from(atob(data), (character) => character.charCodeAt(0));
    return [name, { shape, values: new Float32Array(bytes.buffer) }];
  }));
}

// out += x W, for a vector and a matrix [in, out] in rows.
function addProduct(x, { shape: [, columns], values }, out) {
  for (let i = 0; i < x.length; i++) {
    const factor = x[i];
    if (factor === 0) continue;
    for (let k = 0, at = i * columns; k < columns; k++, at++) out[k] += factor * values[at];
  }
  return out;
}

const linear = (x, w, b) => addProduct(x, w, Float32Array.from(b.values));

class Cell {
  constructor(weights, name) {
    [this.W_xh, this.W_hh, this.bias] = ["W_xh", "W_hh", "bias"].map((part) => weights[`${name}.${part}`]);
    this.units = this.W_hh.shape[0];
  }

  zeros() {
    return { c: new Float32Array(this.units), h: new Float32Array(this.units) };
  }

  step(x, { c, h }) {
    const n = this.units;
    const gates = addProduct(h, this.W_hh, addProduct(x, this.W_xh, Float32Array.from(this.bias.values)));
    const next = { c: new Float32Array(n), h: new Float32Array(n) };
    for (let k = 0; k < n; k++) {
      const [i, j, f, o] = [gates[k], gates[n + k], gates[2 * n + k], gates[3 * n + k]];
      next.c[k] = c[k] * sigmoid(f + FORGET_BIAS) + sigmoid(i) * Math.tanh(j);
      next.h[k] = Math.tanh(next.c[k]) * sigmoid(o);
    }
    return next;
  }
}

class LocalModel {
  constructor(model) {
    this.info = model.info;
    this.weights = weightsOf(model);
    this.cell = new Cell(this.weights, "decoder.cell");
    this.mixtures = (this.weights["decoder.output_b"].values.length - 3) / 6;
    if (model.info.conditional) [this.fw, this.bw] = ["encoder.fw", "encoder.bw"].map((name) => new Cell(this.weights, name));
  }

  initial(z) {
    if (z === null) return this.cell.zeros();
    const packed = linear(z, this.weights["decoder.initial.w"], this.weights["decoder.initial.b"]).map(Math.tanh);
    return { c: packed.slice(0, this.cell.units), h: packed.slice(this.cell.units) };
  }

  step(point, z, state) {
    return this.cell.step(z === null ? point : [...point, ...z], state);
  }

  // Magenta's parameters of the next point.
  mixture({ h }) {
    const raw = linear(h, this.weights["decoder.output_w"], this.weights["decoder.output_b"]);
    const part = (number) => raw.slice(3 + number * this.mixtures, 3 + (number + 1) * this.mixtures);
    return {
      penLogits: raw.slice(0, 3), piLogits: part(0), mu1: part(1), mu2: part(2),
      sigma1: part(3).map(Math.exp), sigma2: part(4).map(Math.exp), corr: part(5).map(Math.tanh),
    };
  }

  // mu of a sketch.
  encode(strokes) {
    const points = strokes.map(stroke5);
    let [fw, bw] = [this.fw.zeros(), this.bw.zeros()];
    for (let t = 0; t < points.length; t++) {
      fw = this.fw.step(points[t], fw);
      bw = this.bw.step(points[points.length - 1 - t], bw);
    }
    return linear([...fw.h, ...bw.h], this.weights["encoder.mu.w"], this.weights["encoder.mu.b"]);
  }

  // A sketch from a state, in which `point` was not read yet.
  draw(point, z, state, most, temperature, random) {
    const strokes = [];
    while (strokes.length < most) {
      state = this.step(point, z, state);
      const mixture = this.mixture(state);
      const k = pick(mixture.piLogits, temperature, random);
      const pen = pick(mixture.penLogits, temperature, random);
      if (pen === 2) break;
      const [e1, e2] = normals(random);
      const { mu1, mu2, sigma1, sigma2, corr } = mixture;
      const dx = mu1[k] + temperature * sigma1[k] * e1;
      const dy = mu2[k] + temperature * sigma2[k] * (corr[k] * e1 + Math.sqrt(Math.max(0, 1 - corr[k] ** 2)) * e2);
      strokes.push([dx, dy, pen]);
      point = stroke5([dx, dy, pen]);
    }
    return strokes;
  }
}

const stroke5 = ([dx, dy, lifted]) => [dx, dy, 1 - lifted, lifted, 0];

// An index with the probabilities of softmax(logits / temperature).
function pick(logits, temperature, random) {
  const largest = Math.max(...logits);
  const weights = Array.from(logits, (logit) => Math.exp((logit - largest) / temperature));
  let left = random() * weights.reduce((sum, weight) => sum + weight, 0);
  for (let k = 0; k < weights.length; k++) {
    left -= weights[k];
    if (left < 0) return k;
  }
  return weights.length - 1;
}

// Two independent standard normal numbers, by Box and Muller.
function normals(random) {
  const radius = Math.sqrt(-2 * Math.log(1 - random()));
  const angle = 2 * Math.PI * random();
  return [radius * Math.cos(angle), radius * Math.sin(angle)];
}

// Uniform numbers in [0, 1) from a seed: mulberry32.
function generator(seed) {
  return () => {
    seed = (seed + 0x6d2b79f5) | 0;
    let t = Math.imul(seed ^ (seed >>> 15), 1 | seed);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

function slerp(start, end, fraction) {
  const dot = (a, b) => a.reduce((sum, value, k) => sum + value * b[k], 0);
  const angle = Math.acos(Math.min(1, Math.max(-1, dot(start, end) / Math.sqrt(dot(start, start) * dot(end, end)))));
  const sine = Math.sin(angle);
  const straight = !(sine > 1e-6);
  const [a, b] = straight ? [1 - fraction, fraction] : [Math.sin((1 - fraction) * angle) / sine, Math.sin(fraction * angle) / sine];
  return start.map((value, k) => a * value + b * end[k]);
}

function latentOf(model, random) {
  return Float32Array.from({ length: model.info.z_size }, () => normals(random)[0]);
}

const breath = () => new Promise((resolve) => setTimeout(resolve)); // lets the page react between two drawings

function makeEngine(model) {
  return {
    info: model.info,
    ready: Promise.resolve(),
    async complete({ strokes, count, temperature, seed }) {
      const random = generator(seed);
      let z = model.info.conditional ? (strokes.length ? model.encode(strokes) : latentOf(model, random)) : null;
      let [state, point] = [model.initial(z), START];
      for (const stroke of strokes) {
        state = model.step(point, z, state);
        point = stroke5(stroke);
      }
      const most = Math.max(model.info.max_seq_len - strokes.length, LEAST_NEW);
      const drawings = [];
      for (let i = 0; i < count; i++) {
        if (i > 0 && model.info.conditional && !strokes.length) {
          z = latentOf(model, random);
          state = model.initial(z);
        }
        drawings.push([...strokes, ...model.draw(point, z, state, most, temperature, random)]);
        await breath();
      }
      return drawings;
    },
    async interpolate({ first, second, count, temperature, seed }) {
      const random = generator(seed);
      const [start, end] = [model.encode(first), model.encode(second)];
      const drawings = [];
      for (let i = 0; i < count; i++) {
        const z = slerp(start, end, i / (count - 1));
        drawings.push(model.draw(START, z, model.initial(z), model.info.max_seq_len, temperature, random));
        await breath();
      }
      return drawings;
    },
  };
}

if (typeof module !== "undefined") module.exports = { LocalModel, makeEngine, slerp };
else globalThis.engine = makeEngine(new LocalModel(MODEL));
