import { createHash, timingSafeEqual } from "node:crypto";

/** Compares a key that came with the one that is right. Hashes are of one length, so the time taken says nothing. */
export function sameSecret(given: string, right: string): boolean {
  const digest = (text: string) => createHash("sha256").update(text).digest();
  return timingSafeEqual(digest(given), digest(right));
}
