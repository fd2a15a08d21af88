package sqlstore

import (
	"cmp"
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// Move copies a whole database to another, which must be empty or hold a part of the
// same move, and compares the two. What is at the target tells how far a move has
// come, so one that was killed goes on where it was. The source is not changed.
//
// Nobody can use either meanwhile: a server that is started finds the files locked,
// or its issuer under another name.
type Move struct {
	From, To Config
	Progress func(Step) // nil = none; never called by two goroutines at once
	batch    int        // rows of one statement; 0 = moveBatch
}

// Step is how far a move has come with one table.
type Step struct {
	Comparing bool // else it is being copied
	Table     string
	Done, Of  int64 // rows of the table
	All       int64 // rows of all tables
}

// Moved is what became of one table.
type Moved struct {
	Table    string
	Copied   int64 // rows, by this run
	From, To Digest
}

// ErrDiffers says that the target is not what the source is. It stays out of use.
var ErrDiffers = errors.New("the target differs from the source")

const (
	moveBatch = 500
	// moveParams is what both databases take as parameters of one statement.
	moveParams = 32000
)

// mover is a move under way.
type mover struct {
	Move
	from, to   *side
	ended      func() error // of the context
	makeTarget func() error
	schema
	issuers []issuerRow // of the source
	rows    map[string]int64
	all     int64 // rows of the source; rows has each table's
}

// Run moves. The rows are compared in any case; ErrDiffers comes with what was found.
func (m Move) Run(ctx context.Context) (moved []Moved, err error) {
	w := &mover{Move: m, ended: ctx.Err, rows: map[string]int64{}}
	if w.Progress == nil {
		w.Progress = func(Step) {}
	}
	w.makeTarget = func() error { // Open makes what is not there
		db, err := Open(ctx, Config{Path: m.To.Path, URL: m.To.URL})
		if err != nil {
			return fmt.Errorf("the target: %w", err)
		}
		return db.Close()
	}
	if w.schema, err = newest(); err != nil {
		return nil, err
	}
	moved, err = w.run() //nolint:contextcheck // the driver gets no context that can end, see conn
	return moved, errors.Join(err, w.close())
}

func (w *mover) run() (moved []Moved, err error) {
	if err := w.openSource(); err != nil {
		return nil, err
	}
	if err := w.openTarget(); err != nil {
		return nil, err
	}
	begun, done, err := w.state()
	switch {
	case err != nil:
		return nil, err
	case done:
		if moved, err = w.compareAll(nil); errors.Is(err, ErrDiffers) {
			err = fmt.Errorf("%s holds this issuer already and has been used since; nothing was changed: %w", w.to.what, err)
		}
		return moved, err
	}
	if err := w.beginIssuers(); err != nil {
		return nil, err
	}
	copied := map[string]int64{issuers: int64(len(w.issuers))}
	for i := range w.tables {
		t := &w.tables[i]
		if t.name == issuers {
			continue
		}
		if copied[t.name], err = w.copy(t); err != nil {
			return nil, err
		}
	}
	moved, err = w.compareAll(copied)
	if begun && errors.Is(err, ErrDiffers) {
		// The source was used between two runs: rows that were copied then are old.
		moved, err = w.again(moved)
	}
	if err != nil {
		return moved, err
	}
	return moved, w.finishIssuers()
}

func (w *mover) close() error {
	var errs []error
	for _, s := range []*side{w.from, w.to} {
		if s != nil {
			s.failed = nil
			errs = append(errs, s.close())
		}
	}
	return errors.Join(errs...)
}

func (w *mover) openSource() (err error) {
	switch exists, err := Exists(w.From); {
	case err != nil:
		return err
	case !exists:
		return fmt.Errorf("there is no database in the source %s", w.From)
	}
	if w.from, err = openSide(w.From, "the source"); err != nil {
		return err
	}
	if err := w.from.hold(w.tables); err != nil {
		return err
	}
	if err := w.sameVersion(w.from); err != nil {
		return err
	}
	if w.issuers, err = w.from.issuers(); err != nil {
		return err
	}
	for _, i := range w.issuers {
		if strings.HasPrefix(i.name, halfMoved) {
			return fmt.Errorf("%s is the target of another move, which has not been finished", w.from.what)
		}
	}
	if len(w.issuers) == 0 {
		return fmt.Errorf("%s holds no issuer", w.from.what)
	}
	for i := range w.tables {
		n, err := w.from.number(w.tables[i].count())
		if err != nil {
			return err
		}
		w.rows[w.tables[i].name] = n
		w.all += n
	}
	return nil
}

func (w *mover) openTarget() error {
	if w.From.URL == "" && w.To.URL == "" {
		a, err := os.Stat(filepath.Clean(w.From.Path))
		if err != nil {
			return err
		}
		if b, err := os.Stat(filepath.Clean(w.To.Path)); err == nil && os.SameFile(a, b) {
			return errors.New("the source and the target are the same database")
		}
	}
	exists, err := Exists(w.To)
	if err != nil {
		return err
	}
	if !exists {
		if err := w.makeTarget(); err != nil {
			return err
		}
	}
	if w.to, err = openSide(w.To, "the target"); err != nil {
		return err
	}
	if err := w.to.claim(); err != nil {
		return err
	}
	return w.sameVersion(w.to)
}

// sameVersion: what was made by an older or newer program has other columns.
func (w *mover) sameVersion(s *side) error {
	version, err := s.number("SELECT max(version_id) FROM tallystick_schema")
	switch {
	case err != nil:
		return err
	case version < w.version:
		return fmt.Errorf("%s has schema version %d and this program has %d; start this program's server on it once, which brings it there", s.what, version, w.version)
	case version > w.version:
		return fmt.Errorf("%s has schema version %d, newer than this program's %d", s.what, version, w.version)
	}
	return nil
}

func (w *mover) table(name string) *table {
	for i := range w.tables {
		if w.tables[i].name == name {
			return &w.tables[i]
		}
	}
	return nil
}

// kept appends a row's values, which the driver takes back, to more of them.
func kept(to []any, values []driver.Value) []any {
	for _, v := range values {
		if b, ok := v.([]byte); ok {
			// Of no bytes is not NULL, which nil would be.
			v = append(make([]byte, 0, len(b)), b...)
		}
		to = append(to, v)
	}
	return to
}

// copy goes on after the greatest key that is at the target. Each batch is one
// statement, all of it there or none.
func (w *mover) copy(t *table) (copied int64, err error) {
	step := Step{Table: t.name, Of: w.rows[t.name], All: w.all}
	if step.Done, err = w.to.number(t.count()); err != nil {
		return 0, err
	}
	w.Progress(step)
	var last []any
	r, err := w.to.one(t.greatest(w.to.dialect))
	if err != nil {
		return 0, w.to.explain(err)
	}
	if r != nil {
		last = kept(nil, r.values)
	}
	size := min(cmp.Or(w.batch, moveBatch), moveParams/len(t.columns))
	batch := make([]any, 0, size*len(t.columns))
	flush := func() error {
		n, err := w.to.exec(t.insert(w.to.dialect, len(batch)/len(t.columns)), batch...)
		if err != nil {
			return w.to.explain(fmt.Errorf("table %s: %w", t.name, err))
		}
		copied += n
		step.Done += n
		batch = batch[:0]
		w.Progress(step)
		return w.ended()
	}
	err = w.from.all(t.after(w.from.dialect, last != nil), func(r *row) error {
		batch = kept(batch, r.values)
		if len(batch) < cap(batch) {
			return nil
		}
		return flush()
	}, last...)
	if err == nil && len(batch) > 0 {
		err = flush()
	}
	if w.from.failed != nil && w.to.failed == nil && w.ended() == nil {
		err = w.from.explain(err)
	}
	return copied, err
}

// again copies anew what has been found to differ.
func (w *mover) again(moved []Moved) ([]Moved, error) {
	copied := map[string]int64{}
	for _, m := range moved {
		copied[m.Table] = m.Copied
		if m.From == m.To {
			continue
		}
		t := w.table(m.Table)
		if _, err := w.to.exec("DELETE FROM " + quote(t.name)); err != nil {
			return nil, w.to.explain(err)
		}
		n, err := w.copy(t)
		if err != nil {
			return nil, err
		}
		copied[t.name] = n
	}
	return w.compareAll(copied)
}

// compareAll reads all of both databases.
func (w *mover) compareAll(copied map[string]int64) (moved []Moved, err error) {
	var differ []string
	for i := range w.tables {
		t := &w.tables[i]
		m := Moved{Table: t.name, Copied: copied[t.name]}
		if m.From, m.To, err = w.compare(t); err != nil {
			return moved, err
		}
		if moved = append(moved, m); m.From != m.To {
			differ = append(differ, t.name)
		}
	}
	if len(differ) > 0 {
		return moved, fmt.Errorf("%w in %s", ErrDiffers, strings.Join(differ, ", "))
	}
	return moved, nil
}
