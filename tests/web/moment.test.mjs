import assert from "node:assert/strict";
import { test } from "node:test";

import { momentHash, momentIn, secondsOf } from "../../origin/web/moment.js";

const READ = [
  ["#t=754", 754],
  ["#t=12:34", 754],
  ["#t=1:02:34", 3754],
  ["#t=1:02:34.5", 3754.5],
  ["#t=0", 0],
  ["#t=90:00", 5400],
  ["#t=npt:12:34", 754],
  ["#t=10,20", 10],
  ["#from=x&t=7", 7],
  ["#t=%31%32", 12],
];
for (const [hash, seconds] of READ) {
  test(`${hash} is ${seconds} s`, () => assert.equal(momentIn(hash), seconds));
}

for (const hash of ["", "#", "#t=", "#t=soon", "#t=-4", "#t=1:75", "#t=1:60:00", "#t=1e9", "#t=1:2:3:4", "#chapter-2", "#t=NaN"]) {
  test(`${hash || "nothing"} names no moment`, () => assert.equal(momentIn(hash), null));
}

test("a moment is written in whole seconds, and read again", () => {
  assert.equal(momentHash(754.9), "t=754");
  assert.equal(momentHash(-1), "t=0");
  assert.equal(secondsOf("754"), momentIn(`#${momentHash(754.9)}`));
});
