const KEY = "vlmr1-token";

/**
 * The token that allows to steer the run. It comes in the address behind the #, which browsers send to nobody; from
 * there it moves into the tab's memory, so that a copied address or a picture of the screen does not give it away.
 */
export class Token {
  private value: string | null;

  constructor() {
    const match = /(?:^#|&)token=([^&]+)/.exec(location.hash);
    this.value = match?.[1] ? decoded(match[1]) : stored();
    if (match) {
      this.set(this.value);
      history.replaceState(history.state, "", location.pathname + location.search);
    }
  }

  get(): string | null {
    return this.value;
  }

  set(value: string | null): void {
    this.value = value;
    try {
      if (value === null) sessionStorage.removeItem(KEY);
      else sessionStorage.setItem(KEY, value);
    } catch {
      // Without storage it holds until the page is loaded anew.
    }
  }
}

function stored(): string | null {
  try {
    return sessionStorage.getItem(KEY);
  } catch {
    return null;
  }
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
