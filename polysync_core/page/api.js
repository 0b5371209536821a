// Calls of the app's own routes. Their addresses are relative, for a gateway with its own path.

const TIMEOUT_MS = 60_000;
const BASE = new URL(".", document.baseURI);
const FOR_PROGRAMS = / (A discovery imports|Wait for it, cancel it, or send) .*/;

/** What went wrong, and what to do about it. `status` is 0 when no usable answer came. `isRead` is false for actions. */
export class ApiError extends Error {
	constructor(status, { code = "", detail = "", retryAfterSeconds = null, active = null } = {}) {
		// What only a program can send is left out.
		super(detail.replace(FOR_PROGRAMS, "") || textOf(status));
		Object.assign(this, { status, code, retryAfterSeconds, active, isRead: true });
	}

	/** Whether the same request may succeed later. */
	get mayPass() {
		return this.status === 0 || this.status === 429 || this.status >= 500;
	}

	/** What to do. Feeds try again by themselves; an action does not, and its outcome may be unknown. */
	get advice() {
		const { status, code, retryAfterSeconds } = this;
		const isAgain = status === 429 || (status === 409 && retryAfterSeconds);
		if (!this.isRead && isAgain) return `Press again ${retryAfterSeconds ? `in ${retryAfterSeconds} s` : "later"}.`;
		if (!this.isRead && this.mayPass) return "It is not known whether it was done. Press again here: a repeat is safe.";
		if (status === 0) return "Check your network connection. The page tries again by itself.";
		if (status === 429) return "Too many requests were made. The page waits, and tries again by itself.";
		if (status >= 500) return "The page tries again by itself. If this goes on, look at Health.";
		return ADVICE[code] ?? ADVICE[status] ?? "Correct what is named, and try again.";
	}
}

const IN_DATABRICKS = "Look at the pipeline in Databricks.";
/** What to do, by code or else by status. It is empty where the detail says it. */
const ADVICE = {
	ActiveUpdateExists: "Wait for its end, or cancel it.",
	DatabricksError: IN_DATABRICKS,
	DatabricksNetworkRefused: "",
	DatabricksPermissionDenied: "",
	JobNotFound: "Check the address, or import the pipelines: Jobs has a button for it.",
	PipelineNotFound: IN_DATABRICKS,
	RoleMissing: "Ask an administrator of Polysync for the role.",
	401: "Sign in again.",
	403: "Ask whoever runs the app.",
	404: "Check the address, or go back to the list.",
	409: "",
};

let session = null;
let onRefused = () => {};
let actions = 0;
/** The actions that no dialog asks about, by the end of their addresses. */
const NAMES = { redeliver: "Send callbacks again", discover: "Import from Databricks", sync: "Sync parameters", full_refresh: "Store full_refresh" };

/** Use this session from now on. `refused(error, action)` is called when its credential is not accepted any more. */
export function connect(newSession, refused) {
	[session, onRefused] = [newSession, refused];
}

/** Whether a read may leave the page: no dialog would be lost, and no outcome of an action. */
export const mayLeave = () => !actions && !document.querySelector("dialog, .notice[tabindex]");
export const hasEnded = () => session.hasEnded;
export const signInAgain = (undone) => session.start?.(undone) ?? onRefused(new ApiError(401), undone);

export const get = (path, query, signal) => send("GET", path, { query, signal });
export const post = (path, body, options = {}) => send("POST", path, { ...options, body });
export const put = (path, body, options = {}) => send("PUT", path, { ...options, body });

/** The health, which needs no credential. It is an answer even when its status is 503. */
export async function getHealth(signal) {
	const answer = await request("GET", "health", { signal });
	const document = await readJson(answer);
	if (Array.isArray(document?.checks)) return document;
	throw errorOf(answer, document);
}

/** A file of the page, as JSON. */
export async function getConfig() {
	const answer = await request("GET", "page/config.json", {});
	const document = await readJson(answer);
	if (answer.ok && document !== null) return document;
	throw errorOf(answer, document);
}

async function send(method, path, options) {
	const isRead = method === "GET";
	const action = isRead ? null : (document.querySelector("dialog button[value]")?.value ?? NAMES[path.split("/").pop()]);
	actions += !isRead;
	try {
		return await exchange(method, path, options, action);
	} catch (error) {
		if (error instanceof ApiError) error.isRead = isRead;
		throw error;
	} finally {
		actions -= !isRead;
	}
}

async function exchange(method, path, options, action) {
	const used = session;
	let answer = await request(method, path, { ...options, headers: await used.headers(action) });
	if (answer.status === 401 && (await used.renew(action))) {
		answer = await request(method, path, { ...options, headers: await used.headers(action) });
	}
	const document = await readJson(answer);
	options.signal?.throwIfAborted();
	if (answer.ok && document !== null) {
		used.hasEnded = false;
		return document;
	}
	const error = errorOf(answer, document);
	if (answer.status === 401 && used === session) {
		if (action || mayLeave()) onRefused(error, action);
		else used.hasEnded = true;
	}
	throw error;
}

async function request(method, path, { query = {}, body, headers = {}, idempotencyKey, signal }) {
	const url = new URL(path, BASE);
	for (const [name, value] of Object.entries(query)) {
		if (value !== null && value !== undefined && value !== "") url.searchParams.set(name, value);
	}
	const sent = { Accept: "application/json", ...headers };
	if (body !== undefined) sent["Content-Type"] = "application/json";
	if (idempotencyKey) sent["Idempotency-Key"] = idempotencyKey;
	const stops = [AbortSignal.timeout(TIMEOUT_MS), signal].filter(Boolean);
	try {
		return await fetch(url, {
			method,
			headers: sent,
			body: body === undefined ? undefined : JSON.stringify(body),
			cache: "no-store",
			credentials: "omit",
			signal: AbortSignal.any(stops),
		});
	} catch (error) {
		if (signal?.aborted) throw error;
		throw new ApiError(0);
	}
}

async function readJson(answer) {
	try {
		return await answer.json();
	} catch {
		return null;
	}
}

function errorOf(answer, document) {
	if (answer.ok) return new ApiError(0, { detail: "The answer is not from the app. A gateway may have made it." });
	const after = Number(answer.headers.get("Retry-After"));
	return new ApiError(answer.status, {
		code: document?.code,
		detail: document?.detail,
		active: document?.active,
		retryAfterSeconds: Number.isFinite(after) && after > 0 ? after : null,
	});
}

function textOf(status) {
	if (status === 0) return "The app does not answer.";
	if (status === 401) return "The app does not accept the credential.";
	if (status === 404) return "There is nothing at this address.";
	return `The app answers with the status ${status}.`;
}
