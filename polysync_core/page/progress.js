// What Databricks logs about an update: its phases with their durations, and the lines of the event log.
import { get } from "./api.js";
import { Feed } from "./feed.js";
import { duration, fullTime, shortTime } from "./format.js";
import { Component, html } from "./html.js";
import { FeedError, Live, Ticking } from "./parts.js";

const FIRST_PAGES = 3;
const MOST_LINES = 2000;
const LIVE_SECONDS = 5;
const AFTER_THE_END_MS = 30_000;
const STATE = /\bis ([A-Z][A-Z_]+)\.?$/;
const TERMINAL = ["COMPLETED", "FAILED", "CANCELED"];
const LEVELS = ["INFO", "WARN", "ERROR", "METRICS"];

/**
 * The phases of an update, oldest first: each state with its beginning and its end, which is null while it lasts.
 * The event log has them as update_progress, but for the first one: that is create_update.
 */
export function phasesOf(lines, finishedAt) {
  const entered = lines
    .map((line) => ({ state: stateOf(line), began: Date.parse(line.time) }))
    .filter(({ state, began }) => state && !Number.isNaN(began))
    .sort((a, b) => a.began - b.began);
  const changes = entered.filter((each, index) => index === 0 || each.state !== entered[index - 1].state);
  const end = finishedAt ? Date.parse(finishedAt) : null;
  return changes
    .map((each, index) => ({ ...each, ended: changes[index + 1]?.began ?? end }))
    .filter(({ state }) => !TERMINAL.includes(state));
}

function stateOf(line) {
  if (line.eventType === "create_update") return "CREATED";
  return line.eventType === "update_progress" ? STATE.exec(line.message ?? "")?.[1] : null;
}

const keyOf = (line) => `${line.time} ${line.eventType} ${line.message}`;

export class Progress extends Component {
  state = { level: "", isLoadingOlder: false };
  lines = new Map();
  older = null;
  followedUntil = 0;

  componentDidMount() {
    this.begin();
  }

  componentWillUnmount() {
    this.feed.stop();
  }

  componentDidUpdate(before) {
    if (before.run.isFinished || !this.props.run.isFinished) return;
    // The last lines of an update are logged when it ends, and may come a little later.
    this.followedUntil = Date.now() + AFTER_THE_END_MS;
    this.feed.now();
  }

  begin() {
    const isLive = () => !this.props.run.isFinished || Date.now() < this.followedUntil;
    const every = () => (isLive() ? LIVE_SECONDS : Infinity);
    this.feed = new Feed(this.load, () => this.setState({}), every).start();
  }

  load = async (signal) => {
    let [continuation, isFirst] = [null, this.lines.size === 0];
    for (let page = 0; page < (isFirst ? FIRST_PAGES : 1); page += 1) {
      continuation = await this.take(continuation, signal);
      if (!continuation) break;
    }
    if (isFirst) this.older = continuation;
    return this.lines;
  };

  async take(continuation, signal) {
    const { runId, workspace } = this.props.run;
    const page = await get(`runs/${encodeURIComponent(runId)}/events`, { workspace, continuation }, signal);
    for (const line of page.items) if (this.lines.size < MOST_LINES) this.lines.set(keyOf(line), line);
    return page.continuation;
  }

  loadOlder = async () => {
    this.setState({ isLoadingOlder: true });
    try {
      this.older = await this.take(this.older);
    } catch (error) {
      this.feed.error = error;
    }
    this.setState({ isLoadingOlder: false });
  };

  render({ run }, { level, isLoadingOlder }) {
    if (!this.feed) return null;
    const lines = [...this.lines.values()].sort((a, b) => Date.parse(b.time ?? 0) - Date.parse(a.time ?? 0));
    const shown = level ? lines.filter((line) => line.level === level) : lines;
    return html`<section class="card" aria-labelledby="progress-title">
      <div class="card-head">
        <h2 id="progress-title">Progress</h2>
        <${Live} feed=${this.feed} />
        <label class="inline">Level
          <select onChange=${(event) => this.setState({ level: event.target.value })}>
            <option value="">All</option>
            ${LEVELS.map((each) => html`<option key=${each} value=${each}>${each}</option>`)}
          </select>
        </label>
      </div>
      <${FeedError} feed=${this.feed} />
      <${Phases} phases=${phasesOf(lines, run.finishedAt)} />
      ${this.feed.data && !lines.length && html`<p class="empty">No events from Databricks for this update${run.isFinished ? "" : " yet"}.</p>`}
      ${shown.length > 0 &&
      html`<div class="log" role="region" aria-label="Event log, newest first" tabindex="0">
        <ol>${shown.map((line) => html`<${Line} key=${keyOf(line)} line=${line} />`)}</ol>
      </div>`}
      ${this.older &&
      html`<button type="button" disabled=${isLoadingOlder} onClick=${this.loadOlder}>
        ${isLoadingOlder ? "Loading …" : "Load older lines"}
      </button>`}
    </section>`;
  }
}

function Phases({ phases }) {
  if (!phases.length) return null;
  const draw = (now) => {
    const length = (phase) => (phase.ended ?? now) - phase.began;
    const whole = Math.max(1, ...phases.map(length));
    return html`<table class="phases">
      <caption class="unseen">Phases of the update, oldest first</caption>
      <thead class="unseen"><tr><th scope="col">Phase</th><th scope="col">Began</th><th scope="col">Duration</th><th scope="col">Share</th></tr></thead>
      <tbody>
        ${phases.map(
          (phase) => html`<tr key=${`${phase.state} ${phase.began}`}>
            <th scope="row">${phase.state}</th>
            <td>${shortTime(phase.began)}</td>
            <td>${duration(length(phase) / 1000)}</td>
            <td class="share">
              <svg width="100%" height="10" aria-hidden="true">
                <rect width="${Math.max(0.5, (100 * length(phase)) / whole)}%" height="10" rx="2" class=${phase.ended === null ? "ink-running" : "ink-done"} />
              </svg>
            </td>
          </tr>`,
        )}
      </tbody>
    </table>`;
  };
  return phases.at(-1).ended === null ? html`<${Ticking} show=${draw} />` : draw(Date.now());
}

function Line({ line }) {
  const errors = (line.errors ?? []).map((error) =>
    typeof error === "string" ? error : [error.className, error.message].filter(Boolean).join(": "),
  );
  return html`<li class="line ${(line.level ?? "").toLowerCase()}">
    <span class="when" title=${line.time && fullTime(line.time)}>${line.time ? shortTime(line.time) : "–"}</span>
    <span class="level">${line.level ?? ""}</span>
    <span class="what">${line.eventType ?? ""}</span>
    <span class="said">${line.message ?? ""}</span>
    ${errors.length > 0 && html`<pre class="reason">${errors.join("\n\n")}</pre>`}
  </li>`;
}
