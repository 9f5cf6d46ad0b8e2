// The page: strokes, what the network makes of them, and which of its neurons is looked at.
"use strict";

const SHEET = 280; // pixels of a side of the drawing that is prepared, black on white
const PEN = 24; // of the sheet: a digit of 200 has MNIST's thickness
const MARGIN = PEN / 2 + 2; // so that no ink is cut by the edge, where it would be left out
const STEP = 8; // of a key
const ARROWS = {
  ArrowLeft: [-1, 0],
  ArrowRight: [1, 0],
  ArrowUp: [0, -1],
  ArrowDown: [0, 1],
  Home: [-1, -1],
  PageUp: [1, -1],
  End: [-1, 1],
  PageDown: [1, 1],
};

const element = (id) => document.getElementById(id);
const net = readNetwork(JSON.parse(element("network").textContent));
const side = Math.sqrt(net.sizes[0]);
const last = net.sizes.length - 1;
const names = net.classes || Array.from({ length: net.sizes[last] }, (_, j) => String(j));

const strokes = []; // lists of points [x, y] of the sheet; the last are the latest
const sheet = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
sheet.canvas.width = sheet.canvas.height = SHEET;

let language = navigator.language.startsWith("zh") ? "zh" : "en";
let input = null; // what the network is given; null: nothing is drawn
let found = null; // what feedforward returns for it
let shown = Math.min(1, last - 1); // the hidden layer that is seen, 0 where there is none
const picked = net.sizes.map(() => 0); // the neuron of each layer that was last looked at
let chosen = shown || last; // the layer of the neuron that is looked at

// Words

function say(key, values = {}) {
  return STRINGS[language][key].replace(/\{(\w+)\}/g, (_, name) => values[name]);
}

function number(value, digits) {
  const text = value.toFixed(digits);
  return Number(text) === 0 ? text.replace("-", "") : text.replace("-", "−");
}

function showWords() {
  document.documentElement.lang = say("tag");
  document.title = `${say("title")} · bpnet`;
  for (const each of document.querySelectorAll("[data-text]"))
    each.textContent = say(each.dataset.text);
  for (const each of document.querySelectorAll("[data-label]")) {
    each.setAttribute("aria-label", say(each.dataset.label));
  }
  element("language").lang = STRINGS[language === "en" ? "zh" : "en"].tag;
  element("network-name").textContent = say("description", {
    sizes: net.sizes.join(" – "),
    functions: [...new Set([...(last > 1 ? [net.hidden] : []), net.output])].join(", "),
  });
  element("cells-mean").textContent = say(shown ? "cellsMean" : "chooseOutput");
  element("hint").textContent = say(net.classes ? "hint" : "hintDigit");
  [...element("layer").options].forEach((option, i) => {
    option.textContent = say("layerName", { l: i + 1 });
  });
  showTheme(document.documentElement.dataset.theme);
}

function showTheme(theme) {
  document.documentElement.dataset.theme = theme;
  element("theme").textContent = say(theme === "dark" ? "light" : "dark");
  show();
}

// Return the three numbers of a colour of the style sheet.
function colour(name) {
  return getComputedStyle(document.documentElement)
    .getPropertyValue(name)
    .split(" ")
    .map(Number);
}

// Return what gives the colour of a value from -1 to 1: [r, g, b].
function diverging() {
  const [negative, zero, positive] = ["--negative", "--zero", "--positive"].map(colour);
  return (value) => {
    const end = value < 0 ? negative : positive;
    const share = Math.min(1, Math.abs(value));
    return zero.map((from, c) => Math.round(from + share * (end[c] - from)));
  };
}

// The drawing

// Trace every stroke on a canvas whose side is a number of times the sheet's.
function trace(context, times) {
  context.lineWidth = PEN * times;
  context.lineCap = context.lineJoin = "round";
  for (const points of strokes) {
    const at = points.map(([x, y]) => [x * times, y * times]);
    const [x, y] = at[0];
    context.beginPath();
    context.moveTo(x, y);
    for (let i = 1; i + 1 < at.length; i++) {
      context.quadraticCurveTo(
        ...at[i],
        (at[i][0] + at[i + 1][0]) / 2,
        (at[i][1] + at[i + 1][1]) / 2,
      );
    }
    const [endX, endY] = at[at.length - 1];
    context.lineTo(at.length > 1 ? endX : x + 0.01, endY); // a point is a dot
    context.stroke();
  }
}

// Return the drawing as a picture for prepare.js.
function drawing() {
  sheet.fillStyle = "white";
  sheet.fillRect(0, 0, SHEET, SHEET);
  sheet.strokeStyle = "black";
  trace(sheet, 1);
  const { data } = sheet.getImageData(0, 0, SHEET, SHEET);
  const a = new Float64Array(SHEET * SHEET);
  for (let i = 0; i < a.length; i++) a[i] = data[4 * i];
  return { h: SHEET, w: SHEET, a };
}

let asked = false;

// Read the drawing before the next frame is shown.
function changed() {
  if (asked) return;
  asked = true;
  requestAnimationFrame(() => {
    asked = false;
    update();
  });
}

function update() {
  input = strokes.length ? digit(drawing(), side) : null;
  found = input && feedforward(net, input);
  show();
  announceAnswer();
}

function undo() {
  strokes.pop();
  pen.down = false;
  changed();
}

function clear() {
  strokes.length = 0;
  pen.strokes.clear();
  pen.down = false;
  changed();
}

function within(x) {
  return Math.min(Math.max(x, MARGIN), SHEET - MARGIN);
}

// What draws: pointers, each with its stroke, and a pen that is moved by keys.
const pen = {
  strokes: new Map(),
  x: SHEET / 2,
  y: SHEET / 4,
  down: false,
  seen: false,
  held: new Set(),
};

function pointerPlace(event) {
  const box = element("board").getBoundingClientRect();
  return [
    within(((event.clientX - box.left) / box.width) * SHEET),
    within(((event.clientY - box.top) / box.height) * SHEET),
  ];
}

function beginStroke(event) {
  if (event.button !== 0) return;
  event.currentTarget.setPointerCapture(event.pointerId);
  pen.seen = pen.down = false;
  pen.strokes.set(event.pointerId, [pointerPlace(event)]);
  strokes.push(pen.strokes.get(event.pointerId));
  changed();
}

function continueStroke(event) {
  const stroke = pen.strokes.get(event.pointerId);
  if (!stroke) return;
  const events = event.getCoalescedEvents ? event.getCoalescedEvents() : [];
  stroke.push(...(events.length ? events : [event]).map(pointerPlace));
  changed();
}

function endStroke(event) {
  pen.strokes.delete(event.pointerId);
}

function drawByKey(event) {
  if (event.ctrlKey || event.metaKey || event.altKey) {
    if (event.key === "z" && !event.altKey) undo();
    return;
  }
  if (event.key in ARROWS) {
    pen.held.add(event.key);
    movePen(event.shiftKey ? STEP / 4 : STEP);
  } else if (event.key === " ") {
    if (event.repeat) return event.preventDefault();
    pen.down = !pen.down;
    if (pen.down) strokes.push([[pen.x, pen.y]]);
    announce(say(pen.down ? "penDown" : "penUp"));
  } else if (event.key === "Backspace") {
    undo();
  } else if (event.key === "Delete") {
    clear();
  } else {
    return;
  }
  event.preventDefault();
  pen.seen = true;
  changed();
}

// Move the pen by all keys that are held: two of them go askew.
function movePen(step) {
  for (const key of pen.held) {
    pen.x = within(pen.x + step * ARROWS[key][0]);
    pen.y = within(pen.y + step * ARROWS[key][1]);
  }
  if (pen.down) strokes[strokes.length - 1].push([pen.x, pen.y]);
}

// What is seen

function show() {
  showBoard();
  showPrepared();
  showAnswer();
  showCells();
  showNeuron();
}

function showBoard() {
  const context = element("board").getContext("2d");
  const pixels = Math.round(element("board").clientWidth * devicePixelRatio);
  if (context.canvas.width !== pixels) context.canvas.width = context.canvas.height = pixels;
  const times = pixels / SHEET;
  context.clearRect(0, 0, pixels, pixels);
  context.strokeStyle = `rgb(${colour("--ink")})`;
  trace(context, times);
  element("hint").hidden = strokes.length > 0 || pen.seen;
  if (!pen.seen) return;
  context.beginPath();
  context.arc(pen.x * times, pen.y * times, (PEN / 2) * times, 0, 2 * Math.PI);
  context.fillStyle = context.strokeStyle = `rgb(${colour("--accent")})`;
  context.lineWidth = 3 * devicePixelRatio;
  context.stroke();
  if (pen.down) context.fill();
}

function showPrepared() {
  const context = element("prepared").getContext("2d");
  context.canvas.width = context.canvas.height = side;
  const values = input || new Float64Array(side * side);
  paint(context, side, side, (i) => Array(3).fill(Math.round(255 * values[i])));
}

// Set every pixel of a canvas of w x h to the colour that colourOf gives for its number.
function paint(context, w, h, colourOf) {
  const image = context.createImageData(w, h);
  for (let i = 0; i < w * h; i++) image.data.set([...colourOf(i), 255], 4 * i);
  context.putImageData(image, 0, 0);
}

// Return the outputs' numbers, the most active first.
function ranked() {
  const a = found.a[last];
  return [...a.keys()].sort((i, j) => a[j] - a[i]);
}

function showAnswer() {
  const a = found ? found.a[last] : new Float64Array(names.length);
  const [first, second] = found ? ranked() : [];
  [...element("outputs").children].forEach((row, j) => {
    row.querySelector(".bar").style.width = `${100 * a[j]}%`;
    row.querySelector(".value").textContent = found ? number(a[j], 3) : "";
    row.setAttribute("aria-label", found ? `${names[j]}: ${number(a[j], 3)}` : names[j]);
    row.classList.toggle("first", j === first);
    mark(row, last, j);
  });
  element("best").textContent = found ? names[first] : "";
  element("best").classList.toggle("long", Boolean(found) && names[first].length > 2);
  const degree =
    !found || a[first] < 0.3 ? "weak" : a[first] < 0.8 || a[second] > 0.3 ? "unsure" : "sure";
  element("sure").textContent = found ? say(degree, { value: number(a[first], 3) }) : "";
  element("second").textContent = found
    ? say("second", { name: names[second], value: number(a[second], 3) })
    : "";
}

// Give an option of layer l the look and the state of one that is chosen, or not.
function mark(option, l, j) {
  const selected = l === chosen && j === picked[l];
  option.setAttribute("aria-selected", selected);
  if (selected) option.parentElement.setAttribute("aria-activedescendant", option.id);
}

// Return what an activation of layer l is divided by to be coloured: what makes the largest 1.
function largest(l) {
  const bounded = ["sigmoid", "tanh", "softmax"].includes(activationOf(net, l));
  return bounded ? 1 : Math.max(1e-9, ...found.a[l].map(Math.abs));
}

function showCells() {
  if (!shown) return;
  const colourOf = diverging();
  const scale = found ? largest(shown) : 1;
  [...element("cells").children].forEach((cell, j) => {
    const a = found ? found.a[shown][j] : 0;
    cell.style.backgroundColor = `rgb(${colourOf(a / scale)})`;
    cell.setAttribute("aria-label", found ? `${j + 1}: ${number(a, 3)}` : String(j + 1));
    mark(cell, shown, j);
  });
}

function showNeuron() {
  const l = chosen,
    j = picked[l],
    n = net.sizes[l - 1];
  const w = net.weights[l - 1].subarray(j * n, (j + 1) * n);
  const sizes = w.map(Math.abs).sort();
  const scale = sizes[Math.floor(0.995 * (n - 1))] || 1; // a few far out would pale all
  const neuron =
    l === last
      ? say("outputNeuron", { name: names[j] })
      : say("hiddenNeuron", { j: j + 1, n: net.sizes[l] });
  element("neuron-name").textContent = neuron;
  element("looks").textContent = say(l === 1 ? "looksAtPixels" : "looksAtNeurons");
  const range = { low: number(-scale, 2), high: `+${number(scale, 2)}` };
  element("low").textContent = range.low;
  element("high").textContent = range.high;
  element("weights").setAttribute("aria-label", say("weights", { neuron, ...range }));
  showWeights(l, (k) => w[k] / scale);
  showSum(l, j);
}

// Paint the weights as the layer before is seen: as pixels, or in the rows of its cells.
function showWeights(l, weightOf) {
  const n = net.sizes[l - 1];
  const columns = l === 1 ? side : columnsOf(n);
  const rows = Math.ceil(n / columns);
  const colourOf = diverging();
  const small = document.createElement("canvas").getContext("2d");
  [small.canvas.width, small.canvas.height] = [columns, rows];
  paint(small, columns, rows, (k) => colourOf(k < n ? weightOf(k) : 0));
  const context = element("weights").getContext("2d");
  const unit = Math.max(4, Math.floor(560 / columns)); // pixels of a weight
  [context.canvas.width, context.canvas.height] = [columns * unit, rows * unit];
  context.imageSmoothingEnabled = false;
  context.drawImage(small.canvas, 0, 0, columns * unit, rows * unit);
  if (!found) return;
  context.fillStyle = context.strokeStyle = `rgb(${colour("--ink")})`;
  if (l === 1) outline(context, unit);
  else dots(context, unit, columns, l - 1);
}

// Draw where ink begins and ends.
function outline(context, unit) {
  const ink = (x, y) => x >= 0 && x < side && y >= 0 && y < side && input[y * side + x] > 0.5;
  context.lineWidth = Math.max(1, unit / 8);
  context.beginPath();
  for (let y = 0; y <= side; y++) {
    for (let x = 0; x <= side; x++) {
      if (ink(x, y) !== ink(x - 1, y)) {
        context.moveTo(x * unit, y * unit);
        context.lineTo(x * unit, (y + 1) * unit);
      }
      if (ink(x, y) !== ink(x, y - 1)) {
        context.moveTo(x * unit, y * unit);
        context.lineTo((x + 1) * unit, y * unit);
      }
    }
  }
  context.stroke();
}

// Draw a dot on the weight of each neuron of layer l, as large as its activation.
function dots(context, unit, columns, l) {
  const scale = largest(l);
  found.a[l].forEach((a, k) => {
    const x = (k % columns) + 0.5,
      y = Math.floor(k / columns) + 0.5;
    context.beginPath();
    context.arc(
      x * unit,
      y * unit,
      0.3 * unit * Math.sqrt(Math.abs(a) / scale),
      0,
      2 * Math.PI,
    );
    context.fill();
  });
}

// Show how the activation comes about.
function showSum(l, j) {
  const bias = net.biases[l - 1][j];
  const z = found && found.z[l][j],
    a = found && found.a[l][j];
  const terms = [
    ["weightedSum", "Σ w a", found && z - bias],
    ["bias", "b", bias],
    ["weightedInput", "z", z],
    ["activation", activationOf(net, l), a],
  ];
  element("sum").replaceChildren(
    ...terms.flatMap(([key, symbol, value]) => {
      const term = document.createElement("dt"),
        amount = document.createElement("dd");
      const formula = document.createElement("i");
      formula.textContent = symbol;
      term.append(`${say(key)} `, formula);
      amount.textContent = value === null ? "–" : number(value, key === "activation" ? 3 : 2);
      return [term, amount];
    }),
  );
}

// Said by screen readers

function announce(text) {
  element("status").textContent = text;
}

let pause = 0;

// Say the answer when it has not changed for a moment.
function announceAnswer() {
  clearTimeout(pause);
  pause = setTimeout(() => {
    if (!found) return announce(say("cleared"));
    const [first, second] = ranked(),
      a = found.a[last];
    announce(
      say("status", {
        name: names[first],
        value: number(a[first], 3),
        second: names[second],
        secondValue: number(a[second], 3),
      }),
    );
  }, 600);
}

// Neurons to choose from

// Return how many neurons of n stand in a row, so that all rows are as full as can be; few
// neurons are large enough for a finger, which slides over many.
function columnsOf(n) {
  const width = n <= 60 ? 44 : n <= 300 ? 25 : 12;
  const rows = Math.ceil((n * width) / element("inside").clientWidth);
  return Math.ceil(n / rows);
}

function choose(l, j) {
  element(l === last ? "cells" : "outputs").removeAttribute("aria-activedescendant");
  chosen = l;
  picked[l] = Math.min(Math.max(j, 0), net.sizes[l] - 1);
  showAnswer();
  showCells();
  showNeuron();
}

// Let list choose among the neurons of the layer that layerOf returns, by pointer and keys.
function choosable(list, layerOf, columns) {
  const pick = (event) => {
    const option = document
      .elementFromPoint(event.clientX, event.clientY)
      ?.closest("[role=option]");
    if (option && option.parentElement === list)
      choose(layerOf(), Number(option.dataset.neuron));
  };
  list.addEventListener("click", pick);
  list.addEventListener("pointermove", (event) => event.buttons === 1 && pick(event));
  list.addEventListener("keydown", (event) => {
    const moves = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -columns(), ArrowDown: columns() };
    const ends = { Home: -Infinity, End: Infinity };
    const move = moves[event.key] ?? ends[event.key];
    if (move === undefined) return;
    event.preventDefault();
    choose(layerOf(), picked[layerOf()] + move);
    list.querySelector("[aria-selected=true]").scrollIntoView({ block: "nearest" });
  });
}

function optionOf(l, j, kind) {
  const option = document.createElement("div");
  option.id = `neuron-${l}-${j}`;
  option.className = kind;
  option.dataset.neuron = j;
  option.setAttribute("role", "option");
  return option;
}

function makeOutputs() {
  element("outputs").replaceChildren(
    ...names.map((name, j) => {
      const row = optionOf(last, j, "output");
      for (const [kind, text] of [
        ["name", name],
        ["track", ""],
        ["value", ""],
      ]) {
        const part = document.createElement("span");
        part.className = kind;
        part.textContent = text;
        row.append(part);
      }
      const bar = document.createElement("span");
      bar.className = "bar";
      row.querySelector(".track").append(bar);
      return row;
    }),
  );
}

function makeCells() {
  const n = net.sizes[shown];
  element("cells").hidden = !shown;
  element("layer-choice").hidden = last < 3;
  if (!shown) return;
  element("cells").style.gridTemplateColumns = `repeat(${columnsOf(n)}, 1fr)`;
  element("cells").replaceChildren(
    ...Array.from({ length: n }, (_, j) => optionOf(shown, j, "cell")),
  );
}

function start() {
  const dark = matchMedia("(prefers-color-scheme: dark)");
  document.documentElement.dataset.theme = dark.matches ? "dark" : "light";
  dark.addEventListener("change", () => showTheme(dark.matches ? "dark" : "light"));
  element("theme").addEventListener("click", () =>
    showTheme(document.documentElement.dataset.theme === "dark" ? "light" : "dark"),
  );
  element("language").addEventListener("click", () => {
    language = language === "en" ? "zh" : "en";
    showWords();
  });

  const board = element("board");
  board.addEventListener("pointerdown", beginStroke);
  board.addEventListener("pointermove", continueStroke);
  board.addEventListener("pointerup", endStroke);
  board.addEventListener("pointercancel", endStroke);
  board.addEventListener("keydown", drawByKey);
  board.addEventListener("keyup", (event) => pen.held.delete(event.key));
  board.addEventListener("focus", () => {
    pen.seen = board.matches(":focus-visible");
    showBoard();
  });
  board.addEventListener("blur", () => {
    pen.seen = pen.down = false;
    pen.held.clear();
    showBoard();
  });
  element("undo").addEventListener("click", undo);
  element("clear").addEventListener("click", clear);

  for (let l = 1; l < last; l++) element("layer").append(new Option("", l));
  element("layer").addEventListener("change", () => {
    shown = Number(element("layer").value);
    makeCells();
    choose(shown, picked[shown]);
  });
  choosable(
    element("outputs"),
    () => last,
    () => 1,
  );
  choosable(
    element("cells"),
    () => shown,
    () => columnsOf(net.sizes[shown]),
  );
  element("previous").addEventListener("click", () => choose(chosen, picked[chosen] - 1));
  element("next").addEventListener("click", () => choose(chosen, picked[chosen] + 1));

  makeOutputs();
  makeCells();
  showWords();
  addEventListener("resize", () => {
    makeCells();
    show();
  });
}

start();
