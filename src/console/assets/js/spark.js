// The last hour as a small drawing: a bar a minute, what failed on top in another colour.

import { s } from "./dom.js";
import { number } from "./format.js";

const WIDTH = 120;
const HEIGHT = 28;

/** `activity` as the API gives it: `{succeeded, failed, minutes: [[succeeded, failed], …]}`. */
export function spark({ succeeded, failed, minutes }) {
  const most = Math.max(1, ...minutes.map(([good, bad]) => good + bad));
  const step = WIDTH / 60;
  const tall = (count) => (count === 0 ? 0 : Math.max(2, ((HEIGHT - 2) * count) / most));
  const bars = minutes.flatMap(([good, bad], index) => {
    const x = index * step;
    const [low, high] = [tall(good), tall(bad)];
    const base = HEIGHT - 1;
    return [
      low > 0 && s("rect", { class: "good", x, y: base - low, width: step - 0.4, height: low }),
      high > 0 && s("rect", { class: "bad", x, y: Math.max(0, base - low - high), width: step - 0.4, height: high }),
    ];
  });
  const label = succeeded + failed === 0 ? "Nothing in the last hour" : `In the last hour ${number(succeeded)} delivered, ${number(failed)} failed`;
  return s("svg", { class: "spark", viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", "aria-label": label, preserveAspectRatio: "none" },
    s("title", {}, label), s("line", { class: "none", x1: 0, x2: WIDTH, y1: HEIGHT - 0.5, y2: HEIGHT - 0.5 }), bars);
}
