// Set-up and sign-in: how good a passphrase is, and how long to wait.

const chosen = document.querySelector('input[autocomplete="new-password"][name="passphrase"]');
const confirmation = document.getElementById("confirmation");
const strength = document.getElementById("strength");

function judge(text) {
  if (text.length === 0) return "";
  const length = [...text].length;
  if (length < 12) return `${12 - length} more characters needed.`;
  const different = new Set(text.toLowerCase()).size;
  const words = text.split(/[^\p{L}\p{N}]+/u).filter((word) => word.length > 2).length;
  if (different < 5) return "Too few different characters.";
  if (words >= 4 || length >= 20) return "Strong.";
  if (words >= 3 || different >= 10) return "Good. Longer is stronger.";
  return "Weak. Add a word or two.";
}

function compare() {
  const differs = confirmation.value !== "" && confirmation.value !== chosen.value;
  confirmation.setCustomValidity(differs ? "The two passphrases are not the same." : "");
}

if (chosen && strength && confirmation) {
  chosen.addEventListener("input", () => { strength.textContent = judge(chosen.value); compare(); });
  confirmation.addEventListener("input", compare);
}

const wait = document.getElementById("wait");
if (wait) {
  const button = document.querySelector('button[type="submit"]');
  const shown = wait.querySelector("span");
  const until = Date.now() + Number(wait.dataset.seconds) * 1000;
  button.disabled = true;
  const tick = () => {
    const left = Math.ceil((until - Date.now()) / 1000);
    if (left > 0) {
      shown.textContent = left === 1 ? "1 second" : `${left} seconds`;
      setTimeout(tick, 250);
      return;
    }
    wait.hidden = true;
    button.disabled = false;
  };
  tick();
}
