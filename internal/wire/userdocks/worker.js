// Keeps the tokens of one page out of the page's own reach. Messages are JSON
// strings both ways; whatever is not one of the three requests is ignored.
"use strict";
(() => {
  const fields = ["accessToken", "idToken", "expiresIn", "tokenType", "redirectUri", "refreshToken"];
  const none = { accessToken: null, idToken: null, expiresIn: 0, tokenType: null, redirectUri: null, refreshToken: null };
  let token = none;

  // The six fields and no more; none unless there is an ID token to go by.
  const keep = (given) => {
    if (given === null || typeof given !== "object" || typeof given.idToken !== "string" || given.idToken === "") return none;
    return Object.fromEntries(fields.map((name) => [name, given[name] ?? none[name]]));
  };

  // The claims are base64url of UTF-8, which atob alone reads wrongly.
  const claims = (jwt) => {
    const binary = atob(jwt.split(".")[1].replace(/-/g, "+").replace(/_/g, "/"));
    return JSON.parse(new TextDecoder().decode(Uint8Array.from(binary, (c) => c.charCodeAt(0))));
  };

  // What the server says is a moment; the page wants the seconds until then.
  // Less than none is none: a number below 0 would count as a sign-in somewhere.
  const secondsLeft = () => {
    try {
      const left = Number(claims(token.idToken).exp) - Math.floor(Date.now() / 1000);
      return left > 0 ? left : 0;
    } catch {
      return 0;
    }
  };

  const read = (data) => {
    try {
      return typeof data === "string" ? JSON.parse(data) : null;
    } catch {
      return null;
    }
  };

  self.onmessage = (event) => {
    const message = read(event.data);
    switch (message?.request?.type) {
      case "setToken":
        token = keep(message.payload ?? null);
        break;
      case "deleteToken":
        token = none;
        break;
      case "getToken":
        self.postMessage(JSON.stringify({
          request: { type: "getToken" },
          payload: { uuid: message.payload?.uuid, token: { ...token, expiresIn: token === none ? 0 : secondsLeft() } },
        }));
        break;
    }
  };
})();
