// Importing: sends files one after the other, and shows how far each is and what became of it.

import { dress, fetchPage, make, sentence, take, token } from "./dom.js";
import { growing } from "./lines.js";

const drop = document.getElementById("drop");
const input = document.getElementById("file");
const disarm = document.getElementById("disarm");
const list = document.getElementById("uploads");
const limit = Number(drop.dataset.limit);
const waiting = [];
let running = null;

function size(bytes) {
  const units = ["bytes", "kB", "MB", "GB", "TB"];
  let unit = 0;
  let value = bytes;
  while (value >= 1000 && unit < units.length - 1) { value /= 1000; unit += 1; }
  return unit === 0 || value >= 100 ? `${Math.floor(value)} ${units[unit]}` : `${value.toFixed(1)} ${units[unit]}`;
}

const DOING = { receiving: "Uploading", inspecting: "Inspecting", converting: "Converting", admitting: "Admitting" };

/** One file on its way. */
class Import {
  constructor(file) {
    this.file = file;
    // As it was when the file was chosen.
    this.disarm = disarm.checked;
    this.bar = make("progress", { max: 1, value: 0 });
    this.bar.setAttribute("aria-label", `Import of ${file.name}`);
    this.status = make("p", { className: "hint", textContent: "Waiting for the files before it." });
    this.status.setAttribute("role", "status");
    this.cancel = make("button", { type: "button", className: "quiet", textContent: "Cancel" });
    this.cancel.addEventListener("click", () => this.stop());
    this.head = make("div", { className: "line" }, make("strong", { textContent: file.name }), make("span", { className: "gap" }), this.cancel);
    this.element = make("li", {}, this.head, this.bar, this.status);
    list.append(this.element);
  }

  stop() {
    const at = waiting.indexOf(this);
    if (at >= 0) waiting.splice(at, 1);
    this.request?.abort();
    this.fail("You cancelled this import.", "plain");
  }

  start() {
    return new Promise((resolve) => {
      this.done = resolve;
      if (this.file.size > limit) return this.fail(`The file is too large: at most ${size(limit)} can be taken in.`);
      const request = new XMLHttpRequest();
      this.request = request;
      this.began = performance.now();
      const fresh = growing();
      const how = this.disarm ? "&disarm=true" : "";
      request.open("POST", `/models/upload?name=${encodeURIComponent(this.file.name)}${how}`);
      request.setRequestHeader("X-Form-Token", token);
      request.setRequestHeader("Content-Type", "application/octet-stream");
      request.upload.onprogress = (event) => this.sent(event.loaded, event.total);
      request.onprogress = () => { if (request.status === 200) fresh(request.responseText).forEach((told) => this.told(told)); };
      request.onload = () => {
        if (request.status !== 200) return this.refused(request);
        fresh(request.responseText).forEach((told) => this.told(told));
        if (!this.over) this.lost();
      };
      request.onerror = () => this.lost();
      request.send(this.file);
    });
  }

  show(stage, done, total) {
    this.bar.max = Math.max(total, 1);
    this.bar.value = done;
    const percent = total > 0 ? Math.floor((done / total) * 100) : 0;
    const seconds = (performance.now() - this.began) / 1000;
    const speed = stage === "receiving" && seconds > 1 ? `, ${size(done / seconds)}/s` : "";
    this.status.textContent = `${DOING[stage]} … ${percent} % of ${size(total)}${speed}`;
    this.element.dataset.stage = stage;
  }

  sent(done, total) {
    if (!this.inspecting) this.show("receiving", done, total);
  }

  told(told) {
    if (told.event === "progress" && told.stage in DOING) {
      this.id = told.id;
      if (told.stage === "receiving") return;
      this.inspecting = true;
      this.cancel.hidden = true;
      this.show(told.stage, told.done_bytes, told.total_bytes);
    } else if (told.event === "ended") {
      this.ended(told.submission);
    } else if (told.event === "failed") {
      this.fail(sentence(told.problem));
    }
  }

  async ended(submission) {
    this.over = true;
    this.bar.remove();
    this.cancel.remove();
    this.element.dataset.stage = submission.stage;
    this.status.textContent = { admitted: "Admitted.", refused: "Refused.", failed: "Failed." }[submission.stage] ?? "";
    try {
      const page = await fetchPage(`/models/submissions/${encodeURIComponent(submission.id)}`);
      const verdict = document.importNode(page.querySelector("#verdict"), true);
      verdict.removeAttribute("id");
      verdict.classList.add("verdict");
      dress(verdict);
      this.status.remove();
      this.element.append(verdict);
    } catch {
      this.status.textContent += " The report could not be loaded; see below.";
    }
    this.finish();
  }

  refused(request) {
    let problem = null;
    try { problem = JSON.parse(request.responseText); } catch { /* No reason was given. */ }
    this.fail(sentence(problem));
  }

  /** The server may have ended the connection because it does not want the rest: then it has written down why. */
  lost() {
    if (!this.over) this.fail("The connection broke off before the file had arrived whole. If there was a reason, it stands in the list below.");
  }

  fail(text, tone = "bad") {
    if (this.over) return;
    this.over = true;
    this.bar.remove();
    this.cancel.remove();
    this.status.remove();
    this.element.dataset.stage = "failed";
    const note = make("p", { className: `note ${tone}`, textContent: text });
    note.setAttribute("role", "alert");
    this.element.append(note);
    this.finish();
  }

  finish() {
    this.done?.();
    update();
  }
}

async function update() {
  try {
    const page = await fetchPage("/models");
    take(page, "#registry");
    take(page, "#submissions");
  } catch { /* The lists stay as they are until the page is reloaded. */ }
  watch();
}

let watching = null;
function watch() {
  clearTimeout(watching);
  if (document.querySelector('#submissions [data-stage="running"]')) watching = setTimeout(update, 2000);
}

async function work() {
  if (running) return;
  while ((running = waiting.shift() ?? null)) await running.start();
}

function add(files) {
  for (const file of files) waiting.push(new Import(file));
  work();
}

input.addEventListener("change", () => { add([...input.files]); input.value = ""; });
for (const kind of ["dragover", "drop"]) document.addEventListener(kind, (event) => event.preventDefault());
document.addEventListener("dragover", () => drop.classList.add("over"));
document.addEventListener("dragleave", (event) => { if (!event.relatedTarget) drop.classList.remove("over"); });
document.addEventListener("drop", (event) => {
  drop.classList.remove("over");
  add([...event.dataTransfer.files]);
});
addEventListener("beforeunload", (event) => { if (running && !running.inspecting) event.preventDefault(); });
watch();
