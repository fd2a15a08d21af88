package sqlstore

import (
	"crypto/sha256"
	"database/sql/driver"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
)

// Digest is a table's rows by their number and their content, in whatever order.
type Digest struct {
	Rows int64
	Sum  [sha256.Size]byte
}

// String is the whole sum.
func (d Digest) String() string { return hex.EncodeToString(d.Sum[:]) }

// add counts a row in. No two rows of a table are alike, since each has a key, so
// none can take another out of the sum.
func (d *Digest) add(row []byte) {
	h := sha256.Sum256(row)
	for i := range d.Sum {
		d.Sum[i] ^= h[i]
	}
	d.Rows++
}

// appendValue writes a value so that no two rows read alike.
func appendValue(to []byte, v driver.Value) ([]byte, error) {
	switch v := v.(type) {
	case nil:
		return append(to, 'n'), nil
	case int64:
		return binary.BigEndian.AppendUint64(append(to, 'i'), uint64(v)), nil
	case string:
		return append(binary.BigEndian.AppendUint64(append(to, 't'), uint64(len(v))), v...), nil
	case []byte:
		return append(binary.BigEndian.AppendUint64(append(to, 'b'), uint64(len(v))), v...), nil
	}
	return nil, fmt.Errorf("a value of the type %T, which no column has", v)
}

// digestEvery is how many rows are read between two steps.
const digestEvery = 2000

// digest reads a table. An issuer counts by the name that it will have.
func (s *side) digest(t *table, progress func(rows int64) error) (d Digest, err error) {
	name := -1
	if t.name == issuers {
		name = t.at("name")
	}
	var text []byte
	err = s.all(t.all(), func(r *row) error {
		text = text[:0]
		for i, v := range r.values {
			if full, ok := v.(string); ok && i == name {
				v = strings.TrimPrefix(full, halfMoved)
			}
			var err error
			if text, err = appendValue(text, v); err != nil {
				return fmt.Errorf("table %s, column %s: %w", t.name, t.columns[i].name, err)
			}
		}
		if d.add(text); d.Rows%digestEvery == 0 {
			return progress(d.Rows)
		}
		return nil
	})
	return d, s.explain(err)
}

// compare reads a table of both databases at once.
func (w *mover) compare(t *table) (from, to Digest, err error) {
	step := Step{Comparing: true, Table: t.name, Of: w.rows[t.name], All: w.all}
	w.Progress(step)
	var errTo error
	read := make(chan struct{})
	go func() {
		defer close(read)
		to, errTo = w.to.digest(t, func(int64) error { return w.ended() })
	}()
	from, err = w.from.digest(t, func(rows int64) error {
		step.Done = rows
		w.Progress(step)
		return w.ended()
	})
	<-read
	if err = errors.Join(err, errTo); err != nil {
		return from, to, err
	}
	step.Done = step.Of
	w.Progress(step)
	return from, to, w.ended()
}
