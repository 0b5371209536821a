// The page: reads its configuration, lets the reader in, and shows the view that the address names.
import { linkTo, noteList, readAddress } from "./address.js";
import { ApiError, connect, get, getConfig, getHealth } from "./api.js";
import { collect, Feed, forgetKept } from "./feed.js";
import { learnNames, localZone, setUtc, usesUtc } from "./format.js";
import { Health } from "./health.js";
import { Component, html, render } from "./html.js";
import { Job } from "./job.js";
import { Jobs, nameOfJob } from "./jobs.js";
import { failed, Notice } from "./parts.js";
import { Run } from "./run.js";
import { Runs, showList } from "./runs.js";
import { EntraSession, KeySession } from "./signin.js";
import { Glyph } from "./status.js";

const VIEWS = { runs: "Runs", jobs: "Jobs", health: "Health" };
const HEALTH_SECONDS = 60;
const AGAIN_MS = 15_000;

class App extends Component {
	state = { phase: "starting", problem: null, config: null, session: null, address: location.hash, said: "", failing: [], served: [] };

	async componentDidMount() {
		addEventListener("hashchange", () => this.setState({ address: location.hash }));
		// Out of the browser's cache, the page may be in a sign-in that was left.
		addEventListener("pageshow", (event) => event.persisted && location.reload());
		await this.begin();
	}

	componentDidUpdate(_, before) {
		const { view, id } = readAddress(this.state.address);
		noteList(this.state.address);
		if (this.state.phase === "visiting" && view !== "health") this.signIn(this.state.session);
		document.title = `${id ?? (Object.hasOwn(VIEWS, view) ? VIEWS[view] : "There is no such page")} – Polysync`;
		const moved = readAddress(before.address);
		if (before.phase !== this.state.phase) {
			const field = document.querySelector("input[type=password]");
			if (field) field.focus();
			else if (before.phase === "key" || this.state.phase === "signed-out") focusTitle();
		}
		if (moved.view !== view || moved.id !== id) {
			scrollTo(0, 0);
			focusTitle();
		}
	}

	begin = async () => {
		this.setState({ phase: "starting", problem: null });
		try {
			const config = await getConfig();
			this.setState({ config });
			await (config.callers === "entra" ? this.beginEntra(config) : this.beginKeys());
		} catch (error) {
			this.setState({ phase: "broken", problem: error });
		}
	};

	async beginKeys() {
		const stored = KeySession.stored();
		if (stored) return this.enter(stored);
		// An app on a laptop may ask for no key. One request shows that.
		return this.tryKey(new KeySession(""), null);
	}

	/** Enter with a key if the app accepts it. Otherwise ask for a key. */
	tryKey = async (session, problem) => {
		connect(session, () => {});
		try {
			await get("runs", { limit: 1 });
		} catch (error) {
			if (!(error instanceof ApiError) || error.status !== 401) throw error;
			this.setState({ phase: "key", problem });
			return;
		}
		if (session.key) session.keep();
		this.enter(session);
	};

	async beginEntra(config) {
		if (!config.clientId) {
			throw new Error("The page cannot sign anybody in: set POLYSYNC_ENTRA_PAGE_CLIENT (infra/entra/register makes it).");
		}
		const session = new EntraSession(config);
		this.setState({ session });
		try {
			await session.finish();
		} catch (error) {
			this.setState({ phase: "signed-out", problem: error, address: location.hash });
			return;
		}
		this.setState({ address: location.hash });
		if (session.isSignedIn) this.enter(session);
		else if (readAddress(location.hash).view === "health") this.setState({ phase: "visiting" });
		else await this.signIn(session);
	}

	signIn(session) {
		this.setState({ phase: "starting" });
		return session.start();
	}

	enter(session) {
		forgetKept();
		connect(session, (error, undone) => {
			session.end();
			session.undone = undone;
			this.jobs.stop();
			this.setState({ phase: session instanceof KeySession ? "key" : "signed-out", problem: error, undone });
		});
		this.setState({ phase: "ready", session, problem: null, undone: session.undone ?? this.state.undone });
		delete session.undone;
		this.jobs?.stop();
		this.jobs = new Feed(fetchJobs, () => this.setState({}), () => Infinity).start();
		this.health ??= new Feed(getHealth, this.judge, () => HEALTH_SECONDS).start();
	}

	judge = () => {
		const failing = (this.health.data?.checks ?? []).filter((check) => !check.ok).map((check) => check.name);
		const served = Object.keys(this.health.data?.workspaces ?? {});
		if (String([failing, served]) !== String([this.state.failing, this.state.served])) this.setState({ failing, served });
	};

	/** The names of jobs and workspaces, for the filters. Health knows a workspace that has no job yet. */
	get names() {
		const items = this.jobs?.data?.items ?? [];
		const sorted = (names) => [...new Set(names)].sort();
		const served = this.state.served.filter((name) => this.state.session.can("Polysync.Read", name));
		const workspaces = sorted([...served, ...items.map((job) => job.workspace)]);
		return { names: sorted(items.map(nameOfJob)), workspaces, reload: () => this.jobs.now() };
	}

	signOut = () => {
		this.state.session.end();
		this.jobs.stop();
		this.setState({ phase: this.state.config.callers === "entra" ? "signed-out" : "key", problem: null });
	};

	announce = (text) => text !== this.state.said && setTimeout(() => this.setState({ said: text }));

	render(_, state) {
		const isIn = state.phase === "ready";
		const here = readAddress(state.address);
		return html`<a class="skip" href="#main" onClick=${skip}>Skip to the content</a>
			${isIn && !here.id && here.view === "runs" && html`<a class="skip" href="#found" onClick=${skipToList}>Skip to the list</a>`}
			<header>
				<span class="brand"><svg width="22" height="22" viewBox="0 0 32 32" aria-hidden="true"><use href="page/icon.svg#mark" /></svg>Polysync</span>
				<${Menu} view=${here.view} isFailing=${state.failing.length > 0} />
				<span class="end">
					<${Zone} onChange=${() => this.setState({})} />
					${isIn && html`<span class="who" title=${(state.session.roles ?? []).join(", ")}>${state.session.name}</span>`}
					${isIn && state.session.key !== "" && html`<button class="small" onClick=${this.signOut}>Sign out</button>`}
				</span>
			</header>
			<main id="main">
				<${Notice} outcome=${state.undone && failed({ message: `Your sign-in had ended, so this was not done: ${state.undone}.`, advice: "Press again if you still want it." })} onClose=${() => this.setState({ undone: null })} />
				${isIn && here.view === "runs" && state.failing.length > 0 &&
				html`<div class="notice bad" role="status">
					<p><strong>Not healthy: ${state.failing.join(", ")}.</strong> The states below may be old. <a href=${linkTo("health")}>Look at Health</a></p>
				</div>`}
				${this.content(state)}
			</main>
			<p class="unseen" role="status" aria-live="polite">${isIn ? state.said : ""}</p>
			<footer class="quiet">Polysync ${state.config?.version ?? ""} · <a href="openapi.json">API</a> · <a href="page/licenses.txt">Licences</a></footer>`;
	}

	content({ phase, problem, config, session, address }) {
		const { view, id, query } = readAddress(address);
		if (view === "health") return html`<${Health} />`;
		if (phase === "starting") return html`<p class="quiet" role="status">One moment …</p>`;
		if (phase === "broken") return html`<${Broken} problem=${problem} again=${this.begin} />`;
		if (phase === "key") return html`<${KeyForm} problem=${problem} enter=${this.tryKey} />`;
		if (phase === "signed-out") return html`<${SignedOut} problem=${problem} session=${session} />`;
		const given = { id, query, address, session, jobs: this.names, announce: this.announce, allowed: config.startOptions };
		if (view === "runs") return id ? html`<${Run} key=${`${id}?${query.workspace}`} ...${given} />` : html`<${Runs} ...${given} />`;
		if (view === "jobs") return id ? html`<${Job} key=${`${id}?${query.workspace}`} ...${given} />` : html`<${Jobs} ...${given} />`;
		return html`<h1 tabindex="-1">There is no such page</h1><p><a href=${linkTo("runs")}>Go to the runs.</a></p>`;
	}
}

async function fetchJobs(signal) {
	const jobs = await collect((continuation) => get("jobs", { workspace: "*", limit: 200, continuation }, signal), { wanted: Infinity });
	learnNames(jobs.items);
	return jobs;
}

function skip(event) {
	event.preventDefault();
	focusTitle();
}

/** Focus the title of the view. A view may draw it only after it was mounted. */
function focusTitle() {
	setTimeout(() => document.querySelector("h1")?.focus({ preventScroll: true }));
}

function skipToList(event) {
	event.preventDefault();
	showList();
}

function Menu({ view, isFailing }) {
	return html`<nav class="menu" aria-label="Views">
		${Object.entries(VIEWS).map(
			([name, word]) => html`<a key=${name} href=${linkTo(name)} aria-current=${name === view ? "page" : null}>${word}${isFailing && name === "health" && html` <span class="alarm"><${Glyph} kind="failed" /><span class="unseen">failing</span></span>`}</a>`,
		)}
	</nav>`;
}

function Zone({ onChange }) {
	const choose = (event) => {
		setUtc(event.target.value === "utc");
		onChange();
	};
	return html`<label class="inline"><span class="unseen">Times in </span>
		<select onChange=${choose}>
			<option value="local" selected=${!usesUtc()}>Local (${localZone()})</option>
			<option value="utc" selected=${usesUtc()}>UTC</option>
		</select>
	</label>`;
}

const alertOf = ({ message }, advice) => html`<div class="notice bad" role="alert"><p><strong>${message}</strong> ${advice}</p></div>`;

class Broken extends Component {
	componentDidMount() {
		if (this.props.problem.mayPass) this.timer = setTimeout(this.props.again, AGAIN_MS);
	}

	componentWillUnmount() {
		clearTimeout(this.timer);
	}

	render({ problem, again }) {
		return html`<h1 tabindex="-1">The page cannot start</h1>
			${alertOf(problem, problem.advice)}
			<p class="buttons">
				<button class="primary" onClick=${again}>Try again</button>
				<a class="button" href=${linkTo("health")}>Look at Health</a>
			</p>`;
	}
}

class KeyForm extends Component {
	state = { isBusy: false, problem: null };

	submit = async (event) => {
		event.preventDefault();
		const key = this.input.value.trim();
		if (!key) return;
		this.setState({ isBusy: true, problem: null });
		try {
			const odd = /[^ -ÿ]/u.exec(key); // beyond what a header can hold
			if (odd) throw new Error(`“${odd}” cannot be part of a key. Copy the key again, and nothing else.`);
			await this.props.enter(new KeySession(key), new Error("This key is not accepted. Copy a function key of the app again."));
		} catch (error) {
			this.setState({ problem: error });
		}
		this.setState({ isBusy: false });
		this.input?.focus();
	};

	render({ problem }, state) {
		const shown = state.problem ?? problem;
		return html`<form class="card sign-in" onSubmit=${this.submit}>
			<h1 tabindex="-1">Sign in with a function key</h1>
			<p>You find it in the Azure portal: the Function App, then App keys. It stays in this browser tab only.</p>
			${shown && alertOf(shown, shown.status === 401 ? "Enter a key again." : shown.mayPass ? "Press the button again." : shown.advice)}
			<label class="field"><span>Function key</span>
				<input type="password" required autocomplete="off" spellcheck="false" ref=${(element) => (this.input = element)} />
			</label>
			<p class="buttons"><button class="primary" disabled=${state.isBusy}>${state.isBusy ? "One moment …" : "Sign in"}</button></p>
		</form>`;
	}
}

function SignedOut({ problem, session }) {
	return html`<section class="card sign-in">
		<h1 tabindex="-1">You are not signed in</h1>
		${problem && alertOf(problem)}
		<p class="buttons"><button class="primary" onClick=${() => session.start()}>Sign in</button></p>
		<p class="quiet">This page keeps no token. Your session with Microsoft Entra ID is another one, and may go on.</p>
	</section>`;
}

render(html`<${App} />`, document.getElementById("page"));
