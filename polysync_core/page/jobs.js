// The list of jobs: the pipelines that Polysync knows, each with its last runs.
import { get, post } from "./api.js";
import { go, jobLink, linkTo, runLink } from "./address.js";
import { collect, Feed, fetchEach } from "./feed.js";
import { Choice, LiveField, WorkspaceChoice } from "./filters.js";
import { keyOfRun, shortTime } from "./format.js";
import { Component, html } from "./html.js";
import { failed, FeedError, Head, Live, Notice, Time } from "./parts.js";
import { fullRefreshOf, StartDialog, storedFullRefresh } from "./start.js";
import { Glyph, kindOf, wordOf } from "./status.js";

const PAGE = 200;
const WANTED = 50;
const MARKS = 5;
const MOST_ASKED = 20;
const EVERY_SECONDS = 15;
const SOON_SECONDS = 2;
const MOST_DISCOVERIES = 50;

export const nameOfJob = (job) => job.name || job.externalId;
const byName = (a, b) => nameOfJob(a).localeCompare(nameOfJob(b));
const keyOfJob = (workspace, pipelineId) => `${workspace}/${pipelineId}`;
const keyOf = (job) => keyOfJob(job.workspace, job.externalId);

/**
 * The last runs of each pipeline, the newest first, from the newest 1,000 runs. Later calls read back to a finished run
 * of the `former` call, and again those that were active. `jobs` with fewer runs are asked for one by one, some in each
 * call. `asked` names these.
 */
async function fetchMarks(signal, former, jobs) {
	const [marks, asked] = [new Map(former?.marks), new Set(former?.asked)];
	const isKnown = (run) => marks.get(keyOfJob(run.workspace, run.pipelineId))?.some((each) => each.isFinished && each.runId === run.runId);
	const found = [];
	let continuation = null;
	for (let call = 0; call < 5; call += 1) {
		const page = await get("runs", { workspace: "*", limit: 200, continuation }, signal);
		found.push(...page.items);
		continuation = page.continuation;
		if (!continuation || page.items.some(isKnown)) break;
	}
	if (continuation && !found.some(isKnown)) [marks, asked].forEach((each) => each.clear()); // too much was missed
	const seen = new Set(found.map(keyOfRun));
	const isOpen = (run) => !run.isFinished && !seen.has(keyOfRun(run));
	const again = new Map((await fetchEach([...marks.values()].flat().filter(isOpen), signal)).map((run) => [keyOfRun(run), run]));
	for (const [key, runs] of marks) marks.set(key, runs.map((run) => again.get(keyOfRun(run)) ?? run));
	for (const run of found.reverse()) {
		const key = keyOfJob(run.workspace, run.pipelineId);
		const others = (marks.get(key) ?? []).filter((each) => each.runId !== run.runId);
		marks.set(key, [run, ...others].slice(0, MARKS));
	}
	const short = jobs.filter((job) => !asked.has(keyOf(job)) && (marks.get(keyOf(job))?.length ?? 0) < MARKS);
	const last = ({ workspace, externalId: pipelineId }) =>
		collect((continuation) => get("runs", { workspace, pipelineId, limit: MARKS, continuation }, signal), { wanted: MARKS, calls: 2 });
	const now = short.slice(0, MOST_ASKED);
	const pages = await Promise.all(now.map(last));
	now.forEach((job, index) => {
		marks.set(keyOf(job), pages[index].items);
		asked.add(keyOf(job));
	});
	return { marks, asked, hasMore: short.length > now.length };
}

export class Jobs extends Component {
	state = { starts: null, outcome: null, isDiscovering: false };

	componentDidMount() {
		this.begin();
	}

	componentWillUnmount() {
		this.feed.stop();
		this.marks.stop();
	}

	componentDidUpdate(before) {
		if (before.address === this.props.address) return;
		this.componentWillUnmount();
		this.begin();
	}

	begin() {
		const { query } = this.props;
		const named = (query.name ?? "").toLowerCase();
		const isNamed = (job) => nameOfJob(job).toLowerCase().includes(named) || job.externalId === named;
		const matches = (job) => isNamed(job) && (!query.full || storedFullRefresh(job) === true);
		const page = (signal) => (continuation) =>
			get("jobs", { workspace: query.workspace || "*", limit: PAGE, continuation }, signal);
		const load = (signal) => collect(page(signal), { matches, wanted: named || query.full ? WANTED : 1, continuation: query.after ?? null });
		const draw = () => this.setState({});
		const every = (data) => (data?.hasMore ? SOON_SECONDS : EVERY_SECONDS);
		this.marks = new Feed((signal, feed) => fetchMarks(signal, feed.data, this.feed.data.items), draw, every, "marks");
		const loaded = () => {
			if (this.feed.data && !this.marks.isStarted) this.marks.start();
			draw();
		};
		this.feed = new Feed(load, loaded, () => 4 * EVERY_SECONDS, `jobs ${JSON.stringify(query)}`).start();
		loaded();
	}

	discover = async () => {
		if (this.state.isDiscovering) return;
		this.setState({ isDiscovering: true, outcome: null });
		const sum = { added: 0, changed: 0, removed: 0 };
		try {
			for (const workspace of this.importable) {
				let continuation = null;
				for (let call = 0; call < MOST_DISCOVERIES; call += 1) {
					const report = await post("jobs/discover", continuation ? { continuation } : {}, { query: { workspace } });
					for (const each of Object.keys(sum)) sum[each] += report.jobs[each];
					continuation = report.continuation;
					if (!continuation) break;
				}
			}
			this.setState({ outcome: { text: `Imported: ${sum.added} new, ${sum.changed} changed, ${sum.removed} removed.` } });
		} catch (error) {
			this.setState({ outcome: failed(error) });
		}
		this.setState({ isDiscovering: false });
		this.feed.now();
		this.props.jobs.reload();
	};

	/** The workspaces whose pipelines the reader may import. Null is the default one, while none is known yet. */
	get importable() {
		const { query, session, jobs } = this.props;
		const known = query.workspace ? [query.workspace] : jobs.workspaces.length ? jobs.workspaces : [null];
		return known.filter((workspace) => session.can("Polysync.Admin", workspace));
	}

	render({ query, session, jobs, allowed }, { starts, outcome, isDiscovering }) {
		if (!this.marks) return null;
		const { data } = this.feed;
		const set = (name, value) => go(linkTo("jobs", null, { ...query, after: null, [name]: value }));
		return html`<div class="head">
				<h1 tabindex="-1">Jobs</h1>
				<${Live} feed=${this.feed} />
				${this.importable.length > 0 && html`<button aria-disabled=${isDiscovering} onClick=${this.discover}>
					${isDiscovering ? "Importing …" : "Import from Databricks"}
				</button>`}
			</div>
			<${FeedError} feed=${this.feed.error ? this.feed : this.marks} />
			<${Notice} outcome=${outcome} onClose=${() => this.setState({ outcome: null })} />
			<section class="card" aria-label="List of jobs">
				<form class="filters" role="search" aria-label="Filter jobs" onSubmit=${(event) => event.preventDefault()}>
					<${LiveField} label="Name" value=${query.name} placeholder="part of the name" set=${(value) => set("name", value)} />
					<${Choice} label="Full refresh" value=${query.full} options=${[["", "All"], ["true", "By default"]]} set=${(value) => set("full", value)} />
					<${WorkspaceChoice} value=${query.workspace} all=${jobs.workspaces} set=${(value) => set("workspace", value)} />
				</form>
				${data === null && html`<p class="quiet" role="status">Loading the jobs …</p>`}
				${data && html`<${JobTable} jobs=${data.items} marks=${this.marks.data} session=${session} start=${(job) => this.setState({ starts: job })} />`}
				${data && !data.items.length && html`<p class="empty">${data.continuation ? "No job matches so far." : query.name || query.full || query.workspace ? "No job matches." : "No job. Import the pipelines from Databricks first."}</p>`}
				<nav class="pager" aria-label="Pages of jobs">
					${query.after && html`<a class="button" href=${linkTo("jobs", null, { ...query, after: null })}>First jobs</a>`}
					${data?.continuation && html`<a class="button" href=${linkTo("jobs", null, { ...query, after: data.continuation })}>More jobs</a>`}
				</nav>
			</section>
			${starts &&
			html`<${StartDialog}
				allowed=${allowed}
				pipeline=${{ pipelineId: starts.externalId, name: starts.name, workspace: starts.workspace }}
				onClose=${() => this.setState({ starts: null })}
			/>`}`;
	}
}

function JobTable({ jobs, marks, session, start }) {
	if (!jobs.length) return null;
	return html`<table class="jobs stacks">
		<caption class="unseen">Jobs</caption>
		<${Head} of=${["Job", "Workspace", "Last runs, newest right", "Full refresh", "Synced", "Start"]} />
		<tbody>
			${[...jobs].sort(byName).map((job) => {
				const stored = fullRefreshOf(job);
				return html`<tr key=${keyOf(job)}>
					<td class="name">
						<a href=${jobLink(job.workspace, job.externalId)}>${nameOfJob(job)}</a>
						${!job.accessible && html` <span class="tag">no access</span>`}
						${storedFullRefresh(job) === true && html` <span class="tag warns">full refresh by default</span>`}
					</td>
					<td class="workspace">${job.workspace}</td>
					<td><${Marks} runs=${marks?.marks.get(keyOf(job))} isKnown=${marks?.asked.has(keyOf(job))} /></td>
					<td data-label="Full refresh">${stored ? `${stored.value ? "yes" : "no"} (${stored.direction})` : html`<span class="quiet">–</span>`}</td>
					<td class="time" data-label="Synced"><${Time} at=${job.syncedAt} missing="never" /></td>
					<td>
						${session.can("Polysync.Operate", job.workspace) &&
						html`<button class="small" aria-label=${`Start ${nameOfJob(job)} …`} onClick=${() => start(job)}>Start …</button>`}
					</td>
				</tr>`;
			})}
		</tbody>
	</table>`;
}

/** The last runs as marks, the newest at the right. Each one leads to its run. */
function Marks({ runs = [], isKnown }) {
	if (!runs.length) return html`<span class="quiet">${isKnown ? "no recent run" : ""}</span>`;
	return html`<span class="marks">
		${[...runs].reverse().map((run) => {
			const kind = kindOf(run);
			const text = `${wordOf(kind)}, ${run.startedAt ? shortTime(run.startedAt) : "not started yet"}`;
			return html`<a key=${run.runId} href=${runLink(run)} class="mark ${kind}" title=${text}>
				<${Glyph} kind=${kind} /><span class="unseen">${text}</span>
			</a>`;
		})}
	</span>`;
}
