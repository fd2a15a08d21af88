// Package oauth is the protocol as pure values: clients and their policy, PKCE,
// scope, redirect URIs, errors. It knows no HTTP, no storage and no clock; what
// it accepts is legal, and what is legal once parsed is never asked again.
package oauth
