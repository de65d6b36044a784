// Watches a file being made: the part of the page that changes is fetched once a second; when the file is there the page is
// loaded anew, since more can be done then.

const EVERY_MS = 1000;
const part = document.querySelector("[data-watch]");

const isBeingMade = () => part.querySelector("[data-state]")?.dataset.state === "waiting";
const isBeingSent = () => part.querySelector("table .badge.wait") !== null;

async function look() {
  const wasBeingMade = isBeingMade();
  if (!wasBeingMade && !isBeingSent()) return;
  if (!document.hidden) {
    try {
      const answer = await fetch(part.dataset.watch, { headers: { Accept: "text/html" }, redirect: "manual" });
      if (answer.ok) {
        const parsed = new DOMParser().parseFromString(await answer.text(), "text/html");
        part.replaceChildren(...parsed.body.childNodes);
        if (wasBeingMade && !isBeingMade()) location.reload();
      }
    } catch {
      // the server is away for a moment: the next look tries again
    }
  }
  setTimeout(look, EVERY_MS);
}

if (part) setTimeout(look, EVERY_MS);
