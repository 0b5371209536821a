// Every line of the health answer. It needs no credential.
import { getHealth } from "./api.js";
import { Feed } from "./feed.js";
import { duration } from "./format.js";
import { Component, html } from "./html.js";
import { FeedError, Head, Live, Ticking } from "./parts.js";
import { Glyph } from "./status.js";

const EVERY_SECONDS = 15;
const MEANINGS = {
	settings: "The app's own settings",
	storage: "The tables that hold runs and jobs",
	token: "The app's sign-in for Databricks",
	workspace: "Databricks answers the app",
	sweep: "The regular look at active runs. “Not seen” are runs that Databricks did not show",
};
const AGE = /^(\d+) s ago/;

export class Health extends Component {
	componentDidMount() {
		this.feed = new Feed(getHealth, () => this.setState({}), () => EVERY_SECONDS).start();
		this.setState({});
	}

	componentWillUnmount() {
		this.feed.stop();
	}

	render() {
		if (!this.feed) return null;
		const { data } = this.feed;
		const bad = data?.checks.filter((check) => !check.ok).length;
		return html`<div class="head"><h1 tabindex="-1">Health</h1><${Live} feed=${this.feed} /></div>
			<${FeedError} feed=${this.feed} />
			${data === null && html`<p class="quiet" role="status">Loading …</p>`}
			${data &&
			html`<section class="card" aria-label="Checks">
				<p class="big" role="status">
					<span class="badge ${bad ? "failed" : "success"}"><${Glyph} kind=${bad ? "failed" : "success"} />${bad ? "Failing" : "All is well"}</span>
					<span>${bad ? `${bad} of ${data.checks.length} checks fail.` : `All ${data.checks.length} checks pass.`}</span>
				</p>
				<table class="checks stacks">
					<caption class="unseen">What the app depends on</caption>
					<${Head} of=${["Check", "Result", "What it says"]} />
					<tbody>
						${[...data.checks].sort((a, b) => a.ok - b.ok).map(
							(check) => html`<tr key=${check.name}>
								<th scope="row">${check.name}<br /><small class="quiet">${MEANINGS[check.name.split(" ")[0]]}</small></th>
								<td><span class="badge ${check.ok ? "success" : "failed"}"><${Glyph} kind=${check.ok ? "success" : "failed"} />${check.ok ? "OK" : "Failing"}</span></td>
								<td class="wraps"><${Message} check=${check} health=${data} loadedAt=${this.feed.loadedAt} /></td>
							</tr>`,
						)}
					</tbody>
				</table>
			</section>`}`;
	}
}

/** A message. The age of a sweep at its beginning goes on: it is counted from the sweep, or else from this answer. */
function Message({ check, health, loadedAt }) {
	const found = AGE.exec(check.message);
	if (!found) return check.message;
	const last = health.workspaces?.[check.name.replace(/^sweep /, "")]?.lastSweep;
	const at = last ? Date.parse(last.at) : loadedAt - Number(found[1]) * 1000;
	const other = last && last.version !== health.version ? ` (by version ${last.version ?? "before 1.0.0"})` : "";
	const rest = check.message.slice(found[0].length);
	return html`<${Ticking} show=${(now) => `${duration((now - at) / 1000)} ago${rest}${other}`} />`;
}
