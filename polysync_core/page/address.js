// The part of the address after '#': a view, an id and the filters.

/** Read `#/runs/p:u?workspace=x` as {view: "runs", id: "p:u", query: {workspace: "x"}}. */
export function readAddress(hash) {
	const [path, query = ""] = hash.replace(/^#\/?/, "").split("?", 2);
	const [view, id] = path.split("/", 2).map(decoded);
	return { view: view || "runs", id: id || null, query: Object.fromEntries(new URLSearchParams(query)) };
}

/** The address of a view. Filters without a value are left out. */
export function linkTo(view, id = null, query = {}) {
	const given = Object.entries(query).filter(([, value]) => value !== null && value !== undefined && value !== "");
	const search = new URLSearchParams(given).toString().replaceAll("%3A", ":");
	return `#/${view}${id ? `/${encodeURIComponent(id).replaceAll("%3A", ":")}` : ""}${search ? `?${search}` : ""}`;
}

const lists = {};

/** Note the address of a list, so that its items lead back to it with its filters. */
export function noteList(hash) {
	const { view, id } = readAddress(hash);
	if (!id) lists[view] = hash;
}

export const listLink = (view) => lists[view] ?? linkTo(view);

export function go(address) {
	location.hash = address;
}

/** The addresses of a run and of a job. They name the workspace, so that one request finds it. */
export const runLink = (run) => linkTo("runs", run.runId, { workspace: run.workspace });
export const jobLink = (workspace, pipelineId) => linkTo("jobs", pipelineId, { workspace });

/** The address if it is one of https, else null. No other address becomes a link. */
export function safeLink(address) {
	try {
		return new URL(address).protocol === "https:" ? address : null;
	} catch {
		return null;
	}
}

function decoded(part) {
	try {
		return decodeURIComponent(part);
	} catch {
		return part;
	}
}
