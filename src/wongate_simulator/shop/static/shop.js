// The shop works without this file. With it, pages show callbacks as they arrive, and texts can be copied.

// A page that watches an order either reloads or renews its live parts when something new is known.
const watched = document.querySelector("[data-watch]");
if (watched) {
  const events = new EventSource(watched.dataset.watch);
  events.onmessage = watched.dataset.onChange === "reload" ? () => location.reload() : renew;
  addEventListener("pagehide", () => events.close());
}

async function renew() {
  const answer = await fetch(location.href);
  const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
  for (const part of document.querySelectorAll("[data-live]")) {
    // Nobody's half-typed amount is thrown away.
    if (part.contains(document.activeElement) && document.activeElement.matches("input")) continue;
    renewPart(part, fresh.getElementById(part.id));
  }
  const newest = document.querySelector("#story .story > li:last-child .what");
  document.getElementById("heard").textContent = newest ? newest.textContent : "";
}

function renewPart(part, fresh) {
  const focused = document.activeElement.closest("[id]")?.id;
  for (const open of part.querySelectorAll("details[open]")) {
    fresh.querySelector("#" + open.id)?.setAttribute("open", "");
  }
  part.replaceChildren(...fresh.childNodes);
  prepare(part);
  if (focused && !document.activeElement.closest("#" + CSS.escape(focused))) {
    document.querySelector(`#${CSS.escape(focused)} summary`)?.focus();
  }
}

// Times in the reader's own zone, which the server cannot know; a button beside each text to copy.
function prepare(part) {
  for (const time of part.querySelectorAll("time")) {
    const moment = new Date(time.dateTime), language = document.documentElement.lang;
    const today = moment.toDateString() === new Date().toDateString();
    time.textContent = today ? moment.toLocaleTimeString(language) : moment.toLocaleString(language);
    time.title = moment.toLocaleString(language, { dateStyle: "long", timeStyle: "long" });
  }
  for (const figure of part.querySelectorAll("figure.raw")) {
    const button = document.createElement("button");
    button.className = "copy";
    button.textContent = document.body.dataset.copy;
    button.onclick = async () => {
      await navigator.clipboard.writeText(figure.querySelector("pre").textContent);
      button.textContent = document.body.dataset.copied;
    };
    figure.querySelector("figcaption").append(button);
  }
}

prepare(document);

// A form is sent once, however often its button is pressed.
addEventListener("submit", (event) => {
  if (event.target.dataset.sent) event.preventDefault();
  event.target.dataset.sent = "yes";
});
addEventListener("pageshow", () => {
  for (const form of document.forms) delete form.dataset.sent;
});
