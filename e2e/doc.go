// Package e2e runs the vendors' own SDKs, as npm serves them, against a real
// `tallystick dev` process: what a client in the field does is done here, over a
// connection, by the code that does it there. The Userdocks SDK also runs in
// Chromium, where people sign in at the hosted pages, which are held to the rules
// for accessible ones on the way. The tests stand behind the build tag e2e,
// because they need node; `make e2e` installs the SDKs and runs them.
package e2e
