package sqlstore

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"slices"
)

// tx is what the statements of an intent run on. After a statement that failed
// nothing more can be done with it: the intent has failed, whatever it returns.
type tx interface {
	// exec runs a statement and counts the rows that it changed.
	exec(query string, args ...any) (int64, error)
	// one reads the row of a key, nil if there is none; two are an error. It is
	// valid until the next statement.
	one(query string, args ...any) (*row, error)
	// all reads every row; each must not run statements.
	all(query string, each func(*row) error, args ...any) error
	// witness remembers the key of an event that the intent has written.
	witness(event []any)
}

// statement is what a driver's statements must be able to do. Those without a
// context have been deprecated for long.
type statement interface {
	driver.Stmt
	driver.StmtExecContext
	driver.StmtQueryContext
}

// conn is one connection with its prepared statements, for one goroutine at a
// time. It talks to the driver itself: a pool of connections, which is what
// database/sql is for, is of no use to a single writer, and costs a seventh of
// the time and a third of the allocations of a rotation.
//
// The driver gets no context that ends with the caller: half a statement is of no
// use to anybody. SQLite's gets context.Background(), since one that can end would
// cost a goroutine per statement.
type conn struct {
	ctx       context.Context // of the driver's calls; nil = the background
	connector driver.Connector
	raw       driver.Conn // nil: to be opened at the next use
	stmts     map[string]statement
	args      []driver.NamedValue
	row, rest row
	failed    error // the first statement that failed since open
	event     []any // see witness
	// remote: the server forgets the statements of a connection that ends, and may not
	// answer any more.
	remote bool
}

func (c *conn) witness(event []any) { c.event = event }

var background = context.Background()

func (c *conn) context() context.Context {
	if c.ctx == nil {
		return background
	}
	return c.ctx
}

// open readies the connection for an intent.
func (c *conn) open() error {
	c.failed = nil
	if c.raw != nil {
		return nil
	}
	raw, err := c.connector.Connect(c.context())
	if err != nil {
		return err
	}
	c.raw, c.stmts = raw, make(map[string]statement)
	return nil
}

// close ends the connection and with it a transaction that is still open. The
// next open makes a new one.
func (c *conn) close() error {
	if c.raw == nil {
		return nil
	}
	var errs []error
	for _, st := range c.stmts {
		if !c.remote {
			errs = append(errs, st.Close())
		}
	}
	errs = append(errs, c.raw.Close())
	c.raw, c.stmts = nil, nil
	return errors.Join(errs...)
}

func (c *conn) prepare(query string, args []any) (statement, error) {
	if c.failed != nil {
		return nil, c.failed
	}
	c.args = c.args[:0]
	for i, a := range args {
		c.args = append(c.args, driver.NamedValue{Ordinal: i + 1, Value: a})
	}
	if st, ok := c.stmts[query]; ok {
		return st, nil
	}
	var prepared driver.Stmt
	var err error
	if p, ok := c.raw.(driver.ConnPrepareContext); ok {
		prepared, err = p.PrepareContext(c.context(), query)
	} else {
		prepared, err = c.raw.Prepare(query)
	}
	if err != nil {
		return nil, c.fail(err)
	}
	st, ok := prepared.(statement)
	if !ok {
		return nil, c.fail(errors.Join(fmt.Errorf("sqlstore: %T runs no statement with a context", prepared), prepared.Close()))
	}
	c.stmts[query] = st
	return st, nil
}

func (c *conn) fail(err error) error {
	c.failed = err
	return err
}

func (c *conn) exec(query string, args ...any) (int64, error) {
	st, err := c.prepare(query, args)
	if err != nil {
		return 0, err
	}
	res, err := st.ExecContext(c.context(), c.args)
	if err != nil {
		return 0, c.fail(err)
	}
	n, err := res.RowsAffected()
	if err != nil {
		return 0, c.fail(err)
	}
	return n, nil
}

func (c *conn) one(query string, args ...any) (*row, error) {
	rows, err := c.query(query, args)
	if err != nil {
		return nil, err
	}
	found, err := step(rows, &c.row)
	if found && err == nil {
		// A statement that is stopped before its end may not have done all of
		// its work, nor told of its failure.
		var more bool
		if more, err = step(rows, &c.rest); more && err == nil {
			err = errors.New("sqlstore: more than one row where a key was given")
		}
	}
	if err = errors.Join(err, rows.Close()); err != nil {
		return nil, c.fail(err)
	}
	if !found {
		return nil, nil
	}
	return &c.row, nil
}

func (c *conn) all(query string, each func(*row) error, args ...any) (err error) {
	rows, err := c.query(query, args)
	if err != nil {
		return err
	}
	defer func() { // each may panic
		if err = errors.Join(err, rows.Close()); err != nil {
			_ = c.fail(err) // remembers it
		}
	}()
	for {
		found, err := step(rows, &c.row)
		if err != nil || !found {
			return err
		}
		if err := each(&c.row); err != nil {
			return err
		}
	}
}

func (c *conn) query(query string, args []any) (driver.Rows, error) {
	st, err := c.prepare(query, args)
	if err != nil {
		return nil, err
	}
	rows, err := st.QueryContext(c.context(), c.args)
	if err != nil {
		return nil, c.fail(err)
	}
	return rows, nil
}

func step(rows driver.Rows, r *row) (found bool, err error) {
	n := len(rows.Columns())
	*r = row{values: slices.Grow(r.values[:0], n)[:n]}
	err = rows.Next(r.values)
	if err == io.EOF { //nolint:errorlint // a driver ends its rows by this very value
		return false, nil
	}
	return err == nil, err
}

// row is read column by column from the left. A value of another type than the
// schema's is an error and never a zero: a zero time would be a grant that was
// not revoked.
type row struct {
	values []driver.Value
	read   int
	err    error // the first value that was of the wrong type
}

func (r *row) next() (v driver.Value) {
	if r.read < len(r.values) {
		v = r.values[r.read]
	}
	r.read++
	return v
}

func (r *row) wrong(want string) {
	if r.err == nil {
		r.err = fmt.Errorf("sqlstore: column %d of a row is no %s", r.read, want)
	}
}

func (r *row) int() int64 {
	v, ok := r.next().(int64)
	if !ok {
		r.wrong("integer")
	}
	return v
}

func (r *row) text() string {
	v, ok := r.next().(string)
	if !ok {
		r.wrong("text")
	}
	return v
}

// blob reads a byte string; that of no bytes is nil.
func (r *row) blob() []byte {
	v, ok := r.next().([]byte)
	if !ok {
		r.wrong("byte string")
	}
	return v
}

func (r *row) id() (id [16]byte) {
	v, ok := r.next().([]byte)
	if !ok || copy(id[:], v) != len(id) || len(v) != len(id) {
		r.wrong("id")
	}
	return id
}

// idOrNull reads an id that is zero if the column is NULL.
func (r *row) idOrNull() (id [16]byte) {
	if r.read < len(r.values) && r.values[r.read] == nil {
		r.read++
		return id
	}
	return r.id()
}

// hashOrNull reads a hash that is zero if the column is NULL.
func (r *row) hashOrNull() (h [32]byte) {
	if r.read < len(r.values) && r.values[r.read] == nil {
		r.read++
		return h
	}
	return r.hash()
}

func (r *row) hash() (h [32]byte) {
	v, ok := r.next().([]byte)
	if !ok || copy(h[:], v) != len(h) || len(v) != len(h) {
		r.wrong("hash")
	}
	return h
}
