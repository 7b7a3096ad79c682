// The modules that a callflow is built of, as the API describes them, and what a block shows of its data.

import { DIGITS } from "./model.js";
import { labelOf } from "./words.js";

export class Catalogue {
  #modules;

  /** Over the answer of `GET /v2/callflows/modules`. `callflows`: those that a block can go on in, by id their name. */
  constructor(modules, callflows = new Map()) {
    this.#modules = new Map(modules.map((module) => [module.id, module]));
    this.callflows = callflows;
  }

  /** The module with this id. One that this server does not have can be shown, moved and removed all the same. */
  get(id) {
    return this.#modules.get(id) ?? {
      id,
      name: id,
      category: "",
      description: "This server has no such module: calls pass over it.",
      children: { keys: [{ id: "_", name: "Next" }], digits: true, ends: false },
      data: { properties: {}, required: [] },
    };
  }

  /** Pairs of heading and modules; only those that have to do with `text`, where there is some. */
  byCategory(text = "") {
    const words = text.toLowerCase().split(/\s+/).filter(Boolean);
    const found = [...this.#modules.values()].filter(({ name, category, description }) => {
      const all = `${name} ${category} ${description}`.toLowerCase();
      return words.every((word) => all.includes(word));
    });
    return Object.entries(Object.groupBy(found, ({ category }) => category));
  }

  /** What leads to a child, in words; a digit stands for itself. */
  keyName(module, key) {
    return this.get(module).children.keys.find(({ id }) => id === key)?.name ?? key;
  }

  /** Whether the ways on from a node part; else there is one, and it needs no name. */
  parts({ module, children }) {
    return this.get(module).children.digits || children.some(([key]) => key !== "_");
  }

  /** Whether the flow ends at a node: it goes on only where that is skipped. */
  ends({ module, children }) {
    return this.get(module).children.ends && children.length === 0;
  }

  /** Whether the key of a node's child has to be shown. */
  showsKey(parent, key) {
    return this.parts(parent) || this.keyName(parent.module, key) !== "Next";
  }

  /** The keys that the children of a module may have, digits first. */
  keysOf(module) {
    const { keys, digits } = this.get(module).children;
    return [...(digits ? DIGITS : []), ...keys.map(({ id }) => id)];
  }

  /** The labels of the fields that a node needs and does not have yet. */
  missing({ module, data }) {
    const { required } = this.get(module).data;
    return required.filter((field) => isEmpty(data[field])).map((field) => labelOf(module, field));
  }

  /** The main data of a node in a line; empty where there is none yet. */
  summary({ module, data }) {
    const { properties, required } = this.get(module).data;
    if (module === "sleep" && data.duration !== undefined) {
      return `${data.duration} ${data.unit ?? properties.unit.default}`;
    }
    if (module === "callflow" && this.callflows.has(data.id)) return this.callflows.get(data.id);
    const main = required.length > 0 ? required : Object.keys(data).filter((field) => field !== "skip_module");
    return main.map((field) => inLine(data[field])).filter(Boolean).join(", ");
  }

  /** What a node is called when somebody is told of it. */
  title(one) {
    return [this.get(one.module).name, this.summary(one)].filter(Boolean).join(" ");
  }
}

/** The method of a webhook's request. */
export function verbOf({ data }) {
  return String(data.http_verb ?? "post").toUpperCase();
}

function isEmpty(value) {
  return value === undefined || value === null || value === ""
    || (typeof value === "object" && Object.keys(value).length === 0);
}

function inLine(value) {
  if (isEmpty(value)) return "";
  if (Array.isArray(value)) return value.map((item) => item?.id ?? "…").join(", ");
  if (typeof value === "object") return Object.entries(value).map(([key, one]) => `${key} = ${inLine(one)}`).join(", ");
  return String(value);
}
