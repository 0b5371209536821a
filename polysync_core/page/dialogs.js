// Questions before something is done, in the browser's own dialog: it keeps the focus, and Escape closes it.
import { hasEnded, signInAgain } from "./api.js";
import { Component, html } from "./html.js";
import { failed, Notice, refocus } from "./parts.js";

/**
 * Asks before an action. `act` is called when the reader agrees, and may fail: the dialog then shows why.
 * `typed` is a text that has to be typed first, for what cannot be undone. Until `isReady`, nobody can agree.
 */
export class Ask extends Component {
	state = { isBusy: false, error: null, given: "" };

	componentDidMount() {
		this.dialog.showModal();
	}

	componentWillUnmount() {
		refocus();
	}

	agree = async (event) => {
		event.preventDefault();
		if (this.state.isBusy || this.props.isReady === false) return;
		this.setState({ isBusy: true, error: null });
		try {
			await this.props.act();
			this.props.onClose();
		} catch (error) {
			this.setState({ isBusy: false, error });
		}
	};

	render({ title, children, agree, disagree = "Go back", isReady = true, isDangerous = false, typed = null, explain, onClose }, state) {
		const { error } = state;
		const name = agree + (error?.mayPass ? ", again" : "");
		const mayAct = isReady && (typed === null || same(state.given, typed));
		return html`<dialog ref=${(element) => (this.dialog = element)} aria-labelledby="dialog-title" onClose=${onClose}>
			<form onSubmit=${this.agree}>
				<h2 id="dialog-title">${title}</h2>
				${children}
				${typed !== null &&
				html`<label class="field">
					<span>To confirm, type the pipeline's name: <kbd>${typed}</kbd></span>
					<input value=${state.given} onInput=${(event) => this.setState({ given: event.target.value })} autocomplete="off" spellcheck="false" />
				</label>`}
				<${Notice} outcome=${error && failed(error, explain?.(error))} onClose=${() => this.setState({ error: null })} />
				${hasEnded() &&
				!state.isBusy &&
				html`<p class="warning" role="alert">
					Your sign-in has ended. <button type="button" class="small" onClick=${() => signInAgain(name)}>Sign in again</button>
				</p>`}
				<p class="buttons">
					<button type="button" onClick=${() => this.dialog.close()}>${disagree}</button>
					<button value=${name} class=${isDangerous ? "danger" : "primary"} disabled=${!mayAct} aria-disabled=${state.isBusy}>
						${state.isBusy ? "One moment …" : agree}
					</button>
				</p>
			</form>
		</dialog>`;
	}
}

/** Whether the two texts are the same but for white space, of which a browser shows several as one. */
function same(given, wanted) {
	const plain = (text) => text.trim().replace(/\s+/g, " ");
	return plain(given) === plain(wanted);
}
