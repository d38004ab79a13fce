// The page: a person draws lines, an engine (a server's or the page's own) draws on. Coordinates are units of a paper of
// 255 by 255, as in the QuickDraw drawings that most models were trained on.
"use strict";

const PAPER = 255;
const TOLERANCE = 2; // of the simplification of lines, as in QuickDraw
const STEP = 5; // units that an arrow key moves the pen
const POINTS_A_SECOND = 90; // of the animation
const svgNamespace = "http://www.w3.org/2000/svg";
const byId = (id) => document.getElementById(id);
const still = matchMedia("(prefers-reduced-motion: reduce)").matches;

const state = { drawings: [], chosen: -1, request: 0, animation: 0 };

// A paper ------------------------------------------------------------------------------------------------------------

class Paper {
  constructor(svg, begun, changed) {
    this.svg = svg;
    this.begun = begun; // called when a line is begun
    this.changed = changed; // called when one is finished
    this.lines = []; // of [x, y]
    this.line = null; // that is being drawn
    this.bounds = [0, 0, PAPER, PAPER]; // of what is shown
    this.cursor = [PAPER / 2, PAPER / 2];
    this.pen = this.element("circle", { r: 4, class: "pen" });
    svg.addEventListener("pointerdown", (event) => this.press(event));
    svg.addEventListener("pointermove", (event) => this.move(event));
    for (const name of ["pointerup", "pointercancel"]) svg.addEventListener(name, () => this.lift());
    svg.addEventListener("keydown", (event) => this.key(event));
  }

  element(name, attributes, parent = this.svg) {
    const made = parent.appendChild(document.createElementNS(svgNamespace, name));
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    return made;
  }

  place(event) {
    const box = this.svg.getBoundingClientRect();
    const shown = this.svg.viewBox.baseVal; // more than the paper, if a drawing leaves it
    const inside = (value) => Math.min(1, Math.max(0, value));
    return [
      shown.x + inside((event.clientX - box.left) / box.width) * shown.width,
      shown.y + inside((event.clientY - box.top) / box.height) * shown.height,
    ];
  }

  press(event) {
    if (event.button !== 0 || !event.isPrimary) return;
    this.svg.setPointerCapture(event.pointerId);
    this.show(); // without what the model added, in the size in which the pen is placed
    this.begin(this.place(event));
  }

  move(event) {
    if (this.line === null || !event.isPrimary) return;
    this.to(this.place(event));
  }

  begin(point) {
    this.begun();
    this.line = [point];
    this.show();
  }

  to(point) {
    const last = this.line[this.line.length - 1];
    if (Math.hypot(point[0] - last[0], point[1] - last[1]) < 0.5) return;
    this.line.push(point);
    this.show();
  }

  lift() {
    if (this.line === null) return;
    this.lines.push(simplified(this.line));
    this.line = null;
    this.show();
    this.changed();
  }

  key(event) {
    const way = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
    if (way) {
      const far = event.shiftKey ? 5 * STEP : STEP;
      this.cursor = this.cursor.map((value, axis) => Math.min(PAPER, Math.max(0, value + far * way[axis])));
      if (this.line !== null) this.to(this.cursor);
    } else if (event.key === " ") {
      if (this.line === null) this.begin([...this.cursor]);
      else this.lift();
    } else if (event.key === "Enter") {
      if (this.line !== null) this.lift(); // which asks the model, on the first paper
      else if (this === paper) finish();
    } else return;
    event.preventDefault();
    this.pen.setAttribute("class", `pen used${this.line === null ? "" : " down"}`);
    this.show();
  }

  undo() {
    this.line = null;
    this.lines.pop();
    this.show();
  }

  clear() {
    this.line = null;
    this.lines = [];
    this.show();
  }

  // The person's lines, and the lines that the model adds; where these leave the paper, all is shown smaller.
  show(added = [], whole = added) {
    const own = this.line === null ? this.lines : [...this.lines, this.line];
    // while a line is drawn, the paper keeps its size
    const [left, top, right, bottom] = this.line === null ? boundsOf([[[0, 0], [PAPER, PAPER]], ...own, ...whole]) : this.bounds;
    this.bounds = [left, top, right, bottom];
    const size = Math.max(right - left, bottom - top);
    this.svg.setAttribute("viewBox", `${left} ${top} ${size} ${size}`);
    this.svg.querySelectorAll("path").forEach((path) => path.remove());
    for (const line of own) this.element("path", { d: pathOf(line) });
    for (const line of added) this.element("path", { d: pathOf(line), class: "model" });
    this.pen.setAttribute("cx", this.cursor[0]);
    this.pen.setAttribute("cy", this.cursor[1]);
  }
}

const pathOf = (line) => "M" + (line.length > 1 ? line : [line[0], line[0]]).map(([x, y]) => `${x.toFixed(1)} ${y.toFixed(1)}`).join("L");

// Ramer, Douglas and Peucker: the fewest of a line's points from which no other is farther than the tolerance.
function simplified(line) {
  if (line.length < 3) return line;
  const [first, last] = [line[0], line[line.length - 1]];
  const across = [last[0] - first[0], last[1] - first[1]];
  const length = Math.hypot(...across);
  let farthest = 0, most = 0;
  for (let i = 1; i < line.length - 1; i++) {
    const [dx, dy] = [line[i][0] - first[0], line[i][1] - first[1]];
    const along = length > 0 ? Math.min(1, Math.max(0, (dx * across[0] + dy * across[1]) / length ** 2)) : 0;
    const distance = Math.hypot(dx - along * across[0], dy - along * across[1]);
    if (distance > most) [farthest, most] = [i, distance];
  }
  if (most <= TOLERANCE) return [first, last];
  return [...simplified(line.slice(0, farthest + 1)).slice(0, -1), ...simplified(line.slice(farthest))];
}

// Between lines and what the model reads -----------------------------------------------------------------------------

// Units of the paper for one of the model's: a drawing of the model's usual size fills three quarters of the paper.
const scale = () => 0.75 * PAPER / engine.info.extent;

function strokesOf(lines) {
  const strokes = [];
  let [x, y] = lines.length ? lines[0][0] : [0, 0]; // the first offset draws nothing
  for (const line of lines) {
    line.forEach(([px, py], i) => {
      strokes.push([(px - x) / scale(), (py - y) / scale(), i === line.length - 1 ? 1 : 0]);
      [x, y] = [px, py];
    });
  }
  return strokes;
}

// The lines of strokes that begin at a point; `lifted` says whether the pen is lifted before them.
function linesOf(strokes, start, lifted) {
  let [x, y] = start;
  const lines = [];
  let line = lifted ? [] : [[x, y]];
  for (const [dx, dy, end] of strokes) {
    [x, y] = [x + dx * scale(), y + dy * scale()];
    line.push([x, y]);
    if (end) {
      lines.push(line);
      line = [];
    }
  }
  if (line.length > 1 || (line.length && lifted)) lines.push(line);
  return lines;
}

// What the model adds to the lines on the paper, as lines.
function addedTo(lines, drawing) {
  if (!lines.length) return centred(linesOf(drawing, [0, 0], true));
  const begun = lines.reduce((sum, line) => sum + line.length, 0);
  return linesOf(drawing.slice(begun), lines[lines.length - 1][lines[lines.length - 1].length - 1], true);
}

function boundsOf(lines) {
  const points = lines.flat();
  if (!points.length) return [0, 0, PAPER, PAPER];
  const [xs, ys] = [0, 1].map((axis) => points.map((point) => point[axis]));
  return [Math.min(...xs), Math.min(...ys), Math.max(...xs), Math.max(...ys)];
}

function centred(lines) {
  const [left, top, right, bottom] = boundsOf(lines);
  const [dx, dy] = [(PAPER - left - right) / 2, (PAPER - top - bottom) / 2];
  return lines.map((line) => line.map(([x, y]) => [x + dx, y + dy]));
}

// What the buttons do ------------------------------------------------------------------------------------------------

// What was asked before a line is begun is not wanted any more.
const paper = new Paper(byId("paper"), () => { state.request++; stopAnimation(); say(""); }, () => finish());
const other = new Paper(byId("other"), () => {}, () => {});
const settings = () => ({
  temperature: Number(byId("temperature").value),
  count: Number(byId("count").value),
  seed: Math.floor(Math.random() * 2 ** 31),
});

function say(text, isError = false) {
  byId("status").textContent = text;
  byId("status").className = isError ? "error" : "";
}

// Ask the engine, and ignore the answer if something newer was asked meanwhile.
async function ask(what, question) {
  const request = ++state.request;
  if (!document.body.dataset.ready) {
    say("The model is not there yet; try again in a moment.");
    return null;
  }
  say("The model draws ...");
  const began = performance.now();
  try {
    const answer = await engine[what](question());
    if (request !== state.request) return null;
    const seconds = ((performance.now() - began) / 1000).toFixed(2);
    say(`${answer.length} drawing${answer.length === 1 ? "" : "s"} in ${seconds} seconds.`);
    return answer;
  } catch (error) {
    if (request === state.request) say(String(error.message || error), true);
    return null;
  }
}

async function finish() {
  const lines = paper.lines;
  const drawings = await ask("complete", () => ({ strokes: strokesOf(lines), ...settings() }));
  if (drawings === null) return;
  show(drawings.map((drawing) => ({ own: lines, added: addedTo(lines, drawing) })));
  choose(0);
}

async function morph() {
  if (!paper.lines.length || !other.lines.length) return say("Draw something on both papers first.", true);
  const drawings = await ask("interpolate", () => {
    const { count, ...more } = settings();
    return { first: strokesOf(paper.lines), second: strokesOf(other.lines), count: Math.max(2, count), ...more };
  });
  if (drawings === null) return;
  stopAnimation();
  paper.show();
  show(drawings.map((drawing) => ({ own: [], added: centred(linesOf(drawing, [0, 0], true)) })));
}

function show(drawings) {
  state.drawings = drawings;
  state.chosen = -1;
  byId("drawings").replaceChildren(...drawings.map(({ own, added }, number) => {
    const button = document.createElement("button");
    button.setAttribute("aria-label", `Drawing ${number + 1}`);
    button.setAttribute("aria-pressed", "false");
    const svg = button.appendChild(document.createElementNS(svgNamespace, "svg"));
    const [left, top, right, bottom] = boundsOf([...own, ...added]);
    const size = Math.max(right - left, bottom - top, 1) + 12;
    svg.setAttribute("viewBox", `${(left + right - size) / 2} ${(top + bottom - size) / 2} ${size} ${size}`);
    for (const [lines, name] of [[own, ""], [added, "model"]]) {
      for (const line of lines) {
        const path = svg.appendChild(document.createElementNS(svgNamespace, "path"));
        path.setAttribute("d", pathOf(line));
        path.setAttribute("class", name);
      }
    }
    button.addEventListener("click", () => choose(number));
    return button;
  }));
}

function choose(number) {
  state.chosen = number;
  [...byId("drawings").children].forEach((button, i) => button.setAttribute("aria-pressed", String(i === number)));
  const { own, added } = state.drawings[number];
  if (own === paper.lines) animate(added);
  else paper.show(added);
}

function animate(lines) {
  stopAnimation();
  const whole = lines.reduce((sum, line) => sum + line.length, 0);
  const began = performance.now();
  const draw = () => {
    const count = still ? whole : Math.ceil((performance.now() - began) / 1000 * POINTS_A_SECOND);
    let left = count;
    const shown = [];
    for (const line of lines) {
      if (left > 0) shown.push(line.slice(0, left));
      left -= line.length;
    }
    paper.show(shown, lines);
    if (count < whole) state.animation = requestAnimationFrame(draw);
  };
  draw();
}

function stopAnimation() {
  cancelAnimationFrame(state.animation);
}

function forget() {
  state.request++;
  stopAnimation();
  show([]);
  say("");
}

function keep() {
  const chosen = state.drawings[state.chosen];
  if (!chosen) return;
  stopAnimation();
  paper.lines = [...chosen.own, ...chosen.added];
  forget();
  paper.show();
}

// The paper as an SVG file.
function save() {
  const chosen = state.drawings[state.chosen] || { own: paper.lines, added: [] };
  const [left, top, right, bottom] = boundsOf([...chosen.own, ...chosen.added]);
  const box = `${left - 6} ${top - 6} ${right - left + 12} ${bottom - top + 12}`;
  const style = 'fill="none" stroke="black" stroke-width="2.5" stroke-linecap="round" stroke-linejoin="round"';
  const paths = [...chosen.own, ...chosen.added].map((line) => `<path d="${pathOf(line)}" ${style}/>`).join("\n");
  const text = `<svg xmlns="${svgNamespace}" viewBox="${box}">\n${paths}\n</svg>\n`;
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([text], { type: "image/svg+xml" }));
  link.download = "drawing.svg";
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000); // some browsers read it later
}

byId("finish").addEventListener("click", finish);
byId("undo").addEventListener("click", () => { paper.undo(); forget(); });
byId("clear").addEventListener("click", () => { paper.clear(); other.clear(); forget(); });
byId("keep").addEventListener("click", keep);
byId("morph").addEventListener("click", morph);
byId("save").addEventListener("click", save);
for (const name of ["temperature", "count"]) {
  byId(name).addEventListener("input", () => { byId(`${name}Shown`).textContent = byId(name).value; });
  byId(name).addEventListener("change", () => { if (paper.lines.length) finish(); });
}

engine.ready.then(() => {
  const name = engine.info.name;
  if (name) byId("about").textContent = `Begin to draw "${name}". When you lift the pen, the model finishes it.`;
  byId("second").hidden = byId("morph").hidden = !engine.info.conditional;
  document.body.dataset.ready = "true"; // for tests
}, (error) => say(`The model cannot be used: ${error.message || error}`, true));
