// Tiles are dragged by their grip, with mouse, pen or finger. The buttons of a tile's menu do the same without this.

const board = document.querySelector(".board");
const status = document.querySelector("[data-announce]");
const EDGE_PX = 80;

const tiles = () => [...board.querySelectorAll(":scope > .tile")];

// What the server keeps is sent in the order it happened, one move after the other.
let sent = Promise.resolve();

function keep(tile) {
  const place = tiles().indexOf(tile);
  const form = new URLSearchParams({ csrf: tile.querySelector("[name=csrf]").value, place });
  sent = sent.then(() => fetch(tile.dataset.move, { method: "POST", body: form, redirect: "manual" })).then(
    (answer) => {
      if (answer.type !== "opaqueredirect") location.reload(); // refused: show what the server has
    },
    () => location.reload(),
  );
  const title = tile.querySelector("h2").textContent;
  status.textContent = board.dataset.moved.replace("%(title)s", title).replace("%(place)s", place + 1);
}

function drag(tile, grip, start) {
  const before = tiles();
  let over = null;
  grip.setPointerCapture(start.pointerId);
  tile.classList.add("dragged");

  const move = (event) => {
    if (event.clientY < EDGE_PX) scrollBy(0, -EDGE_PX / 4);
    if (event.clientY > innerHeight - EDGE_PX) scrollBy(0, EDGE_PX / 4);
    const under = document.elementFromPoint(event.clientX, event.clientY)?.closest(".tile");
    if (!under || under === tile) over = null;
    if (!under || under === tile || under === over) return; // changed places already: no flickering
    over = under;
    if (tiles().indexOf(under) > tiles().indexOf(tile)) under.after(tile);
    else under.before(tile);
    grip.setPointerCapture(start.pointerId); // moving an element in the page lets go of the pointer
  };
  const end = (event) => {
    tile.classList.remove("dragged");
    for (const [name, listener] of listeners) removeEventListener(name, listener);
    if (event.type === "pointerup") {
      if (tiles().some((one, place) => one !== before[place])) keep(tile);
    } else board.append(...before);
  };
  const escape = (event) => { if (event.key === "Escape") end(event); };
  const listeners = [["pointermove", move], ["pointerup", end], ["pointercancel", end], ["keydown", escape]];
  for (const [name, listener] of listeners) addEventListener(name, listener);
}

for (const tile of tiles()) {
  const grip = tile.querySelector(".grip");
  grip.hidden = false;
  grip.addEventListener("pointerdown", (event) => {
    if (event.button !== 0) return;
    event.preventDefault();
    drag(tile, grip, event);
  });
}
