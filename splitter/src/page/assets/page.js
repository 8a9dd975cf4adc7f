"use strict";
// Moves, searches and explains the picture. All text from the model goes through textContent.
const data = JSON.parse(document.getElementById("data").textContent);
const svg = document.getElementById("graph"), scene = svg.querySelector(".scene");
const boxes = [...svg.querySelectorAll(".box")], model = document.body.dataset.model;
const whole = { width: +svg.dataset.width, height: +svg.dataset.height };
const view = { x: 0, y: 0, k: 1 };

const bytes = n => { if (n == null) return "?"; let i = 0; for (; n >= 1024 && i < 3; i++) n /= 1024; return +n.toFixed(1) + " " + ["B", "KiB", "MiB", "GiB"][i]; };
const count = n => n == null ? "?" : n.toLocaleString("en");
const element = (tag, text, cls) => { const e = document.createElement(tag); if (text != null) e.textContent = text; if (cls) e.className = cls; return e; };

// View: one transform on the scene.
function apply() { scene.setAttribute("transform", `translate(${view.x} ${view.y}) scale(${view.k})`); }
function zoom(factor, cx, cy) {
  const r = svg.getBoundingClientRect(); cx ??= r.width / 2; cy ??= r.height / 2;
  const k = Math.min(4, Math.max(0.005, view.k * factor));
  view.x = cx - (cx - view.x) * k / view.k; view.y = cy - (cy - view.y) * k / view.k; view.k = k; apply();
}
function fit() {
  const r = svg.getBoundingClientRect(); view.k = Math.min(1, r.width / whole.width, r.height / whole.height);
  view.x = (r.width - whole.width * view.k) / 2; view.y = (r.height - whole.height * view.k) / 2; apply();
}
function readable() {
  const r = svg.getBoundingClientRect(), first = boxes[0]?.getBBox(); view.k = Math.min(1, Math.max(0.55, r.width / whole.width));
  const at = first ? place(boxes[0]) : { x: whole.width / 2 }; view.x = r.width / 2 - at.x * view.k; view.y = 0; apply();
}
function place(box) {
  const t = box.transform.baseVal.getItem(0).matrix, b = box.querySelector("rect");
  return { x: t.e + b.width.baseVal.value / 2, y: t.f + b.height.baseVal.value / 2 };
}
function show(n) {
  const r = svg.getBoundingClientRect(), at = place(boxes[n]); view.k = Math.max(view.k, 0.8);
  view.x = r.width / 2 - at.x * view.k; view.y = r.height / 2 - at.y * view.k; apply();
}
svg.addEventListener("wheel", e => { e.preventDefault(); const r = svg.getBoundingClientRect();
  if (e.ctrlKey || e.deltaMode || !e.shiftKey) zoom(Math.exp(-e.deltaY * (e.deltaMode ? 0.05 : 0.0015)), e.clientX - r.left, e.clientY - r.top);
  else { view.x -= e.deltaX + e.deltaY; apply(); } }, { passive: false });
let drag = null;
svg.addEventListener("pointerdown", e => { drag = { x: e.clientX, y: e.clientY, moved: false }; });
addEventListener("pointermove", e => { if (!drag) return; const dx = e.clientX - drag.x, dy = e.clientY - drag.y;
  if (!drag.moved && Math.hypot(dx, dy) < 4) return; drag.moved = true; svg.classList.add("dragging");
  view.x += dx; view.y += dy; drag.x = e.clientX; drag.y = e.clientY; apply(); });
addEventListener("pointerup", () => { svg.classList.remove("dragging"); setTimeout(() => drag = null); });

// Details of what is clicked.
const makers = new Map(), readers = new Map();
data.boxes.forEach((b, n) => { b.makes.forEach(v => makers.set(v, n)); b.reads.forEach(v => readers.set(v, [...(readers.get(v) ?? []), n])); });
const details = document.getElementById("details");
const link = n => { const b = data.boxes[n], a = element("a", (b.op + " " + b.name).trim()); a.onclick = () => { choose(n); show(n); }; return a; };
function list(title, items) { if (!items.length) return; const ul = element("ul"); items.forEach(i => { const li = element("li"); li.append(...[i].flat()); ul.append(li); }); pair(title, ul); }
let terms;
function pair(term, value) { terms.append(element("dt", term)); const dd = element("dd"); dd.append(value); terms.append(dd); }
const valueLine = v => { const x = data.values[v], a = element("a", x.name); a.onclick = () => chooseValue(v); return [a, " " + x.what]; };
function begin(title) { details.replaceChildren(element("h2", title)); terms = element("dl"); details.append(terms);
  svg.querySelectorAll(".chosen, .lit").forEach(e => e.classList.remove("chosen", "lit")); }
function light(v) { svg.querySelectorAll(`.edge[data-v="${v}"]`).forEach(e => e.classList.add("lit")); }
function choose(n) {
  const b = data.boxes[n]; begin(b.op); boxes[n].classList.add("chosen"); [...b.reads, ...b.makes].forEach(light);
  if (b.name) pair("name", b.name); if (data.parts > 1) pair("part", String(b.part));
  if (b.params) pair("parameters", count(b.params)); if (b.macs) pair("MACs", count(b.macs));
  list("reads", b.reads.map(valueLine)); list("makes", b.makes.map(valueLine)); list("constants", b.constants.map(c => [c]));
  b.makes.forEach(v => cutBox(v));
}
function chooseValue(v) {
  const x = data.values[v]; begin("Value"); light(v); pair("name", x.name); pair("type", x.what); pair("bytes", bytes(x.bytes));
  if (makers.has(v)) { pair("made by", link(makers.get(v))); boxes[makers.get(v)].classList.add("chosen"); }
  list("read by", (readers.get(v) ?? []).map(n => [link(n)])); cutBox(v, true);
}
function cutBox(v, say) {
  const x = data.values[v];
  if (x.crosses) details.append(element("p", "This value crosses the drawn cut."));
  if (!x.cut) { if (say && data.parts === 1) details.append(element("p", "No legal cut here: another value would flow past it.", "hint")); return; }
  details.append(element("p", `A legal cut: ${bytes(x.cut.bytes)} in ${x.cut.values} value${x.cut.values > 1 ? "s" : ""} would cross.`));
  details.append(element("code", `kerf split ${quote(model)} --at ${quote(x.name)} -o bundle`));
}
const quote = s => /^[\w.\/:+@%-]+$/.test(s) ? s : "'" + s.replaceAll("'", "'\\''") + "'";
svg.addEventListener("click", e => { if (drag?.moved) return; const hit = e.target.closest("[data-n],[data-v]"); if (!hit) return;
  if (hit.dataset.n != null) choose(+hit.dataset.n); else chooseValue(+hit.dataset.v); });

// Search in names, operators and constants; Enter goes on to the next.
const search = document.getElementById("search"), found = document.getElementById("found");
const haystack = data.boxes.map(b => [b.op, b.name, ...b.makes.map(v => data.values[v].name), ...b.constants].join("\n").toLowerCase());
let matches = [], at = -1;
function find() {
  const text = search.value.trim().toLowerCase(); matches = text ? haystack.flatMap((h, n) => h.includes(text) ? [n] : []) : []; at = -1;
  boxes.forEach((b, n) => b.classList.toggle("match", matches.includes(n))); svg.classList.toggle("searching", matches.length > 0);
  found.textContent = text ? matches.length + " found" : "";
}
search.addEventListener("input", find);
search.addEventListener("keydown", e => { if (e.key === "Escape") { search.value = ""; find(); search.blur(); }
  if (e.key === "Enter" && matches.length) { at = (at + (e.shiftKey ? matches.length - 1 : 1)) % matches.length; choose(matches[at]); show(matches[at]); found.textContent = `${at + 1} of ${matches.length}`; } });

// Totals, legend, cuts.
const known = data.boxes.reduce((s, b) => s + (b.macs ?? 0), 0), macs = data.macs_total == null ? (known ? "at least " + count(known) : "?") : count(data.macs_total);
document.getElementById("totals").textContent = `${count(data.nodes_total)} nodes · ${count(data.params_total)} parameters · ${macs} MACs`
  + (data.parts > 1 ? ` · ${data.parts} parts, ${bytes(data.values.filter(v => v.crosses).reduce((s, v) => s + (v.bytes ?? 0), 0))} cross` : "");
const legend = document.getElementById("legend"); legend.append(element("h2", data.parts > 1 ? "Parts" : "Operators"));
const swatch = (text, background, border) => { const s = element("span", null, "row"), b = element("span", null, "swatch kerf"); b.style.background = `var(${background})`; b.style.borderColor = `var(${border})`; s.append(b, text); legend.append(s); };
if (data.parts > 1) for (let p = 0; p < data.parts; p++) swatch(p === 0 ? "part 0 (head)" : p === data.parts - 1 ? `part ${p} (tail)` : `part ${p}`, "--paper", `--p${p % 8}`);
else [["convolution, matrix", "--heavy"], ["pooling", "--pool"], ["data movement", "--move"], ["quantize, cast", "--convert"], ["control flow", "--flow"], ["other", "--point"]].forEach(([t, c]) => swatch(t, c, "--line"));
const legal = data.values.flatMap((v, i) => v.cut ? [i] : []), most = Math.max(1, ...legal.map(i => data.values[i].cut.bytes ?? 0));
const section = document.getElementById("cuts"), ol = section.querySelector("ol");
section.querySelector(".hint").textContent = legal.length ? `${legal.length} single values, in the order of flow; the bar is what would cross.` : data.parts > 1 ? "The page shows a bundle: draw the whole model to see other cuts." : "No single value is a legal cut.";
legal.forEach(i => { const v = data.values[i], li = element("li", null, v.crosses ? "current" : ""), bar = element("span", null, "bar");
  bar.style.width = 100 * (v.cut.bytes ?? 0) / most + "%"; li.append(bar, element("span", bytes(v.cut.bytes), "bytes"), element("span", "\u200e" + v.name, "label"));
  li.onclick = () => { chooseValue(i); if (makers.has(i)) show(makers.get(i)); }; ol.append(li); });

// Light or dark: the system's choice until the button is pressed.
const root = document.documentElement; root.classList.toggle("dark", matchMedia("(prefers-color-scheme: dark)").matches);
document.getElementById("theme").onclick = () => root.classList.toggle("dark");
document.getElementById("in").onclick = () => zoom(1.3); document.getElementById("out").onclick = () => zoom(1 / 1.3);
document.getElementById("fit").onclick = fit; document.getElementById("width").onclick = readable;
addEventListener("keydown", e => { if (e.target === search) return; const keys = { "/": () => { e.preventDefault(); search.focus(); }, "+": () => zoom(1.3), "-": () => zoom(1 / 1.3), "0": fit, "1": readable }; keys[e.key]?.(); });
const wanted = new URLSearchParams(location.hash.slice(1)); if (wanted.get("theme")) root.classList.toggle("dark", wanted.get("theme") === "dark");
if (whole.height * Math.min(1, svg.clientWidth / whole.width) > svg.clientHeight * 3) readable(); else fit();
if (wanted.get("search")) { search.value = wanted.get("search"); find(); if (matches.length) { at = 0; choose(matches[0]); show(matches[0]); } }
document.body.dataset.ready = String(boxes.length);
