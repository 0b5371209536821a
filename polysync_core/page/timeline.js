// The runs of the last hours as a drawing: a lane for each pipeline, a bar for each run.
import { go, linkTo, runLink } from "./address.js";
import { duration, hourAndMinute, keyOfRun, nameOf, shortTime } from "./format.js";
import { Component, html } from "./html.js";
import { Glyph, KIND_NAMES, kindOf, Patterns, wordOf } from "./status.js";

const LANE = 22;
const BAR = 12;
const AXIS = 22;
const FEW_LANES = 12;
const NARROWEST_BAR = 4;
const TICK_MINUTES = [5, 10, 15, 30, 60, 120, 180, 360];

/** The runs by pipeline: those first whose last run failed, then those with an active run, each by their newest run. */
export function lanesOf(runs) {
	const lanes = new Map();
	for (const run of runs) {
		const key = `${run.workspace}/${run.pipelineId}`;
		if (!lanes.has(key)) lanes.set(key, { key, name: nameOf(run), workspace: run.workspace, id: run.pipelineId, runs: [] });
		const lane = lanes.get(key);
		lane.runs.push(run);
		lane.name = run.pipelineName || lane.name;
	}
	for (const lane of lanes.values()) {
		lane.runs.sort((a, b) => beganAt(a) - beganAt(b)); // the later one on top
		const last = lane.runs.reduce((a, b) => (beganAt(a) > beganAt(b) ? a : b));
		const group = ["failed", "lost"].includes(kindOf(last)) ? 0 : last.isFinished ? 2 : 1;
		lane.isActive = lane.runs.some((run) => !run.isFinished);
		lane.order = [group, -beganAt(last)];
	}
	return [...lanes.values()].sort((a, b) => a.order[0] - b.order[0] || a.order[1] - b.order[1]);
}

const spanOf = (hours) => (hours === 1 ? "last hour" : `last ${hours} hours`);
const beganAt = (run) => Date.parse(run.startedAt ?? run.updatedAt);

export class Timeline extends Component {
	state = { width: 600, showsAll: false };

	componentDidMount() {
		this.observer = new ResizeObserver(([entry]) => this.setState({ width: Math.max(120, entry.contentRect.width) }));
		this.observer.observe(this.plot);
	}

	componentWillUnmount() {
		this.observer.disconnect();
	}

	open = (event) => {
		const run = this.props.runs.find((each) => keyOfRun(each) === event.target.dataset?.run);
		if (run) go(runLink(run));
	};

	render({ runs, hours, now, isKnown, isPart }, { width, showsAll }) {
		const lanes = lanesOf(runs);
		const shown = showsAll ? lanes : lanes.filter((lane, index) => index < FEW_LANES || lane.isActive);
		const [from, height] = [now - hours * 3_600_000, shown.length * LANE + AXIS];
		const x = (at) => ((at - from) / (now - from)) * width;
		return html`<section class="card" aria-labelledby="timeline-title">
			<div class="card-head">
				<h2 id="timeline-title">The ${spanOf(hours)}</h2>
				<${Legend} />
			</div>
			<div class="timeline">
				<ul class="lanes">
					${shown.map(
						(lane) => html`<li key=${lane.key}>
							<a href=${linkTo("runs", null, { pipelineId: lane.id, workspace: lane.workspace, hours })} title=${lane.name}>${lane.name}</a>
						</li>`,
					)}
				</ul>
				<div class="plot" ref=${(element) => (this.plot = element)}>
					<svg width=${width} height=${height} role="img" aria-label=${isKnown ? summaryOf(runs, lanes, hours) : "The timeline is not known yet"} onClick=${this.open}>
						<${Patterns} />
						${ticks(from, now, width).map(
							(at) => html`<g key=${at}>
								<line x1=${x(at)} x2=${x(at)} y1="0" y2=${height - AXIS} class="grid" />
								<text x=${x(at)} y=${height - 6} class="tick" text-anchor="middle">${hourAndMinute(at)}</text>
							</g>`,
						)}
						${shown.map((lane, index) => html`<${Lane} key=${lane.key} lane=${lane} top=${index * LANE} x=${x} now=${now} />`)}
					</svg>
				</div>
			</div>
			${(showsAll ? lanes.length > FEW_LANES : shown.length < lanes.length) &&
			html`<button class="small" onClick=${() => this.setState({ showsAll: !showsAll })}>
				${showsAll ? "Show fewer pipelines" : `Show all ${lanes.length} pipelines`}
			</button>`}
			${isPart && html`<p class="quiet">More runs ended in this time than are read at once. The oldest are not drawn.</p>`}
			${!lanes.length && html`<p class="quiet">${isKnown ? "No run in this time." : "Not known yet."}</p>`}
		</section>`;
	}
}

function Lane({ lane, top, x, now }) {
	return html`<g>
		<line x1="0" x2=${x(now)} y1=${top + LANE - 0.5} y2=${top + LANE - 0.5} class="grid" />
		${lane.runs.map((run) => {
			const kind = kindOf(run);
			const began = beganAt(run);
			const ended = run.finishedAt ? Date.parse(run.finishedAt) : now;
			const left = Math.max(0, x(began));
			const wide = Math.max(NARROWEST_BAR, x(ended) - left);
			return html`<rect
				key=${keyOfRun(run)}
				data-run=${keyOfRun(run)}
				class="bar ${kind}"
				x=${Math.min(left, x(now) - NARROWEST_BAR)}
				y=${top + (LANE - BAR) / 2}
				width=${wide}
				height=${BAR}
				rx="2"
				fill="url(#fill-${kind})"
			>
				<title>${`${nameOf(run)}: ${wordOf(kind)}, ${shortTime(run.startedAt ?? run.updatedAt)}, ${duration((ended - began) / 1000)}`}</title>
			</rect>`;
		})}
	</g>`;
}

function Legend() {
	return html`<ul class="legend">
		${KIND_NAMES.map(
			(kind) => html`<li key=${kind} class=${kind}>
				<svg width="18" height="10" aria-hidden="true"><rect width="18" height="10" rx="2" class=${kind} fill="url(#fill-${kind})" /></svg>
				<${Glyph} kind=${kind} />${wordOf(kind)}
			</li>`,
		)}
	</ul>`;
}

function ticks(from, now, width) {
	const minutes = (now - from) / 60_000;
	const step = TICK_MINUTES.find((each) => (minutes / each) * 64 <= width) ?? 360;
	const first = Math.ceil(from / (step * 60_000)) * step * 60_000;
	const count = Math.floor((now - first) / (step * 60_000)) + 1;
	const all = Array.from({ length: count }, (_, index) => first + index * step * 60_000);
	const margin = (20 / width) * (now - from);
	return all.filter((at) => at - from > margin && now - at > margin);
}

function summaryOf(runs, lanes, hours) {
	const counts = KIND_NAMES.map((kind) => [wordOf(kind), runs.filter((run) => kindOf(run) === kind).length]);
	const told = counts.filter(([, count]) => count).map(([word, count]) => `${count} ${word}`);
	return [`Timeline of the ${spanOf(hours)}: ${runs.length} runs of ${lanes.length} pipelines`, ...told].join(", ");
}
