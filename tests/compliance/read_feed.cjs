// Reads feeds with feedsmith: a JSON list of texts on stdin, a JSON list of what it understood (or of its complaint)
// on stdout. The package's directory is the argument.
"use strict";

const { parseRssFeed } = require(process.argv[2]);

const read = (text) => {
  try {
    return { feed: parseRssFeed(text) };
  } catch (error) {
    return { error: error.message };
  }
};

let input = "";
process.stdin.setEncoding("utf8");
process.stdin.on("data", (chunk) => (input += chunk));
process.stdin.on("end", () => process.stdout.write(JSON.stringify(JSON.parse(input).map(read))));
