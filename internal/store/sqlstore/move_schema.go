package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"sync"

	"github.com/pressly/goose/v3"
	"modernc.org/sqlite"
)

// table is a table as the migrations make it.
type table struct {
	name    string
	columns []column
}

type column struct {
	name string
	kind string // BLOB, TEXT or BIGINT
	key  int    // place in the primary key, from 1; 0 = none
}

const issuers = "issuer"

// schema is that of every database of this version.
type schema struct {
	tables  []table
	version int64
}

// newest reads the tables off a database that the migrations have just made in memory,
// so that no list of columns has to keep up with them.
var newest = sync.OnceValues(func() (schema, error) {
	tables, version, err := readSchema(background)
	return schema{tables, version}, err
})

func readSchema(ctx context.Context) (tables []table, version int64, err error) {
	c, err := sqlite.NewConnector("file::memory:")
	if err != nil {
		return nil, 0, err
	}
	db := sql.OpenDB(c)
	defer func() { err = errors.Join(err, db.Close()) }()
	db.SetMaxOpenConns(1) // another would be another memory
	sub, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return nil, 0, err
	}
	p, err := goose.NewProvider(goose.DialectSQLite3, db, sub, goose.WithTableName("tallystick_schema"), goose.WithDisableGlobalRegistry(true))
	if err != nil {
		return nil, 0, err
	}
	if _, err := p.Up(ctx); err != nil {
		return nil, 0, err
	}
	rows, err := db.QueryContext(ctx, `SELECT t.name, c.name, c.type, c.pk FROM sqlite_schema t JOIN pragma_table_info(t.name) c
		WHERE t.type = 'table' AND t.name NOT LIKE 'sqlite_%' AND t.name <> 'tallystick_schema' ORDER BY t.name, c.cid`)
	if err != nil {
		return nil, 0, err
	}
	defer rows.Close()
	for rows.Next() {
		var name string
		var c column
		if err := rows.Scan(&name, &c.name, &c.kind, &c.key); err != nil {
			return nil, 0, err
		}
		if n := len(tables); n == 0 || tables[n-1].name != name {
			tables = append(tables, table{name: name})
		}
		t := &tables[len(tables)-1]
		t.columns = append(t.columns, c)
	}
	if err := rows.Err(); err != nil {
		return nil, 0, err
	}
	_, version, err = p.GetVersions(ctx)
	return tables, version, err
}

// key lists the columns of the primary key in its order.
func (t *table) key() []column {
	var key []column
	for place := 1; ; place++ {
		n := len(key)
		for _, c := range t.columns {
			if c.key == place {
				key = append(key, c)
			}
		}
		if len(key) == n {
			return key
		}
	}
}

// at is where the column stands in a row, -1 if there is none of that name.
func (t *table) at(name string) int {
	for i, c := range t.columns {
		if c.name == name {
			return i
		}
	}
	return -1
}

func quote(name string) string { return `"` + name + `"` }

func (t *table) list() string {
	names := make([]string, len(t.columns))
	for i, c := range t.columns {
		names[i] = quote(c.name)
	}
	return strings.Join(names, ", ")
}

// The statements have the names that our migrations give, and nothing else, in them.

func (t *table) all() string {
	return "SELECT " + t.list() + " FROM " + quote(t.name)
}

func (t *table) count() string {
	return "SELECT count(*) FROM " + quote(t.name)
}

// after reads the rows after a key in its order, by the bytes of texts, whatever
// the database's own order of texts is.
func (t *table) after(d dialect, from bool) string {
	var key, order, marks []string
	for i, c := range t.key() {
		key = append(key, d.ordered(c))
		order = append(order, d.ordered(c))
		marks = append(marks, d.mark(i+1))
	}
	q := t.all()
	if from {
		q += " WHERE (" + strings.Join(key, ", ") + ") > (" + strings.Join(marks, ", ") + ")"
	}
	return q + " ORDER BY " + strings.Join(order, ", ")
}

// greatest reads the last key in the order of after.
func (t *table) greatest(d dialect) string {
	var key, order []string
	for _, c := range t.key() {
		key = append(key, quote(c.name))
		order = append(order, d.ordered(c)+" DESC")
	}
	return "SELECT " + strings.Join(key, ", ") + " FROM " + quote(t.name) + " ORDER BY " + strings.Join(order, ", ") + " LIMIT 1"
}

func (t *table) insert(d dialect, rows int) string {
	var q strings.Builder
	fmt.Fprintf(&q, "INSERT INTO %s (%s) VALUES ", quote(t.name), t.list())
	n := 0
	for r := range rows {
		if r > 0 {
			q.WriteString(", ")
		}
		for c := range t.columns {
			n++
			q.WriteString(map[bool]string{true: "(", false: ", "}[c == 0] + d.mark(n))
		}
		q.WriteByte(')')
	}
	q.WriteString(" ON CONFLICT DO NOTHING")
	return q.String()
}
