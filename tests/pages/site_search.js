// Prints what the site's own search gives: `node site_search.js SITE`, with a query on each line of standard input.
const fs = require("fs"), vm = require("vm");
const site = process.argv[2];
const context = {
  console, URLSearchParams, _: (text) => text, _ready() {}, SPHINX_HIGHLIGHT_ENABLED: false,
  localStorage: { getItem: () => null },
  DOCUMENTATION_OPTIONS: { FILE_SUFFIX: ".html", LINK_SUFFIX: ".html" },
  document: { addEventListener() {}, documentElement: { dataset: {} }, querySelector: () => null, getElementById: () => null },
};
context.window = context;
vm.createContext(context);
for (const file of ["language_data.js", "searchtools.js"]) {
  // What a script declares is no property of its context.
  const text = fs.readFileSync(`${site}/_static/${file}`, "utf8").replace(/^(const|let) /gm, "var ");
  vm.runInContext(text.replace(/^class (\w+)/gm, "var $1 = class $1"), context);
}
context.Search.setIndex = (index) => { context.Search._index = index; };
vm.runInContext(fs.readFileSync(`${site}/searchindex.js`, "utf8"), context);
for (const query of fs.readFileSync(0, "utf8").trim().split("\n")) {
  const results = context.Search._performSearch(...context.Search._parseQuery(query));
  console.log((results.pop() || ["nothing"])[0]);
}
