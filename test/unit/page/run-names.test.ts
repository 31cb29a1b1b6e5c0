import { expect, test } from "vitest";
import { runNames } from "../../../lib/page/run-names.js";

test.each([
  [["runs/food/"], ["food"]],
  [
    ["runs/a", "/other/b"],
    ["a", "b"],
  ],
  [
    ["/x/one/run", "/x/two/run"],
    ["one/run", "two/run"],
  ],
  [
    ["/x/one/run", "/y/one/run", "/y/one/other"],
    ["x/one/run", "y/one/run", "y/one/other"],
  ],
  [
    ["/x/run", "/x/run"],
    ["run (1)", "run (2)"],
  ],
])("%j are called %j", (folders, names) => {
  expect(runNames(folders)).toEqual(names);
});
