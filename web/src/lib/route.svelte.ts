// Where the page is: #/operations/op3?state=failed. Every object has an address that can be sent on.

export interface Route {
  page: string;
  id: string;
  asked: Record<string, string>;
}

export const HOME = "fleet";

export function parse(hash: string): Route {
  const [path = "", search = ""] = hash.replace(/^#\/?/, "").split("?", 2);
  const [page = "", ...rest] = path.split("/");
  return {
    page: page || HOME,
    id: rest.map(decodeURIComponent).join("/"),
    asked: Object.fromEntries(new URLSearchParams(search)),
  };
}

export function href(page: string, id = "", asked: Record<string, string> = {}): string {
  const given = Object.entries(asked).filter(([, value]) => value !== "");
  const tail = given.length ? `?${new URLSearchParams(given)}` : "";
  const name = id ? `/${id.split("/").map(encodeURIComponent).join("/")}` : "";
  return `#/${page}${name}${tail}`;
}

class Router {
  at = $state.raw<Route>(parse(location.hash));

  constructor() {
    addEventListener("hashchange", () => (this.at = parse(location.hash)));
  }

  go(page: string, id = "", asked: Record<string, string> = {}): void {
    location.hash = href(page, id, asked);
  }

  /** Change what is asked of this page without a step in the browser's history. */
  ask(changes: Record<string, string>): void {
    const { page, id, asked } = this.at;
    history.replaceState(null, "", href(page, id, { ...asked, ...changes }));
    this.at = parse(location.hash);
  }
}

export const router = new Router();
