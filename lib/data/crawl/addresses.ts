import { lookup as systemLookup } from "node:dns/promises";
import { isIP, type LookupFunction } from "node:net";
import ipaddr from "ipaddr.js";
import { CrawlFailure } from "./failure.js";

/** How a host's name is turned into addresses. */
export type Resolve = (host: string) => Promise<readonly { address: string; family: number }[]>;

/** Why an address may not be asked; undefined where it may. */
export type Refuse = (address: string) => string | undefined;

export const systemResolve: Resolve = (host) => systemLookup(host, { all: true, verbatim: true });

/** Everything that is not a public unicast address, also where IPv6 carries such an IPv4 address. */
export const refusePrivate: Refuse = (text) => {
  // A zone, as of fe80::1%eth0, names an interface.
  const bare = text.replace(/%.*$/, "");
  if (isIP(bare) === 0) return "not an address";
  const address = ipaddr.process(bare);
  const inner = address instanceof ipaddr.IPv6 ? carried(address) : undefined;
  const range = address.range();
  if (inner !== undefined) return refusePrivate(inner.toString());
  if (range !== "unicast") return range;
  // Of IPv6 the world has 2000::/3; ::7f00:1, the old way to write 127.0.0.1, is in none of the named ranges.
  return address instanceof ipaddr.IPv6 && (address.parts[0] as number) >> 13 !== 1 ? "reserved" : undefined;
};

/** The IPv4 address that NAT64 (64:ff9b::/96) or 6to4 (2002::/16) leads to. */
function carried(address: ipaddr.IPv6): ipaddr.IPv4 | undefined {
  const bytes = address.toByteArray();
  const range = address.range();
  if (range === "rfc6052") return ipaddr.fromByteArray(bytes.slice(12)) as ipaddr.IPv4;
  if (range === "6to4") return ipaddr.fromByteArray(bytes.slice(2, 6)) as ipaddr.IPv4;
  return undefined;
}

/** Throws where a URL's host is itself an address that may not be asked: there is no name to look up then. */
export function checkLiteral(hostname: string, refuse: Refuse): void {
  const bare = hostname.replace(/^\[|\]$/g, "");
  const reason = isIP(bare) === 0 ? undefined : refuse(bare);
  if (reason !== undefined) throw privateAddress(bare, bare, reason);
}

export function privateAddress(host: string, address: string, reason: string): CrawlFailure {
  const where = host === address ? host : `${host} (${address})`;
  return new CrawlFailure("ERR_PRIVATE_ADDRESS", `${where} is no public address (${reason}); it is not fetched`, {
    host,
    hint: "--allow-private fetches from private and local addresses too.",
  });
}

/**
 * A lookup for `net.connect` that gives allowed addresses only. What is looked up here is what is connected to, so a
 * name that answers differently the next time gains nothing.
 */
export function guardedLookup(resolve: Resolve, refuse: Refuse): LookupFunction {
  return (host, options, callback) => {
    resolve(host).then(
      (all) => {
        const allowed = all.filter(({ address }) => refuse(address) === undefined);
        const first = allowed[0];
        if (first === undefined) {
          const { address } = all[0] ?? { address: "no address" };
          callback(privateAddress(host, address, refuse(address) ?? "unknown"), "", 0);
        } else if (options.all === true) callback(null, [...allowed]);
        else callback(null, first.address, first.family);
      },
      (error: NodeJS.ErrnoException) => callback(error, "", 0),
    );
  };
}
