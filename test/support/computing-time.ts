/** Milliseconds of computing that `act` takes: unlike time, about the same on a machine that does much else. */
export function computingTime(act: () => unknown): number {
  const before = process.cpuUsage();
  act();
  return spentSince(before);
}

/** The same where `act` waits; what else this process does meanwhile counts. */
export async function computingTimeOf(act: () => Promise<unknown>): Promise<number> {
  const before = process.cpuUsage();
  await act();
  return spentSince(before);
}

function spentSince(before: NodeJS.CpuUsage): number {
  const { user, system } = process.cpuUsage(before);
  return (user + system) / 1000;
}
