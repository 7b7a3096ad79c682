// How values are shown to people.

const GREGORIAN = 62167219200;

/** Gregorian seconds as a Date. */
export const fromGregorian = (seconds) => new Date((seconds - GREGORIAN) * 1000);

/** A Date as Gregorian seconds. */
export const toGregorian = (date) => Math.floor(date.getTime() / 1000) + GREGORIAN;

const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit", hour12: false });
const day = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short" });
const whole = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "long" });
const count = new Intl.NumberFormat();

/** The time of day, with the day where that is not today. */
export function time(date) {
  const today = date.toDateString() === new Date().toDateString();
  return today ? clock.format(date) : `${day.format(date)}, ${clock.format(date)}`;
}

/** The time of day with milliseconds. */
export const exactTime = (date) => `${clock.format(date)}.${String(date.getMilliseconds()).padStart(3, "0")}`;

/** All of an instant, for a tooltip. */
export const instant = (date) => whole.format(date);

/** How long ago, roughly. */
export function ago(date, now = Date.now()) {
  const seconds = Math.max(0, Math.round((now - date.getTime()) / 1000));
  if (seconds < 5) return "just now";
  return `${span(seconds)} ago`;
}

/** A number of seconds, roughly. */
export function span(seconds) {
  if (seconds < 60) return `${seconds} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min`;
  if (seconds < 86400) return `${Math.floor(seconds / 3600)} h`;
  return `${Math.floor(seconds / 86400)} d`;
}

export const number = (value) => count.format(value);

/** Milliseconds. */
export function duration(ms) {
  if (ms === null || ms === undefined) return "–";
  if (ms < 10) return `${Math.round(ms * 10) / 10} ms`;
  return ms < 1000 ? `${Math.round(ms)} ms` : `${(ms / 1000).toFixed(1)} s`;
}

/** Bytes. */
export function bytes(value) {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let size = value;
  let unit = 0;
  while (size >= 1024 && unit < units.length - 1) {
    size /= 1024;
    unit += 1;
  }
  return `${unit === 0 ? size : size.toFixed(1)} ${units[unit]}`;
}

/** A share of one as per cent; never 100 % where something is missing. */
export function share(part, all) {
  if (!all) return "–";
  const percent = (100 * part) / all;
  return `${part === all ? 100 : Math.min(99.9, Math.floor(percent * 10) / 10)} %`;
}

/** Text that was sent, set out where it is JSON or a form. */
export function pretty(text) {
  try {
    return JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    return text;
  }
}

/** A form body or query string as lines. */
export function formLines(text) {
  return [...new URLSearchParams(text)].map(([key, value]) => `${key} = ${value}`).join("\n");
}
