// Package jose signs and verifies JSON Web Tokens (RFC 7519) in the compact
// serialization of RFC 7515, and publishes the keys that verify them.
//
// It promises three things. Every token it signs can be read by a client that
// hands a raw segment to atob(): header and payload contain no '-' and no '_'
// (see [Claims]). A token is verified only under an algorithm the caller names,
// and only with a key that was made for that algorithm. And nothing of a token
// or of a private key is ever part of an error or a log line.
package jose

import "encoding/base64"

// MaxToken is the length in bytes of the longest token that is signed or
// verified.
const MaxToken = 16 << 10

// b64 also refuses a last character with stray bits: two spellings of one
// signature would be two tokens.
var b64 = base64.RawURLEncoding.Strict()
