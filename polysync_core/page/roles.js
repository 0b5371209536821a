// What the roles of an access token allow. The app decides by the same rules (polysync_core/rules/decisions/roles.py).

const ORDER = ["Polysync.Read", "Polysync.Operate", "Polysync.Admin"];

/** Whether one of `roles` is this role or a higher one, for all workspaces or for this one. */
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
