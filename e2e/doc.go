// Package e2e runs clients that others wrote against a real `tallystick dev`
// process: what a client in the field does is done here, over a connection, by the
// code that does it there. The vendors' own SDKs speak to their faces; openid-client,
// oauth4webapi, oidc-client-ts, the MCP SDK, go-oidc with x/oauth2, and Apache with
// mod_auth_openidc speak to the standard face. Some run in Chromium, where people
// sign in at the hosted pages, which are held to the rules for accessible ones on
// the way. The tests stand behind the build tag e2e, because they need node;
// `make e2e` installs the clients and runs them.
package e2e
