// Data that keep themselves up to date, only while the page is visible.
import { get } from "./api.js";

const SLOWEST_SECONDS = 60;
const MOST_READS = 30;
const MOST_KEPT = 300;

/** The last good data of each key, for a view that opens again. The oldest go first. */
const kept = new Map();

export const forgetKept = () => kept.clear();

export function keep(key, data, loadedAt) {
	kept.delete(key);
	kept.set(key, { data, loadedAt });
	if (kept.size > MOST_KEPT) kept.delete(kept.keys().next().value);
}

/**
 * Loads again and again. `load(signal, feed)` returns the data. `changed` is called after every attempt. `every(data)` returns
 * the seconds until the next one. After a failure the last data stay, and the pauses grow. A request that the app finds wrong
 * is not repeated. It begins with the last data of its `key`.
 */
export class Feed {
	constructor(load, changed, every = () => 5, key = null) {
		Object.assign(this, { load, changed, every, key, data: null, error: null, loadedAt: null, failures: 0, ...kept.get(key) });
		this.onVisible = () => this.look();
	}

	start() {
		this.isStarted = true;
		document.addEventListener("visibilitychange", this.onVisible);
		this.now();
		return this;
	}

	stop() {
		document.removeEventListener("visibilitychange", this.onVisible);
		this.controller?.abort();
		this.controller = null;
		clearTimeout(this.timer);
		this.isStopped = true;
	}

	/** Load at once. A load that is under way is replaced. */
	async now() {
		if (this.isStopped) return;
		clearTimeout(this.timer);
		this.controller?.abort();
		const controller = (this.controller = new AbortController());
		try {
			const data = await this.load(controller.signal, this);
			if (controller.signal.aborted) return;
			Object.assign(this, { data, error: null, loadedAt: Date.now(), failures: 0 });
			if (this.key) keep(this.key, data, this.loadedAt);
		} catch (error) {
			if (controller.signal.aborted) return;
			this.error = error;
			this.failures += 1;
		}
		this.controller = null;
		this.plan();
		this.changed();
	}

	plan() {
		const usual = this.every(this.data);
		let seconds = usual;
		if (this.error) {
			const longer = Math.min(SLOWEST_SECONDS, usual * 2 ** (this.failures - 1));
			if (this.error.status === 400) seconds = Infinity;
			else seconds = this.error.mayPass === false ? SLOWEST_SECONDS : Math.max(longer, this.error.retryAfterSeconds ?? 0);
		}
		this.nextAt = Date.now() + seconds * 1000;
		this.look();
	}

	/** Load if it is time, or wait until then. A page that is hidden does neither. */
	look() {
		clearTimeout(this.timer);
		if (this.isStopped || document.hidden || this.controller) return;
		const wait = this.nextAt - Date.now();
		if (wait <= 0) this.now();
		else if (Number.isFinite(wait)) this.timer = setTimeout(() => this.look(), wait);
	}
}

/** Read some runs one by one. One that cannot be read is left out. */
export async function fetchEach(runs, signal) {
	const read = ({ runId, workspace }) => get(`runs/${encodeURIComponent(runId)}`, { workspace }, signal).catch(() => null);
	return (await Promise.all(runs.slice(0, MOST_READS).map(read))).filter(Boolean);
}

/**
 * Read pages of a list until `wanted` items match, there is no further page, or `calls` were made.
 * Returns the items, the continuation, and how many were looked at.
 */
export async function collect(fetchPage, { matches = () => true, wanted = 50, calls = 5, continuation = null } = {}) {
	const items = [];
	let seen = 0;
	let after = continuation;
	for (let call = 0; call < calls; call += 1) {
		const page = await fetchPage(after);
		seen += page.items.length;
		items.push(...page.items.filter(matches));
		after = page.continuation;
		if (!after || items.length >= wanted) break;
	}
	return { items, continuation: after, seen };
}
