package jose

import (
	"bytes"
	"errors"
	"fmt"
)

// Signer signs with one key under one header.
type Signer struct {
	key  *Key
	head []byte // the encoded header and its dot
}

// Signer returns a Signer whose header has alg, then typ unless it is empty,
// then, if asked for, kid.
func (k *Key) Signer(typ string, withKID bool) *Signer {
	var h Claims
	h.String("alg", string(k.Alg))
	if typ != "" {
		h.String("typ", typ)
	}
	if withKID {
		h.String("kid", k.ID)
	}
	return &Signer{key: k, head: append(b64.AppendEncode(nil, h.object()), '.')}
}

var errAlphabet = errors.New("jose: a segment contains '-' or '_'")

// Sign returns the compact serialization (RFC 7515 §7.1). It fails if c
// remembers an error or the token would exceed [MaxToken].
func (s *Signer) Sign(c *Claims) (string, error) {
	if c.err != nil {
		return "", c.err
	}
	payload, private := c.object(), s.key.private()
	size := len(s.head) + b64.EncodedLen(len(payload)) + 1 + b64.EncodedLen(signatureSize(private))
	if size > MaxToken {
		return "", fmt.Errorf("jose: a token of %d bytes is longer than %d", size, MaxToken)
	}
	token := make([]byte, 0, size)
	token = append(token, s.head...)
	token = b64.AppendEncode(token, payload)
	// The last gate of the rule of Claims, whoever wrote the bytes.
	if bytes.IndexByte(token, '-') >= 0 || bytes.IndexByte(token, '_') >= 0 {
		return "", errAlphabet
	}
	signature, err := sign(private, token)
	if err != nil {
		return "", fmt.Errorf("jose: sign: %w", err)
	}
	token = append(token, '.')
	return string(b64.AppendEncode(token, signature)), nil
}
