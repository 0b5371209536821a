// Times, durations and names as a person reads them.

const ZONE = "polysync.zone";
let isUtc = false;
try {
	isUtc = localStorage.getItem(ZONE) === "utc";
} catch {
	// A browser may refuse its storage. The choice then ends with the page.
}

export const usesUtc = () => isUtc;
export const localZone = () => Intl.DateTimeFormat().resolvedOptions().timeZone || "local";

export function setUtc(value) {
	isUtc = value;
	try {
		localStorage.setItem(ZONE, value ? "utc" : "local");
	} catch {
		// As above.
	}
}

function formatted(instant, options) {
	const given = { ...options, hourCycle: "h23", ...(isUtc ? { timeZone: "UTC" } : {}) };
	return new Intl.DateTimeFormat("en-GB", given).format(instant);
}

const CLOCK = { hour: "2-digit", minute: "2-digit", second: "2-digit" };
const DAY = { day: "numeric", month: "short" };

export const clock = (instant) => formatted(instant, CLOCK);
export const hourAndMinute = (instant) => formatted(instant, { hour: "2-digit", minute: "2-digit" });

/** `14:02:11` today, `22 Nov, 14:02` on another day, with the year in another year. */
export function shortTime(iso, now = Date.now()) {
	const instant = new Date(iso);
	if (formatted(instant, { dateStyle: "short" }) === formatted(now, { dateStyle: "short" })) return clock(instant);
	const isThisYear = formatted(instant, { year: "numeric" }) === formatted(now, { year: "numeric" });
	const day = isThisYear ? DAY : { ...DAY, year: "numeric" };
	return `${formatted(instant, day)}, ${hourAndMinute(instant)}`;
}

/** The whole time with its zone. */
export function fullTime(iso) {
	const zone = isUtc ? "UTC" : localZone();
	return `${formatted(new Date(iso), { ...DAY, year: "numeric", ...CLOCK })} ${zone}`;
}

/** `42 s`, `14 min 8 s`, `2 h 5 min`, `3 d 4 h`. */
export function duration(seconds) {
	const whole = Math.max(0, Math.round(seconds));
	const [days, hours, minutes] = [Math.floor(whole / 86400), Math.floor(whole / 3600) % 24, Math.floor(whole / 60) % 60];
	if (days) return `${days} d${hours ? ` ${hours} h` : ""}`;
	if (hours) return `${hours} h${minutes ? ` ${minutes} min` : ""}`;
	if (minutes) return `${minutes} min${whole % 60 ? ` ${whole % 60} s` : ""}`;
	return `${whole} s`;
}

export const ago = (at, now = Date.now()) => `${duration((now - at) / 1000)} ago`;
export const shortId = (id) => (id.length > 12 ? id.slice(0, 8) : id);

/** A run id says which run of its workspace is meant. */
export const keyOfRun = (run) => `${run.workspace}/${run.runId}`;

const jobNames = new Map();

/** Use the names of these jobs for runs that were started before the import. */
export function learnNames(jobs) {
	for (const job of jobs) jobNames.set(`${job.workspace}/${job.externalId}`, job.name);
}

/** The name of a run's pipeline, or its id while the name is not known. */
export const nameOf = ({ workspace, pipelineId, pipelineName }) => pipelineName || jobNames.get(`${workspace}/${pipelineId}`) || pipelineId;

const INSTANT = /\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z/g;
const STALE = /\s*This is how it stood at .*$/s;

/** The app's message about a run, with times in the chosen zone. What `staleSince` says is shown apart, by Stale. */
export function messageOf({ message, staleSince }) {
	return (staleSince ? message.replace(STALE, "") : message).replace(INSTANT, (iso) => shortTime(iso));
}

/** Who did something: `startedBy` and `cancelledBy` of a run. */
export function callerText(caller, session) {
	if (caller === null || caller === undefined) return null;
	if (caller === "key") return "a caller with a function key";
	if (session.isMe(caller.objectId)) return "you";
	return caller.applicationId ? `${caller.objectId}, through the application ${caller.applicationId}` : caller.objectId;
}

/** What someone typed in a datetime-local field, in the chosen zone, as ISO 8601 in UTC; and back. */
export function typedToIso(typed) {
	const instant = new Date(isUtc ? `${typed}Z` : typed);
	return Number.isNaN(instant.getTime()) ? "" : instant.toISOString().replace(/:\d\d\.\d+Z$/, ":00Z");
}

export function isoToTyped(iso) {
	const instant = new Date(iso);
	if (!iso || Number.isNaN(instant.getTime())) return "";
	const shifted = isUtc ? instant : new Date(instant.getTime() - instant.getTimezoneOffset() * 60_000);
	return shifted.toISOString().slice(0, 16);
}
