// The filters of the list of runs: read from the address, and written to it.
import { get } from "./api.js";
import { go, linkTo } from "./address.js";
import { collect } from "./feed.js";
import { isoToTyped, nameOf, typedToIso } from "./format.js";
import { html } from "./html.js";
import { STATUSES } from "./status.js";

const PAGE = 50;
const SEARCH_PAGE = 200;

/** Whether the app cannot apply a filter itself, so that the page looks through the runs. */
export const isSearch = (query) => Boolean(query.text || query.pipeline);

/** Fetch a page of runs that match the filters of the address. Its `continuation` is where the next one begins. */
export function fetchRuns(query, signal) {
  const asked = {
    workspace: query.workspace || "*",
    status: query.status,
    pipelineId: query.pipelineId,
    since: query.since,
    until: query.until,
    limit: isSearch(query) ? SEARCH_PAGE : PAGE,
  };
  return collect((continuation) => get("runs", { ...asked, continuation }, signal), {
    matches: (run) => matches(run, query),
    wanted: isSearch(query) ? PAGE : 1,
    continuation: query.after ?? null,
  });
}

function matches(run, { pipeline = "", text = "" }) {
  const named = pipeline.toLowerCase();
  if (named && !nameOf(run).toLowerCase().includes(named) && !run.pipelineId.startsWith(named)) return false;
  const words = [nameOf(run), run.runId, run.workspace, run.state, run.message, run.error?.code, run.error?.message];
  words.push(run.startedBy?.objectId, run.cancelledBy?.objectId);
  return words.filter(Boolean).join("\n").toLowerCase().includes(text.toLowerCase());
}

/** The form of the filters. Every change goes into the address, which shows the list again from its beginning. */
export function Filters({ query, workspaces, pipelines }) {
  const set = (name, value) => go(linkTo("runs", null, { ...query, after: null, [name]: value }));
  const field = (name, label, extra = {}) => html`<label class="field">
    <span>${label}</span>
    <input value=${query[name] ?? ""} onChange=${(event) => set(name, event.target.value.trim())} ...${extra} />
  </label>`;
  const time = (name, label) => html`<label class="field">
    <span>${label}</span>
    <input
      type="datetime-local"
      value=${isoToTyped(query[name])}
      onChange=${(event) => set(name, event.target.value && typedToIso(event.target.value))}
    />
  </label>`;
  const choice = (name, label, all, values) => html`<label class="field">
    <span>${label}</span>
    <select onChange=${(event) => set(name, event.target.value)}>
      <option value="" selected=${!query[name]}>${all}</option>
      ${values.map((value) => html`<option key=${value} value=${value} selected=${query[name] === value}>${value}</option>`)}
    </select>
  </label>`;
  const isFiltered = ["status", "pipeline", "pipelineId", "workspace", "since", "until", "text"].some((name) => query[name]);
  return html`<form class="filters" role="search" aria-label="Filter runs" onSubmit=${(event) => event.preventDefault()}>
    ${field("text", "Text", { type: "search", placeholder: "message, id, state …" })}
    ${field("pipeline", "Pipeline", { list: "pipelines", placeholder: "part of its name" })}
    <datalist id="pipelines">${pipelines.map((name) => html`<option key=${name} value=${name} />`)}</datalist>
    ${choice("status", "Status", "All", STATUSES)}
    ${(workspaces.length > 1 || query.workspace) && choice("workspace", "Workspace", "All", workspaces)}
    ${time("since", "Started since")} ${time("until", "Started before")}
    ${isFiltered && html`<a class="button small" href=${linkTo("runs", null, { hours: query.hours })}>Clear filters</a>`}
    ${query.pipelineId && html`<p class="chip">Only pipeline <code>${query.pipelineId}</code></p>`}
  </form>`;
}
