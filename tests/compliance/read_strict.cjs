// Reads playlists with hls-parser in strict mode: a JSON list of texts on stdin, a JSON list of what it understood
// (or of the first complaint) on stdout. The package's directory is the argument.
"use strict";

const HLS = require(process.argv[2]);
HLS.setOptions({ strictMode: true, silent: true });

const read = (text) => {
  try {
    return { playlist: HLS.parse(text) };
  } catch (error) {
    return { error: error.message };
  }
};

let input = "";
process.stdin.setEncoding("utf8");
process.stdin.on("data", (chunk) => (input += chunk));
process.stdin.on("end", () => process.stdout.write(JSON.stringify(JSON.parse(input).map(read))));
