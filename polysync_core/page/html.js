// Templates: tagged texts that become elements. Every value in them is text, never markup.
import { Component, h, render } from "./preact.mjs";
import htm from "./htm.mjs";

export const html = htm.bind(h);
export { Component, render };
