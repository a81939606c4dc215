"use strict";
(() => {
  const PAGE = 50;
  const TYPING_MS = 3000;
  const byId = (id) => document.getElementById(id);

  // In a frame without the right to open windows, a link is opened by the outermost page; else its address is shown.
  if (window.top !== window) {
    document.addEventListener("click", (event) => {
      const link = event.target.closest("a[target=_blank]");
      if (!link) return;
      event.preventDefault();
      try {
        const copy = window.top.document.createElement("a");
        copy.href = link.href;
        copy.target = "_blank";
        copy.rel = "noopener noreferrer";
        window.top.document.body.append(copy);
        copy.click();
        copy.remove();
      } catch (error) {
        byId("elsewhere").textContent = link.href;
        byId("elsewhere").hidden = false;
      }
    });
  }

  // What a reader has chosen outlives a reload, whoever makes it: this page, the tab around it, or the reader.
  const keptAs = `omics ${location.pathname}`;
  const takeKept = () => {
    try {
      const text = sessionStorage.getItem(keptAs);
      sessionStorage.removeItem(keptAs);
      return (performance.getEntriesByType("navigation")[0].type === "reload" && JSON.parse(text)) || {};
    } catch (error) {
      return {}; // a frame may have no storage
    }
  };
  const keep = (chosen) => {
    try {
      sessionStorage.setItem(keptAs, JSON.stringify(chosen));
    } catch (error) {
      // the same
    }
  };
  // A place is one in a section: by the next time more may stand above it.
  const place = () => {
    const above = [...document.querySelectorAll("h2[id]")].filter((head) => head.getBoundingClientRect().top < 100);
    const head = above.at(-1);
    return { section: head ? head.id : null, top: head ? head.getBoundingClientRect().top : -scrollY };
  };
  const goTo = ({ section, top }) => {
    const head = section && byId(section);
    scrollTo({ top: head ? scrollY + head.getBoundingClientRect().top - top : -top, behavior: "instant" });
  };
  const seconds = Number(document.documentElement.dataset.reloadAfter);
  if (seconds) {
    let typed = -Infinity;
    addEventListener("input", () => {
      typed = performance.now();
    });
    const reload = () => {
      const isBusy = document.hidden || performance.now() - typed < TYPING_MS;
      if (isBusy) setTimeout(reload, 500);
      else location.reload();
    };
    setTimeout(reload, seconds * 1000);
  }
  const before = takeKept();
  if (before.place) history.scrollRestoration = "manual";

  const table = byId("table");
  if (!table || typeof DecompressionStream === "undefined") {
    addEventListener("pagehide", () => keep({ place: place() }));
    if (before.place) goTo(before.place);
    return;
  }
  const body = table.tBodies[0];
  const heads = [...table.tHead.rows[0].cells];
  const filter = byId("filter");
  const status = byId("status");
  const state = { rows: [], found: [], at: 0, key: null, down: false, cause: null };

  const length = (seconds) => {
    if (seconds === null) return "";
    if (seconds < 120) return `${seconds} s`;
    const minutes = Math.round(seconds / 60);
    return minutes < 60 ? `${minutes} min` : `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
  };
  const words = (name) => name.replaceAll("_", " ").toLowerCase();
  const anchor = (text, url) => {
    const link = document.createElement("a");
    link.href = url;
    link.target = "_blank";
    link.rel = "noopener noreferrer";
    link.textContent = text;
    return link;
  };
  const outputUrl = (uri) => {
    const found = /^s3:\/\/([^/]+)\/?(.*?)\/*$/.exec(uri);
    if (!found) return null;
    const prefix = found[2] ? `${encodeURIComponent(found[2]).replaceAll("%2F", "/")}/` : "";
    return `https://s3.console.aws.amazon.com/s3/buckets/${encodeURIComponent(found[1])}?prefix=${prefix}`;
  };
  const cellOf = (row, head) => {
    const key = head.dataset.key;
    const cell = document.createElement(key === "sample" ? "th" : "td");
    const value = key ? row[key] : row.kept[Number(head.dataset.kept)];
    if (value === null || value === undefined) return cell;
    if (key === "sample") {
      cell.scope = "row";
      cell.textContent = value;
    } else if (key === "status") {
      const mark = document.createElement("span");
      mark.className = `status ${value}`;
      mark.textContent = words(value);
      cell.append(mark);
    } else if (key === "waited" || key === "ran") {
      cell.textContent = length(value);
    } else if (key === "cost") {
      cell.textContent = value.toFixed(2);
    } else if (key === "run_id") {
      const log = anchor("log", table.dataset.logUrl + encodeURIComponent(value));
      log.setAttribute("aria-label", `log of run ${value}`);
      cell.append(anchor(value, table.dataset.runUrl + encodeURIComponent(value)), " ", log);
    } else if (key === "output_uri") {
      const url = outputUrl(value);
      cell.className = "uri";
      cell.append(url ? anchor(value, url) : value);
    } else {
      cell.textContent = value;
    }
    return cell;
  };

  const draw = () => {
    const pages = Math.max(Math.ceil(state.found.length / PAGE), 1);
    state.at = Math.min(Math.max(state.at, 0), pages - 1);
    const shown = state.found.slice(state.at * PAGE, (state.at + 1) * PAGE);
    body.replaceChildren(
      ...shown.map((row) => {
        const line = document.createElement("tr");
        line.append(...heads.map((head) => cellOf(row, head)));
        return line;
      }),
    );
    const first = state.at * PAGE + 1;
    const numbers = (number) => number.toLocaleString("en");
    byId("shown").textContent = state.found.length
      ? `${numbers(first)} to ${numbers(first + shown.length - 1)} of ${numbers(state.found.length)} samples` +
        (state.found.length < state.rows.length ? `, out of ${numbers(state.rows.length)}` : "") +
        (state.cause ? `; cause: ${state.cause}` : "")
      : "No sample has that.";
    byId("pages").hidden = pages === 1;
    byId("page").textContent = `Page ${numbers(state.at + 1)} of ${numbers(pages)}`;
    byId("previous").disabled = state.at === 0;
    byId("next").disabled = state.at === pages - 1;
  };
  const textOf = (row) =>
    [row.sample, row.status, words(row.status), row.cause, row.run_id, row.output_uri, ...row.kept]
      .join("\n")
      .toLowerCase();
  const compare = (one, other) => {
    const empty = (value) => value === null || value === undefined || value === "";
    if (empty(one) || empty(other)) return empty(one) - empty(other);
    const order =
      typeof one === "number" && typeof other === "number"
        ? one - other
        : String(one).localeCompare(String(other), "en", { numeric: true });
    return state.down ? -order : order;
  };
  const choose = () => {
    const wanted = filter.value.trim().toLowerCase();
    state.found = state.rows.filter(
      (row) =>
        (!status.value || row.status === status.value) &&
        (!state.cause || row.cause === state.cause) &&
        (!wanted || (row.text ??= textOf(row)).includes(wanted)),
    );
    if (state.key) {
      const { key, kept } = state.key.dataset;
      const valueOf = key ? (row) => row[key] : (row) => row.kept[Number(kept)];
      state.found.sort((one, other) => compare(valueOf(one), valueOf(other)));
    }
    state.at = 0;
    draw();
  };

  const unpack = async (text) => {
    const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
    const lists = await new Response(stream).json();
    const names = Object.keys(lists);
    return lists.sample.map((_, index) => Object.fromEntries(names.map((name) => [name, lists[name][index]])));
  };

  const nameOf = (head) => head && `${head.dataset.key || "kept"}/${head.textContent}`;
  const headNamed = (name) => heads.find((head) => nameOf(head) === name);
  const sortBy = (head, down) => {
    state.key = head;
    state.down = down;
    heads.forEach((other) => other.removeAttribute("aria-sort"));
    head.setAttribute("aria-sort", down ? "descending" : "ascending");
  };
  const restore = () => {
    filter.value = before.filter || "";
    const isKnown = [...status.options].some((option) => option.value === (before.status || ""));
    if (!isKnown) status.append(new Option(words(before.status), before.status));
    status.value = before.status || "";
    state.cause = before.cause || null;
    const head = before.sort && headNamed(before.sort);
    if (head) sortBy(head, before.down);
  };

  const begin = async () => {
    for (const chunk of document.querySelectorAll("script.rows")) {
      for (const row of await unpack(chunk.textContent)) state.rows.push(row);
    }
    for (const name of [...new Set(state.rows.map((row) => row.status))].sort()) {
      status.append(new Option(words(name), name));
    }
    heads.forEach((head) => {
      const button = document.createElement("button");
      button.type = "button";
      button.append(...head.childNodes);
      head.append(button);
      button.addEventListener("click", () => {
        sortBy(head, state.key === head && !state.down);
        choose();
      });
    });
    filter.addEventListener("input", choose);
    status.addEventListener("change", choose);
    byId("controls").addEventListener("submit", (event) => event.preventDefault());
    byId("clear").addEventListener("click", () => {
      filter.value = status.value = "";
      state.cause = null;
      choose();
    });
    byId("previous").addEventListener("click", () => {
      state.at -= 1;
      draw();
    });
    byId("next").addEventListener("click", () => {
      state.at += 1;
      draw();
    });
    for (const button of document.querySelectorAll("button.only")) {
      button.hidden = false;
      button.addEventListener("click", () => {
        filter.value = status.value = "";
        state.cause = button.dataset.cause;
        choose();
        byId("samples").scrollIntoView();
        filter.focus({ preventScroll: true });
      });
    }
    addEventListener("pagehide", () => {
      const { activeElement } = document;
      keep({
        filter: filter.value,
        status: status.value,
        cause: state.cause,
        sort: state.key && nameOf(state.key),
        down: state.down,
        at: state.at,
        place: place(),
        left: table.parentElement.scrollLeft,
        focus: document.hasFocus() ? activeElement.id || nameOf(activeElement.closest("th")) : null,
        selection: activeElement === filter ? [filter.selectionStart, filter.selectionEnd] : null,
      });
    });
    restore();
    byId("controls").hidden = false;
    choose();
    state.at = before.at || 0;
    draw();
    if (before.place) {
      goTo(before.place);
      table.parentElement.scrollLeft = before.left;
    }
    const focused = before.focus && (byId(before.focus) || headNamed(before.focus)?.firstElementChild);
    if (focused) focused.focus({ preventScroll: true });
    if (focused && before.selection) filter.setSelectionRange(...before.selection);
    document.documentElement.dataset.ready = "true";
  };
  begin();
})();
