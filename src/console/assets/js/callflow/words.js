// What the schema of a module does not say of its fields: the label people know, choices and what each means, and
// when a field is of no use.

/** By module and field, in the order in which they are asked for. */
export const WORDS = {
  webhook: {
    uri: { label: "URL", placeholder: "https://example.com/hook" },
    http_verb: {
      label: "Request type",
      choices: [
        ["post", "POST", "Sends what happened; the call goes on at once."],
        ["get", "GET", "Asks the server for instructions, and does what it answers."],
        ["put", "PUT", "Sends like POST."],
      ],
    },
    format: {
      label: "Format",
      choices: [["form-data", "Form data", "As a web form is sent."], ["json", "JSON", "As one JSON object."]],
      when: (data) => String(data.http_verb ?? "post").toLowerCase() !== "get",
    },
    retries: { label: "Re-try attempts", choices: [0, 1, 2, 3, 4].map((number) => [number, String(number)]) },
    custom_data: { label: "Custom data", json: true },
    custom_request_headers: { label: "Request headers" },
    wait_ms: { label: "Wait for the answer", hint: "Milliseconds. Left empty, a GET waits 5000, all else does not wait." },
  },
  set_variables: { variables: { json: true } },
};

/** What a field of a module is called; `endpoints.0.id` is "Endpoints 0 id". */
export function labelOf(module, field) {
  const [first, ...more] = field.split(".");
  return [WORDS[module]?.[first]?.label ?? inWords(first), ...more].join(" ");
}

/** A name as people write it: `interdigit_timeout` is "Interdigit timeout". */
export function inWords(name) {
  const words = name.replaceAll("_", " ");
  return words.charAt(0).toUpperCase() + words.slice(1);
}
