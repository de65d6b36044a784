// The live table and the totals: fetched as fragments of our own server. Without this the page shows the same on reload.

const TOTALS_EVERY_S = 15;

async function fragment(url) {
  const answer = await fetch(url, { headers: { Accept: "text/html" }, redirect: "manual" });
  return answer.ok ? answer.text() : null;
}

// Nothing moves under somebody who marks a text or fills in a form.
function isBusy(region) {
  const marked = getSelection();
  const typing = region.contains(document.activeElement) && document.activeElement.matches("input, select, textarea");
  return typing || (marked && !marked.isCollapsed && region.contains(marked.anchorNode));
}

// Puts new rows in place; whoever stood on a link with the keyboard stands on the same link afterwards.
function put(region, html) {
  const focused = region.contains(document.activeElement) ? document.activeElement : null;
  const address = focused?.getAttribute("href");
  const shift = region.querySelector(".scroll")?.scrollLeft ?? 0;
  const unfolded = [...region.querySelectorAll("details[open][data-key]")].map((details) => details.dataset.key);
  const parsed = new DOMParser().parseFromString(html, "text/html");
  region.replaceChildren(...parsed.body.childNodes);
  const scroll = region.querySelector(".scroll");
  if (scroll) scroll.scrollLeft = shift;
  for (const key of unfolded) region.querySelector(`details[data-key="${CSS.escape(key)}"]`)?.setAttribute("open", "");
  for (const copy of region.querySelectorAll("button[data-copy]")) copy.hidden = false;
  if (address) region.querySelector(`a[href="${CSS.escape(address)}"]`)?.focus({ preventScroll: true });
  else if (focused?.classList.contains("scroll")) scroll?.focus({ preventScroll: true });
}

function keep(region, url, everySeconds, isOn) {
  let last = "";
  const look = async () => {
    if (document.hidden || !isOn() || isBusy(region)) return;
    try {
      const html = await fragment(url);
      if (html !== null && html !== last) {
        if (last || region.dataset.totals) put(region, html);
        last = html;
      }
    } catch {
      // the server is away for a moment: the next look tries again
    }
  };
  if (everySeconds) setInterval(look, everySeconds * 1000);
  document.addEventListener("visibilitychange", look);
  return look;
}

const rows = document.querySelector("[data-rows][data-every]");
const button = document.querySelector("[data-live]");
const isOn = () => !button || button.getAttribute("aria-pressed") === "true";

if (rows) keep(rows, rows.dataset.rows, Number(rows.dataset.every), isOn)();
if (button) {
  button.hidden = false;
  button.addEventListener("click", () => button.setAttribute("aria-pressed", String(!isOn())));
}

const totals = document.querySelector("[data-totals]");
if (totals) keep(totals, totals.dataset.totals, rows ? TOTALS_EVERY_S : 0, isOn)();
