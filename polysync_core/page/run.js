// One run: its status, why it failed, its callbacks, what an operator can do, and its progress.
import { get, post } from "./api.js";
import { jobLink, safeLink } from "./address.js";
import { Ask } from "./dialogs.js";
import { Feed } from "./feed.js";
import { callerText, messageOf, nameOf, shortId } from "./format.js";
import { Component, html } from "./html.js";
import { Copy, Elapsed, External, Facts, failed, Head, Notice, Place, Stale, Time } from "./parts.js";
import { Progress } from "./progress.js";
import { Options, StartDialog } from "./start.js";
import { Badge, kindOf, wordOf } from "./status.js";

const ACTIVE_SECONDS = 3;
const OWED_SECONDS = 5;
const SETTLED_SECONDS = 60;
const CANCELS = "The cancel is requested. It may take some minutes.";

export class Run extends Component {
	state = { asks: null, outcome: null };

	componentDidMount() {
		const path = `runs/${encodeURIComponent(this.props.id)}`;
		const query = { workspace: this.props.query.workspace };
		const key = `${query.workspace}/${this.props.id}`;
		this.feed = new Feed((signal) => get(path, query, signal), () => this.setState({}), secondsUntilNext, key).start();
		this.setState({});
	}

	componentWillUnmount() {
		this.feed.stop();
	}

	/** Does what the reader agreed to, and says what came of it, by the run in the answer. */
	async act(route, told) {
		const { runId, workspace } = this.feed.data;
		const run = await post(`runs/${encodeURIComponent(runId)}/${route}`, {}, { query: { workspace } });
		this.setState({ outcome: { text: told(run) } });
		await this.feed.now();
	}

	cancel = () => this.act("cancel", (run) => (run.isFinished ? `It had already ended: ${wordOf(kindOf(run))}.` : CANCELS));
	abandon = () => this.act("abandon", () => "The run was given up.");

	redeliver = async () => {
		if (this.isSending) return;
		this.isSending = true;
		await this.act("callbacks/redeliver", () => "The callbacks are sent again.").catch((error) => this.setState({ outcome: failed(error) }));
		this.isSending = false;
	};

	render({ id, session, announce, allowed }, { asks, outcome }) {
		const run = this.feed?.data;
		if (!run) {
			return html`<${Place} list="runs" word="Runs" here=${shortId(id)} title=${`Run ${shortId(id)}`} feed=${this.feed} />`;
		}
		announce(`${nameOf(run)}: ${wordOf(kindOf(run))}${run.state ? `, ${run.state}` : ""}`);
		const close = () => this.setState({ asks: null });
		return html`<${Place} list="runs" word="Runs" here=${shortId(run.updateId)} title=${nameOf(run)} feed=${this.feed} />
			<${Notice} outcome=${outcome} onClose=${() => this.setState({ outcome: null })} />
			<section class="card" aria-label="Status">
				<p class="big"><${Badge} run=${run} /> <span>${withoutReason(run)}</span> <${Stale} run=${run} /></p>
				${run.error &&
				html`<div class="card-head">
						<h2>${WHY[kindOf(run)] ?? "What went wrong"} ${run.error.code !== run.status && html`<code>${run.error.code}</code>`}</h2>
						<${Copy} text=${run.error.message} of="the reason" />
					</div>
					<pre class="reason">${run.error.message}</pre>`}
				<${Buttons} run=${run} session=${session} ask=${(what) => this.setState({ asks: what })} redeliver=${this.redeliver} />
				<${RunFacts} run=${run} session=${session} />
			</section>
			<div class="columns">
				<${Attempts} run=${run} />
				<${Callbacks} run=${run} />
			</div>
			<${Progress} key=${run.runId} run=${run} />
			${asks === "cancel" && html`<${CancelDialog} run=${run} act=${this.cancel} onClose=${close} />`}
			${asks === "abandon" && html`<${AbandonDialog} run=${run} act=${this.abandon} onClose=${close} />`}
			${asks === "start" &&
			html`<${StartDialog}
				allowed=${allowed}
				pipeline=${{ pipelineId: run.pipelineId, name: nameOf(run), workspace: run.workspace }}
				fullRefresh=${run.fullRefresh === null ? "stored" : run.fullRefresh ? "yes" : "no"}
				options=${run.options}
				onClose=${close}
			/>`}`;
	}
}

const WHY = { failed: "Why it failed", cancelled: "Why it was cancelled", lost: "Why it was given up" };

/** The message without the reason at its beginning, which is shown in full below. */
function withoutReason(run) {
	const { message, error } = run;
	return messageOf({ ...run, message: error && message.startsWith(error.message) ? message.slice(error.message.length).trim() : message });
}

function secondsUntilNext(run) {
	if (!run || !run.isFinished) return ACTIVE_SECONDS;
	return run.callbacks.some((callback) => callback.state === "due") ? OWED_SECONDS : SETTLED_SECONDS;
}

function Buttons({ run, session, ask, redeliver }) {
	if (!session.can("Polysync.Operate", run.workspace)) return null;
	const isStopping = Boolean(run.cancelRequestedAt) || run.state === "STOPPING";
	return html`<p class="buttons">
		${!run.isFinished &&
		html`<button class="danger" disabled=${isStopping} onClick=${() => ask("cancel")}>
				${run.cancelRequestedAt ? "Cancel requested" : isStopping ? "Databricks stops it" : "Cancel this run …"}
			</button>
			<button onClick=${() => ask("abandon")}>Give up …</button>`}
		${run.isFinished && run.callbacks.length > 0 && html`<button onClick=${redeliver}>Send its callbacks again</button>`}
		${run.isFinished && html`<button class="primary" onClick=${() => ask("start")}>Start again …</button>`}
	</p>`;
}

function CancelDialog({ run, act, onClose }) {
	return html`<${Ask}
		title=${`Cancel the run of ${nameOf(run)}?`}
		agree=${`Cancel run ${shortId(run.updateId)} of ${nameOf(run)}`}
		disagree="Let it run"
		isDangerous
		act=${act}
		onClose=${onClose}
	>
		<p>Databricks is asked to stop this update. It may take some minutes, and what it has written stays.</p>
		<${Target} run=${run} />
	</${Ask}>`;
}

function AbandonDialog({ run, act, onClose }) {
	return html`<${Ask}
		title=${`Give up the run of ${nameOf(run)}?`}
		agree=${`Give up run ${shortId(run.updateId)} of ${nameOf(run)}`}
		disagree="Keep following it"
		isDangerous
		act=${act}
		onClose=${onClose}
	>
		<p>
			Use this only if nothing else can end the run. Polysync stops following it, and its callers are told so.
			Databricks is asked for nothing: the update may go on.
		</p>
		<${Target} run=${run} />
	</${Ask}>`;
}

/** What exactly a button hits. */
function Target({ run }) {
	return html`<${Facts} of=${[["Pipeline", nameOf(run)], ["Workspace", run.workspace], ["Run", html`<code>${run.runId}</code>`, "long"]]} />`;
}

function RunFacts({ run, session }) {
	const [update, monitor] = [safeLink(run.updateUrl), safeLink(run.monitorUrl)];
	const job = html`<a href=${jobLink(run.workspace, run.pipelineId)}>${nameOf(run)}</a>`;
	const links = html`${update ? html`<${External} address=${update}>Update</${External}>` : html`<code>${run.updateUrl}</code>`}
		${monitor && html` · <${External} address=${monitor}>Pipeline</${External}>`}`;
	return html`<${Facts}
		of=${[
			["Pipeline", job],
			["Workspace", run.workspace],
			["Started", html`<${Time} at=${run.startedAt ?? run.attempts[0]?.createdAt} missing="not reported yet" />`],
			["Finished", run.finishedAt && html`<${Time} at=${run.finishedAt} />`],
			["Duration", html`<${Elapsed} run=${run} />`],
			["Is cancelled at", run.timeoutAt && !run.isFinished && html`<${Time} at=${run.timeoutAt} />`],
			["Started by", callerText(run.startedBy, session) ?? "someone outside Polysync"],
			["Cancelled by", callerText(run.cancelledBy, session)],
			["Cancel requested", run.cancelRequestedAt && html`<${Time} at=${run.cancelRequestedAt} />`],
			["Full refresh", run.fullRefresh === null ? null : run.fullRefresh ? "yes" : "no"],
			["Start options", run.options && Object.keys(run.options).length > 0 && html`<${Options} of=${run.options} />`],
			["Ignored parameters", run.ignoredParameters.length > 0 && run.ignoredParameters.join(", ")],
			["Run id", html`<code>${run.runId}</code> <${Copy} text=${run.runId} of="the run id" />`, "long"],
			["Databricks", links, update ? "" : "long"],
		]}
	/>`;
}

function Attempts({ run }) {
	return html`<section class="card" aria-labelledby="attempts-title">
		<h2 id="attempts-title">Attempts</h2>
		<table class="stacks">
			<caption class="unseen">Updates of this run, oldest first</caption>
			<${Head} of=${["Update", "State", "Cause", "Created"]} />
			<tbody>
				${run.attempts.map(
					(attempt) => html`<tr key=${attempt.updateId}>
						<td><code title=${attempt.updateId}>${shortId(attempt.updateId)}</code></td>
						<td>${attempt.state ?? "–"}</td>
						<td data-label="Cause">${attempt.cause ?? "–"}</td>
						<td data-label="Created"><${Time} at=${attempt.createdAt} /></td>
					</tr>`,
				)}
			</tbody>
		</table>
	</section>`;
}

const CALLBACK_WORDS = { waiting: "waits for the end", due: "due", delivered: "delivered", givenUp: "given up" };

function Callbacks({ run }) {
	return html`<section class="card" aria-labelledby="callbacks-title">
		<h2 id="callbacks-title">Callbacks</h2>
		${!run.callbacks.length && html`<p class="quiet">No caller asked for one.</p>`}
		${run.callbacks.length > 0 &&
		html`<table class="stacks">
			<caption class="unseen">Callers that are told how the run ends</caption>
			<${Head} of=${["Kind", "State", "Tries", "Next try", "Last error"]} />
			<tbody>
				${run.callbacks.map(
					(callback, index) => html`<tr key=${index}>
						<td><code>${callback.kind}</code></td>
						<td>${CALLBACK_WORDS[callback.state] ?? callback.state}</td>
						<td data-label="Tries">${callback.tries}</td>
						<td data-label="Next try"><${Time} at=${callback.nextAttemptAt} /></td>
						<td data-label="Last error" class="wraps">${callback.lastError ?? "–"}</td>
					</tr>`,
				)}
			</tbody>
		</table>`}
	</section>`;
}
