package server

import (
	"crypto/rand"
	"errors"
	"fmt"
	"os"

	"github.com/tallystick/tallystick/internal/seal"
)

// MasterKeyVariable takes the place of a file of the master key.
const MasterKeyVariable = "TALLYSTICK_MASTER_KEY"

// MasterKey is the one of the variable's word, if that is not "", or of the file. It
// is made if there is neither the file nor, as far as can be told before the database
// is asked, a database; made tells so.
func MasterKey(word, path, database string) (m *seal.Master, made bool, err error) {
	if word != "" {
		if m, err = seal.Parse(word); err != nil {
			return nil, false, fmt.Errorf("%s: %w", MasterKeyVariable, err)
		}
		return m, false, nil
	}
	_, err = os.Stat(path)
	made = errors.Is(err, os.ErrNotExist)
	// A new key would not open an old database; say so before one is made.
	if file := databaseOf(Config{Database: database}).Path; made && file != "" {
		if _, err := os.Stat(file); err == nil {
			return nil, false, fmt.Errorf("%s is missing, but there is a database: bring the key back, or set %s", path, MasterKeyVariable)
		}
	}
	m, err = seal.ReadOrCreate(path, rand.Reader)
	return m, made && err == nil, err
}
