package sqlstore

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
)

// planStep is a step of a plan, as EXPLAIN (FORMAT JSON) has it.
type planStep struct {
	Kind  string     `json:"Node Type"`
	Table string     `json:"Relation Name"`
	Index string     `json:"Index Name"`
	Cond  string     `json:"Index Cond"`
	Plans []planStep `json:"Plans"`
}

// each shows the step and all below it.
func (s planStep) each(show func(planStep)) {
	show(s)
	for _, p := range s.Plans {
		p.each(show)
	}
}

// PostgreSQL chooses by what its tables hold. Of one issuer with many of everything,
// no statement goes through all of them, nor through all of a client's.
func TestEveryStatementIsASearchOnPostgreSQL(t *testing.T) {
	t.Parallel()
	s := freshPostgres(t, "")
	cfg, err := pgx.ParseConfig(server(t).URL(s.shown(t, "current_database()::text")))
	if err != nil {
		t.Fatal(err)
	}
	cfg.DefaultQueryExecMode = pgx.QueryExecModeSimpleProtocol
	c, err := pgx.ConnectConfig(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close(t.Context())
	crowded(t, c, s)
	// A generic plan, as a statement has that was prepared once.
	if _, err := c.Exec(t.Context(), "SET enable_seqscan = off; SET plan_cache_mode = force_generic_plan"); err != nil {
		t.Fatal(err)
	}
	second := secondColumns(t, c)
	steps := 0
	for name, query := range statements(t) {
		if _, err := c.Exec(t.Context(), "PREPARE "+name+" AS "+query); err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		args := ""
		if n := len(arguments(t, query)); n > 0 {
			args = "(NULL" + strings.Repeat(", NULL", n-1) + ")"
		}
		var text string
		if err := c.QueryRow(t.Context(), "EXPLAIN (FORMAT JSON) EXECUTE "+name+args).Scan(&text); err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		var plans []struct{ Plan planStep }
		if err := json.Unmarshal([]byte(text), &plans); err != nil || len(plans) != 1 {
			t.Fatalf("%s: %d plans, %v", name, len(plans), err)
		}
		plans[0].Plan.each(func(step planStep) {
			if step.Index != "" {
				steps++
			}
			if fault := step.fault(name, second); fault != "" {
				t.Errorf("%s %s", name, fault)
			}
		})
	}
	if steps < 100 {
		t.Errorf("%d searches, and there are more", steps)
	}
}

// crowded puts many rows into every table, of which clients have many and all else is
// its own.
func crowded(t *testing.T, c *pgx.Conn, s *Store) {
	t.Helper()
	known, err := newest()
	if err != nil {
		t.Fatal(err)
	}
	for _, table := range known.tables {
		if table.name == issuers {
			continue
		}
		var names, values []string
		for _, column := range table.columns {
			value := "i"
			switch {
			case column.name == "issuer":
				value = fmt.Sprintf(`'\x%x'`, s.id)
			case column.name == "client_id":
				value = "'text ' || i % 5 * 400"
			case column.kind == "BLOB":
				value = "decode(md5(i::text), 'hex')"
			case column.kind == "TEXT":
				value = "'text ' || i"
			}
			names, values = append(names, `"`+column.name+`"`), append(values, value)
		}
		if _, err := c.Exec(t.Context(), fmt.Sprintf(`INSERT INTO "%s" (%s) SELECT %s FROM generate_series(1, 2000) i`,
			table.name, strings.Join(names, ", "), strings.Join(values, ", "))); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := c.Exec(t.Context(), "ANALYZE"); err != nil {
		t.Fatal(err)
	}
}

// secondColumns are the columns after the issuer of the indexes that have one.
func secondColumns(t *testing.T, c *pgx.Conn) map[string]string {
	t.Helper()
	rows, err := c.Query(t.Context(), `SELECT indexrelid::regclass::text, pg_get_indexdef(indexrelid, 2, true)
		FROM pg_index WHERE indnkeyatts > 1`)
	if err != nil {
		t.Fatal(err)
	}
	second := make(map[string]string)
	var index, column string
	if _, err := pgx.ForEachRow(rows, []any{&index, &column}, func() error { second[index] = column; return nil }); err != nil {
		t.Fatal(err)
	}
	return second
}

// fault says what is wrong with a step.
func (s planStep) fault(statement string, second map[string]string) string {
	column, composite := second[s.Index]
	searches := !composite || regexp.MustCompile(`\b`+strings.Trim(column, `"`)+`\b`).MatchString(s.Cond)
	switch {
	case strings.Contains(s.Kind, "Seq Scan"):
		return "goes through " + s.Table
	case s.Index == "":
		return ""
	case !searches && !listed[statement]:
		return fmt.Sprintf("walks through the issuer: %s of %s %s", s.Kind, s.Index, s.Cond)
	case s.Index == "grant_client" && !ofClients[statement]:
		return "walks through the client's grants: " + s.Cond
	}
	return ""
}
