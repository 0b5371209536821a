// The dialog that starts an update of a pipeline.
import { post } from "./api.js";
import { go, runLink } from "./address.js";
import { Ask } from "./dialogs.js";
import { Component, html } from "./html.js";

const STORED = { true: "yes", false: "no", nothing: "nothing is stored, so no" };
const DESTRUCTIVE = ["full_refresh_selection", "reset_checkpoint_selection"];

/**
 * `pipeline` is {pipelineId, name, workspace}. `stored` is what `storedFullRefresh` returns, or null if it is not known.
 * `options` are the start options of an earlier run, which are sent again. One key a dialog makes a repeat safe.
 */
export class StartDialog extends Component {
  key = crypto.randomUUID();
  state = { fullRefresh: this.props.fullRefresh ?? "stored" };

  get isFull() {
    const chosen = this.state.fullRefresh;
    return chosen === "yes" || (chosen === "stored" && this.props.stored === true);
  }

  start = async () => {
    const { pipeline, options = {} } = this.props;
    const { fullRefresh } = this.state;
    const asked = fullRefresh === "stored" ? {} : { full_refresh: fullRefresh === "yes" };
    const run = await post(`pipelines/${pipeline.pipelineId}/updates`, { ...asked, ...options }, {
      query: { workspace: pipeline.workspace },
      idempotencyKey: this.key,
    });
    go(runLink(run));
  };

  explain = (error) => {
    const { pipeline } = this.props;
    this.key = error.mayPass ? this.key : crypto.randomUUID();
    if (!error.active?.runId) return null;
    const run = { runId: error.active.runId, workspace: pipeline.workspace };
    return html`<a href=${runLink(run)}>Open the active run</a>`;
  };

  render({ pipeline, stored, options = {}, onClose }, { fullRefresh }) {
    const name = pipeline.name || pipeline.pipelineId;
    const resets = DESTRUCTIVE.some((each) => options[each]?.length);
    const isDangerous = this.isFull || resets;
    const hasOptions = Object.keys(options).length > 0;
    const what = this.isFull ? `the full refresh of ${name}` : hasOptions ? `${name} with these options` : name;
    const choices = [
      ["stored", stored === null ? "As the job says" : `As stored in the job: ${STORED[stored]}`],
      ["no", "No: process new data only"],
      ["yes", "Yes: empty the tables and compute them again"],
    ];
    return html`<${Ask}
      title=${`Start a run of ${name}`}
      agree=${`Start ${what}`}
      isDangerous=${isDangerous}
      typed=${isDangerous ? name : null}
      act=${this.start}
      explain=${this.explain}
      onClose=${onClose}
    >
      <p>Databricks starts one update of this pipeline in workspace ${pipeline.workspace}.</p>
      ${hasOptions
        ? html`<p>It gets the same start options as this run:</p><${Options} of=${options} />`
        : html`<fieldset>
            <legend>Full refresh</legend>
            ${choices.map(
              ([value, text]) => html`<label key=${value}>
                <input
                  type="radio"
                  name="full-refresh"
                  checked=${fullRefresh === value}
                  onChange=${() => this.setState({ fullRefresh: value })}
                />
                ${text}
              </label>`,
            )}
          </fieldset>`}
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
