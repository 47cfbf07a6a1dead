// The side panel: counts, rounds, and learning in the background.

import { Fault, get, post, randomKey } from "./api.js";
import { element } from "./grid.js";
import { duration, plural, title } from "./words.js";

const find = (id) => document.getElementById(id);
const POLL_RUNNING = 700;
const VERDICTS = {
  first: "the first one",
  better: "better than the one before",
  worse: "worse than the one before",
  level: "as good as the one before",
  incomplete: "a class that the drafts show has no label",
};
const MEASURED = {
  held_out: "Accuracy on patients that no round has learned from.",
  out_of_fold: "Accuracy by cross-validation: no patients are held out.",
};

export class Panel {
  /** `hooks`: look(code), say(text, options), trained(), openNext(). */
  constructor(hooks) {
    this.hooks = hooks;
    this.timer = 0;
    this.state = "idle";
    find("train").onclick = () => this.start();
    find("train-next").onclick = () => hooks.openNext();
    find("panel-button").onclick = () => this.toggle();
  }

  toggle() {
    const open = document.body.classList.toggle("panel-open");
    find("panel-button").setAttribute("aria-expanded", String(open));
  }

  /** Show a summary of the server. */
  show(summary) {
    this.showCounts(summary);
    const rounds = [...summary.rounds].reverse().slice(0, 8);
    find("rounds").tBodies[0].replaceChildren(...(rounds.length ? rounds.map(roundRow) : [emptyRow()]));
    find("rounds-note").textContent = rounds.length ? MEASURED[rounds[0].measured_on] ?? "" : "";
    find("sample").textContent = sampleText(summary.sample);
    if (this.state !== "running") this.showTraining(summary.training);
  }

  showCounts(summary) {
    const rows = Object.entries(summary.counts).map(([code, count]) =>
      element("tr", {},
        element("th", { scope: "row" }, this.swatch(code), title(code)),
        element("td", { textContent: count.toLocaleString("en") })));
    const share = `${summary.labelled.toLocaleString("en")} of ${summary.objects.toLocaleString("en")}`;
    rows.push(element("tr", { className: "sum" },
      element("th", { scope: "row", textContent: "all" }), element("td", { textContent: share })));
    find("counts").tBodies[0].replaceChildren(...rows);
  }

  swatch(code) {
    return element("span", { className: "badge", textContent: this.hooks.look(code).letter, data: { code } });
  }

  async start() {
    find("train").disabled = true;
    try {
      this.showTraining(await post("/api/train", { key: randomKey() }));
    } catch (fault) {
      if (!(fault instanceof Fault)) throw fault;
      this.hooks.say(fault.message, { bad: true });
      find("train").disabled = false;
    }
  }

  /** Follow a training to its end. */
  follow() {
    clearTimeout(this.timer);
    this.timer = setTimeout(async () => {
      try {
        this.showTraining(await get("/api/train"));
      } catch {
        this.follow();
      }
    }, POLL_RUNNING);
  }

  showTraining(training) {
    const before = this.state;
    this.state = training.state;
    const running = training.state === "running";
    find("train").disabled = running;
    find("train-progress").hidden = !running;
    showProgress(training);
    find("train-text").textContent = trainingText(training);
    find("train-text").classList.toggle("bad", training.state === "failed");
    find("train-next").hidden = training.state !== "done";
    if (running) this.follow();
    if (before === "running" && !running) {
      // Where the panel is folded away, its text is neither seen nor read out.
      const folded = find("train-text").offsetParent === null;
      if (folded) this.hooks.say(trainingText(training), { bad: training.state === "failed" });
      this.hooks.trained();
    }
  }
}

function showProgress(training) {
  const bar = find("train-progress");
  if (training.total) bar.value = training.done / training.total;
  else bar.removeAttribute("value");
}

function trainingText(training) {
  if (training.state === "running") {
    const left = duration(training.eta_s);
    return [training.step || "Learning", left && `${left} left`].filter(Boolean).join(", ");
  }
  if (training.state === "failed") return `It failed: ${training.message}`;
  const message = training.message ?? "";
  if (training.state !== "done" || !training.result) return message;
  const parts = [resultText(training.result), ...(training.result.notes ?? []), message];
  return parts.filter(Boolean).map((part) => (part.endsWith(".") ? part : `${part}.`)).join(" ");
}

/** How often the model is right on the random sample, as far as people have labelled it. */
function sampleText(sample) {
  if (!sample) return "";
  const part = `${sample.labelled.toLocaleString("en")} of ${plural(sample.objects, "object")} labelled`;
  if (!sample.labelled) return `${part}. Label some of the random sample to see how often the machine is right.`;
  const seen = sample.unseen ? "" : " The model may have learned from some of them.";
  return `Right in ${percent(sample.accuracy)}${range(sample.interval)}; ${part}.${seen}`;
}

function resultText(result) {
  const changed = typeof result.changed === "number" ? result.changed : result.changed?.objects;
  const parts = [
    `Round ${result.round}: accuracy ${percent(result.accuracy)}${range(result.interval)}`,
    result.macro_f1 == null ? "" : `macro F1 ${result.macro_f1.toFixed(2)}`,
    VERDICTS[result.verdict] ?? result.verdict ?? "",
    result.used === false ? "it is not used" : "",
    changed == null ? "" : `${plural(changed, "object")} changed class`,
  ];
  return `${parts.filter(Boolean).join("; ")}.`;
}

function roundRow(round) {
  const mark = round.current ? " (in use)" : "";
  return element("tr", {},
    element("th", { scope: "row", textContent: `${round.index}${mark}` }),
    element("td", { textContent: `${percent(round.accuracy)}${range(round.interval)}` }));
}

function emptyRow() {
  return element("tr", {}, element("td", { className: "soft", textContent: "None yet: label some objects, then retrain." }));
}

function percent(share) {
  return share == null ? "–" : `${(100 * share).toFixed(1)} %`;
}

function range(interval) {
  return interval?.every((end) => end != null) ? ` (${(100 * interval[0]).toFixed(0)}–${(100 * interval[1]).toFixed(0)})` : "";
}
