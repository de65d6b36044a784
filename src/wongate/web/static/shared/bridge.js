// Between the platform and NICEPAY's window (N-1). Loaded before NICEPAY's script, so that this listener is asked first.
"use strict";
(() => {
  const { trusted, script, result, return: back } = document.currentScript.dataset;
  const nonce = document.currentScript.nonce;

  // NICEPAY's script believes every message. Only those of its own hosts get through to it.
  const isTrusted = (origin) =>
    origin === location.origin ||
    trusted.split(" ").some((pattern) => {
      const [scheme, host] = pattern.split("://");
      const { protocol, hostname, port } = new URL(origin);
      return protocol === `${scheme}:` && port === "" && (host === hostname || (host.startsWith("*.") && hostname.endsWith(host.slice(1))));
    });
  addEventListener(
    "message",
    (event) => {
      if (event.origin === "null" || !isTrusted(event.origin)) event.stopImmediatePropagation();
    },
    true,
  );

  addEventListener("DOMContentLoaded", () => {
    const form = document.getElementById("window");
    // Not form.submit(): a field of the form may be called "submit".
    const send = () => HTMLFormElement.prototype.submit.call(form);
    history.replaceState(null, "", result);
    if (!script) return send();

    const layer = document.createElement("script");
    layer.nonce = nonce;
    layer.src = script;
    layer.onerror = send;
    layer.onload = () => {
      const opened = form.action;
      form.action = back;
      // The names are fixed by NICEPAY: authenticated, and closed by the payer.
      window.nicepaySubmit = send;
      window.nicepayClose = () => location.replace(result);
      try {
        window.goPay(form);
      } catch {
        form.action = opened;
        send();
      }
    };
    document.head.append(layer);
  });
})();
