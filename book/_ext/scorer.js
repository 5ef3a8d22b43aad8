/* Sphinx finds the pages that hold every word of a query; this orders them. TOPICS, put before it, says what each page is about:
 * a query's words there count more than words somewhere in the text, and lists of everything come last. */
const LISTS = ["book/bibliography", "book/changelog", "book/self-tests", "book/ledger", "book/contributing"];

const words = text => text.toLowerCase().match(/[\p{L}\p{N}]+/gu) ?? [];
const akin = (a, b) => a === b || (Math.min(a.length, b.length) > 3 && (a.startsWith(b.slice(0, -1)) || b.startsWith(a.slice(0, -1))));

var Scorer = {
  score: ([page, title, anchor, , score]) => {
    const query = words(new URLSearchParams(location.search).get("q") ?? "");
    const share = text => {
      const own = words(text);
      return query.length ? query.filter(word => own.some(other => akin(word, other))).length / query.length : 0;
    };
    return score + 20 * share(title) + (anchor ? 0 : 25 * share(TOPICS[page] ?? "")) - (LISTS.includes(page) ? 15 : 0);
  },
  objNameMatch: 11,
  objPartialMatch: 6,
  objPrio: { 0: 15, 1: 5, 2: -5 },
  objPrioDefault: 0,
  title: 15,
  partialTitle: 7,
  term: 5,
  partialTerm: 2,
};
