// How a reader is let in: by a function key, or by signing in with Entra ID. Credentials stay in sessionStorage,
// so they end with the tab.
import { ApiError, mayLeave } from "./api.js";

const KEY = "polysync.key";

/** A function key opens everything. Without a key, the app is one that asks for none, as on a laptop. */
export class KeySession {
	static stored() {
		const key = sessionStorage.getItem(KEY);
		return key === null ? null : new KeySession(key);
	}

	constructor(key) {
		this.key = key;
		this.name = key ? "Signed in with a function key" : "No key needed";
	}

	async headers() {
		return this.key ? { "x-functions-key": this.key } : {};
	}

	async renew() {
		return false;
	}

	keep() {
		sessionStorage.setItem(KEY, this.key);
	}

	can() {
		return true;
	}

	isMe() {
		return false;
	}

	end() {
		sessionStorage.removeItem(KEY);
	}
}

const TOKENS = "polysync.tokens";
const PENDING = "polysync.pending";
const RENEW_BEFORE_MS = 60_000;
const NEW_MS = 30_000;
const TIMEOUT_MS = 10_000;
/** The errors of the token endpoint that only a new sign-in mends. */
const SIGN_IN_AGAIN = ["invalid_grant", "interaction_required", "login_required"];

/** What the reader has to do before the page can go on. */
export class SignInProblem extends Error {}

/** A sign-in by the authorization code flow with PKCE (RFC 7636), as Entra ID asks of single-page apps. */
export class EntraSession {
	generation = 0;

	constructor(config) {
		this.config = config;
		this.endpoint = `${config.authority}/${config.tenant}/oauth2/v2.0`;
		this.redirectUri = `${location.origin}${location.pathname}`;
		this.undone = stored(PENDING)?.undone;
		this.use(stored(TOKENS));
	}

	get isSignedIn() {
		return this.tokens !== null;
	}

	/** Leave this page for the sign-in. The address is kept, and the action that is not done because of it. */
	async start(undone = this.undone) {
		const verifier = randomText();
		const pending = { verifier, state: randomText(), nonce: randomText(), hash: location.hash, undone };
		sessionStorage.setItem(PENDING, JSON.stringify(pending));
		const query = new URLSearchParams({
			client_id: this.config.clientId,
			response_type: "code",
			response_mode: "fragment",
			redirect_uri: this.redirectUri,
			scope: this.scope,
			state: pending.state,
			nonce: pending.nonce,
			code_challenge: await challengeOf(verifier),
			code_challenge_method: "S256",
		});
		location.assign(`${this.endpoint}/authorize?${query}`);
		return new Promise(() => {});
	}

	/** Take the answer of the sign-in out of the address, if it holds one. Raises SignInProblem. */
	async finish() {
		const answer = new URLSearchParams(location.hash.slice(1));
		if (location.hash[1] === "/" || !answer.has("state") || !(answer.has("code") || answer.has("error"))) return;
		const pending = stored(PENDING);
		sessionStorage.removeItem(PENDING);
		history.replaceState(null, "", `${location.pathname}${pending?.hash ?? ""}`);
		if (pending === null || answer.get("state") !== pending.state) {
			throw new SignInProblem("The answer of the sign-in does not belong to this tab. Sign in again.");
		}
		if (answer.has("error")) throw refusal(answer.get("error"), answer.get("error_description"));
		const given = await this.fetchTokens({
			grant_type: "authorization_code",
			code: answer.get("code"),
			redirect_uri: this.redirectUri,
			code_verifier: pending.verifier,
		});
		if (claimsOf(given.id_token ?? "").nonce !== pending.nonce) {
			throw new SignInProblem("The sign-in returned a token for another request. Sign in again.");
		}
		this.keep(given);
	}

	/** `action` names what needs them, unless it is a read. */
	async headers(action) {
		if (Date.now() >= this.tokens?.renewAt) await this.renewOnce(action);
		if (!this.tokens) throw new SignInProblem("You are signed out.");
		return { Authorization: `Bearer ${this.tokens.accessToken}` };
	}

	/** Get a new token after the app has refused one. A new one that is refused too is not asked for again. */
	async renew(action) {
		return !this.tokens || Date.now() - this.tokens.gotAt < NEW_MS ? false : this.renewOnce(action);
	}

	/** Get a new token, once for all calls that wait. Signs in again if the refresh token is not accepted any more. */
	renewOnce(action) {
		this.waiting ??= action;
		this.renewing ??= this.refresh().finally(() => (this.renewing = this.waiting = null));
		return this.renewing;
	}

	async refresh() {
		const [token, generation] = [this.tokens.refreshToken, this.generation];
		if (!token) return this.leave();
		try {
			const given = await this.fetchTokens({ grant_type: "refresh_token", refresh_token: token });
			if (generation !== this.generation) return false; // the reader has signed out meanwhile
			this.keep(given);
			return true;
		} catch (error) {
			if (error instanceof SignInProblem && generation === this.generation) return this.leave();
			throw error;
		}
	}

	/** Sign in again if an action waits for it or nothing gets lost. Otherwise the reader says when. */
	leave() {
		if (this.waiting || mayLeave()) return this.start(this.waiting ?? undefined);
		this.hasEnded = true;
		throw new SignInProblem("Your sign-in has ended. Close what is open here to sign in again.");
	}

	get scope() {
		return `${this.config.scope} openid profile offline_access`;
	}

	async fetchTokens(fields) {
		const body = new URLSearchParams({ client_id: this.config.clientId, scope: this.scope, ...fields });
		const signal = AbortSignal.timeout(TIMEOUT_MS);
		let [answer, text] = [];
		try {
			answer = await fetch(`${this.endpoint}/token`, { method: "POST", body, credentials: "omit", signal });
			text = await answer.text();
		} catch {
			throw new ApiError(0, { detail: "The sign-in service does not answer." });
		}
		const given = jsonOf(text);
		if (answer.ok && given.access_token) return given;
		if (answer.status === 429 || answer.status >= 500) {
			const retryAfterSeconds = Number(answer.headers.get("Retry-After")) || null;
			throw new ApiError(answer.status, { detail: `The sign-in service answers with the status ${answer.status}.`, retryAfterSeconds });
		}
		throw refusal(given.error, given.error_description);
	}

	keep(given) {
		const [now, lifeMs] = [Date.now(), Number(given.expires_in || 0) * 1000];
		const tokens = {
			accessToken: given.access_token,
			refreshToken: given.refresh_token ?? this.tokens?.refreshToken ?? null,
			gotAt: now,
			renewAt: now + lifeMs - Math.min(RENEW_BEFORE_MS, lifeMs / 4),
		};
		sessionStorage.setItem(TOKENS, JSON.stringify(tokens));
		this.use(tokens);
	}

	use(tokens) {
		this.tokens = tokens;
		this.claims = claimsOf(tokens?.accessToken ?? "");
		this.roles = Array.isArray(this.claims.roles) ? this.claims.roles : [];
		this.name = this.claims.name || this.claims.preferred_username || "Signed in";
	}

	can(role, workspace) {
		return hasRole(this.roles, role, workspace);
	}

	isMe(objectId) {
		return objectId === this.claims.oid;
	}

	end() {
		this.generation += 1;
		sessionStorage.removeItem(TOKENS);
		this.use(null);
	}
}

/** What this tab has stored under a name, or null. What cannot be read is removed. */
function stored(name) {
	try {
		return JSON.parse(sessionStorage.getItem(name));
	} catch {
		sessionStorage.removeItem(name);
		return null;
	}
}

function refusal(error, description) {
	const told = String(description || error || "no reason was given").split(/[\r\n]/)[0];
	const problem = SIGN_IN_AGAIN.includes(error) ? SignInProblem : Error;
	return new problem(`The sign-in was refused: ${told}`);
}

function jsonOf(text) {
	try {
		return JSON.parse(text) ?? {};
	} catch {
		return {};
	}
}

/** 32 random bytes in base64url, which are 43 characters. */
function randomText() {
	return base64url(crypto.getRandomValues(new Uint8Array(32)));
}

async function challengeOf(verifier) {
	return base64url(new Uint8Array(await crypto.subtle.digest("SHA-256", new TextEncoder().encode(verifier))));
}

function base64url(bytes) {
	return btoa(String.fromCharCode(...bytes)).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
}

const ORDER = ["Polysync.Read", "Polysync.Operate", "Polysync.Admin"];

/** Whether one of `roles` is this role or a higher one, for all workspaces or for this one. The app decides alike (roles.py). */
export function hasRole(roles, role, workspace) {
	return ORDER.slice(ORDER.indexOf(role)).some(
		(each) => roles.includes(each) || (workspace && roles.includes(`${each}.${workspace}`)),
	);
}

/** The claims of a token. They are only shown and used for buttons: the app itself checks every token. */
export function claimsOf(token) {
	try {
		const payload = token.split(".")[1].replaceAll("-", "+").replaceAll("_", "/");
		const bytes = Uint8Array.from(atob(payload), (character) => character.charCodeAt(0));
		return JSON.parse(new TextDecoder().decode(bytes));
	} catch {
		return {};
	}
}
