// Makes pleasant what works without it: copying, keyboard, filtering while typing, and the pop-up with its countdown.

const all = (selector, root = document) => [...root.querySelectorAll(selector)];
const POPUP = "jackfield-authorize";
const channel = "BroadcastChannel" in window ? new BroadcastChannel("jackfield") : null;

// Copy buttons.
for (const button of all("[data-copy]")) {
  button.hidden = false;
  const words = [...button.childNodes];
  button.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(button.dataset.copy);
      button.textContent = "Copied";
    } catch {
      getSelection().selectAllChildren(button.parentElement.querySelector("code"));
      button.textContent = "Selected: press Ctrl+C";
    }
    setTimeout(() => button.replaceChildren(...words), 2000);
  });
}

// A logo is chosen as a file, and becomes the text that the field wants.
const logo = document.getElementById("f-brand-logo");
if (logo) {
  const file = Object.assign(document.createElement("input"), { type: "file", accept: "image/png,image/jpeg,image/webp,image/svg+xml" });
  file.setAttribute("aria-label", "Choose a picture");
  file.addEventListener("change", () => {
    const reader = new FileReader();
    reader.onload = () => (logo.value = reader.result);
    if (file.files[0]) reader.readAsDataURL(file.files[0]);
  });
  logo.before(file);
}

// A file of rows, or of an API's description, becomes the text of its field.
for (const [id, accept] of [["f-csv", ".csv,.tsv,text/csv,text/tab-separated-values"], ["f-openapi", ".json,.yaml,.yml"]]) {
  const text = document.getElementById(id);
  if (!text) continue;
  const file = Object.assign(document.createElement("input"), { type: "file", accept });
  file.setAttribute("aria-label", "Choose a file");
  file.addEventListener("change", async () => {
    if (file.files[0]) text.value = await file.files[0].text();
  });
  text.before(file);
}

// A page that waits for something looks again by itself.
const waits = document.querySelector("[data-next]");
if (waits) setTimeout(() => location.replace(waits.dataset.next || location.href), Number(waits.dataset.after) * 1000);

// Times in the reader's own zone; the page has them in UTC.
for (const time of all("time[datetime]")) {
  const at = new Date(time.dateTime);
  if (!Number.isNaN(at.valueOf())) time.title = at.toLocaleString();
}

// A form that makes something is sent once, however often its button is pressed.
for (const form of all("form[data-once]")) {
  form.addEventListener("submit", (event) => {
    if (form.dataset.sent) event.preventDefault();
    form.dataset.sent = "yes";
  });
}
// Back in the browser's history the page is as it was left: it can be sent again.
addEventListener("pageshow", () => all("form[data-once]").forEach((form) => delete form.dataset.sent));

// Cards are filtered while one types; Enter asks the server.
for (const input of all("[data-filter]")) {
  const root = document.getElementById(input.dataset.filter);
  if (!root || new URLSearchParams(location.search).get("q")) continue;
  input.addEventListener("input", () => {
    const words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
    for (const section of all("section", root)) {
      const items = all("[data-words]", section);
      for (const item of items) item.hidden = !words.every((word) => item.dataset.words.includes(word));
      section.hidden = items.every((item) => item.hidden);
    }
  });
}

// Authorize: the pop-up has to be opened by the very click; where to follows when the server has begun the flow.
const features = () => {
  const [width, height] = [560, 720];
  const left = Math.max(0, screenX + (outerWidth - width) / 2);
  const top = Math.max(0, screenY + (outerHeight - height) / 3);
  return `popup,width=${width},height=${height},left=${left},top=${top}`;
};
for (const form of all("form[data-popup]")) {
  form.addEventListener("submit", async (event) => {
    if (event.defaultPrevented) return;
    event.preventDefault();
    const popup = open("", POPUP, features());
    try {
      const answer = await fetch(form.action, {
        method: "POST",
        body: new URLSearchParams(new FormData(form)),
        headers: { accept: "application/json" },
      });
      if (!answer.ok || answer.redirected || !answer.headers.get("content-type").startsWith("application/json")) throw new Error();
      const { page, start } = await answer.json();
      if (popup) popup.location = start;
      location = page;
    } catch {
      // Whatever is wrong, the server says it on the page.
      popup?.close();
      form.submit();
    }
  });
}

// The page of a flow counts down from what the server says is left, and watches.
const flow = document.querySelector("[data-flow]");
if (flow) {
  const ring = flow.querySelector(".ring");
  const popup = () => open("", POPUP, features());
  for (const button of all("[data-show]", flow)) {
    button.hidden = false;
    button.addEventListener("click", () => {
      const shown = popup();
      // A window that was closed, or never opened, is a new and empty one.
      let empty = false;
      try {
        empty = shown.location.href === "about:blank";
      } catch {
        // It is at the service, which may not be looked into.
      }
      if (empty) shown.location = button.dataset.show;
      shown?.focus();
    });
  }
  const end = ring ? Date.now() + ring.dataset.left * 1000 : 0;
  const ended = () => location.reload();
  const draw = () => {
    const left = Math.max(0, Math.ceil((end - Date.now()) / 1000));
    ring.querySelector("b").textContent = left;
    ring.querySelector("mask circle").setAttribute("stroke-dasharray", `${(left * 90) / ring.dataset.whole} 90`);
  };
  const look = async () => {
    try {
      const answer = await fetch(`/console/flows/${flow.dataset.flow}/state`, { headers: { accept: "application/json" } });
      // Signed out meanwhile, one is sent to the door.
      if (!answer.ok || answer.redirected) return ended();
      const { state, left } = await answer.json();
      if (state !== "pending" || (ring && left === 0)) return ended();
    } catch {
      // The server may be on its way back.
    }
    setTimeout(look, 1000);
  };
  if (ring) setInterval(draw, 250);
  setTimeout(look, 1000);
  if (channel) channel.onmessage = ended;
}

// The end of a flow in its pop-up: the page that waits says how it went.
if (document.querySelector("[data-closes]")) {
  channel?.postMessage("ended");
  if (opener || name === POPUP) close();
}

// A form: fields appear and go as the answers before them say. The server decides again; without a script all are asked, and each says when.
for (const form of new Set(all("[data-when]").map((field) => field.closest("form")).filter(Boolean))) {
  const asked = all("[data-field]", form);
  const hidden = new Set();
  // A name or an address is asked in parts.
  const values = (name) => {
    const key = `data.${name}`;
    if (hidden.has(key)) return [];
    const given = [...new FormData(form)].filter(([found, value]) => (found === key || found.startsWith(`${key}.`)) && value !== "");
    return given.map(([, value]) => value);
  };
  // A box that is ticked says "on"; a document says true.
  const ticked = (value) => (value === "on" ? "true" : value);
  const holds = (when) => {
    if (when.all) return when.all.every(holds);
    if (when.any) return when.any.some(holds);
    const found = values(when.field);
    const among = (list) => found.some((value) => list.some((wanted) => String(wanted) === value || String(wanted) === ticked(value))) || (list.includes(false) && found.length === 0);
    if (when.is) return among(when.is);
    if (when.is_not) return !among(when.is_not);
    return (found.length > 0) === when.filled;
  };
  const look = () => {
    hidden.clear();
    for (const field of asked) {
      field.hidden = Boolean(field.dataset.when) && !holds(JSON.parse(field.dataset.when));
      if (field.hidden) hidden.add(field.dataset.field);
    }
  };
  for (const words of all(".only", form)) words.hidden = true;
  form.addEventListener("input", look);
  look();
}

// Keyboard: / searches, g and a letter goes, ? lists.
const places = { o: "/console", c: "/console/connections", n: "/console/connections/new", a: "/console/applications", m: "/console/members", u: "/console/accounts", s: "/console/settings", k: "/console/connectors" };
let going = 0;
addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.target.closest("input, textarea, select, [contenteditable]")) return;
  const search = document.getElementById("search");
  if (event.key === "/" && search) {
    event.preventDefault();
    (search.offsetParent ? search : (document.querySelector("main input[type=search]") ?? search)).focus();
  } else if (event.key === "?" && document.querySelector(".shell")) {
    location = "/console/settings/about#keyboard";
  } else if (event.key === "g") {
    going = Date.now();
  } else if (Date.now() - going < 1500 && places[event.key] && document.querySelector(".shell")) {
    location = places[event.key];
  }
});

// What was typed is there again after the session has ended in the middle and one has signed in. Never a secret.
const kept = `typed:${location.pathname}`;
const typed = (form) => all("input, textarea, select", form).filter((field) => field.name && !["password", "hidden"].includes(field.type));
for (const form of all("main form[method=post]")) {
  form.addEventListener("submit", () => {
    const values = typed(form).map((field) => [field.name, field.value, field.checked]);
    try {
      sessionStorage.setItem(kept, JSON.stringify({ action: form.action, values }));
    } catch {
      // Without storage it has to be typed again.
    }
  });
}
try {
  const { action, values } = JSON.parse(sessionStorage.getItem(kept) ?? "{}");
  const signedIn = document.referrer && new URL(document.referrer).pathname === "/signin";
  if (values && signedIn) {
    const form = all("main form[method=post]").find((form) => form.action === action);
    const fields = form ? typed(form) : [];
    if (fields.length === values.length) {
      fields.forEach((field, at) => {
        if (values[at][0] !== field.name) return;
        if (field.type === "checkbox" || field.type === "radio") field.checked = values[at][2];
        else field.value = values[at][1];
      });
    }
  }
  sessionStorage.removeItem(kept);
} catch {
  // Something else was kept there.
}
