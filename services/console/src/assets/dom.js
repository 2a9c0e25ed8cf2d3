// Elements from data. There is no way from text to markup here: no innerHTML, no attribute that is made of a name from outside.

/** An element with properties and children. Children may be texts. */
export function make(name, properties = {}, ...children) {
  const element = document.createElement(name);
  Object.assign(element, properties);
  element.append(...children);
  return element;
}

const SIMPLE = {
  paragraph: "p", quote: "blockquote", item: "li", emphasis: "em", strong: "strong", strike: "del", row: "tr",
};
const HEADINGS = ["h3", "h4", "h5", "h6"];
const ALIGN = ["left", "center", "right"];

function one(node) {
  switch (node.is) {
    case "text": return document.createTextNode(node.text);
    case "heading": return make(HEADINGS[Math.min(node.level, 4) - 1] ?? "h6", {}, tree(node.inside));
    case "list": {
      if (node.start === undefined) return make("ul", {}, tree(node.inside));
      return make("ol", { start: Number(node.start) }, tree(node.inside));
    }
    case "code": {
      const pre = make("pre", { tabIndex: 0 }, make("code", {}, node.text));
      const figure = make("figure", { className: "code" }, make("figcaption", {}, node.language ?? ""), pre);
      addCopyButton(figure);
      return figure;
    }
    case "verbatim": return make("code", {}, node.text);
    case "link": {
      // The server lets http and https through only; a script that is wrong about that must not be followed either.
      if (!/^https?:\/\//i.test(node.target)) return document.createTextNode(node.target);
      return make("a", { href: node.target, target: "_blank", rel: "noopener noreferrer nofollow" }, node.target);
    }
    case "break": return make("br");
    case "rule": return make("hr");
    case "table": return make("div", { className: "table", tabIndex: 0 }, make("table", {}, tree(node.inside)));
    case "cell": {
      const className = ALIGN.includes(node.align) ? node.align : "left";
      return node.head ? make("th", { className, scope: "col" }, tree(node.inside)) : make("td", { className }, tree(node.inside));
    }
    default: {
      const name = Object.hasOwn(SIMPLE, node.is) ? SIMPLE[node.is] : undefined;
      return name ? make(name, {}, tree(node.inside)) : document.createTextNode("");
    }
  }
}

/** The elements of an answer, from the tree that the server made of it. Anything that is not in the list above is left out. */
export function tree(nodes) {
  const fragment = document.createDocumentFragment();
  for (const node of nodes) fragment.append(one(node));
  return fragment;
}

/** A button in a code block's caption that copies the code. */
export function addCopyButton(figure) {
  const caption = figure.querySelector("figcaption");
  const code = figure.querySelector("code");
  if (!caption || !code || caption.querySelector("button") || !navigator.clipboard) return;
  const button = make("button", { type: "button", className: "quiet", textContent: "Copy" });
  button.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(code.textContent.replace(/\n$/, ""));
      button.textContent = "Copied";
    } catch {
      button.textContent = "Not possible";
    }
    setTimeout(() => { button.textContent = "Copy"; }, 1500);
  });
  caption.append(button);
}

/** Times of the server in the reader's own time. */
export function localTimes(root) {
  const form = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" });
  for (const time of root.querySelectorAll("time[datetime]")) {
    const at = new Date(time.dateTime);
    if (!Number.isNaN(at.valueOf())) {
      time.title = time.dateTime;
      time.textContent = form.format(at);
    }
  }
}

/** What a page's parts need after they came: copy buttons, times. */
export function dress(root) {
  localTimes(root);
  for (const figure of root.querySelectorAll("figure.code")) addCopyButton(figure);
}

/** The form token of this session. */
export const token = document.querySelector('meta[name="form-token"]')?.content ?? "";

/** A page of this console as a document of its own, in which no script runs. */
export function fetchPage(path) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open("GET", path);
    request.responseType = "document";
    request.onload = () => (request.status === 200 && request.response ? resolve(request.response) : reject(new Error(`${request.status}`)));
    request.onerror = () => reject(new Error("no answer"));
    request.send();
  });
}

/** Replaces the element that `selector` names by the one in `page`. */
export function take(page, selector) {
  const fresh = page.querySelector(selector);
  const old = document.querySelector(selector);
  if (!fresh || !old) return;
  const imported = document.importNode(fresh, true);
  dress(imported);
  old.replaceWith(imported);
}

/** A problem of the server as one or two sentences. */
export function sentence(problem) {
  const end = (text) => {
    const capital = text.charAt(0).toUpperCase() + text.slice(1);
    return /[.!?…]$/.test(capital) ? capital : `${capital}.`;
  };
  if (!problem?.detail) return "Something went wrong. The console's log has the cause.";
  return problem.next ? `${end(problem.detail)} ${end(problem.next)}` : end(problem.detail);
}
