// The list of runs, with what runs now and the last hours above it.
import { get } from "./api.js";
import { go, linkTo, runLink, safeLink } from "./address.js";
import { collect, Feed } from "./feed.js";
import { fetchRuns, Filters, isSearch } from "./filters.js";
import { nameOf, shortId } from "./format.js";
import { Component, html } from "./html.js";
import { Elapsed, External, FeedError, Live, Time } from "./parts.js";
import { Badge, Glyph, kindOf, wordOf } from "./status.js";
import { Timeline } from "./timeline.js";

const HOURS = [1, 6, 24];
const MOST_PAGES = 5;
const QUICK_SECONDS = 5;
const SLOW_SECONDS = 15;
const WINDOW_SECONDS = 30;

/** What the timeline and the counts show: the runs of the last hours, and all that are active. */
async function fetchWindow(hours, signal) {
  const since = new Date(Date.now() - hours * 1.5 * 3_600_000).toISOString();
  const page = (query) => (continuation) => get("runs", { workspace: "*", limit: 200, ...query, continuation }, signal);
  const all = { wanted: Infinity, calls: MOST_PAGES };
  const [recent, active] = await Promise.all([
    collect(page({ since }), all),
    collect(page({ active: true }), { ...all, calls: 1 }),
  ]);
  return { runs: byId([...recent.items, ...active.items]), isPart: Boolean(recent.continuation || active.continuation) };
}

const byId = (runs) => new Map(runs.map((run) => [run.runId, run]));

export class Runs extends Component {
  componentDidMount() {
    this.beginList();
    this.beginWindow();
  }

  componentWillUnmount() {
    this.list.stop();
    this.window.stop();
  }

  componentDidUpdate(before) {
    if (before.address === this.props.address) return;
    this.list.stop();
    this.beginList();
    if (before.query.hours === this.props.query.hours) return;
    this.window.stop();
    this.beginWindow();
  }

  get hours() {
    const given = Number(this.props.query.hours);
    return HOURS.includes(given) ? given : 6;
  }

  draw = () => this.setState({});

  /** Draw the list, and say which of its runs have another status than before. */
  tell = () => {
    const items = this.list.data?.items ?? [];
    const changed = items.filter((run) => (this.kinds.get(run.runId) ?? kindOf(run)) !== kindOf(run));
    this.kinds = new Map(items.map((run) => [run.runId, kindOf(run)]));
    if (changed.length) this.props.announce(changed.map((run) => `${nameOf(run)}: ${wordOf(kindOf(run))}`).join(". "));
    this.draw();
  };

  beginList() {
    const { query } = this.props;
    const quick = (data) => (data?.items.some((run) => !run.isFinished) && !query.after ? QUICK_SECONDS : SLOW_SECONDS);
    const every = (data) => (isSearch(query) ? WINDOW_SECONDS : quick(data));
    this.kinds = new Map();
    this.list = new Feed((signal) => fetchRuns(query, signal), this.tell, every).start();
    this.draw();
  }

  beginWindow() {
    const known = this.window?.data ?? null;
    this.window = new Feed((signal) => fetchWindow(this.hours, signal), this.draw, () => WINDOW_SECONDS);
    this.window.data = known;
    this.window.start();
  }

  /** The runs of the timeline. Those that the list shows too are as new as the list. */
  get known() {
    const runs = new Map(this.window.data?.runs);
    for (const run of this.list.data?.items ?? []) if (runs.has(run.runId) || !run.isFinished) runs.set(run.runId, run);
    const from = Date.now() - this.hours * 3_600_000;
    return [...runs.values()].filter((run) => !run.isFinished || Date.parse(run.finishedAt ?? run.updatedAt) >= from);
  }

  render({ query, jobs }) {
    if (!this.window) return null;
    const { list, hours } = this;
    const runs = this.known;
    const workspaces = [...new Set([...jobs.workspaces, ...runs.map((run) => run.workspace)])].sort();
    return html`<div class="head">
        <h1 tabindex="-1">Runs</h1>
        <${Live} feed=${list} />
        <nav class="hours" aria-label="Length of the timeline">
          ${HOURS.map((each) => {
            const href = linkTo("runs", null, { ...query, hours: each });
            return html`<a key=${each} href=${href} aria-current=${each === hours ? "true" : null}>${each} h</a>`;
          })}
        </nav>
      </div>
      <${FeedError} feed=${list} />
      <${Counts} runs=${runs} hours=${hours} query=${query} isPart=${this.window.data?.isPart} />
      <${Timeline} runs=${runs} hours=${hours} now=${Date.now()} />
      <section class="card" aria-label="List of runs">
        <${Filters} query=${query} workspaces=${workspaces} pipelines=${jobs.names} />
        <${List} feed=${list} query=${query} showsWorkspace=${workspaces.length > 1} />
      </section>`;
  }
}

/** How many runs of each status, as links that filter the list. */
function Counts({ runs, hours, query, isPart }) {
  const count = (...kinds) => runs.filter((run) => kinds.includes(kindOf(run))).length;
  const last = `last ${hours} h`;
  const tiles = [
    ["running", "Running", "now", count("running")],
    ["waiting", "Unknown", "now", count("waiting")],
    ["failed", "Failed", last, count("failed")],
    ["success", "Success", last, count("success")],
    ["cancelled", "Cancelled", last, count("cancelled")],
    ["lost", "Unknown", `given up, ${last}`, count("lost")],
  ];
  return html`<ul class="counts">
    ${tiles.map(([kind, status, when, number]) => {
      const isChosen = query.status === status;
      const href = linkTo("runs", null, { ...query, after: null, status: isChosen ? "" : status });
      return html`<li key=${kind} class=${kind}>
        <a href=${href} aria-current=${isChosen ? "true" : null}>
          <span class="number">${isPart ? `≥ ${number}` : number}</span>
          <span class="word"><${Glyph} kind=${kind} />${status}</span> <span class="quiet">${when}</span>
        </a>
      </li>`;
    })}
  </ul>`;
}

function List({ feed, query, showsWorkspace }) {
  const { data } = feed;
  if (data === null) return html`<p class="quiet" role="status">${feed.error ? "" : "Loading the runs …"}</p>`;
  return html`<${RunTable} runs=${data.items} showsWorkspace=${showsWorkspace} />
    ${!data.items.length && html`<p class="empty">${emptyText(query, data)}</p>`}
    <nav class="pager" aria-label="Pages of runs">
      ${query.after && html`<a class="button" href=${linkTo("runs", null, { ...query, after: null })}>Newest runs</a>`}
      ${data.continuation &&
      html`<a class="button" href=${linkTo("runs", null, { ...query, after: data.continuation })}>
        ${isSearch(query) ? "Search older runs" : "Older runs"}
      </a>`}
      <span class="quiet">
        ${data.items.length} ${data.items.length === 1 ? "run" : "runs"}
        ${isSearch(query) ? ` of ${data.seen} that were searched` : ""}
      </span>
    </nav>`;
}

function emptyText(query, data) {
  if (data.continuation) return "No run matches so far. Older ones were not searched yet.";
  if (query.after) return "There is no older run.";
  const isFiltered = Object.keys(query).some((name) => name !== "hours");
  return isFiltered ? "No run matches these filters." : "No run yet. Start one in Jobs, or through the API.";
}

/** Runs as a table. On a narrow screen every row becomes a block. */
export function RunTable({ runs, showsWorkspace = false, caption = "Runs, newest first" }) {
  if (!runs.length) return null;
  const hasLinks = runs.some((run) => safeLink(run.updateUrl));
  const open = (run) => (event) => event.target.closest("a, button") || String(getSelection()) || go(runLink(run));
  return html`<table class="runs stacks">
    <caption class="unseen">${caption}</caption>
    <thead>
      <tr>
        <th scope="col">Status</th>
        <th scope="col">Pipeline</th>
        ${showsWorkspace && html`<th scope="col">Workspace</th>`}
        <th scope="col">Started</th>
        <th scope="col">Duration</th>
        <th scope="col">What happens</th>
        ${hasLinks && html`<th scope="col">Databricks</th>`}
      </tr>
    </thead>
    <tbody>
      ${runs.map((run) => {
        const page = safeLink(run.updateUrl);
        return html`<tr key=${run.runId} onClick=${open(run)}>
          <td class="status"><${Badge} run=${run} /></td>
          <td class="name">
            <a href=${runLink(run)}>${nameOf(run)}</a> <code class="quiet">${shortId(run.updateId)}</code>
            ${run.fullRefresh && html` <span class="tag">full refresh</span>`}
          </td>
          ${showsWorkspace && html`<td class="workspace">${run.workspace}</td>`}
          <td class="time"><${Time} at=${run.startedAt} /></td>
          <td class="time"><${Elapsed} run=${run} /></td>
          <td class="message"><div>${run.error?.message ?? run.message}</div></td>
          ${hasLinks && html`<td class="outside">${page && html`<${External} address=${page}>Update</${External}>`}</td>`}
        </tr>`;
      })}
    </tbody>
  </table>`;
}
