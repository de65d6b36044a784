// Everything here is comfort: without this file the window pays, cancels and returns all the same.
"use strict";

// The script of a PC shop waits for these messages; only the origin that embedded the window may read them.
function tellEmbedder() {
  const { message, origin } = document.body.dataset;
  if (message && window.parent !== window) {
    window.parent.postMessage(JSON.parse(message), origin);
  }
}

function countDown() {
  const line = document.querySelector("[data-seconds]");
  if (!line) return;
  const end = Date.now() + Number(line.dataset.seconds) * 1000;
  const face = line.querySelector("[data-clock]");
  let warned = false;
  line.querySelector("[data-countdown]").hidden = false;
  const tick = () => {
    const left = Math.max(0, Math.round((end - Date.now()) / 1000));
    face.textContent = `${Math.floor(left / 60)}:${String(left % 60).padStart(2, "0")}`;
    if (left <= 60 && !warned) {
      warned = true;
      document.querySelector("[data-announce]").textContent = line.dataset.warning;
    }
    if (left === 0) window.location.replace(window.location.href);
    else window.setTimeout(tick, 1000);
  };
  tick();
}

tellEmbedder();
countDown();
document.querySelector("form[data-by-itself]")?.submit();
