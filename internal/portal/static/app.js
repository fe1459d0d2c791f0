// Small helps for people with JavaScript; every page works without it.
(() => {
  "use strict";
  const relative = new Intl.RelativeTimeFormat(undefined, { numeric: "auto" });
  const steps = [["day", 86400], ["hour", 3600], ["minute", 60], ["second", 1]];

  // Times come as exact UTC and are shown relative, exact on hover, in the
  // reader's own zone.
  function ago(el) {
    const at = new Date(el.dateTime);
    if (isNaN(at)) return;
    el.title = at.toLocaleString(undefined, { dateStyle: "long", timeStyle: "long" });
    const seconds = (at - Date.now()) / 1000;
    if (Math.abs(seconds) > 30 * 86400) {
      el.textContent = at.toLocaleDateString(undefined, { dateStyle: "medium" });
      return;
    }
    for (const [unit, length] of steps) {
      if (Math.abs(seconds) >= length || unit === "second") {
        el.textContent = relative.format(Math.trunc(seconds / length), unit);
        return;
      }
    }
  }
  const refresh = (root) => root.querySelectorAll("time[datetime]").forEach(ago);

  document.addEventListener("click", async (e) => {
    const copy = e.target.closest("[data-copy]");
    if (copy) {
      const text = document.querySelector(copy.dataset.copy)?.textContent ?? "";
      try {
        await navigator.clipboard.writeText(text.trim());
        const before = copy.textContent;
        copy.textContent = "Copied";
        setTimeout(() => { copy.textContent = before; }, 1500);
      } catch { /* the text can still be selected */ }
    }
  });

  // "All events" and the single types exclude each other.
  document.addEventListener("change", (e) => {
    const form = e.target.closest("form[data-types]");
    if (!form) return;
    const all = form.querySelector("[name=all_types]");
    const types = form.querySelectorAll("[name=event_types]");
    if (e.target === all && all.checked) types.forEach((t) => { t.checked = false; });
    if (e.target.name === "event_types" && e.target.checked) all.checked = false;
  });

  document.addEventListener("DOMContentLoaded", () => refresh(document));
  document.addEventListener("htmx:afterSettle", (e) => refresh(e.target));
  setInterval(() => refresh(document), 10000);
})();
