/** Spellings of units → one name. */
const UNITS: ReadonlyMap<string, string> = new Map(
  Object.entries({
    kg: "kg kilogram kilograms 千克 公斤",
    g: "g gram grams 克",
    mg: "mg milligram milligrams 毫克",
    km: "km kilometer kilometers kilometre kilometres 千米 公里",
    m: "m meter meters metre metres 米",
    cm: "cm centimeter centimeters centimetre centimetres 厘米",
    mm: "mm millimeter millimeters millimetre millimetres 毫米",
    inch: "in inch inches 英寸",
    foot: "ft foot feet 英尺",
    l: "l liter liters litre litres 升",
    ml: "ml milliliter milliliters millilitre millilitres 毫升",
    s: "s sec second seconds 秒",
    min: "min minute minutes 分钟",
    h: "h hr hour hours 小时",
    day: "day days 天",
    year: "year years 年 岁",
    kcal: "kcal kilocalorie kilocalories 大卡 千卡",
    cal: "cal calorie calories 卡",
    kj: "kj kilojoule kilojoules 千焦",
    degree: "degree degrees ° 度",
    celsius: "°c ℃ celsius 摄氏度",
    fahrenheit: "°f ℉ fahrenheit 华氏度",
    dollar: "dollar dollars usd 美元",
    yuan: "yuan rmb 元 块",
    euro: "euro euros eur 欧元",
    piece: "piece pieces item items 个 只 条 件",
  }).flatMap(([name, spellings]) => spellings.split(" ").map((spelling) => [spelling, name] as const)),
);

const CURRENCIES: Readonly<Record<string, string>> = { $: "dollar", "€": "euro", "¥": "yuan", "￥": "yuan" };

/**
 * Takes the unit off a quantity: "52 kcal" → "52" and "kcal", "€5" → "5" and "euro". A text with further letters, as
 * "2x + 3m", is no quantity and stays whole. `text` is already in one spelling (`normalizeMath`), so `original` is
 * asked for the dollar sign, which LaTeX also uses.
 */
export function splitUnit(text: string, original: string): { value: string; unit: string | undefined } {
  const currency = /^\s?\\?([$€¥￥])\s?[\d.-]/.exec(original);
  const sign = currency?.[1] === "$" && /\$\s?$/.test(original) ? undefined : currency?.[1];
  const bare = text.replace(/^[€¥￥]\s?/, "");
  if (sign !== undefined) return { value: bare, unit: CURRENCIES[sign] };
  const degrees = bare.replace(/\s?\^\s?(?:\{\s?\\circ\s?\}|\\circ)/, "°").replace(/\\degree/, "°");
  const tail = /^(.*[\d}])\s?([\p{L}°℃℉]{1,12})\.?$/su.exec(degrees);
  const unit = UNITS.get((tail?.[2] ?? "").toLowerCase());
  const value = tail?.[1]?.trim() ?? "";
  if (unit === undefined || /\p{L}/u.test(value.replace(/\\[a-z]+/g, ""))) return { value: bare, unit: undefined };
  return { value, unit };
}
