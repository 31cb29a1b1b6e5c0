/**
 * Shapes as published; parameters of the vision tower and of all as transformers 5.17 counts them
 * (AutoModelForImageTextToText.from_config on the meta device, over what init-model writes).
 */
export const PUBLISHED: [string, number[], boolean, number, number, number][] = [
  // name, [hidden, layers, heads, kv heads, feed forward, vocabulary], tied, positions, vision's, all
  ["qwen2-vl-2b", [1536, 28, 12, 2, 8960, 151936], true, 32768, 665_271_296, 2_208_985_600],
  ["qwen2-vl-7b", [3584, 28, 28, 4, 18944, 152064], false, 32768, 675_759_104, 8_291_375_616],
  ["qwen2-vl-72b", [8192, 80, 64, 8, 29568, 152064], false, 32768, 699_356_672, 73_405_560_320],
  ["qwen2.5-vl-3b", [2048, 36, 16, 2, 11008, 151936], true, 128000, 668_684_288, 3_754_622_976],
  ["qwen2.5-vl-7b", [3584, 28, 28, 4, 18944, 152064], false, 128000, 676_550_144, 8_292_166_656],
  ["qwen2.5-vl-32b", [5120, 64, 40, 8, 27648, 152064], false, 128000, 688_841_984, 33_452_718_336],
  ["qwen2.5-vl-72b", [8192, 80, 64, 8, 29568, 152064], false, 128000, 704_573_696, 73_410_777_344],
];
