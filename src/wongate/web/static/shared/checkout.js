// The payment page works without this file, except inside a merchant's page. With it the page counts down, moves on by itself,
// speaks with merchant.js, and keeps the signature out of the address bar.
"use strict";
(() => {
  const page = document.body;
  const data = page.dataset;
  const [SENT, FURTHER] = ["#sent", "#on"];
  const byId = (id) => document.getElementById(id);
  // Not form.submit(): a field of the form may be called "submit".
  const send = (form) => HTMLFormElement.prototype.submit.call(form);

  // --- the merchant's page around us (section 7.4) ---

  const framed = window.parent !== window;
  const origins = data.origins.split(" ").filter(Boolean);
  // merchant.js names its frame after its guid; the name outlives our own change of pages.
  let guid = /^iframe-([0-9a-f-]+)$/.exec(window.name)?.[1];
  let parent = "";
  let unsent = [];
  // The frame goes through several pages of ours, but is loaded once: the fragment tells the first from the further ones.
  const isFurther = data.page === "handoff" || location.hash === FURTHER || location.hash === SENT;

  const isRegistered = (origin) =>
    origins.some((known) =>
      known.endsWith(":*")
        ? `${origin}:`.startsWith(known.slice(0, -1)) && /^(:\d+)?$/.test(origin.slice(known.length - 2))
        : origin === known,
    );

  // Only a registered parent hears anything, and each message is addressed to it alone.
  function say(name, content = {}) {
    if (!framed) return;
    const message = { message: `epframe.${name}`, data: content };
    if (!parent) return void unsent.push(message);
    window.parent.postMessage(JSON.stringify({ ...message, ...(guid ? { guid } : { from_another_domain: true }) }), parent);
  }

  function meet(origin) {
    if (parent || !isRegistered(origin)) return;
    parent = origin;
    say(isFurther ? "resize" : "loaded", size());
    const waiting = unsent;
    unsent = [];
    for (const { message, data: content } of waiting) say(message.slice(8), content);
  }

  const size = () => ({ width: document.documentElement.clientWidth, height: Math.ceil(page.getBoundingClientRect().height) });

  function hear(event) {
    if (event.source !== window.parent || !isRegistered(event.origin)) return;
    let message;
    try {
      message = JSON.parse(event.data);
    } catch {
      return;
    }
    if (!message || typeof message !== "object") return;
    if (message.message === "link" && typeof message.guid === "string") guid = message.guid;
    meet(event.origin);
    orders[message.message]?.(message);
  }

  const orders = {
    resize: () => say("resize", size()),
    "epframe.external_widget_form_submission": press,
    // The shop has the last word on what its own button began.
    "epframe.embedded_mode.try_submit": () => say("embedded_mode.check_submit", {}),
    "epframe.embedded_mode.check_submit.result": ({ data: answer }) => answer?.result === true && press(),
    "epframe.embedded_mode.buttons_disable": () => payForm && allow(false),
    "epframe.embedded_mode.buttons_enable": () => payForm && allow(true),
    "epframe.embedded_mode.check_validation": () => say("embedded_mode.check_validation_response", {}),
    "epframe.embedded_mode.submit": ({ fields }) => {
      const signed = signedAnew(fields || {});
      if (payForm && signed.has("signature")) payForm.elements.opened.value = String(signed);
      press();
    },
  };

  // A shop signs its parameters anew after the order was placed, or sends nothing more. Shop plugins rename what is about the
  // payer, `BillingInfo[customer_email]`, and add a country that nobody signed.
  const signedAnew = (fields) =>
    new URLSearchParams(
      Object.entries(fields)
        .filter(([name]) => name !== "BillingInfo[country]")
        .map(([name, value]) => [name.replace(/^BillingInfo\[(\w+)\]$/, "$1"), value]),
    );

  if (framed) {
    page.classList.add("framed");
    addEventListener("message", hear);
    new ResizeObserver(() => parent && say("resize", size())).observe(page);
    // Browsers that tell us who is around us need not wait for merchant.js to say so.
    if (guid && location.ancestorOrigins) meet(location.ancestorOrigins[0]);
    for (const button of document.querySelectorAll("[data-leave]")) {
      button.hidden = false;
      button.addEventListener("click", () => {
        if (data.page !== "result") say("destroy");
        say("exit");
      });
    }
  }

  // --- the form ---

  const payForm = byId("pay");
  let sent = false;

  function press() {
    if (payForm && !sent) payForm.requestSubmit();
  }

  function allow(yes) {
    const button = payForm.querySelector(".main");
    sent = !yes;
    if (yes) button.removeAttribute("aria-disabled");
    else button.setAttribute("aria-disabled", "true");
  }

  function busy(yes) {
    allow(!yes);
    byId("progress").textContent = yes ? byId("progress").dataset.busy : "";
  }

  // Payco opens in a new tab: this page finds out about the payment by opening itself again (E-29).
  async function follow(tries) {
    const body = new URLSearchParams({ opened: payForm.elements.opened.value });
    const answer = await fetch("/payment/again", { method: "POST", body }).catch(() => null);
    if (answer?.url.includes("/result/")) location.replace(answer.url + SENT);
    else if (tries) setTimeout(() => follow(tries - 1), 1000);
    else busy(false);
  }

  if (payForm) {
    payForm.addEventListener("submit", (event) => {
      if (sent) return event.preventDefault();
      busy(true);
      say("payment.sent");
      if (payForm.target) setTimeout(() => follow(15), 800);
    });
    payForm.addEventListener("keydown", (event) => event.key === "Enter" && say("enter_key_pressed"));
    const chosen = () => {
      const radio = payForm.querySelector("[name=method]:checked");
      if (radio) say("payment_method.select", { name: radio.dataset.name, payment_method_type: "2", payment_method_code: radio.value });
    };
    payForm.addEventListener("change", chosen);
    chosen();
    addEventListener("pageshow", (event) => event.persisted && busy(false));
    // The signature leaves the address bar; a reload finds it in the history, which only this tab can read.
    history.replaceState({ opened: payForm.elements.opened.value, language: document.documentElement.lang }, "", "/payment");
  }

  const reload = byId("reload");
  if (reload && history.state?.opened) {
    reload.elements.opened.value = history.state.opened;
    reload.elements.language.value = history.state.language;
    send(reload);
  }

  for (const form of document.querySelectorAll("form[data-tell]")) {
    if (isFurther) form.action += FURTHER;
    form.addEventListener("submit", () => say(form.dataset.tell));
  }

  // --- to the window ---

  const handoff = byId("handoff");
  if (handoff) {
    // The way back from Payco leads to the page that waits, not here again.
    history.replaceState(null, "", data.result);
    if (!framed || "inFrame" in data) {
      if (data.requestId) say("payment.submit_result", { request_id: data.requestId });
      say("redirect_iframe");
      send(handoff);
    } else {
      say("payment.submit_result", { request_id: data.requestId });
      const fields = [...new FormData(handoff)];
      say("acs_parent_page_redirect_run", { method: handoff.method, url: handoff.action, body: Object.fromEntries(fields) });
      setTimeout(() => location.replace(data.result + FURTHER), 5000);
    }
  }

  const resend = document.querySelector("form[data-resend]");
  if (resend) setTimeout(() => send(resend), 4000);

  // --- waiting, and the result ---

  if (location.hash === SENT) {
    say("payment.submit_result", { request_id: data.requestId });
    history.replaceState(null, "", FURTHER);
  }
  if (data.events) {
    const events = new EventSource(data.events);
    events.onmessage = () => location.reload();
    events.onerror = () => events.readyState === EventSource.CLOSED && setTimeout(() => location.reload(), 4000);
    addEventListener("pagehide", () => events.close());
    addEventListener("pageshow", (event) => event.persisted && location.reload());
    setTimeout(() => document.querySelector("[data-later]")?.removeAttribute("hidden"), 20000);
  }

  function leave() {
    const { exitUrl: url, exitMode: mode } = data;
    if (mode === "parent_page") say("redirect", { url });
    else if (mode === "blank_page") window.open(url, "_blank", "noopener");
    else location.replace(url);
  }

  if (data.outcome && framed) {
    if ("inFrame" in data) say("redirect_iframe_complete");
    if (data.terminal) say(data.outcome === "success" ? "payment.success" : "payment.fail", JSON.parse(data.terminal));
    // Once the parent has been met it has been told; a parent that never speaks must not keep the payer here.
    if (data.exitUrl) {
      const began = Date.now();
      const timer = setInterval(() => {
        if (!parent && Date.now() - began < 2000) return;
        clearInterval(timer);
        leave();
      }, 100);
    }
  } else if (data.exitUrl && data.exitMode === "blank_page") {
    leave();
  }
  if (data.page === "refused") say("fail_loading", { message: data.message });
  if (data.page === "closed") window.close();

  // --- time ---

  const clock = document.querySelector("[data-seconds]");
  if (clock) {
    const end = performance.now() + Number(clock.dataset.seconds) * 1000;
    const time = clock.querySelector("time");
    time.textContent = new Date(time.dateTime).toLocaleTimeString(document.documentElement.lang, { hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
    const face = clock.querySelector("[data-face]");
    clock.classList.add("runs");
    const voice = clock.querySelector("[data-say]");
    let announced = Infinity;
    const tick = () => {
      const left = Math.max(0, Math.ceil((end - performance.now()) / 1000));
      const hours = Math.floor(left / 3600);
      const parts = [Math.floor((left % 3600) / 60), left % 60].map((part) => String(part).padStart(2, "0"));
      face.textContent = (hours ? [String(hours), ...parts] : parts).join(":");
      clock.classList.toggle("short", left <= 300);
      for (const [limit, text] of [[300, clock.dataset.five], [60, clock.dataset.one]]) {
        if (left <= limit && announced > limit) {
          announced = limit;
          voice.textContent = text;
        }
      }
      if (left) setTimeout(tick, 1000);
      else setTimeout(renew, 1500);
    };
    const renew = () => {
      if (!payForm) return location.reload();
      payForm.action = "/payment/again";
      payForm.target = "";
      send(payForm);
    };
    tick();
  }

  // --- the network ---

  const network = () => (byId("offline").textContent = navigator.onLine ? "" : data.offline);
  addEventListener("offline", network);
  addEventListener("online", () => {
    network();
    if (data.events) location.reload();
  });
})();
