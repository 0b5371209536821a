// The status of a run, as a word, a shape and a pattern. Nothing is shown by colour alone.
import { html } from "./html.js";

const KINDS = {
  running: { word: "Running", shape: "M5 3.5v9l7-4.5z" },
  waiting: { word: "Unknown", shape: "M3 7h2v2H3zM7 7h2v2H7zM11 7h2v2h-2z" },
  failed: { word: "Failed", shape: "M4.5 3 8 6.5 11.5 3 13 4.5 9.5 8l3.5 3.5-1.5 1.5L8 9.5 4.5 13 3 11.5 6.5 8 3 4.5z" },
  success: { word: "Success", shape: "M6.5 12.5 2.5 8.5 4 7l2.5 2.5L12 4l1.5 1.5z" },
  cancelled: { word: "Cancelled", shape: "M3.5 3.5h9v9h-9z" },
  lost: { word: "Unknown, given up", shape: "M8 2 14 8 8 14 2 8z" },
};
export const KIND_NAMES = Object.keys(KINDS);
export const STATUSES = ["Running", "Unknown", "Failed", "Success", "Cancelled"];

/** The kind of a run: its status, with the two kinds of Unknown apart. */
export function kindOf(run) {
  if (run.status === "Unknown") return run.isFinished ? "lost" : "waiting";
  return run.status.toLowerCase();
}

export const wordOf = (kind) => KINDS[kind].word;

export function Glyph({ kind }) {
  return html`<svg class="glyph" viewBox="0 0 16 16" width="14" height="14" aria-hidden="true">
    <path d=${KINDS[kind].shape} fill="currentColor" />
  </svg>`;
}

/** The status in words, with Databricks' state beside it where the two differ. */
export function Badge({ run }) {
  const kind = kindOf(run);
  return html`<span class="badge ${kind}"><${Glyph} kind=${kind} />${wordOf(kind)}</span>
    ${run.state && html`<span class="state" title="Databricks' own word for the state">${run.state}</span>`}`;
}

/** The fills of the timeline: a colour and a pattern for each kind. */
export function Patterns() {
  return html`<defs>
    <pattern id="fill-failed" width="6" height="6" patternUnits="userSpaceOnUse" patternTransform="rotate(45)">
      <rect width="6" height="6" class="ink-failed" /><rect width="2" height="6" class="ink-gap" />
    </pattern>
    <pattern id="fill-running" width="8" height="8" patternUnits="userSpaceOnUse">
      <rect width="8" height="8" class="ink-running" /><rect width="1.5" height="8" class="ink-gap" />
    </pattern>
    <pattern id="fill-waiting" width="5" height="5" patternUnits="userSpaceOnUse">
      <rect width="5" height="5" class="ink-pale" /><circle cx="2.5" cy="2.5" r="1.3" class="ink-waiting" />
    </pattern>
    <pattern id="fill-cancelled" width="6" height="5" patternUnits="userSpaceOnUse">
      <rect width="6" height="5" class="ink-cancelled" /><rect width="6" height="1.5" class="ink-gap" />
    </pattern>
    <pattern id="fill-lost" width="6" height="6" patternUnits="userSpaceOnUse" patternTransform="rotate(45)">
      <rect width="6" height="6" class="ink-pale" /><path d="M0 3h6M3 0v6" class="stroke-lost" />
    </pattern>
    <pattern id="fill-success" width="8" height="8" patternUnits="userSpaceOnUse">
      <rect width="8" height="8" class="ink-success" />
    </pattern>
  </defs>`;
}
