// Small comforts; every page works without them.

const status = document.querySelector("[data-announce]");

// A copy button names its text or stands behind it. It may come later with a piece of the page that is fetched anew: one
// listener serves them all.
for (const button of document.querySelectorAll("button[data-copy]")) button.hidden = false;
document.addEventListener("click", async (event) => {
  const button = event.target.closest?.("button[data-copy]");
  if (!button) return;
  try {
    await navigator.clipboard.writeText(button.dataset.copy || button.previousElementSibling.textContent);
  } catch {
    return; // the text itself can be marked and copied by hand
  }
  const before = button.textContent;
  if (before === button.dataset.done) return; // pressed again: it says so already
  button.textContent = button.dataset.done;
  if (status) status.textContent = button.dataset.done;
  setTimeout(() => { button.textContent = before; }, 1500);
});

// A message is said once: reloading the page does not say it again.
const here = new URL(location.href);
if (here.searchParams.has("said")) {
  here.searchParams.delete("said");
  history.replaceState(null, "", here);
}

// A form that was sent is not sent twice by an impatient finger.
for (const form of document.querySelectorAll("form[method=post]")) {
  form.addEventListener("submit", (event) => {
    if (form.dataset.sent) event.preventDefault();
    form.dataset.sent = "yes";
    setTimeout(() => { delete form.dataset.sent; }, 4000); // a download leaves the page where it is
  });
}
addEventListener("pageshow", () => {
  for (const form of document.querySelectorAll("form[data-sent]")) delete form.dataset.sent;
});

// A save button wakes up once its form is valid.
for (const form of document.querySelectorAll("form[data-until-valid]")) {
  const button = form.querySelector("button[type=submit]");
  const look = () => { button.disabled = !form.checkValidity(); };
  form.addEventListener("input", look);
  look();
}
