// Small helps for people with JavaScript; every page works without it.
(() => {
  "use strict";
  const relative = new Intl.RelativeTimeFormat(undefined, { numeric: "auto" });
  const steps = [["day", 86400], ["hour", 3600], ["minute", 60], ["second", 1]];

  // Times come as exact UTC and are shown relative, exact on hover, in the
  // reader's own zone. Those on clocks and charts stay times of day.
  function ago(el) {
    const at = new Date(el.dateTime);
    if (isNaN(at)) return;
    el.title = at.toLocaleString(undefined, { dateStyle: "long", timeStyle: "long" });
    let text;
    const seconds = (at - Date.now()) / 1000;
    if ("clock" in el.dataset) {
      const day = { month: "short", day: "numeric" }, hour = { hour: "2-digit", minute: "2-digit", hourCycle: "h23" };
      const today = at.toDateString() === new Date().toDateString();
      const form = { day, hour }[el.dataset.clock] ?? (today ? hour : { ...day, ...hour });
      text = at.toLocaleString(undefined, form);
    } else if (Math.abs(seconds) > 30 * 86400) {
      text = at.toLocaleDateString(undefined, { dateStyle: "medium" });
    } else {
      const [unit, length] = steps.find(([unit, length]) => Math.abs(seconds) >= length || unit === "second");
      text = relative.format(Math.trunc(seconds / length), unit);
    }
    if (el.textContent !== text) el.textContent = text;
  }
  const refresh = (root) => {
    if (root.matches?.("time[datetime]")) ago(root);
    root.querySelectorAll("time[datetime]").forEach(ago);
  };

  document.addEventListener("click", async (e) => {
    const copy = e.target.closest("[data-copy]");
    if (copy) {
      const text = document.querySelector(copy.dataset.copy)?.textContent ?? "";
      try {
        await navigator.clipboard.writeText(text.trim());
        const before = copy.dataset.before ?? (copy.dataset.before = copy.textContent);
        copy.textContent = "Copied";
        setTimeout(() => { copy.textContent = before; }, 1500);
      } catch { /* the text can still be selected */ }
    }
    // The switcher of accounts closes when something else is pressed.
    document.querySelectorAll("details[data-switch][open]").forEach((d) => { if (!d.contains(e.target)) d.open = false; });
  });
  document.addEventListener("keydown", (e) => {
    if (e.key !== "Escape") return;
    document.querySelectorAll("details[data-switch][open]").forEach((d) => { d.open = false; d.querySelector("summary").focus(); });
  });

  // "All events" and the single types exclude each other; a group's box stands
  // for its types.
  const types = (el) => [...el.querySelectorAll("[name=event_types]")];
  function settle(form) {
    form.querySelectorAll("[data-group]").forEach((group) => {
      const all = group.querySelector("[data-all]");
      const ticked = types(group).filter((t) => t.checked).length;
      all.checked = ticked > 0 && ticked === types(group).length;
      all.indeterminate = ticked > 0 && !all.checked;
    });
  }
  document.addEventListener("change", (e) => {
    if (e.target.matches("select[data-submit]")) e.target.form.requestSubmit();
    const form = e.target.closest("form[data-types]");
    if (!form) return;
    const all = form.querySelector("[name=all_types]");
    if (e.target === all && all.checked) types(form).forEach((t) => { t.checked = false; });
    if (e.target.matches("[data-all]")) types(e.target.closest("[data-group]")).forEach((t) => { t.checked = e.target.checked; });
    if (e.target.matches("[name=event_types], [data-all]") && types(form).some((t) => t.checked)) all.checked = false;
    settle(form);
  }, true);
  document.addEventListener("input", (e) => {
    // The tree of event types is searched in the browser: it is all there.
    if (e.target.closest("[data-tree-search]")) {
      const tree = e.target.closest(".tree");
      const words = e.target.value.toLowerCase().split(/\s+/).filter(Boolean);
      let any = false;
      tree.querySelectorAll("[data-group]").forEach((group) => {
        let some = false;
        types(group).forEach((t) => {
          const label = t.closest("label");
          const text = (label.textContent + " " + group.firstElementChild.textContent).toLowerCase();
          label.hidden = !words.every((w) => text.includes(w));
          some ||= !label.hidden;
        });
        group.hidden = !some;
        any ||= some;
      });
      tree.querySelector("[data-tree-none]").hidden = any;
    }
    // When the last row is used, another one is there.
    const rows = e.target.closest("[data-rows-of]");
    if (rows && rows.lastElementChild.contains(e.target)) {
      const next = rows.lastElementChild.cloneNode(true);
      next.querySelectorAll("input").forEach((input) => { input.value = ""; });
      rows.append(next);
    }
  });
  document.addEventListener("keydown", (e) => {
    // Enter in the search of the tree does not send the form around it.
    if (e.key === "Enter" && e.target.closest("[data-tree-search]")) e.preventDefault();
  });

  // A form that does something once is not sent twice by a double click.
  document.addEventListener("submit", (e) => {
    const form = e.target.closest("form[data-once]");
    if (!form) return;
    if (form.dataset.sent) e.preventDefault();
    form.dataset.sent = "1";
  });
  window.addEventListener("pageshow", () => document.querySelectorAll("form[data-once]").forEach((f) => { delete f.dataset.sent; }));

  // The log of an endpoint grows while one looks at it.
  const maxRows = 200;
  function tail() {
    const mark = document.querySelector("[data-tail]");
    if (!mark || !window.EventSource) return;
    const table = document.querySelector("table[data-rows]");
    const source = new EventSource(mark.dataset.tail);
    source.onopen = () => { mark.hidden = false; };
    source.onerror = () => { mark.hidden = true; };
    source.onmessage = (e) => {
      const body = table.tBodies[0];
      const shown = (row) => row.querySelector("a.row").getAttribute("href");
      const links = new Set(Array.from(body.rows, shown));
      body.insertAdjacentHTML("afterbegin", e.data);
      // What was made around the time at which the page was is sent again.
      if (links.has(shown(body.firstElementChild))) {
        body.firstElementChild.remove();
        return;
      }
      body.firstElementChild.classList.add("new");
      refresh(body.firstElementChild);
      while (body.rows.length > maxRows) body.lastElementChild.remove();
      table.hidden = false;
      document.querySelector("[data-no-rows]")?.remove();
      document.body.dispatchEvent(new Event("calls"));
    };
    window.addEventListener("pagehide", () => source.close());
  }

  document.addEventListener("DOMContentLoaded", () => {
    refresh(document);
    document.querySelectorAll("[data-tree-search], [data-all]").forEach((el) => { el.hidden = false; });
    document.querySelectorAll("[data-no-script]").forEach((el) => { el.hidden = true; });
    document.querySelectorAll("form[data-types]").forEach(settle);
    tail();
  });
  document.addEventListener("htmx:afterSettle", (e) => refresh(e.target));
  setInterval(() => refresh(document), 10000);
})();
