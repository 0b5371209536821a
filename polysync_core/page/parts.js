// Parts that several views use.
import { listLink } from "./address.js";
import { ago, clock, duration, fullTime, shortTime } from "./format.js";
import { Component, html } from "./html.js";

/** Draws what depends on the present time again each second, while the page is visible. */
export class Ticking extends Component {
	componentDidMount() {
		this.timer = setInterval(() => document.hidden || this.setState({}), 1000);
	}

	componentWillUnmount() {
		clearInterval(this.timer);
	}

	render({ show }) {
		return show(Date.now());
	}
}

export function Time({ at, missing = "–" }) {
	if (!at) return html`<span class="quiet">${missing}</span>`;
	return html`<time dateTime=${at} title=${fullTime(at)}>${shortTime(at)}</time>`;
}

/** How long a run took, or takes until now. */
export function Elapsed({ run }) {
	if (!run.startedAt) return html`<span class="quiet">–</span>`;
	const began = Date.parse(run.startedAt);
	if (run.finishedAt) return duration((Date.parse(run.finishedAt) - began) / 1000);
	return html`<${Ticking} show=${(now) => duration((now - began) / 1000)} />`;
}

/** How old the state of a run is, when Databricks could not be asked lately. */
export function Stale({ run }) {
	const { staleSince } = run;
	if (!staleSince || run.isFinished) return null;
	return html`<small class="quiet">as of <${Time} at=${staleSince} /> (<${Ticking} show=${(now) => ago(Date.parse(staleSince), now)} />)</small>`;
}

/** Whether the data are live, and how old they are. `isOld`: what the app knows is old. */
export function Live({ feed, isOld = false }) {
	const text = (now) => {
		if (feed.loadedAt !== null) return `Updated ${ago(feed.loadedAt, now)}`;
		return feed.error ? "No data yet" : "Loading …";
	};
	return html`<span class="live ${feed.error ? "broken" : isOld ? "old" : ""}">
		<span class="dot" aria-hidden="true"></span><${Ticking} show=${text} />${isOld && " · some states are older"}
	</span>`;
}

/** What went wrong with a feed. The last good data stay below it, with their age. */
export function FeedError({ feed }) {
	if (!feed.error) return null;
	const { error, loadedAt } = feed;
	const next = (now) => `Next try in ${duration((feed.nextAt - now) / 1000)}. `;
	return html`<div class="notice bad" role="alert">
		<p><strong>${error.message}</strong> ${error.advice ?? ""}</p>
		<p>
			${loadedAt && `What you see is from ${clock(loadedAt)}. `}
			${Number.isFinite(feed.nextAt) && html`<span aria-hidden="true"><${Ticking} show=${next} /></span>`}
			<button type="button" class="small" onClick=${() => feed.now().then(refocus)}>Try now</button>
		</p>
	</div>`;
}

/** The top of a view of one thing: the way back to its list, its title, and whether its data are live. */
export function Place({ list, word, here, title, feed }) {
	return html`<nav class="crumbs" aria-label="Place"><a href=${listLink(list)}>${word}</a> / <code>${here}</code></nav>
		<div class="head"><h1 tabindex="-1">${title}</h1>${feed && html`<${Live} feed=${feed} />`}</div>
		${feed && html`<${FeedError} feed=${feed} />`}
		${feed?.data === null && !feed.error && html`<p class="quiet" role="status">Loading …</p>`}`;
}

/** Give the focus a place if what had it is gone. */
export function refocus() {
	setTimeout(() => {
		if (document.activeElement !== document.body) return;
		(document.querySelector("dialog button, .notice[tabindex]") ?? document.querySelector("h1"))?.focus();
	});
}

/** The outcome of something that the reader did. */
export function Notice({ outcome, onClose }) {
	if (!outcome) return null;
	return html`<div class="notice ${outcome.isBad ? "bad" : "good"}" tabindex="-1" role=${outcome.isBad ? "alert" : "status"}>
		<p><strong>${outcome.text}</strong> ${outcome.advice ?? ""} ${outcome.more}</p>
		<button type="button" class="small" onClick=${() => refocus(onClose())}>Close</button>
	</div>`;
}

export const failed = (error, more = null) => ({ isBad: true, text: error.message, advice: error.advice, more });

/** A link to Databricks, which opens in a new tab. An address that is not https is only text. */
export function External({ address, children }) {
	return html`<a class="external" href=${address} target="_blank" rel="noopener noreferrer">${children}
		<span class="quiet" aria-hidden="true"> ↗</span><span class="unseen"> (opens Databricks in a new tab)</span></a>`;
}

/** Copies a text. The button says that it is done. */
export class Copy extends Component {
	state = { said: null };

	copy = async () => {
		const said = await navigator.clipboard.writeText(this.props.text).then(() => "Copied", () => "The browser refuses");
		this.setState({ said });
		setTimeout(() => this.setState({ said: null }), 2000);
	};

	render({ of, word = "Copy" }, { said }) {
		return html`<button type="button" class="small" onClick=${this.copy}>${said ?? word}<span class="unseen"> ${of}</span></button>
			<span class="unseen" role="status">${said}</span>`;
	}
}

/** The names of the columns of a table. One that is false is left out. */
export function Head({ of, ...others }) {
	return html`<thead ...${others}><tr>${of.filter(Boolean).map((name) => html`<th key=${name} scope="col">${name}</th>`)}</tr></thead>`;
}

/** Pairs of a word and its value, and "long" for a value that needs space. Pairs without a value are left out. */
export function Facts({ of }) {
	const given = of.filter(([, value]) => value !== null && value !== undefined && value !== false);
	return html`<dl class="facts">
		${given.map(([name, value, length = ""]) => html`<div key=${name} class=${length}><dt>${name}</dt><dd>${value}</dd></div>`)}
	</dl>`;
}
