// What Databricks logs about an update: its phases with their durations, and the lines of the event log.
import { get } from "./api.js";
import { Feed } from "./feed.js";
import { clock, duration, shortTime } from "./format.js";
import { Component, html } from "./html.js";
import { FeedError, Head, Live, Ticking } from "./parts.js";

const MOST_PAGES = 3;
const MOST_PAGES_TO_THE_START = 10;
const MOST_LINES = 2000;
const LIVE_SECONDS = 5;
const AFTER_THE_END_MS = 30_000;
const STATE = /\bis ([A-Z][A-Z_]+)\.?$/;
const UPDATE = /^Update ([\w-]+)/;
const TERMINAL = ["COMPLETED", "FAILED", "CANCELED"];
const LEVELS = ["INFO", "WARN", "ERROR", "METRICS"];

/**
 * The phases of an update, oldest first: each state with its beginning and its end, which is null while it lasts.
 * The event log has them as update_progress, but for the first one: that is create_update.
 */
export function phasesOf(lines, finishedAt) {
	const entered = lines
		.map((line) => ({ state: stateOf(line), began: Date.parse(line.time), update: UPDATE.exec(line.message)?.[1] }))
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

const keyOf = (line) => JSON.stringify(line);
/** The time with its seconds, also on another day. */
const exactTime = (at) => shortTime(at).replace(/, .*/, `, ${clock(new Date(at))}`);
const GAP = "(gap)";
const newestFirst = (a, b) => Date.parse(b.time ?? 0) - Date.parse(a.time ?? 0);

export class Progress extends Component {
	state = { level: "", isLoadingOlder: false, problem: null };
	followedUntil = 0;
	isGone = false;

	/** The newest lines, at most MOST_LINES, and apart from them all lines that tell a phase. */
	forget() {
		Object.assign(this, { lines: new Map(), phases: new Map(), older: null, isCut: false, hasStart: true, hasSought: false });
	}

	componentDidMount() {
		this.forget();
		this.begin();
	}

	componentWillUnmount() {
		this.isGone = true;
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

	/** Read the newest lines, back to one that is known. Lines that are left out between them are marked. */
	load = async (signal) => {
		const known = new Set(this.lines.keys());
		let [continuation, isKnown, last] = [null, false, null];
		for (let page = 0; page < MOST_PAGES && !isKnown; page += 1) {
			const { items, continuation: next } = await this.fetch(continuation, signal);
			isKnown = items.some((line) => known.has(keyOf(line)));
			this.take(items);
			[continuation, last] = [next, items.at(-1) ?? last];
			if (!continuation) break;
		}
		if (known.size && !isKnown && continuation) this.take([{ time: last?.time ?? null, eventType: GAP }]);
		if (!known.size) {
			this.older = continuation;
			if (continuation && !this.hasSought) this.findStart(continuation);
		}
		this.cut();
		return this.lines;
	};

	fetch(continuation, signal) {
		const { runId, workspace } = this.props.run;
		return get(`runs/${encodeURIComponent(runId)}/events`, { workspace, continuation }, signal);
	}

	take(items) {
		const taken = new Set();
		for (const line of items) {
			let key = keyOf(line);
			while (taken.has(key)) key += "+"; // another line that is equal
			taken.add(key);
			this.lines.set(key, line);
			if (stateOf(line)) this.phases.set(key, line);
		}
	}

	/** Drop the oldest lines beyond the bound. What is older cannot be loaded then: it would leave a gap. */
	cut() {
		if (this.lines.size <= MOST_LINES) return;
		const kept = [...this.lines].sort(([, a], [, b]) => newestFirst(a, b)).slice(0, MOST_LINES);
		Object.assign(this, { lines: new Map(kept), older: null, isCut: true });
	}

	/** Read back to the beginning of a long update once, for its phases. Its lines are not kept. */
	async findStart(continuation) {
		const { phases } = this;
		Object.assign(this, { hasStart: false, hasSought: true });
		try {
			for (let page = 0; page < MOST_PAGES_TO_THE_START && continuation && !this.isGone; page += 1) {
				const { items, continuation: next } = await this.fetch(continuation);
				for (const line of items) if (stateOf(line)) phases.set(keyOf(line), line);
				continuation = next;
			}
			if (phases === this.phases) this.hasStart = !continuation;
		} catch {
			// The phases that are known stay, and the table says that it has no beginning.
		}
		if (!this.isGone) this.setState({});
	}

	loadOlder = async () => {
		if (this.state.isLoadingOlder) return;
		this.setState({ isLoadingOlder: true, problem: null });
		try {
			const page = await this.fetch(this.older);
			this.take(page.items);
			this.older = page.continuation;
			this.hasStart ||= !this.older;
			this.cut();
		} catch (error) {
			if (this.isGone) return;
			if (error.status === 410) {
				this.forget();
				await this.feed.now();
			} else {
				this.setState({ problem: error });
				if (error.retryAfterSeconds) await new Promise((go) => setTimeout(go, error.retryAfterSeconds * 1000));
			}
		}
		if (!this.isGone) this.setState({ isLoadingOlder: false });
	};

	render({ run }, { level, isLoadingOlder, problem }) {
		if (!this.feed) return null;
		const lines = [...this.lines].sort(([, a], [, b]) => newestFirst(a, b));
		const shown = level ? lines.filter(([, line]) => line.level === level || line.eventType === GAP) : lines;
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
			<${Phases} phases=${phasesOf([...this.phases.values()], run.finishedAt)} attempts=${run.attempts} />
			${!this.hasStart && this.phases.size > 0 && html`<p class="quiet">Earlier phases are not known here.</p>`}
			${this.feed.data && !lines.length && html`<p class="empty">
				${this.older ? "No line was found so far." : `No events from Databricks for this update${run.isFinished ? "" : " yet"}.`}
			</p>`}
			${shown.length > 0 &&
			html`<div class="log" role="region" aria-label="Event log, newest first" tabindex="0">
				<ol>${shown.map(([key, line]) => html`<${Line} key=${key} line=${line} />`)}</ol>
			</div>`}
			${this.isCut && html`<p class="quiet">These are the newest ${MOST_LINES} lines. Databricks has the older ones.</p>`}
			${problem &&
			html`<p class="warning" role="alert">
				<strong>${problem.message}</strong> ${problem.mayPass ? `Press again${waitOf(problem)}.` : problem.advice}
			</p>`}
			${this.older &&
			html`<button aria-disabled=${isLoadingOlder} onClick=${this.loadOlder}>
				${isLoadingOlder && !problem ? "Loading …" : "Load older lines"}
			</button>`}
		</section>`;
	}
}

const waitOf = ({ retryAfterSeconds }) => (retryAfterSeconds ? ` in ${duration(retryAfterSeconds)}` : "");

function Phases({ phases, attempts }) {
	if (!phases.length) return null;
	const draw = (now) => {
		const length = (phase) => (phase.ended ?? now) - phase.began;
		const whole = Math.max(1, ...phases.map(length));
		return html`<table class="phases">
			<caption class="unseen">Phases of the update, oldest first</caption>
			<${Head} of=${["Phase", "Began", "Duration", "Share"]} class="unseen" />
			<tbody>
				${phases.map(
					(phase) => html`<tr key=${`${phase.state} ${phase.began}`}>
						<th scope="row">${phase.state}${attempts.length > 1 && phase.update && html` <small class="quiet">update ${phase.update}</small>`}</th>
						<td>${exactTime(phase.began)}</td>
						<td>${duration(length(phase) / 1000)}</td>
						<td class="share">
							<svg width="100%" height="10" aria-hidden="true">
								<rect width="${Math.max(0.5, (100 * length(phase)) / whole)}%" height="10" rx="2" class=${phase.ended === null ? "ink running" : "ink-done"} />
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
	if (line.eventType === GAP) return html`<li class="quiet">Lines are left out here: too many came at once.</li>`;
	const errors = line.errors ?? [];
	return html`<li class="line ${(line.level ?? "").toLowerCase()}">
		<span class="when">${line.time ? exactTime(line.time) : "–"}</span>
		<span class="level">${line.level ?? ""}</span>
		<span class="what">${line.eventType ?? ""}</span>
		<span class="said">${line.message ?? ""}</span>
		${errors.length > 0 && html`<pre class="reason">
			${errors.map(
				({ className, message }, index) => html`${index > 0 && "\n\n"}<bdi>${className}</bdi>${className && message && ": "}<bdi>${message}</bdi>`,
			)}
		</pre>`}
	</li>`;
}
