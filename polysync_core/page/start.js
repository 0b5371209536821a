// The dialog that starts an update of a pipeline.
import { get, post } from "./api.js";
import { go, runLink } from "./address.js";
import { Ask } from "./dialogs.js";
import { Component, html } from "./html.js";

const STORED = { true: "yes", false: "no", nothing: "nothing is stored, so no" };
const DESTRUCTIVE = ["full_refresh_selection", "reset_checkpoint_selection"];
const READ_MS = 10_000;
const REPEAT = "It is not known whether the last start like this was done. This one repeats it, and never starts a second update.";

/**
 * `pipeline` is {pipelineId, name, workspace}. `options` are the start options of an earlier run, which are sent again.
 * `fullRefresh` is the choice at first: "yes", "no" or "stored", which is what the job has stored when the dialog opens.
 * The start sends the full_refresh that the dialog shows, so nothing that is stored later can make it a full one.
 * While the outcome of a start is not known, the same start is a repeat with the same key, also from a later dialog.
 */
export class StartDialog extends Component {
  hasOptions = Object.keys(this.props.options ?? {}).length > 0;
  state = { choice: this.hasOptions ? "no" : (this.props.fullRefresh ?? "stored"), stored: null, isReady: this.hasOptions };

  componentDidMount() {
    if (!this.hasOptions) this.readJob();
  }

  /** Learn what the job has stored. If that cannot be known, the reader has to choose. */
  async readJob() {
    const { pipelineId, workspace } = this.props.pipeline;
    const path = `jobs/${encodeURIComponent(pipelineId)}`;
    let stored = null;
    try {
      stored = storedFullRefresh(await get(path, { workspace }, AbortSignal.timeout(READ_MS)));
    } catch {
      this.setState(({ choice }) => ({ choice: choice === "stored" ? "no" : choice }));
    }
    this.setState({ stored, isReady: true });
  }

  get isFull() {
    const { choice, stored } = this.state;
    return choice === "stored" ? stored === true : choice === "yes";
  }

  start = async () => {
    const { pipelineId, workspace } = this.props.pipeline;
    const { body, place } = this;
    const idempotencyKey = sessionStorage.getItem(place) ?? crypto.randomUUID();
    sessionStorage.setItem(place, idempotencyKey);
    try {
      const run = await post(`pipelines/${pipelineId}/updates`, body, { query: { workspace }, idempotencyKey });
      sessionStorage.removeItem(place);
      go(runLink(run));
    } catch (error) {
      if (!error.mayPass) sessionStorage.removeItem(place);
      throw error;
    }
  };

  get body() {
    return { full_refresh: this.isFull, ...this.props.options };
  }

  /** Where the key of this start is kept while its outcome is not known. */
  get place() {
    const { pipelineId, workspace } = this.props.pipeline;
    return `polysync.start ${JSON.stringify([workspace, pipelineId, this.body])}`;
  }

  explain = (error) => {
    const { pipeline } = this.props;
    if (!error.active?.runId) return null;
    const run = { runId: error.active.runId, workspace: pipeline.workspace };
    return html`<a href=${runLink(run)}>Open the active run</a>`;
  };

  render({ pipeline, options = {}, onClose }, { choice, stored, isReady }) {
    const name = pipeline.name || pipeline.pipelineId;
    const resets = DESTRUCTIVE.some((each) => options[each]?.length);
    const isDangerous = this.isFull || resets;
    const what = this.isFull ? `the full refresh of ${name}` : this.hasOptions ? `${name} with these options` : name;
    const choices = [
      ["no", "No: process new data only"],
      ["yes", "Yes: empty the tables and compute them again"],
    ];
    if (stored !== null) choices.unshift(["stored", `As stored in the job: ${STORED[stored]}`]);
    return html`<${Ask}
      title=${`Start a run of ${name}`}
      agree=${`Start ${what}`}
      isReady=${isReady}
      isDangerous=${isDangerous}
      typed=${isDangerous ? name : null}
      act=${this.start}
      explain=${this.explain}
      onClose=${onClose}
    >
      <p>Databricks starts one update of this pipeline in workspace ${pipeline.workspace}.</p>
      ${this.hasOptions
        ? html`<p>It gets the same start options as this run:</p><${Options} of=${options} />`
        : html`<fieldset>
            <legend>Full refresh</legend>
            ${!isReady && html`<p class="quiet" role="status">Reading the job …</p>`}
            ${isReady &&
            choices.map(
              ([value, text]) => html`<label key=${value}>
                <input
                  type="radio"
                  name="full-refresh"
                  checked=${choice === value}
                  onChange=${() => this.setState({ choice: value })}
                />
                ${text}
              </label>`,
            )}
            ${isReady && stored === null && html`<p class="quiet">What the job has stored is not known.</p>`}
          </fieldset>`}
      ${isReady && sessionStorage.getItem(this.place) && html`<p class="warning">${REPEAT}</p>`}
      ${this.isFull &&
      html`<p class="warning">
        A full refresh deletes the data of the pipeline's tables and computes them again from their sources. What the
        sources no longer hold is lost.
      </p>`}
      ${resets &&
      html`<p class="warning">
        The data of the tables above are deleted, or their checkpoints reset, and computed again. What the sources no
        longer hold is lost.
      </p>`}
    </${Ask}>`;
  }
}

export const fullRefreshOf = (job) => job.parameters.find((parameter) => parameter.name === "full_refresh");

/** What a start that says nothing about it would send for full_refresh: true, false, or "nothing" when nothing is stored. */
export function storedFullRefresh(job) {
  const stored = fullRefreshOf(job);
  return stored ? Boolean(stored.forwarded && stored.value) : "nothing";
}

/** The start options of a run, in words. */
export function Options({ of }) {
  const given = Object.entries(of ?? {});
  if (!given.length) return null;
  return html`<ul class="options">
    ${given.map(
      ([name, value]) => html`<li key=${name}><code>${name}</code>: ${Array.isArray(value) ? value.join(", ") : String(value)}</li>`,
    )}
  </ul>`;
}
