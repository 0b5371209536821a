// The dialog that starts an update of a pipeline.
import { get, post } from "./api.js";
import { go, runLink } from "./address.js";
import { Ask } from "./dialogs.js";
import { Component, html } from "./html.js";

const STORED = { true: "yes", false: "no", nothing: "nothing is stored, so no" };
const DESTRUCTIVE = ["full_refresh_selection", "reset_checkpoint_selection"];
const VALIDATE = "validate_only";
const OPTIONS = {
	refresh_selection: "Refresh only these tables, one per line",
	full_refresh_selection: "Full refresh of only these tables, one per line",
	reset_checkpoint_selection: "Reset the checkpoints of these flows, one per line",
	[VALIDATE]: "Only check the pipeline's code, and change no table",
};
const READ_MS = 10_000;
const REPEAT = "It is not known whether the last start like this was done. This one repeats it, and never starts a second update.";

/**
 * `pipeline` is {pipelineId, name, workspace}. `allowed` names the start options that the app takes. `options` are those of
 * an earlier run. `fullRefresh` is the first choice: "yes", "no" or "stored", which is what the job has stored now.
 * The start sends the full_refresh that the dialog shows, so nothing that is stored later can make it a full one.
 * While the outcome of a start is not known, the same start is a repeat with the same key, also from a later dialog.
 */
export class StartDialog extends Component {
	state = { choice: this.props.fullRefresh ?? "stored", stored: null, isReady: false, typed: typedOf(this.props.options) };

	componentDidMount() {
		this.readJob();
	}

	/** Learn what the job has stored. If that cannot be known, the reader has to choose. */
	async readJob() {
		const { pipelineId, workspace } = this.props.pipeline;
		const path = `jobs/${encodeURIComponent(pipelineId)}`;
		let stored = null;
		try {
			stored = storedFullRefresh(await get(path, { workspace }, AbortSignal.timeout(READ_MS)));
		} catch {
			this.setState(({ choice }) => ({ choice: choice === "stored" ? "no" : choice }));
		}
		this.setState({ stored, isReady: true });
	}

	/** The start options as they are sent. */
	get options() {
		const namesIn = (text) => text.split("\n").map((name) => name.trim()).filter(Boolean);
		const given = Object.entries(this.state.typed).map(([name, value]) => [name, typeof value === "string" ? namesIn(value) : value]);
		return Object.fromEntries(given.filter(([, value]) => value && value.length !== 0));
	}

	get hasOptions() {
		return Object.keys(this.options).length > 0;
	}

	get isFull() {
		const { choice, stored } = this.state;
		if (this.hasOptions) return false;
		return choice === "stored" ? stored === true : choice === "yes";
	}

	start = async () => {
		const { pipelineId, workspace } = this.props.pipeline;
		const { body, place } = this;
		const idempotencyKey = sessionStorage.getItem(place) ?? crypto.randomUUID();
		sessionStorage.setItem(place, idempotencyKey);
		try {
			const run = await post(`pipelines/${pipelineId}/updates`, body, { query: { workspace }, idempotencyKey });
			sessionStorage.removeItem(place);
			go(runLink(run));
		} catch (error) {
			if (!error.mayPass) sessionStorage.removeItem(place);
			this.setState({}); // what is said about a repeat
			throw error;
		}
	};

	get body() {
		return { full_refresh: this.isFull, ...this.options };
	}

	/** Where the key of this start is kept while its outcome is not known. */
	get place() {
		const { pipelineId, workspace } = this.props.pipeline;
		return `polysync.start ${JSON.stringify([workspace, pipelineId, this.body])}`;
	}

	explain = (error) => {
		const { pipeline } = this.props;
		if (!error.active?.runId) return null;
		const run = { runId: error.active.runId, workspace: pipeline.workspace };
		return html`<a href=${runLink(run)}>Open the active run</a>`;
	};

	render({ pipeline, allowed, options: before = {}, onClose }, { choice, stored, isReady, typed }) {
		const name = pipeline.name || pipeline.pipelineId;
		const { options, hasOptions } = this;
		const offered = Object.keys(OPTIONS).filter((each) => allowed.includes(each) || each in before);
		const resets = DESTRUCTIVE.some((each) => options[each]?.length);
		const isDangerous = this.isFull || resets;
		const what = this.isFull ? `the full refresh of ${name}` : hasOptions ? `${name} with these options` : name;
		const choices = [
			["no", "No: process new data only"],
			["yes", "Yes: empty the tables and compute them again"],
		];
		if (stored !== null) choices.unshift(["stored", `As stored in the job: ${STORED[stored]}`]);
		return html`<${Ask}
			title=${`Start a run of ${name}`}
			agree=${`Start ${what}`}
			isReady=${isReady || hasOptions}
			isDangerous=${isDangerous}
			typed=${isDangerous ? name : null}
			act=${this.start}
			explain=${this.explain}
			onClose=${onClose}
		>
			<p>Databricks starts one update of this pipeline in workspace ${pipeline.workspace}.</p>
			<fieldset disabled=${hasOptions}>
				<legend>Full refresh</legend>
				${!isReady && html`<p class="quiet" role="status">Reading the job …</p>`}
				${isReady &&
				choices.map(
					([value, text]) => html`<label key=${value}>
						<input
							type="radio"
							name="full-refresh"
							checked=${hasOptions ? value === "no" : choice === value}
							onChange=${() => this.setState({ choice: value })}
						/>
						${text}
					</label>`,
				)}
				${isReady && stored === null && html`<p class="quiet">What the job has stored is not known.</p>`}
			</fieldset>
			${offered.length > 0 &&
			html`<details open=${Object.keys(before).length > 0}>
				<summary>Start options</summary>
				${offered.map((each) => option(each, typed[each], (value) => this.setState({ typed: { ...typed, [each]: value } })))}
				${hasOptions && html`<p class="quiet">A start with options is not a full refresh of the whole pipeline.</p>`}
			</details>`}
			${isReady && sessionStorage.getItem(this.place) && html`<p class="warning">${REPEAT}</p>`}
			${this.isFull &&
			html`<p class="warning">
				A full refresh deletes the data of the pipeline's tables and computes them again from their sources. What the
				sources no longer hold is lost.
			</p>`}
			${resets &&
			html`<p class="warning">
				The data of these tables are deleted, or their checkpoints reset, and computed again. What the sources no
				longer hold is lost.
			</p>`}
		</${Ask}>`;
	}
}

/** The field of a start option, with the name that the API and Databricks use. */
function option(name, value, set) {
	const label = html`<span>${OPTIONS[name]} <code>${name}</code></span>`;
	if (name === VALIDATE) {
		return html`<label key=${name}><input type="checkbox" checked=${value} onChange=${(event) => set(event.target.checked)} />${label}</label>`;
	}
	return html`<label key=${name} class="field">${label}
		<textarea rows="3" spellcheck="false" value=${value ?? ""} onInput=${(event) => set(event.target.value)}></textarea>
	</label>`;
}

/** What the fields of the start options hold for these options: a text with a name in each line, or true. */
function typedOf(options = {}) {
	return Object.fromEntries(Object.entries(options).map(([name, value]) => [name, Array.isArray(value) ? value.join("\n") : value]));
}

export const fullRefreshOf = (job) => job.parameters.find((parameter) => parameter.name === "full_refresh");

/** What a start that says nothing about it would send for full_refresh: true, false, or "nothing" when nothing is stored. */
export function storedFullRefresh(job) {
	const stored = fullRefreshOf(job);
	return stored ? Boolean(stored.forwarded && stored.value) : "nothing";
}

/** The start options of a run, in words. */
export function Options({ of }) {
	const given = Object.entries(of ?? {});
	if (!given.length) return null;
	return html`<ul class="options">
		${given.map(
			([name, value]) => html`<li key=${name}><code>${name}</code>: ${Array.isArray(value) ? value.join(", ") : String(value)}</li>`,
		)}
	</ul>`;
}
