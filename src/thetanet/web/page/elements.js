// Small helpers to make elements of the page.

// h("button", { class: "x", onclick: f }, "text", child, ...)
export const h = (name, attributes = {}, ...children) => {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
    else if (key in element && typeof value === "boolean") element[key] = value;
    else element.setAttribute(key, value === true ? "" : value);
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
};

export const byId = (id) => document.getElementById(id);

// A number for people: digits after the point, or an exponent where there would be nothing but zeros.
export const show = (x, digits = 4) => {
  if (x === null || x === undefined) return "–";
  if (x !== 0 && Math.abs(x) < 10 ** -digits) return x.toExponential(digits > 3 ? 3 : 1).replace("-", "−").replace("e-", "e−");
  return x.toFixed(digits).replace("-", "−");
};

export const percent = (x, digits = 2) => (x === null || x === undefined ? "–" : `${(100 * x).toFixed(digits)}%`);

// Bars for numbers between 0 and 1, with a name and the number beside each.
export const bars = (names, label) => {
  const rows = names.map((name) => {
    const bar = h("span", { class: "bar" }), value = h("span", { class: "value" });
    return { bar, value, row: h("li", {}, h("span", { class: "name" }, name), h("span", { class: "track" }, bar), value) };
  });
  const list = h("ol", { class: "bars", "aria-label": label }, ...rows.map(({ row }) => row));
  return {
    list,
    // values: numbers; share(v): length of the bar, 0 to 1; text(v): the number as shown; marked: index to stress
    set(values, { share = (v) => v, text = (v) => show(v), marked = -1 } = {}) {
      rows.forEach(({ bar, value, row }, k) => {
        bar.style.inlineSize = `${100 * Math.min(1, Math.abs(share(values[k])))}%`;
        bar.classList.toggle("negative", values[k] < 0);
        row.classList.toggle("marked", k === marked);
        value.textContent = text(values[k]);
      });
    },
  };
};
