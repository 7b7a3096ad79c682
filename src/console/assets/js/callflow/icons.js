// A small picture for each module: the outline of a 24 by 24 drawing. One that is not here gets a plain square.

import { s } from "../dom.js";

const OUTLINES = {
  webhook: "M12 8.5a3.5 3.5 0 1 0-3 3.46L6.5 17M12 8.5l3 5.2M9.5 17.5h7.6M6 20.5a3 3 0 1 1 .5-5.96M17.5 20.5a3 3 0 1 0-2.2-5",
  device: "M5 4h14v16H5zM8.5 8h7v4h-7zM9 16h.01M12 16h.01M15 16h.01",
  user: "M12 11a3.5 3.5 0 1 0 0-7 3.5 3.5 0 0 0 0 7zM5 20c0-4 3-6 7-6s7 2 7 6",
  ring_group: "M9 11a3 3 0 1 0 0-6 3 3 0 0 0 0 6zM3.5 19c0-3.5 2.5-5 5.5-5s5.5 1.5 5.5 5M15.5 5.3a3 3 0 0 1 0 5.4M17 14.3c2.200.6 3.5 2.200 3.5 4.7",
  voicemail: "M7 15a3.5 3.5 0 1 0 0-7 3.5 3.5 0 0 0 0 7zM17 15a3.5 3.5 0 1 0 0-7 3.5 3.5 0 0 0 0 7zM7 15h10",
  play: "M8 5.5v13l10.5-6.5z",
  say: "M4 5h16v11H11l-4 3.5V16H4zM8 9h8M8 12h5",
  menu: [6, 12, 18].flatMap((y) => [6, 12, 18].map((x) => `M${x - 1} ${y}a1 1 0 1 0 2 0a1 1 0 1 0-2 0`)).join(""),
  sleep: "M12 20a8 8 0 1 0 0-16 8 8 0 0 0 0 16zM12 8v4.5l3 1.5",
  set_variables: "M8 4c-2.5 0-2 3-2 5s-1.5 3-2 3c.5 0 2 1 2 3s-.5 5 2 5M16 4c2.5 0 2 3 2 5s1.5 3 2 3c-.5 0-2 1-2 3s.5 5-2 5M10 10l4 4M14 10l-4 4",
  conference: "M12 9a2.5 2.5 0 1 0 0-5 2.5 2.5 0 0 0 0 5zM8 14c0-2.5 1.5-3.5 4-3.5s4 1 4 3.5M3 15h18l-2 5H5z",
  queue: "M4 7h10M4 12h10M4 17h6M18 6v11M15 14.5l3 3 3-3",
  transfer: "M4 8h13M13.5 4.5L17 8l-3.5 3.5M20 16H7M10.5 12.5L7 16l3.5 3.5",
  callflow: "M9.5 4h5v4h-5zM4 16h5v4H4zM15 16h5v4h-5zM12 8v4M6.5 16v-4h11v4",
  response: "M12 20a8 8 0 1 0 0-16 8 8 0 0 0 0 16zM6.5 6.5l11 11",
  hangup: "M3.5 14.5c0-3 4-5.5 8.5-5.5s8.5 2.5 8.5 5.5v1.5l-4.5-.8v-2.4c-2.5-.9-5.5-.9-8 0v2.4L3.5 16z",
};

/** The picture of a module. Its name stands beside it, so it says nothing itself. */
export function icon(module) {
  return s("svg", { class: "icon", viewBox: "0 0 24 24", "aria-hidden": "true", focusable: "false" },
    s("path", { d: OUTLINES[module] ?? "M6 6h12v12H6z" }));
}
