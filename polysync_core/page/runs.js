// The list of runs, with what runs now and the last hours above it.
import { get } from "./api.js";
import { go, linkTo, runLink, safeLink } from "./address.js";
import { collect, Feed, fetchEach, keep } from "./feed.js";
import { beginOf, belongs, fetchRuns, Filters, HOURS, hoursOf, isFiltered, isNarrowed, isoOf, isSearch } from "./filters.js";
import { keyOfRun, messageOf, nameOf, shortId } from "./format.js";
import { Component, html } from "./html.js";
import { Elapsed, External, FeedError, Head, Live, Stale, Time } from "./parts.js";
import { Badge, filterOf, Glyph, KIND_NAMES, kindOf, kindOfFilter, wordOf } from "./status.js";
import { Timeline } from "./timeline.js";

const MOST_PAGES = 10;
const QUICK_SECONDS = 5;
const SLOW_SECONDS = 15;
const WINDOW_SECONDS = 30;
const LATELY_HOURS = 48;
const LATE_SECONDS = 120;

/**
 * What the timeline and the counts show: all active runs, and those that ended in the last hours. For these, the app reads
 * the whole history once. A later window asks what ended since the `former` one, among the runs that began lately, and
 * knows the others. An end may be stored late.
 */
async function fetchWindow(hours, signal, former) {
	const isFirst = !(former?.hours >= hours);
	const [from, readAt] = [beginOf(hours), Date.now()];
	const page = (query) => (continuation) => get("runs", { workspace: "*", limit: 200, ...query, continuation }, signal);
	const finishedSince = isoOf(isFirst ? from : Math.max(from, former.readAt - LATE_SECONDS * 1000));
	const since = isFirst ? null : isoOf(Math.min(beginOf(hours + LATELY_HOURS), former.readAt));
	const [active, ended] = await Promise.all([
		collect(page({ active: true }), { wanted: Infinity, calls: 1 }),
		collect(page({ finishedSince, since }), { wanted: Infinity, calls: MOST_PAGES }),
	]);
	const runs = new Map([...ended.items, ...active.items].map((run) => [keyOfRun(run), run]));
	const known = isFirst ? [] : [...former.runs.values()].filter((run) => !runs.has(keyOfRun(run)));
	const again = await fetchEach(known.filter((run) => !run.isFinished), signal);
	const stays = (run) => run.isFinished && Date.parse(run.finishedAt) >= from;
	for (const run of [...known.filter(stays), ...again]) runs.set(keyOfRun(run), run);
	const lacksEnded = Boolean(ended.continuation) || (!isFirst && former.lacksEnded);
	return { hours, readAt, runs, lacksEnded, lacksActive: Boolean(active.continuation) };
}

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
		return hoursOf(this.props.query);
	}

	/** The name of the pipeline that the address filters by, or its id while no run of it is known. */
	get nameOfPipeline() {
		const id = this.props.query.pipelineId;
		const runs = [...(this.list.data?.items ?? []), ...(this.window.data?.runs.values() ?? [])];
		return runs.filter((run) => run.pipelineId === id).map(nameOf).find((name) => name !== id) ?? id;
	}

	draw = () => this.setState({});

	/** Draw the list, and say which of its runs have another status than before. */
	tell = () => {
		const items = this.list.data?.items ?? [];
		for (const run of items) keep(keyOfRun(run), run, this.list.loadedAt);
		const changed = items.filter((run) => (this.kinds.get(keyOfRun(run)) ?? kindOf(run)) !== kindOf(run));
		this.kinds = new Map(items.map((run) => [keyOfRun(run), kindOf(run)]));
		if (changed.length) this.props.announce(changed.map((run) => `${nameOf(run)}: ${wordOf(kindOf(run))}`).join(". "));
		this.draw();
	};

	beginList() {
		const { query } = this.props;
		const quick = (data) => (data?.items.some((run) => !run.isFinished) && !query.after ? QUICK_SECONDS : SLOW_SECONDS);
		const every = (data) => (isSearch(query) ? WINDOW_SECONDS : quick(data));
		this.kinds = new Map();
		this.list = new Feed((signal) => fetchRuns(query, signal), this.tell, every, JSON.stringify(query)).start();
		this.draw();
	}

	beginWindow() {
		this.window = new Feed((signal, feed) => fetchWindow(this.hours, signal, feed.data), this.draw, () => WINDOW_SECONDS, "window").start();
	}

	/** The runs of the timeline. Those that the list shows too are as new as the list. */
	get known() {
		const runs = new Map(this.window.data?.runs);
		for (const run of this.list.data?.items ?? []) if (runs.has(keyOfRun(run)) || !run.isFinished) runs.set(keyOfRun(run), run);
		const from = beginOf(this.hours);
		return [...runs.values()].filter((run) => !run.isFinished || Date.parse(run.finishedAt) >= from);
	}

	render({ query, jobs }) {
		if (!this.window) return null;
		const { list, hours } = this;
		const runs = this.known;
		const workspaces = [...new Set([...jobs.workspaces, ...runs.map((run) => run.workspace)])].sort();
		return html`<div class="head">
				<h1 tabindex="-1">Runs</h1>
				<${Live} feed=${list} isOld=${(list.data?.items ?? []).some((run) => run.staleSince && !run.isFinished)} />
				<nav class="hours" aria-label="Length of the timeline">
					${HOURS.map((each) => {
						const href = linkTo("runs", null, { ...query, hours: each });
						return html`<a key=${each} href=${href} aria-current=${each === hours ? "true" : null}>${each} h</a>`;
					})}
				</nav>
			</div>
			<${FeedError} feed=${list.error ? list : this.window} />
			<${Counts} runs=${runs} hours=${hours} query=${query} window=${this.window.data} />
			<${Timeline} runs=${runs} hours=${hours} now=${Date.now()} isKnown=${this.window.data} isPart=${this.window.data?.lacksEnded} />
			<section class="card" aria-label="List of runs">
				<${Filters} query=${query} workspaces=${workspaces} pipelines=${jobs.names} nameOfPipeline=${this.nameOfPipeline} />
				<${List} feed=${list} query=${query} showsWorkspace=${workspaces.length > 1} />
			</section>`;
	}
}

/** How many runs of each status, as links to a list of the same runs: what is active now, or ended in the last hours. */
function Counts({ runs, hours, query, window }) {
	const counted = runs.filter((run) => belongs(run, query));
	return html`${isNarrowed(query) && html`<p class="quiet">The filters of the list apply to these numbers, and not to the timeline.</p>`}
	<ul class="counts">
		${KIND_NAMES.map((kind) => {
			const isActive = kind === "running" || kind === "waiting";
			const isChosen = kindOfFilter(query) === kind && Boolean(query.recent) !== isActive;
			const [word, unknown] = wordOf(kind).split(/ \(|\)/);
			const number = counted.filter((run) => kindOf(run) === kind).length;
			const chosen = { recent: "true", ...filterOf(kind), since: null, until: null };
			const href = linkTo("runs", null, { ...query, after: null, ...(isChosen ? { status: null, active: null, recent: null } : chosen) });
			return html`<li key=${kind} class=${kind}>
				<a href=${href} aria-current=${isChosen ? "true" : null} onClick=${() => isChosen || setTimeout(showList)}>
					<span class="number">${window ? ((isActive ? window.lacksActive : window.lacksEnded) ? `≥ ${number}` : number) : "–"}</span>
					<span class="word"><${Glyph} kind=${kind} />${word}</span>
					<span class="quiet">${unknown && `${unknown}, `}${isActive ? "now" : `last ${hours} h`}</span>
				</a>
			</li>`;
		})}
	</ul>`;
}

/** Move the focus to the list, and the list into sight where it is out of it. */
export function showList() {
	const found = document.getElementById("found");
	found?.focus({ preventScroll: true });
	if (found?.getBoundingClientRect().bottom > innerHeight * 0.8) found.closest("section").scrollIntoView();
}

function List({ feed, query, showsWorkspace }) {
	const { data } = feed;
	const found = (text) => html`<p class="quiet" id="found" tabindex="-1" role="status">${text}</p>`;
	return html`${found(data ? countText(query, data) : feed.error ? "" : "Loading the runs …")}
		${data && html`<${RunTable} runs=${data.items} showsWorkspace=${showsWorkspace} />`}
		${data && !data.items.length && html`<p class="empty">${emptyText(query, data)}</p>`}
		<nav class="pager" aria-label="Pages of runs">
			${query.after && html`<a class="button" href=${linkTo("runs", null, { ...query, after: null })}>Newest runs</a>`}
			${data?.continuation &&
			html`<a class="button" href=${linkTo("runs", null, { ...query, after: data.continuation })}>
				${isSearch(query) ? "Search older runs" : "Older runs"}
			</a>`}
		</nav>`;
}

function countText(query, { items, seen, continuation }) {
	const runs = `${items.length} ${items.length === 1 ? "run" : "runs"}`;
	if (isSearch(query)) return `${items.length} of ${seen} runs that were searched ${items.length === 1 ? "matches" : "match"}`;
	if (query.after) return `${runs} shown`;
	if (continuation) return `The ${items.length} newest runs`;
	const isLimited = query.recent || query.since || query.until || query.status === "Running" || query.active === "true";
	return isLimited ? runs : `${runs}, all times`;
}

function emptyText(query, data) {
	if (data.continuation) return "No run matches so far. Older ones were not searched yet.";
	if (query.after) return "There is no older run.";
	return isFiltered(query) ? "No run matches these filters." : "No run yet. Start one in Jobs, or through the API.";
}

/** Runs as a table. On a narrow screen every row becomes a block. */
export function RunTable({ runs, showsWorkspace = false, caption = "Runs, newest first" }) {
	if (!runs.length) return null;
	const hasLinks = runs.some((run) => safeLink(run.updateUrl));
	const open = (run) => (event) => event.target.closest("a, button") || String(getSelection()) || go(runLink(run));
	return html`<table class="runs stacks">
		<caption class="unseen">${caption}</caption>
		<${Head} of=${["Status", "Pipeline", showsWorkspace && "Workspace", "Started", "Duration", "What happens", hasLinks && "Databricks"]} />
		<tbody>
			${runs.map((run) => {
				const page = safeLink(run.updateUrl);
				return html`<tr key=${keyOfRun(run)} onClick=${open(run)}>
					<td class="status"><${Badge} run=${run} /></td>
					<td class="name">
						<a href=${runLink(run)}>${nameOf(run)}</a> <code class="quiet">${shortId(run.updateId)}</code>
						${run.fullRefresh && html` <span class="tag">full refresh</span>`}
					</td>
					${showsWorkspace && html`<td class="workspace">${run.workspace}</td>`}
					<td class="time"><${Time} at=${run.startedAt} /></td>
					<td class="time"><${Elapsed} run=${run} /></td>
					<td class="message"><div>${run.error?.message ?? messageOf(run)}</div><${Stale} run=${run} /></td>
					${hasLinks && html`<td class="outside">${page && html`<${External} address=${page}>Update</${External}>`}</td>`}
				</tr>`;
			})}
		</tbody>
	</table>`;
}
