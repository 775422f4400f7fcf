// Numbers and dates for people.

export function percent(share) {
  if (share === null || share === undefined) return "–";
  if (share < 0.01) return "<1 %";
  return share > 0.99 ? ">99 %" : `${Math.round(100 * share)} %`;
}

/** A share and its thresholds, with as few decimals as tell the share from each threshold: 25.4 % beside 25.0 %. */
export function percentBeside(share, ...thresholds) {
  for (let decimals = 0; ; decimals += 1) {
    const texts = [share, ...thresholds].map((value) => `${(100 * value).toFixed(decimals)} %`);
    if (decimals === 4 || thresholds.every((value, n) => value === share || texts[n + 1] !== texts[0])) {
      return decimals ? texts : [percent(share), ...texts.slice(1)];
    }
  }
}

/** Near a small number more decimals: 0.4 %, 5 %. */
export const rate = (share) => `${Number((100 * share).toPrecision(2))} %`;

export function signed(value, places = 2) {
  const text = Math.abs(value).toFixed(places);
  if (!Number(text)) return text;
  return (value > 0 ? "+" : "−") + text;
}

export const asWords = (name) => String(name).replaceAll("_", " ").replace(/\bcovid19\b/, "COVID-19");

export function when(iso) {
  const date = iso ? new Date(iso) : null;
  return date && !Number.isNaN(date.valueOf()) ? date.toLocaleString(undefined, { dateStyle: "medium", timeStyle: "short" }) : "–";
}

export const day = (iso) => (iso ? String(iso).slice(0, 10) : "date not stated");

export const counted = (n, noun) => `${n.toLocaleString("en")} ${noun}${n === 1 ? "" : "s"}`;

/**
 * The probability among people with another prevalence (Bayes' rule on the odds).
 * @param {number} probability calibrated at the prevalence `stated`
 */
export function atPrevalence(probability, stated, prevalence) {
  const odds = (p) => p / (1 - p);
  const bounded = Math.min(Math.max(probability, 1e-6), 1 - 1e-6);
  const posterior = odds(bounded) * (odds(prevalence) / odds(stated));
  return posterior / (1 + posterior);
}

/** "about 1 in 8", "about 7 in 8": a share as a count of people. */
export function inPeople(share) {
  const rare = Math.min(share, 1 - share);
  const of = Math.max(2, Math.round(1 / Math.max(rare, 1e-4)));
  if (rare > 0.35) return `about ${Math.round(10 * share)} in 10`;
  return share <= 0.5 ? `about 1 in ${of.toLocaleString("en")}` : `about ${(of - 1).toLocaleString("en")} in ${of.toLocaleString("en")}`;
}
