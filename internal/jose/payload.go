package jose

import "github.com/go-jose/go-jose/v4/json"

// Unmarshal reads the claims of a JWT. Unlike encoding/json it tells Sub from sub
// and refuses a member that stands twice (RFC 7519 §4), so that nobody else reads
// another claim than we do.
func Unmarshal(payload []byte, v any) error {
	if err := json.Unmarshal(payload, v); err != nil {
		return ErrMalformed
	}
	return nil
}
