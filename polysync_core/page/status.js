// The status of a run, as a word, a shape and a pattern. Nothing is shown by colour alone.
import { html } from "./html.js";

const KINDS = {
	running: { word: "Running", same: "RUNNING", shape: "M5 3.5v9l7-4.5z" },
	waiting: { word: "Waiting (Unknown)", shape: "M3 7h2v2H3zM7 7h2v2H7zM11 7h2v2h-2z" },
	failed: { word: "Failed", same: "FAILED", shape: "M4.5 3 8 6.5 11.5 3 13 4.5 9.5 8l3.5 3.5-1.5 1.5L8 9.5 4.5 13 3 11.5 6.5 8 3 4.5z" },
	success: { word: "Success", same: "COMPLETED", shape: "M6.5 12.5 2.5 8.5 4 7l2.5 2.5L12 4l1.5 1.5z" },
	cancelled: { word: "Cancelled", same: "CANCELED", shape: "M3.5 3.5h9v9h-9z" },
	lost: { word: "Given up (Unknown)", shape: "M8 2 14 8 8 14 2 8z" },
};
export const KIND_NAMES = Object.keys(KINDS);

/** The kind of a run: its status, with the two kinds of Unknown apart. */
export function kindOf(run) {
	if (run.status === "Unknown") return run.isFinished ? "lost" : "waiting";
	return run.status.toLowerCase();
}

export const wordOf = (kind) => KINDS[kind].word;

/** The filter of a kind in the address. `active` tells the two kinds of Unknown apart. What is active has not ended. */
export function filterOf(kind) {
	if (kind === "waiting") return { status: "Unknown", active: "true", recent: null };
	if (kind === "lost") return { status: "Unknown", active: "false" };
	return { status: KINDS[kind].word, active: null, ...(kind === "running" && { recent: null }) };
}

/** The kind that an address filters by, "unknown" for both kinds of Unknown, or null. */
export function kindOfFilter({ status, active }) {
	if (status === "Unknown") return { true: "waiting", false: "lost" }[active] ?? "unknown";
	return KIND_NAMES.find((kind) => KINDS[kind].word === status) ?? null;
}

export function Glyph({ kind }) {
	return html`<svg class="glyph" viewBox="0 0 16 16" width="14" height="14" aria-hidden="true">
		<path d=${KINDS[kind].shape} fill="currentColor" />
	</svg>`;
}

/** The status in words, with Databricks' state beside it where that says more. */
export function Badge({ run }) {
	const kind = kindOf(run);
	const isAsked = !run.isFinished && run.cancelRequestedAt;
	return html`<span class="badge ${kind}"><${Glyph} kind=${kind} />${wordOf(kind)}</span>
		${run.state && run.state !== KINDS[kind].same && html`<span class="state">${run.state}</span>`}
		${isAsked && html` <span class="tag">cancel requested</span>`}`;
}

/** The fills of the timeline: a colour and a pattern for each kind. */
export function Patterns() {
	const pattern = (kind, size, over, isTurned) => html`<pattern
		id="fill-${kind}" width=${size} height=${size} patternUnits="userSpaceOnUse" patternTransform=${isTurned ? "rotate(45)" : null}
	>
		<rect width=${size} height=${size} class=${["waiting", "lost"].includes(kind) ? "ink-pale" : `ink ${kind}`} />${over}
	</pattern>`;
	const gap = (width, height) => html`<rect width=${width} height=${height} class="ink-gap" />`;
	return html`<defs>
		${pattern("failed", 6, gap(2, 6), true)} ${pattern("running", 8, gap(1.5, 8))} ${pattern("cancelled", 5, gap(5, 1.5))}
		${pattern("waiting", 5, html`<circle cx="2.5" cy="2.5" r="1.3" class="ink waiting" />`)}
		${pattern("lost", 6, html`<path d="M0 3h6M3 0v6" class="stroke-lost" />`, true)} ${pattern("success", 8, null)}
	</defs>`;
}
