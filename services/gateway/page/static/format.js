// Numbers and times as people read them.
const whole = new Intl.NumberFormat("en");
const short = new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 1 });
const clock = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", second: "2-digit" });
const day = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short" });
const weekday = new Intl.DateTimeFormat("en-GB", { weekday: "short", day: "numeric", month: "short" });
const minute = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit" });

export const number = (value) => (value == null ? "–" : whole.format(value));
export const compact = (value) => (value == null ? "–" : value < 10_000 ? whole.format(value) : short.format(value));

export function money(value) {
  if (value == null) return "–";
  if (value === 0) return "$0";
  return `$${value >= 1 ? value.toFixed(2) : value.toPrecision(2).replace(/e-.*/, "")}`;
}

/** A length of time, from milliseconds. */
export function duration(ms) {
  if (ms == null || Number.isNaN(ms)) return "–";
  if (ms < 0) return "0 ms";
  if (ms < 1000) return `${Math.round(ms)} ms`;
  const s = ms / 1000;
  if (s < 60) return `${s < 10 ? s.toFixed(1) : Math.round(s)} s`;
  const parts = [
    [Math.floor(s / 86400), "d"],
    [Math.floor(s / 3600) % 24, "h"],
    [Math.floor(s / 60) % 60, "min"],
    [Math.floor(s) % 60, "s"],
  ];
  const first = parts.findIndex(([value]) => value > 0);
  return parts
    .slice(first, first + 2)
    .filter(([value]) => value > 0)
    .map(([value, unit]) => `${value} ${unit}`)
    .join(" ");
}

export const time = (text) => (text == null ? null : Date.parse(text));
export const clockTime = (date) => clock.format(date);

/** "in 5 min" or "3 s ago" within an hour, else the time of day, with its date unless it is today's. */
export function relative(text, now = Date.now()) {
  const ms = time(text) - now;
  const far = Math.abs(ms);
  if (far < 1500) return "now";
  if (far < 3_600_000) {
    const rough = far < 60_000 ? `${Math.round(far / 1000)} s` : `${Math.floor(far / 60_000)} min`;
    return ms > 0 ? `in ${rough}` : `${rough} ago`;
  }
  const today = day.format(now) === day.format(time(text)) && far < 86_400_000;
  return `${today ? "" : `${day.format(time(text))}, `}${minute.format(time(text))}`;
}

/** A date and time in the reader's time zone. */
export const moment = (text) => `${weekday.format(time(text))}, ${clock.format(time(text))}`;
export const plural = (count, one, many = `${one}s`) => `${number(count)} ${count === 1 ? one : many}`;

export function bytes(count) {
  if (count < 1000) return `${count} B`;
  return count < 1_000_000 ? `${Math.round(count / 1000)} kB` : `${(count / 1_000_000).toFixed(1)} MB`;
}
