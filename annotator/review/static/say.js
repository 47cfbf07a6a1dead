// What the page tells people: a line for each act, a banner for trouble, questions.

import { element } from "./grid.js";

const find = (id) => document.getElementById(id);
const SECONDS_SHOWN = 5;
let hiding = 0;

/** Say what was done, for the eye a few seconds, for screen readers at once. */
export function say(text, { bad = false } = {}) {
  const live = find("live");
  host(live);
  live.textContent = text;
  live.classList.toggle("bad", bad);
  live.classList.add("fresh");
  clearTimeout(hiding);
  hiding = setTimeout(() => live.classList.remove("fresh"), (bad ? 3 : 1) * SECONDS_SHOWN * 1000);
}

/** Over an open dialog nothing else is seen or read out: what is said moves into it. */
function host(part, first = false) {
  const open = [...document.querySelectorAll("dialog[open]")].pop();
  const home = open ?? find(first ? "top" : "foot");
  if (part.parentElement === home) return;
  if (first) home.prepend(part);
  else home.append(part);
}

/** Show what is wrong as long as it is; null when it is over. */
export function banner(text, { canDrop = false } = {}) {
  const box = find("banner");
  if (text === null) {
    box.hidden = true;
    return;
  }
  host(box, true);
  // A text set again would be read out again.
  if (find("banner-text").textContent !== text) find("banner-text").textContent = text;
  find("banner-drop").hidden = !canDrop;
  box.hidden = false;
}

/** What to say of a server that does not take acts. */
export function troubleText(fault, waiting) {
  const kept = waiting
    ? ` ${waiting === 1 ? "1 act is" : `${waiting} acts are`} kept here, in order, and sent when it is back.`
    : "";
  if (fault.status === 0) {
    return `No answer from the server.${kept} If it has ended, start trephine review again with --port ${location.port}.`;
  }
  if (fault.status === 401 || fault.status === 403) {
    return `The server does not let this page in: open the address that it printed in another tab.${kept}`;
  }
  return `The server could not do it: ${fault.message}${kept}`;
}

/**
 * Ask with a button for each answer {text, value, key}. Gives the value, or null when closed.
 */
export function ask(heading, text, answers) {
  const dialog = find("ask");
  find("ask-title").textContent = heading;
  find("ask-text").textContent = text;
  return new Promise((resolve) => {
    const done = (value) => {
      dialog.onclose = null;
      dialog.onkeydown = null;
      dialog.close();
      resolve(value);
    };
    const buttons = answers.map(({ text: label, value, key }) =>
      element("button", { type: "button", onclick: () => done(value), ...(key && { aria: { keyshortcuts: key } }) },
        key ? element("kbd", { textContent: key }) : "", label));
    find("ask-buttons").replaceChildren(...buttons);
    // The event comes late: the dialog may have been opened for another question by then.
    dialog.onclose = () => dialog.open || done(null);
    dialog.onkeydown = (event) => {
      const chosen = answers.find(({ key }) => key && key === event.key.toLowerCase());
      if (chosen && !event.ctrlKey && !event.metaKey) {
        event.preventDefault();
        done(chosen.value);
      }
      event.stopPropagation();
    };
    dialog.showModal();
  });
}

/** Fill the help with its table and open it. */
export function showHelp(rows) {
  const body = rows.map(([keys, text]) =>
    element("tr", {},
      element("th", { scope: "row" }, ...keys.map((key) => element("kbd", { textContent: key }))),
      element("td", { textContent: text })));
  find("help-table").tBodies[0].replaceChildren(...body);
  find("help").showModal();
}
