// Chatting: sends a message, shows the answer word by word as plain text, and at its end as the tree that the server made.

import { fetchPage, make, sentence, take, token, tree } from "./dom.js";
import { lines } from "./lines.js";

const $ = (id) => document.getElementById(id);
const chat = $("chat");
const messages = $("messages");
const scroll = $("scroll");
const prompt = $("prompt");
const send = $("send");
const stop = $("stop");
const again = $("again");

let conversation = chat.dataset.conversation;
let running = null;

function say(text, bad = false) {
  const status = $("status");
  status.textContent = text;
  status.classList.toggle("bad", bad);
}

function settings() {
  const number = (id) => ($(id).value === "" ? null : Number($(id).value));
  return { temperature: number("temperature"), max_tokens: number("max-tokens"), system: $("system").value };
}

function refresh() {
  const busy = running !== null;
  const last = messages.lastElementChild;
  send.hidden = busy;
  stop.hidden = !busy;
  send.disabled = prompt.disabled || prompt.value.trim() === "";
  again.hidden = busy || prompt.disabled || !last?.matches(".turn");
  messages.setAttribute("aria-busy", String(busy));
}

function grow() {
  prompt.style.height = "auto";
  prompt.style.height = `${prompt.scrollHeight}px`;
}

const narrow = matchMedia("(max-width: 760px)");
const scroller = () => (narrow.matches ? document.scrollingElement : scroll);
const atEnd = () => scroller().scrollHeight - scroller().scrollTop - scroller().clientHeight < 80;
const toEnd = () => { scroller().scrollTop = scroller().scrollHeight; };

function turn(kind, text) {
  const heading = make("h2", { className: "away", textContent: kind === "user" ? "You" : "Answer" });
  return make("article", { className: `turn ${kind}` }, heading, text);
}

function listed(id, title) {
  const link = make("a", { href: `/chat/${id}`, textContent: title });
  link.setAttribute("aria-current", "page");
  $("none")?.remove();
  $("conversations")?.prepend(make("li", {}, link));
}

/** One answer on its way. */
class Answer {
  constructor(replaced) {
    this.text = document.createTextNode("");
    this.body = make("div", { className: "text coming" }, this.text);
    this.element = turn("assistant", this.body);
    this.replaced = replaced;
    this.abort = new AbortController();
    this.ended = false;
    messages.append(this.element);
  }

  take(told) {
    const follow = atEnd();
    switch (told.event) {
      case "begun": this.begun(told); break;
      case "queued": say(told.ahead === 1 ? "Waiting behind one other request …" : `Waiting behind ${told.ahead} other requests …`); break;
      case "loading": say("Loading the model …"); break;
      case "shortened": this.shortened = told.omitted; break;
      case "text":
        this.replaced?.remove();
        this.replaced = null;
        this.text.appendData(told.text);
        say(this.shortened ? "Earlier messages no longer fit into the model's context and were left out." : "Writing …");
        break;
      case "ended": this.end(told); break;
    }
    if (follow) toEnd();
  }

  begun(told) {
    say("Waiting for the model …");
    if (conversation !== "") return;
    conversation = told.conversation;
    chat.dataset.conversation = conversation;
    this.isFirst = true;
    history.replaceState(null, "", `/chat/${conversation}`);
    document.title = `${told.title} · Holdfast`;
    $("title").textContent = told.title;
    listed(conversation, told.title);
  }

  end(told) {
    this.ended = true;
    const nothing = told.nodes.length === 0;
    this.body.classList.remove("coming");
    this.body.replaceChildren(tree(told.nodes));
    this.element.dataset.state = told.state;
    if (told.note) {
      const tone = { failed: "bad", interrupted: "warn" }[told.state] ?? "plain";
      this.element.append(make("p", { className: `note ${tone}`, textContent: told.note }));
    }
    this.element.append(make("p", { className: "caption", textContent: told.caption }));
    if (nothing && this.replaced) {
      // Another answer was asked for and did not come: the old one is still there, and still on disk.
      say(told.note ?? "There is no other answer.", true);
      this.element.remove();
      return;
    }
    say(this.shortened ? "Earlier messages no longer fit into the model's context and were left out." : "");
  }

  lost(text) {
    if (this.ended) return;
    this.body.classList.remove("coming");
    if (this.text.data === "") this.element.remove();
    else this.element.append(make("p", { className: "note warn", textContent: text }));
    say(text, true);
  }
}

async function ask(text) {
  const last = messages.lastElementChild;
  const replaced = text === null && last?.matches(".turn.assistant") ? last : null;
  const question = text === null ? null : turn("user", make("div", { className: "text typed", textContent: text }));
  $("welcome")?.remove();
  if (question) messages.append(question);
  const answer = new Answer(replaced);
  running = answer;
  refresh();
  toEnd();
  say("Sending …");
  const body = { model: $("model").value, settings: settings() };
  if (conversation !== "") body.conversation = conversation;
  if (text !== null) body.text = text;
  try {
    const response = await fetch("/chat/answer", {
      method: "POST",
      headers: { "Content-Type": "application/json", "X-Form-Token": token },
      body: JSON.stringify(body),
      signal: answer.abort.signal,
    });
    if (!response.ok) {
      const problem = await response.json().catch(() => null);
      answer.lost(sentence(problem));
      // Nothing was said: the message goes back to where it was written.
      question?.remove();
      if (text !== null && prompt.value === "") prompt.value = text;
      return;
    }
    for await (const told of lines(response)) answer.take(told);
    answer.lost("The connection was lost. Reload the page to see what was kept.");
  } catch {
    answer.lost(answer.abort.signal.aborted ? "Stopped." : "The connection was lost. Reload the page to see what was kept.");
  } finally {
    running = null;
    refresh();
    grow();
    if (answer.isFirst) {
      // Now it can be renamed and deleted.
      fetchPage(`/chat/${conversation}`).then((page) => take(page, ".bar")).catch(() => {});
    }
  }
}

$("composer").addEventListener("submit", (event) => {
  event.preventDefault();
  const text = prompt.value.trim();
  if (running || prompt.disabled || text === "") return;
  for (const id of ["temperature", "max-tokens"]) {
    if (!$(id).checkValidity()) {
      $("settings").open = true;
      $(id).reportValidity();
      return;
    }
  }
  prompt.value = "";
  grow();
  ask(text);
});

prompt.addEventListener("input", () => { grow(); refresh(); });
prompt.addEventListener("keydown", (event) => {
  if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
    event.preventDefault();
    $("composer").requestSubmit();
  }
});

async function stopAnswer() {
  const answer = running;
  if (!answer) return;
  stop.disabled = true;
  try {
    if (conversation === "") answer.abort.abort();
    else await fetch(`/chat/${conversation}/stop`, { method: "POST", headers: { "X-Form-Token": token } });
  } catch {
    answer.abort.abort();
  } finally {
    stop.disabled = false;
    prompt.focus();
  }
}

stop.addEventListener("click", stopAnswer);
document.addEventListener("keydown", (event) => {
  if (event.key === "Escape" && running && !document.querySelector("dialog[open], details.menu[open]")) stopAnswer();
});
again.addEventListener("click", () => { if (!running) ask(null); });

for (const list of document.querySelectorAll(".questions")) {
  list.hidden = false;
  list.addEventListener("click", (event) => {
    const text = event.target.closest("[data-question]")?.dataset.question;
    if (text && !running) ask(text);
  });
}

refresh();
grow();
if (messages.querySelector(".turn")) toEnd();
if (!prompt.disabled && !narrow.matches) prompt.focus();
