package storetest

import (
	"context"
	"database/sql/driver"
	"strings"
	"sync/atomic"
)

// Kind is what a store asks of its driver.
type Kind string

// The kinds. BEGIN, COMMIT and ROLLBACK count as such in SQL text, too.
const (
	Connect  Kind = "connect"
	Prepare  Kind = "prepare"
	Begin    Kind = "begin"
	Exec     Kind = "exec"
	Query    Kind = "query"
	Next     Kind = "next row"
	Commit   Kind = "commit"
	Rollback Kind = "rollback"
)

// Tap stands between a store and its driver. It rewrites SQL, and lets a test
// decide over each call. The zero Tap lets everything through.
type Tap struct {
	Rewrite func(sql string) string // nil = as it is; set before the first connection
	hook    atomic.Pointer[Hook]
}

// Hook decides over one call: it performs it or not, and returns its error.
type Hook func(kind Kind, sql string, perform func() error) error

// Hook makes f decide over the calls from now on; nil lets them through.
func (t *Tap) Hook(f Hook) {
	if f == nil {
		t.hook.Store(nil)
		return
	}
	t.hook.Store(&f)
}

func (t *Tap) call(kind Kind, sql string, perform func() error) error {
	if f := t.hook.Load(); f != nil {
		return (*f)(kind, sql, perform)
	}
	return perform()
}

func (t *Tap) rewrite(sql string) string {
	if t.Rewrite == nil {
		return sql
	}
	return t.Rewrite(sql)
}

// kindOf tells what SQL text that goes through Exec or Query is.
func kindOf(sql string, otherwise Kind) Kind {
	word, _, _ := strings.Cut(strings.TrimSpace(sql), " ")
	switch strings.ToUpper(strings.TrimSuffix(word, ";")) {
	case "BEGIN", "START":
		return Begin
	case "COMMIT", "END":
		return Commit
	case "ROLLBACK":
		return Rollback
	}
	return otherwise
}

// Connector taps the connections of c.
func (t *Tap) Connector(c driver.Connector) driver.Connector { return connector{c, t} }

type connector struct {
	driver.Connector
	tap *Tap
}

func (c connector) Connect(ctx context.Context) (driver.Conn, error) {
	var inner driver.Conn
	err := c.tap.call(Connect, "", func() (err error) { inner, err = c.Connector.Connect(ctx); return err })
	if err != nil {
		if inner != nil {
			_ = inner.Close()
		}
		return nil, err
	}
	return &conn{inner, c.tap}, nil
}

// conn wants a driver that knows contexts, as every current one does.
type conn struct {
	driver.Conn
	tap *Tap
}

func (c *conn) PrepareContext(ctx context.Context, sql string) (driver.Stmt, error) {
	sql = c.tap.rewrite(sql)
	var inner driver.Stmt
	err := c.tap.call(Prepare, sql, func() (err error) {
		inner, err = c.Conn.(driver.ConnPrepareContext).PrepareContext(ctx, sql)
		return err
	})
	if err != nil {
		if inner != nil {
			_ = inner.Close()
		}
		return nil, err
	}
	return &stmt{inner, c.tap, sql}, nil
}

func (c *conn) BeginTx(ctx context.Context, opts driver.TxOptions) (driver.Tx, error) {
	var inner driver.Tx = noTx{}
	err := c.tap.call(Begin, "", func() (err error) {
		inner, err = c.Conn.(driver.ConnBeginTx).BeginTx(ctx, opts)
		return err
	})
	if err != nil {
		return nil, err
	}
	return tx{inner, c.tap}, nil
}

func (c *conn) ExecContext(ctx context.Context, sql string, args []driver.NamedValue) (res driver.Result, err error) {
	sql, res = c.tap.rewrite(sql), notPerformed
	err = c.tap.call(kindOf(sql, Exec), sql, func() (err error) {
		res, err = c.Conn.(driver.ExecerContext).ExecContext(ctx, sql, args)
		return err
	})
	return res, err
}

func (c *conn) QueryContext(ctx context.Context, sql string, args []driver.NamedValue) (driver.Rows, error) {
	sql = c.tap.rewrite(sql)
	var inner driver.Rows
	err := c.tap.call(kindOf(sql, Query), sql, func() (err error) {
		inner, err = c.Conn.(driver.QueryerContext).QueryContext(ctx, sql, args)
		return err
	})
	return c.tap.rows(inner, sql, err)
}

func (c *conn) Ping(ctx context.Context) error {
	if p, ok := c.Conn.(driver.Pinger); ok {
		return p.Ping(ctx)
	}
	return nil
}

func (c *conn) ResetSession(ctx context.Context) error {
	if r, ok := c.Conn.(driver.SessionResetter); ok {
		return r.ResetSession(ctx)
	}
	return nil
}

func (c *conn) IsValid() bool {
	v, ok := c.Conn.(driver.Validator)
	return !ok || v.IsValid()
}

func (c *conn) CheckNamedValue(v *driver.NamedValue) error { return checkNamedValue(c.Conn, v) }

func checkNamedValue(inner any, v *driver.NamedValue) error {
	if n, ok := inner.(driver.NamedValueChecker); ok {
		return n.CheckNamedValue(v)
	}
	return driver.ErrSkip
}

// notPerformed is the result of a statement that a hook has not performed.
var notPerformed driver.Result = driver.RowsAffected(0)

type stmt struct {
	driver.Stmt
	tap *Tap
	sql string
}

func (s *stmt) ExecContext(ctx context.Context, args []driver.NamedValue) (res driver.Result, err error) {
	res = notPerformed
	err = s.tap.call(kindOf(s.sql, Exec), s.sql, func() (err error) {
		res, err = s.Stmt.(driver.StmtExecContext).ExecContext(ctx, args)
		return err
	})
	return res, err
}

func (s *stmt) QueryContext(ctx context.Context, args []driver.NamedValue) (driver.Rows, error) {
	var inner driver.Rows
	err := s.tap.call(kindOf(s.sql, Query), s.sql, func() (err error) {
		inner, err = s.Stmt.(driver.StmtQueryContext).QueryContext(ctx, args)
		return err
	})
	return s.tap.rows(inner, s.sql, err)
}

func (s *stmt) CheckNamedValue(v *driver.NamedValue) error { return checkNamedValue(s.Stmt, v) }

// rows taps the rows of a query, of which the call may have failed after the
// query was performed.
func (t *Tap) rows(inner driver.Rows, sql string, err error) (driver.Rows, error) {
	if err == nil {
		return &rows{inner, t, sql}, nil
	}
	if inner != nil {
		_ = inner.Close()
	}
	return nil, err
}

type rows struct {
	driver.Rows
	tap *Tap
	sql string
}

func (r *rows) Next(dest []driver.Value) error {
	return r.tap.call(Next, r.sql, func() error { return r.Rows.Next(dest) })
}

// noTx is a transaction that a hook has not begun.
type noTx struct{}

func (noTx) Commit() error   { return nil }
func (noTx) Rollback() error { return nil }

type tx struct {
	driver.Tx
	tap *Tap
}

func (t tx) Commit() error   { return t.tap.call(Commit, "", t.Tx.Commit) }
func (t tx) Rollback() error { return t.tap.call(Rollback, "", t.Tx.Rollback) }
