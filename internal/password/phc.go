package password

import (
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// ErrEncoding refuses a string that is no PHC string of Argon2id version 19, or
// one whose parameters are out of bounds ([Params.Check]).
var ErrEncoding = errors.New("password: malformed or excessive encoded hash")

// b64 is the B64 of the PHC string format: the standard alphabet, no padding.
var b64 = base64.RawStdEncoding.Strict()

// phc is a parsed $argon2id$v=19$m=19456,t=2,p=1$salt$hash.
type phc struct {
	Params
	salt []byte // 8 to 64 bytes
	hash []byte // 16 to 64 bytes
}

func (e phc) String() string {
	return fmt.Sprintf("$argon2id$v=19$m=%d,t=%d,p=%d$%s$%s",
		e.Memory, e.Time, e.Threads, b64.EncodeToString(e.salt), b64.EncodeToString(e.hash))
}

// parse accepts the one spelling that String writes.
func parse(encoded string) (phc, error) {
	var e phc
	fields := strings.Split(encoded, "$")
	if len(fields) != 6 || fields[0] != "" || fields[1] != "argon2id" || fields[2] != "v=19" {
		return phc{}, ErrEncoding
	}
	numbers := strings.Split(fields[3], ",")
	if len(numbers) != 3 {
		return phc{}, ErrEncoding
	}
	var values [3]uint64
	for i, prefix := range []string{"m=", "t=", "p="} {
		digits, ok := strings.CutPrefix(numbers[i], prefix)
		n, err := strconv.ParseUint(digits, 10, [3]int{32, 32, 8}[i])
		if !ok || err != nil || digits[0] == '0' {
			return phc{}, ErrEncoding
		}
		values[i] = n
	}
	e.Params = Params{Memory: uint32(values[0]), Time: uint32(values[1]), Threads: uint8(values[2])}

	var saltErr, hashErr error
	e.salt, saltErr = b64.DecodeString(fields[4])
	e.hash, hashErr = b64.DecodeString(fields[5])
	if e.Check() != nil || saltErr != nil || hashErr != nil ||
		strings.ContainsAny(encoded, "\r\n") || // which Go's decoder skips
		len(e.salt) < 8 || len(e.salt) > 64 || len(e.hash) < 16 || len(e.hash) > 64 {
		return phc{}, ErrEncoding
	}
	return e, nil
}
