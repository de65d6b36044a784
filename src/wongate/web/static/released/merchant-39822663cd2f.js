// EPayWidget: opens the payment page from a merchant's page - as a window over it, in an element of it, or in its place.
// Protocol and names are ECommPay's (docs/payment-page.md); where theirs believes every message, this believes the page's origin.
(() => {
  "use strict";

  const SCRIPT = /\/shared\/merchant(-[0-9a-f]+)?\.js(\?.*)?$/;
  const CONTAINER = "ep-modal-container";
  const PATIENCE_MS = 5000;
  const BUTTONS = "epframe.embedded_mode.buttons_";
  const MODES = ["purchase", "payout", "card_tokenize", "card_verify", "money_transfer", "presentation"];
  const ONLY_CHANGES = { onResize: ["width", "height"], onAmountChange: ["value"], onTabChange: ["tab"] };
  // What shop plugins post to their own window for us to pass on.
  const RELAYED = ["epframe.embedded_mode.check_validation", "epframe.embedded_mode.submit"];
  const SHORT_NAMES = /^embedded_mode\.(check_submit|validation_error|show_loader|hide_loader|check_shipping_\w+|confirmation)$/;

  const byId = (id) => document.getElementById(id);
  // Loaders that evaluate what they have fetched leave no current script, or another one than ours.
  const script = [document.currentScript, ...document.scripts].find((one) => one && SCRIPT.test(one.src));

  const isWebUrl = (url) => {
    try {
      return /^https?:$/.test(new URL(url, location.href).protocol) && /^(https?:)?\/\//i.test(url);
    } catch {
      return false;
    }
  };

  const hiddenForm = (method, url, fields, target) => {
    const form = document.createElement("form");
    form.method = method;
    form.action = url;
    form.hidden = true;
    if (target) form.target = target;
    for (const [name, value] of Object.entries(fields)) {
      const input = document.createElement("input");
      input.type = "hidden";
      input.name = name;
      input.value = value;
      form.append(input);
    }
    document.body.append(form);
    HTMLFormElement.prototype.submit.call(form);
    form.remove();
  };

  // `epframe.payment.success` -> `onPaymentSuccess`
  const handlerName = (message) => {
    let name = message.replace("epframe.", "");
    if (SHORT_NAMES.test(name)) name = name.replace("embedded_mode.", "");
    return `on.${name}`.replace(/[_. ]+(.)?/g, (_, letter = "") => letter.toUpperCase());
  };

  class Widget {
    constructor(button, config, method) {
      this.guid = library.guid(4);
      this.config = config;
      this.method = String(method || "get").toLowerCase();
      this.frameMode = "tab";
      this.iframe = null;
      this.loaded = false;
      this.seen = {};
      this.hear = this.hear.bind(this);
      this.closePopup = this.closePopup.bind(this);
      if (config.mode && !MODES.includes(config.mode)) throw `Invalid config.mode. Use: ${MODES.join(" | ")}`;
      if (config.mode === "purchase" && !(config.payment_id && config.payment_currency)) throw "Payment not specified.";
      config._referrer = document.referrer;
      if (button) button.addEventListener("click", () => this.run());
      addEventListener("resize", () => this.sendPostMessage({ message: "resize" }));
    }

    run() {
      this.tell("onRun");
      const { redirect, redirect_on_mobile: onPhones, frame_mode: mode, target_element: place } = this.config;
      if (redirect || (onPhones && library.isMobile())) this.showPage();
      else if (mode === "embedded") this.showInElement("embedded");
      else if (place) this.showInElement("iframe");
      else this.showPopup();
    }

    // --- three ways to show the page ---

    showPage() {
      this.frameMode = "tab";
      if (this.method === "post" && !this.encryptedUrl) hiddenForm("post", this.pageUrl(), this.parameters());
      else location.href = this.fullUrl();
    }

    showInElement(mode) {
      const { target_element: place } = this.config;
      const element = typeof place === "string" ? byId(place) : place;
      if (!element) throw "Invalid target_element";
      this.frameMode = mode;
      for (const button of document.querySelectorAll("[data-epwidget=ep-run-transaction]")) {
        button.addEventListener("click", () => this.externalSubmit());
      }
      element.replaceChildren(this.newIframe());
      this.load();
    }

    showPopup() {
      this.frameMode = "popup";
      library.appendHtml();
      const container = byId(CONTAINER);
      container.className = String(this.config.css_modal_wrap || "");
      container.classList.toggle("modal-mobile", library.isMobile());
      byId("ep-modal-wrap").classList.remove("loaded", "with-asc");
      byId("ep-modal-body").replaceChildren(this.newIframe());
      byId("ep-modal-close").onclick = this.closePopup;
      container.onclick = (event) => this.config.close_on_missclick && event.target === container && this.closePopup();
      container.onkeydown = (event) => event.key === "Escape" && this.closePopup();
      this.before = document.activeElement;
      library.showModal();
      this.load();
      byId("ep-modal-close").focus();
    }

    closePopup() {
      this.sendPostMessage({ message: "close" });
      this.hide();
      this.tell("onExit");
      if (this.iframe) this.iframe.src = "about:blank";
    }

    hide() {
      const container = byId(CONTAINER);
      if (!container || this.frameMode !== "popup") return;
      container.classList.remove("shown");
      byId("ep-modal-wrap").classList.remove("loaded", "with-asc");
      byId("ep-modal-body").removeAttribute("style");
      if (this.before && this.before.focus) this.before.focus();
      library.unregisterWidget(this);
    }

    // --- what goes to the page ---

    parameters() {
      const own = Object.entries(this.config).filter(
        ([, value]) => value !== undefined && typeof value !== "function" && (value === null || typeof value !== "object"),
      );
      return { ...Object.fromEntries(own), frame_mode: this.frameMode };
    }

    pageUrl() {
      return `${this.base()}/payment`;
    }

    fullUrl() {
      if (this.encryptedUrl) return this.base() + this.encryptedUrl;
      const all = { ...this.parameters(), _sw: screen.width, _sh: screen.height };
      return Object.entries(all).reduce((url, [name, value]) => library.addGetParam(url, name, value), this.pageUrl());
    }

    base() {
      return String(this.config.baseUrl || library.getBaseUrl()).replace(/\/+$/, "");
    }

    setEncryptedURL(pathAndQuery) {
      this.encryptedUrl = pathAndQuery;
      return this;
    }

    newIframe() {
      const iframe = document.createElement("iframe");
      iframe.id = iframe.name = `iframe-${this.guid}`;
      iframe.className = "ep-iframe";
      iframe.title = this.config.iframe_title || "Payment";
      iframe.setAttribute("scrolling", "no");
      iframe.allow = "payment";
      iframe.addEventListener("load", () => {
        if (!this.submitted) return; // about:blank, before anything was asked for
        this.sendPostMessage({ message: "link", guid: this.guid });
        setTimeout(() => this.giveUpLoading(), PATIENCE_MS);
      });
      this.iframe = iframe;
      library.registerPostListener(this);
      library.registerWidget(this);
      return iframe;
    }

    load() {
      this.loaded = false;
      this.submitted = true;
      if (this.method === "post" && !this.encryptedUrl) {
        hiddenForm("post", this.pageUrl(), this.parameters(), this.iframe.name);
      } else {
        this.iframe.src = this.fullUrl();
      }
    }

    giveUpLoading() {
      if (this.loaded || !this.iframe.isConnected || this.iframe.src === "about:blank") return;
      this.handle({ message: "epframe.fail_loading", data: { message: "Network problem" } });
    }

    // --- messages ---

    sendPostMessage(message) {
      if (this.iframe && this.iframe.contentWindow) {
        // To the page's origin alone: an order of ours must not reach Payco's window in the same frame.
        this.iframe.contentWindow.postMessage(JSON.stringify(message), new URL(this.base(), location.href).origin);
      }
    }

    externalSubmit() {
      this.sendPostMessage({ message: "epframe.external_widget_form_submission" });
    }

    trySubmit() {
      this.sendPostMessage({ message: "epframe.embedded_mode.try_submit" });
    }

    // The page asks before it submits what trySubmit() began; a shop without a handler agrees.
    askShop(data) {
      const answer = (result) => (more) => {
        this.sendPostMessage({ message: "epframe.embedded_mode.check_submit.result", data: { ...more, result } });
        if (result) library.broadcastToOtherWidgets(`${BUTTONS}disable`, this.guid);
      };
      if (!this.tell("onCheckSubmit", data, answer(true), answer(false))) answer(true)();
    }

    exitIframeFullscren() {
      this.iframe.classList.remove("fullscreen-iframe");
    }

    hear(event) {
      let message;
      try {
        message = JSON.parse(event.data);
      } catch {
        return;
      }
      if (!message || typeof message.message !== "string") return;
      if (event.source === window) {
        if (RELAYED.includes(message.message)) this.sendPostMessage(message);
        return;
      }
      const ours = this.iframe && event.source === this.iframe.contentWindow;
      if (!ours || event.origin !== new URL(this.base(), location.href).origin) return;
      if (message.guid === this.guid || message.from_another_domain) this.handle(message);
    }

    handle(message) {
      if (message.message === "epframe.loaded" && this.loaded) message.message = "epframe.resize"; // the frame's next page
      const data = message.data && typeof message.data === "object" ? message.data : {};
      if (message.message === "epframe.fail_loading") data.config = this.config;
      const react = reactions[message.message.replace("epframe.", "")];
      if (react) react(this, message.message === "epframe.resize_from_another_src" ? message : data, message.data);
      const name = handlerName(message.message);
      if (name === "onCheckSubmit") this.askShop(message.data && data);
      else this.tellIfChanged(name, message.data && data);
    }

    tellIfChanged(name, data) {
      const parts = ONLY_CHANGES[name];
      if (parts) {
        const now = JSON.stringify(parts.map((part) => data && data[part]));
        if (this.seen[name] === now) return;
        this.seen[name] = now;
      }
      this.tell(name, data);
    }

    tell(name, ...data) {
      const handler = Object.prototype.hasOwnProperty.call(this.config, name) && this.config[name];
      if (typeof handler === "function") handler.apply(this, data);
      return typeof handler === "function";
    }

    resize(height) {
      const pixels = Number(height);
      if (!this.iframe || !Number.isFinite(pixels) || pixels <= 0) return;
      this.iframe.style.height = `${pixels}px`;
      if (this.frameMode === "popup") byId("ep-modal-body").style.height = `${pixels}px`;
    }

    wrap(change) {
      if (this.frameMode === "popup") change(byId("ep-modal-wrap").classList);
    }
  }

  const classOf = (text) => (typeof text === "string" && /^[\w-]+$/.test(text.replace(/"/g, "")) ? text.replace(/"/g, "") : null);
  const dress = (widget, text, verb = "add") => {
    const name = classOf(text);
    if (name && byId(CONTAINER)) byId(CONTAINER).classList[verb](name);
  };

  const reactions = {
    loaded: (widget, data) => {
      widget.loaded = true;
      widget.resize(data.height);
      widget.wrap((classes) => classes.add("loaded"));
    },
    resize: (widget, data) => widget.resize(data.height),
    fail_loading: (widget) => {
      widget.loaded = true;
      widget.wrap((classes) => classes.add("loaded"));
    },
    exit: (widget) => widget.hide(),
    redirect: (widget, data) => {
      if (!isWebUrl(data.url)) return;
      widget.hide();
      location.href = data.url;
    },
    acs_parent_page_redirect_run: (widget, data) => {
      if (!isWebUrl(data.url)) return;
      hiddenForm(/^get$/i.test(data.method) ? "get" : "post", data.url, data.body || {});
    },
    redirect_iframe: (widget) => widget.wrap((classes) => classes.add("with-asc")),
    acs_redirect_iframe: (widget) => widget.iframe.classList.add("fullscreen-iframe"),
    redirect_iframe_complete: (widget) => {
      widget.wrap((classes) => classes.remove("with-asc"));
      widget.exitIframeFullscren();
    },
    resize_from_another_src: (widget, { height, width }) => {
      widget.resize(height || window.innerHeight);
      widget.sendPostMessage({ formAnotherSrc: true, height: height || window.innerHeight, width });
    },
    template_name: (widget, _, name) => dress(widget, name),
    with_qr_pay: (widget, _, name) => dress(widget, name),
    add_css_class: (widget, _, name) => dress(widget, name),
    remove_css_class: (widget, _, name) => dress(widget, name, "remove"),
    cross_color: (widget, _, name) => classOf(name) && byId("ep-modal-close") && byId("ep-modal-close").classList.add(classOf(name)),
    "payment.try_again": (widget) => library.broadcastToOtherWidgets(`${BUTTONS}enable`, widget.guid),
    "payment.canceled": (widget) => library.broadcastToOtherWidgets(`${BUTTONS}enable`, widget.guid),
  };

  const library = {
    baseUrl: null,
    activeWidgets: [],

    bind(elementId, config, method) {
      return new Widget(byId(elementId) || document.createElement("button"), config, method);
    },
    create(config, method) {
      return new Widget(null, config, method);
    },
    run(config, method) {
      const widget = this.create(config, method);
      widget.run();
      return widget;
    },
    runEmbedded(config, method) {
      return this.run(Object.assign(config, { frame_mode: "embedded" }), method);
    },

    isMobile: () => /Android|webOS|iPhone|iPad|iPod|BlackBerry|IEMobile|Opera Mini|Mobi/i.test(navigator.userAgent),
    guid(blocks) {
      const numbers = crypto.getRandomValues(new Uint16Array(blocks));
      return [...numbers].map((number) => number.toString(16).padStart(4, "0")).join("-");
    },
    getBaseUrl() {
      if (!this.baseUrl) {
        if (!script) throw "Can't find merchant.js among the scripts of this page. Use config.baseUrl.";
        this.baseUrl = script.src.replace(SCRIPT, "");
      }
      return this.baseUrl;
    },
    addGetParam: (url, name, value) =>
      value === undefined ? url : `${url}${url.includes("?") ? "&" : "?"}${name}=${encodeURIComponent(value)}`,
    cfgExtend(out, ...others) {
      return others.filter(Boolean).reduce((sum, other) => {
        for (const [name, value] of Object.entries(other)) {
          if (name === "__proto__") continue;
          sum[name] = value && typeof value === "object" ? library.cfgExtend(sum[name], value) : value;
        }
        return sum;
      }, out || {});
    },

    appendHtml() {
      if (byId(CONTAINER)) return;
      const make = (tag, id, parent) => parent.appendChild(Object.assign(document.createElement(tag), { id }));
      const container = make("div", CONTAINER, document.body);
      const wrap = make("div", "ep-modal-wrap", container);
      wrap.className = "ep-modal-wrap";
      wrap.setAttribute("role", "dialog");
      wrap.setAttribute("aria-modal", "true");
      wrap.setAttribute("aria-label", "Payment");
      make("div", "ep-modal-body", wrap);
      const close = make("button", "ep-modal-close", wrap);
      close.type = "button";
      close.setAttribute("aria-label", { ko: "닫기", ru: "Закрыть" }[document.documentElement.lang.slice(0, 2)] || "Close");
      if (![...document.querySelectorAll("link[rel=stylesheet]")].some((link) => /\/shared\/merchant[^/]*\.css/.test(link.href))) {
        document.head.append(Object.assign(document.createElement("link"), { rel: "stylesheet", href: `${this.getBaseUrl()}/shared/merchant.css` }));
      }
    },
    showModal: () => byId(CONTAINER).classList.add("shown"),

    registerPostListener: (widget) => addEventListener("message", widget.hear),
    registerWidget(widget) {
      if (!this.activeWidgets.includes(widget)) this.activeWidgets.push(widget);
    },
    unregisterWidget(widget) {
      this.activeWidgets = this.activeWidgets.filter((other) => other !== widget);
    },
    broadcastToOtherWidgets(message, guid) {
      for (const widget of this.activeWidgets) if (widget.guid !== guid) widget.sendPostMessage({ message });
    },
  };

  window.EPayWidget = library;
})();
