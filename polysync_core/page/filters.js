// The filters of the list of runs: read from the address, and written to it.
import { get } from "./api.js";
import { go, linkTo } from "./address.js";
import { collect } from "./feed.js";
import { isoToTyped, nameOf, typedToIso } from "./format.js";
import { Component, html } from "./html.js";
import { Copy } from "./parts.js";
import { filterOf, KIND_NAMES, kindOfFilter, wordOf } from "./status.js";

const PAGE = 50;
const SEARCH_PAGE = 200;
const TYPING_MS = 500;
export const HOURS = [1, 6, 24];
const NAMES = ["status", "active", "recent", "pipeline", "pipelineId", "workspace", "since", "until", "text"];

/** Whether the app cannot apply a filter itself, so that the page looks through the runs. */
export const isSearch = (query) => Boolean(query.text || query.pipeline || query.active === "false");
export const isFiltered = (query) => NAMES.some((name) => query[name]);

/** The hours of the timeline, of the counts, and of a list that shows only recent runs. */
export function hoursOf(query) {
	const given = Number(query.hours);
	return HOURS.includes(given) ? given : 6;
}

export const beginOf = (hours) => Date.now() - hours * 3_600_000;
export const isoOf = (instant) => new Date(instant).toISOString();

/** Fetch a page of runs that match the filters of the address. Its `continuation` is where the next one begins. */
export function fetchRuns(query, signal) {
	const asked = {
		workspace: query.workspace || "*",
		status: query.status,
		active: query.active === "true" ? "true" : null,
		pipelineId: query.pipelineId,
		since: query.since,
		until: query.until,
		finishedSince: query.recent && query.active !== "true" ? isoOf(beginOf(hoursOf(query))) : null,
		limit: isSearch(query) ? SEARCH_PAGE : PAGE,
	};
	return collect((continuation) => get("runs", { ...asked, continuation }, signal), {
		matches: (run) => matches(run, query),
		wanted: isSearch(query) ? PAGE : 1,
		continuation: query.after ?? null,
	});
}

/** Whether the counts show less than all runs. */
export const isNarrowed = ({ text, pipeline, pipelineId, workspace }) => Boolean(text || pipeline || pipelineId || workspace);

/** Whether a run matches the filters but for the status and the times. The counts apply these too. */
export function belongs(run, query) {
	const { workspace, pipelineId } = query;
	if ((workspace && run.workspace !== workspace) || (pipelineId && run.pipelineId !== pipelineId)) return false;
	return matches(run, { ...query, active: "" });
}

function matches(run, { pipeline = "", text = "", active }) {
	if (active === "false" && !run.isFinished) return false;
	const named = pipeline.toLowerCase();
	if (named && !nameOf(run).toLowerCase().includes(named) && !run.pipelineId.startsWith(named)) return false;
	const words = [nameOf(run), run.runId, run.workspace, run.state, run.message, run.error?.code, run.error?.message];
	words.push(run.startedBy?.objectId, run.cancelledBy?.objectId);
	return words.filter(Boolean).join("\n").toLowerCase().includes(text.toLowerCase());
}

/** A field that filters while the reader types. */
export class LiveField extends Component {
	state = { typed: null };

	componentDidUpdate(before) {
		const { value } = this.props;
		if (before.value !== value && !this.timer && (value ?? "") !== this.state.typed?.trim()) this.setState({ typed: null });
	}

	componentWillUnmount() {
		clearTimeout(this.timer);
	}

	type = (event) => {
		clearTimeout(this.timer);
		this.setState({ typed: event.target.value });
		this.timer = setTimeout(this.apply, TYPING_MS);
	};

	apply = () => {
		clearTimeout(this.timer);
		this.timer = null;
		const typed = this.state.typed?.trim() ?? null;
		if (typed !== null && typed !== (this.props.value ?? "")) this.props.set(typed);
	};

	render({ label, value, set: _, ...others }, { typed }) {
		return html`<label class="field">
			<span>${label}</span>
			<input type="search" value=${typed ?? value ?? ""} onInput=${this.type} onChange=${this.apply} ...${others} />
		</label>`;
	}
}

/** A choice of `options`: pairs of a value and its text. */
export function Choice({ label, value, options, set }) {
	return html`<label class="field">
		<span>${label}</span>
		<select onChange=${(event) => set(event.target.value)}>
			${options.map(([each, text]) => html`<option key=${each} value=${each} selected=${each === (value ?? "")}>${text}</option>`)}
		</select>
	</label>`;
}

/** The choice of a workspace, if there is one. */
export function WorkspaceChoice({ value, all, set }) {
	if (all.length < 2 && !value) return null;
	return html`<${Choice} label="Workspace" value=${value} options=${[["", "All"], ...all.map((name) => [name, name])]} set=${set} />`;
}

/** The form of the filters. Every change goes into the address, which shows the list again from its beginning. */
export function Filters({ query, workspaces, pipelines, nameOfPipeline }) {
	const change = (given) => linkTo("runs", null, { ...query, after: null, ...given });
	const set = (name, value) => go(change({ [name]: value }));
	const field = (name, label, extra) =>
		html`<${LiveField} label=${label} value=${query[name]} set=${(value) => set(name, value)} ...${extra} />`;
	const chip = (text, without) => html`<span class="chip">${text}
		<a href=${change(without)} aria-label=${`Remove the filter: ${text}`}>×</a></span>`;
	const chosen = kindOfFilter(query);
	const kinds = chosen === "unknown" ? [...KIND_NAMES, "unknown"] : KIND_NAMES;
	const time = (name, label) => html`<label class="field">
		<span>${label}</span>
		<input type="datetime-local" value=${isoToTyped(query[name])} onChange=${(event) => set(name, event.target.value && typedToIso(event.target.value))} />
	</label>`;
	return html`<form class="filters" role="search" aria-label="Filter runs" onSubmit=${(event) => event.preventDefault()}>
		${field("text", "Text", { placeholder: "reason, id …" })}
		${field("pipeline", "Pipeline", { list: "pipelines", placeholder: "its name" })}
		<datalist id="pipelines">${pipelines.map((name) => html`<option key=${name} value=${name} />`)}</datalist>
		<${Choice}
			label="Status"
			value=${chosen}
			options=${[["", "All"], ...kinds.map((kind) => [kind, kind === "unknown" ? "Unknown, both" : wordOf(kind)])]}
			set=${(kind) => go(change(kind ? filterOf(kind) : { status: null, active: null }))}
		/>
		<${WorkspaceChoice} value=${query.workspace} all=${workspaces} set=${(value) => set("workspace", value)} />
		${time("since", "Started since")} ${time("until", "Started before")}
		${query.recent && chip(`Ended in the last ${hoursOf(query)} h`, { recent: null })}
		${query.pipelineId && chip(`Only pipeline ${nameOfPipeline}`, { pipelineId: null })}
		${isFiltered(query) && html`<a class="button small" href=${linkTo("runs", null, { hours: query.hours })}>Clear filters</a>
			<${Copy} text=${location.href} word="Copy link" of="to these runs" />`}
	</form>`;
}
