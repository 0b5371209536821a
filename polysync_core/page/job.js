// One job: its parameters, its stored full_refresh, its last runs, Sync and Start.
import { get, post, put } from "./api.js";
import { linkTo, safeLink } from "./address.js";
import { Ask } from "./dialogs.js";
import { collect, Feed } from "./feed.js";
import { Choice } from "./filters.js";
import { Component, html } from "./html.js";
import { nameOfJob } from "./jobs.js";
import { External, Facts, failed, FeedError, Head, Notice, Place, Time } from "./parts.js";
import { RunTable } from "./runs.js";
import { fullRefreshOf, StartDialog, storedFullRefresh } from "./start.js";

const EVERY_SECONDS = 10;
const LAST_RUNS = 10;
const DIRECTIONS = {
	Input: "Input: a start sends it, unless the start says otherwise",
	Output: "Output: never sent",
	"Input&Output": "Input&Output: sent like Input",
};

export class Job extends Component {
	state = { starts: false, outcome: null, isSyncing: false };

	componentDidMount() {
		const { id, query } = this.props;
		const draw = () => this.setState({});
		const { workspace } = query;
		const page = (signal) => (continuation) =>
			get("runs", { workspace: workspace || "*", pipelineId: id, limit: LAST_RUNS, continuation }, signal);
		const runs = (signal) => collect(page(signal), { wanted: 1, calls: 2 });
		this.feed = new Feed((signal) => get(this.path, { workspace }, signal), draw, () => 6 * EVERY_SECONDS, `${this.path}?${workspace}`).start();
		this.runs = new Feed(runs, draw, () => EVERY_SECONDS).start();
		draw();
	}

	componentWillUnmount() {
		this.feed.stop();
		this.runs.stop();
	}

	get path() {
		return `jobs/${encodeURIComponent(this.props.id)}`;
	}

	/** Call a route of the job, and say what came of it. */
	async act(work, told) {
		if (this.state.isSyncing) return;
		this.setState({ outcome: null, isSyncing: true });
		try {
			this.setState({ outcome: told(await work({ query: { workspace: this.feed.data.workspace } })) });
		} catch (error) {
			this.setState({ outcome: failed(error) });
		}
		this.setState({ isSyncing: false });
		await this.feed.now();
	}

	sync = () => this.act((options) => post(`${this.path}/sync`, {}, options), reported);

	save = (value, direction) =>
		this.act(
			(options) => put(`${this.path}/parameters/full_refresh`, { value, direction }, options),
			() => ({ text: `full_refresh is stored: ${value ? "yes" : "no"}, ${direction}.` }),
		);

	render({ id, session, query, allowed }, { starts, outcome, isSyncing }) {
		const job = this.feed?.data;
		if (!job) {
			return html`<${Place} list="jobs" word="Jobs" here=${id} title=${`Job ${id}`} feed=${this.feed} />`;
		}
		const isAdmin = session.can("Polysync.Admin", job.workspace);
		const mayStart = session.can("Polysync.Operate", job.workspace);
		const monitor = safeLink(job.monitorUrl);
		return html`<${Place} list="jobs" word="Jobs" here=${job.externalId} title=${nameOfJob(job)} feed=${this.feed} />
			<${Notice} outcome=${outcome} onClose=${() => this.setState({ outcome: null })} />
			<section class="card" aria-label="Job">
				${(mayStart || isAdmin) &&
				html`<p class="buttons">
					${mayStart && html`<button class="primary" onClick=${() => this.setState({ starts: true })}>Start …</button>`}
					${isAdmin && html`<button aria-disabled=${isSyncing} onClick=${this.sync}>Sync parameters</button>`}
				</p>`}
				${!job.accessible && html`<p class="warning">Databricks does not let this app read the pipeline. What you see is the last known.</p>`}
				<${Facts}
					of=${[
						["Pipeline id", html`<code>${job.externalId}</code>`, "long"],
						["Workspace", job.workspace],
						["Type", `${job.jobType}, ${job.platform}`],
						["Imported", html`<${Time} at=${job.importedAt} />`],
						["Synced", html`<${Time} at=${job.syncedAt} missing="never" />`],
						["Databricks", monitor ? html`<${External} address=${monitor}>Pipeline</${External}>` : html`<code>${job.monitorUrl}</code>`, monitor ? "" : "long"],
					]}
				/>
			</section>
			<${FullRefresh} key=${job.externalId} job=${job} isAdmin=${isAdmin} isBusy=${isSyncing} save=${this.save} />
			<${Parameters} job=${job} />
			<section class="card" aria-labelledby="last-runs">
				<div class="card-head">
					<h2 id="last-runs">Last runs</h2>
					<a href=${linkTo("runs", null, { pipelineId: job.externalId, workspace: query.workspace })}>All its runs</a>
				</div>
				<${FeedError} feed=${this.runs} />
				<${RunTable} runs=${this.runs.data?.items ?? []} caption="Last runs of this job, newest first" />
				${this.runs.data && !this.runs.data.items.length && html`<p class="empty">No run yet.</p>`}
			</section>
			${starts &&
			html`<${StartDialog}
				allowed=${allowed}
				pipeline=${{ pipelineId: job.externalId, name: job.name, workspace: job.workspace }}
				onClose=${() => this.setState({ starts: false })}
			/>`}`;
	}
}

function reported({ parameters, changes }) {
	const changed = parameters.added + parameters.changed + parameters.removed;
	const shown = (value) => (value === null ? "nothing" : String(value));
	const lines = changes.filter((change) => change.parameter !== null).slice(0, 20);
	return {
		text: changed ? `Synced: ${changed} parameters changed.` : "Synced: nothing has changed.",
		more: html`<ul>${lines.map((each) => html`<li key=${each.parameter}><code>${each.parameter}</code>: ${shown(each.from)} → ${shown(each.to)}</li>`)}</ul>`,
	};
}

class FullRefresh extends Component {
	stored = fullRefreshOf(this.props.job);
	state = { value: this.stored ? yesOrNo(this.stored) : "", direction: this.stored?.direction ?? "Input", asks: false };

	save = () => this.props.save(this.state.value === "yes", this.state.direction);

	submit = (event) => {
		event.preventDefault();
		if (event.submitter.ariaDisabled === "true") return;
		const isTurnedOn = this.state.value === "yes" && this.state.direction !== "Output" && storedFullRefresh(this.props.job) !== true;
		if (isTurnedOn) this.setState({ asks: true });
		else this.save();
	};

	render({ job, isAdmin, isBusy }, { value, direction, asks }) {
		const stored = fullRefreshOf(job);
		const isSame = stored && yesOrNo(stored) === value && stored.direction === direction;
		const now = stored ? `${stored.value ? "yes" : "no"}, ${DIRECTIONS[stored.direction]}` : "nothing is stored, so a start does no full refresh by itself";
		return html`<section class="card" aria-labelledby="full-refresh-title">
			<h2 id="full-refresh-title">Stored full refresh</h2>
			<p>Now: ${now}.</p>
			${isAdmin &&
			html`<form class="filters" onSubmit=${this.submit}>
				<${Choice}
					label="Value"
					value=${value}
					options=${[...(stored ? [] : [["", "nothing"]]), ["no", "no"], ["yes", "yes"]]}
					set=${(chosen) => this.setState({ value: chosen })}
				/>
				<${Choice} label="Direction" value=${direction} options=${Object.entries(DIRECTIONS)} set=${(chosen) => this.setState({ direction: chosen })} />
				<button aria-disabled=${isBusy || !value || isSame}>Store</button>
			</form>
			<p class="quiet">A stored value can be changed later, but not removed.</p>`}
			${asks &&
			html`<${Ask}
				title=${`Store a full refresh for ${nameOfJob(job)}?`}
				agree="Store the full refresh"
				isDangerous
				act=${this.save}
				onClose=${() => this.setState({ asks: false })}
			>
				<p class="warning">From now on, every start that does not say otherwise empties the tables and computes them again.</p>
			</${Ask}>`}
		</section>`;
	}
}

const yesOrNo = (stored) => (stored.value ? "yes" : "no");

function Parameters({ job }) {
	const others = job.parameters.filter((parameter) => parameter.name !== "full_refresh");
	return html`<section class="card" aria-labelledby="parameters-title">
		<h2 id="parameters-title">Parameters</h2>
		<p class="quiet">They belong to the pipeline's definition. Edit them in Databricks, then sync.</p>
		${!others.length && html`<p class="empty">None was imported.</p>`}
		${others.length > 0 &&
		html`<table>
			<caption class="unseen">Parameters of the job</caption>
			<${Head} of=${["Name", "Value", "Type", "Direction"]} />
			<tbody>
				${others.map(
					(parameter) => html`<tr key=${parameter.name}>
						<td class="wraps"><code>${parameter.name}</code></td>
						<td class="wraps">${parameter.hidden ? html`<span class="quiet">hidden, because it looks like a secret</span>` : String(parameter.value)}</td>
						<td>${parameter.dataType}</td>
						<td>${parameter.direction}</td>
					</tr>`,
				)}
			</tbody>
		</table>`}
	</section>`;
}
