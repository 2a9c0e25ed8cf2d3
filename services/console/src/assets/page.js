// What every page has: asking before something is deleted, copy buttons, local times, menus that close.

import { dress, make, token } from "./dom.js";

dress(document);

const dialog = document.getElementById("ask");
let target = null;

document.addEventListener("click", (event) => {
  const link = event.target.closest("a[data-ask]");
  if (!link || !dialog?.showModal) return;
  event.preventDefault();
  target = link.getAttribute("href");
  document.getElementById("ask-title").textContent = link.dataset.ask;
  document.getElementById("ask-text").textContent = link.dataset.text;
  document.getElementById("ask-yes").textContent = link.dataset.yes;
  dialog.returnValue = "no";
  dialog.showModal();
});

dialog?.addEventListener("close", () => {
  if (dialog.returnValue !== "yes" || !target) return;
  const form = make("form", { method: "post", action: target, hidden: true });
  form.append(make("input", { type: "hidden", name: "form_token", value: token }));
  document.body.append(form);
  form.submit();
});

function closeMenus(except) {
  for (const menu of document.querySelectorAll("details.menu[open]")) {
    if (menu !== except) menu.open = false;
  }
}

document.addEventListener("click", (event) => closeMenus(event.target.closest("details.menu")));
document.addEventListener("keydown", (event) => {
  if (event.key !== "Escape") return;
  const open = document.querySelector("details.menu[open]");
  if (open) {
    closeMenus();
    open.querySelector("summary").focus();
  }
});

if (matchMedia("(max-width: 760px)").matches) {
  document.getElementById("history")?.removeAttribute("open");
}
