import { type Command, Help, type HelpConfiguration } from "commander";

/** Columns of the flags; a longer one has its description below it. */
const WIDEST_TERM = 30;

const layout = new Help();

/** Room for the descriptions, whatever the longest flag is called. */
export const helpLayout: HelpConfiguration = {
  padWidth: (command: Command, helper: Help) => Math.min(WIDEST_TERM, layout.padWidth(command, helper)),
  formatItem(this: Help, term, width, description, helper) {
    const format = (first: string) => Help.prototype.formatItem.call(this, first, width, description, helper);
    return helper.displayWidth(term) <= width ? format(term) : `  ${term}\n${format("")}`;
  },
};
